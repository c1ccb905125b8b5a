//! Repulsion of many points of a plane by a quadtree: far groups of points count as one.
//!
//! Points are sorted along a curve that visits the squares of the tree one after the other; so a square is a stretch of the
//! list, nodes lie in the order of a walk, and a walk is a loop that goes on to the next node or past a whole square.
//! Source: Barnes and Hut, "A hierarchical O(N log N) force-calculation algorithm" (1986); van der Maaten, "Accelerating t-SNE
//! using tree-based algorithms" (2014), section 4.2, whose rule for far (width / distance below the angle) this is.

use crate::unsupervised::by_threads;

/// Halvings of the plane's square: points that agree in all of them are one.
const LEVELS: u32 = 16;

/// A square with points in it.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// The mean of its points.
    x: f32,
    y: f32,
    /// How many.
    count: f32,
    /// Its width, squared; 0 if nothing smaller is inside.
    square: f32,
    /// The node after all that is inside of this.
    next: u32,
}

/// For `points` (x, y, x, y, ..): `sum_j near² (y_i - y_j)` of each, in the same order, and `sum near` over all ordered pairs,
/// where `near = 1 / (1 + |y_i - y_j|²)`; a point's nearness to itself is in the sum.
pub(super) fn repulsion(points: &[f32], angle: f64) -> (Vec<f32>, f64) {
    let n = points.len() / 2;
    let order = sorted(points);
    let mut nodes = Vec::with_capacity(2 * n);
    let mut prefix = Vec::with_capacity(n + 1);
    let mut sum = (0.0f64, 0.0f64);
    prefix.push(sum);
    for &(_, at) in &order {
        let at = at as usize;
        sum = (sum.0 + f64::from(points[2 * at]), sum.1 + f64::from(points[2 * at + 1]));
        prefix.push(sum);
    }
    let width = extent(points).2;
    grow(&order, &prefix, 0, n, 0, width, &mut nodes);
    let limit = (angle * angle) as f32;
    let parts = by_threads(0..n, |stretch| {
        let mut out = Vec::with_capacity(stretch.len());
        let mut mass = 0.0f64;
        for &(_, at) in &order[stretch] {
            let (x, y) = (points[2 * at as usize], points[2 * at as usize + 1]);
            let found = walk(&nodes, x, y, limit);
            mass += f64::from(found.2);
            out.push((at, found.0, found.1));
        }
        (out, mass)
    });
    let (mut push, mut mass) = (vec![0.0; 2 * n], 0.0);
    for (part, sum) in parts {
        mass += sum;
        for (at, x, y) in part {
            (push[2 * at as usize], push[2 * at as usize + 1]) = (x, y);
        }
    }
    (push, mass)
}

/// The least x and y, and the width of the square that holds all.
fn extent(points: &[f32]) -> (f32, f32, f32) {
    let start = (f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY);
    let wider = |(a, b, c, d): (f32, f32, f32, f32), p: &[f32]| (a.min(p[0]), b.min(p[1]), c.max(p[0]), d.max(p[1]));
    let (left, low, right, high) = points.chunks_exact(2).fold(start, wider);
    (left, low, (right - left).max(high - low).max(f32::MIN_POSITIVE))
}

/// Places along the curve, rising, and the points there.
fn sorted(points: &[f32]) -> Vec<(u32, u32)> {
    let (left, low, width) = extent(points);
    let scale = ((1u32 << LEVELS) - 1) as f32 / width;
    // The bits of a number with a gap after each.
    let apart = |x: u32| {
        let x = (x | x << 8) & 0x00ff_00ff;
        let x = (x | x << 4) & 0x0f0f_0f0f;
        let x = (x | x << 2) & 0x3333_3333;
        (x | x << 1) & 0x5555_5555
    };
    let place = |p: &[f32]| apart(((p[0] - left) * scale) as u32) | apart(((p[1] - low) * scale) as u32) << 1;
    let mut order: Vec<(u32, u32)> = points.chunks_exact(2).enumerate().map(|(i, p)| (place(p), i as u32)).collect();
    order.sort_unstable();
    order
}

/// Appends the node of the points `start..end` of the order, which agree in `level` halvings, and all inside of it.
fn grow(
    order: &[(u32, u32)],
    prefix: &[(f64, f64)],
    start: usize,
    end: usize,
    level: u32,
    width: f32,
    nodes: &mut Vec<Node>,
) {
    let count = (end - start) as f64;
    let (first, last) = (prefix[start], prefix[end]);
    let own = nodes.len();
    let leaf = end - start == 1 || level == LEVELS;
    nodes.push(Node {
        x: ((last.0 - first.0) / count) as f32,
        y: ((last.1 - first.1) / count) as f32,
        count: count as f32,
        square: if leaf { 0.0 } else { width * width },
        next: 0,
    });
    if !leaf {
        let shift = 2 * (LEVELS - 1 - level);
        let quarter = |place: u32| place >> shift & 3;
        let mut from = start;
        for q in 0..4 {
            let to = from + order[from..end].partition_point(|(place, _)| quarter(*place) <= q);
            if to > from {
                grow(order, prefix, from, to, level + 1, width / 2.0, nodes);
            }
            from = to;
        }
    }
    nodes[own].next = nodes.len() as u32;
}

/// One point's push and its nearness to all.
fn walk(nodes: &[Node], x: f32, y: f32, limit: f32) -> (f32, f32, f32) {
    let (mut push_x, mut push_y, mut mass) = (0.0, 0.0, 0.0);
    let mut at = 0;
    while let Some(node) = nodes.get(at) {
        let (dx, dy) = (x - node.x, y - node.y);
        let square = dx * dx + dy * dy;
        if node.square <= limit * square {
            let near = 1.0 / (1.0 + square);
            let weight = node.count * near;
            mass += weight;
            push_x += weight * near * dx;
            push_y += weight * near * dy;
            at = node.next as usize;
        } else {
            at += 1;
        }
    }
    (push_x, push_y, mass)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(points: &[f32]) -> (Vec<f64>, f64) {
        let (mut push, mut mass) = (Vec::new(), 0.0);
        for a in points.chunks_exact(2) {
            let mut sum = [0.0; 2];
            for b in points.chunks_exact(2) {
                let apart = [f64::from(a[0]) - f64::from(b[0]), f64::from(a[1]) - f64::from(b[1])];
                let near = 1.0 / (1.0 + apart[0] * apart[0] + apart[1] * apart[1]);
                mass += near;
                (sum[0], sum[1]) = (sum[0] + near * near * apart[0], sum[1] + near * near * apart[1]);
            }
            push.extend(sum);
        }
        (push, mass)
    }

    #[test]
    fn far_groups_count_as_one_and_near_points_exactly() {
        let mut draws = crate::data::Draws::new(1, 0);
        let mut points: Vec<f32> =
            (0..600).map(|i| (draws.uniform() * 20.0) as f32 + 10.0 * (i / 200) as f32).collect();
        // Several points in one place.
        points.extend([3.0, 4.0, 3.0, 4.0, 3.0, 4.0]);
        let (expected, mass) = exact(&points);
        let largest = expected.iter().fold(0.0f64, |most, x| most.max(x.abs()));
        // Angle 0 opens every square: what is left is rounding (300 terms). At 0.5 the error of a far square is of second
        // order: (width / distance)² / 4 = 1/16 of what it adds, with signs that differ.
        for (angle, allowed) in [(0.0, 1e-5), (0.5, 0.03)] {
            let (push, found) = repulsion(&points, angle);
            let worst = push.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            assert!(worst <= allowed * largest, "{angle}: {worst} of {largest}");
            assert!((found - mass).abs() <= allowed * mass, "{angle}: {found} {mass}");
        }
        assert_eq!(repulsion(&[1.0, 2.0], 0.5), (vec![0.0, 0.0], 1.0));
    }
}
