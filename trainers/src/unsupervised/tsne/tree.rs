//! Repulsion of many points of a plane by a quadtree: far groups of points count as one.
//!
//! Points are sorted along a curve that visits the squares of the tree one after the other; so a square is a stretch of the
//! list, nodes lie in the order of a walk, and a walk is a loop that goes on to the next node or past a whole square.
//! Source: Barnes and Hut, "A hierarchical O(N log N) force-calculation algorithm" (1986); van der Maaten, "Accelerating t-SNE
//! using tree-based algorithms" (2014), section 4.2, whose rule for far (width / distance below the angle) this is.

use std::ops::Range;

/// Halvings of the plane's square: points that agree in all of them are one.
const LEVELS: u32 = 16;

/// Points that walk together.
pub(super) const LANES: usize = 8;

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

/// Points of a plane in a tree.
pub(super) struct Tree {
    /// Places along the curve, rising, and the points there.
    order: Vec<(u32, u32)>,
    nodes: Vec<Node>,
}

impl Tree {
    pub(super) fn new(points: &[[f32; 2]]) -> Tree {
        let (order, width) = (sorted(points), extent(points).2);
        let mut prefix = Vec::with_capacity(points.len() + 1);
        let mut sum = (0.0f64, 0.0f64);
        prefix.push(sum);
        for &(_, at) in &order {
            let [x, y] = points[at as usize];
            sum = (sum.0 + f64::from(x), sum.1 + f64::from(y));
            prefix.push(sum);
        }
        let mut nodes = Vec::with_capacity(2 * points.len());
        grow(&order, &prefix, 0..points.len(), 0, width, &mut nodes);
        Tree { order, nodes }
    }

    /// Places along the curve and the points there: neighbours in this list walk alike.
    pub(super) fn order(&self) -> &[(u32, u32)] {
        &self.order
    }

    /// For each of these points `y`: `sum_j near² (y - y_j)`, and `sum near` over all points (itself too, if it is one), where
    /// `near = 1 / (1 + |y - y_j|²)`. A square is far if its width is less than `angle` times its distance from all of them: so they
    /// walk together, which is no more work if they are neighbours, and vectors of them are computed at once.
    pub(super) fn push(&self, points: &[[f32; 2]; LANES], angle: f32) -> [[f32; LANES]; 3] {
        let (x, y) = (points.map(|point| point[0]), points.map(|point| point[1]));
        let (mut push_x, mut push_y, mut mass) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        let (limit, mut at) = (angle * angle, 0);
        while let Some(node) = self.nodes.get(at) {
            let (dx, dy) = (x.map(|x| x - node.x), y.map(|y| y - node.y));
            let square: [f32; LANES] = std::array::from_fn(|lane| dx[lane] * dx[lane] + dy[lane] * dy[lane]);
            if node.square <= limit * least(square) {
                for lane in 0..LANES {
                    let near = 1.0 / (1.0 + square[lane]);
                    let weight = node.count * near;
                    mass[lane] += weight;
                    push_x[lane] += weight * near * dx[lane];
                    push_y[lane] += weight * near * dy[lane];
                }
                at = node.next as usize;
            } else {
                at += 1;
            }
        }
        [push_x, push_y, mass]
    }
}

/// The least of these, by halves, as vectors compare.
fn least(numbers: [f32; LANES]) -> f32 {
    let mut all = numbers;
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            all[lane] = if all[lane + half] < all[lane] { all[lane + half] } else { all[lane] };
        }
        half /= 2;
    }
    all[0]
}

/// The least x and y, and the width of the square that holds all.
fn extent(points: &[[f32; 2]]) -> (f32, f32, f32) {
    let start = (f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY);
    let wider = |(a, b, c, d): (f32, f32, f32, f32), p: &[f32; 2]| (a.min(p[0]), b.min(p[1]), c.max(p[0]), d.max(p[1]));
    let (left, low, right, high) = points.iter().fold(start, wider);
    (left, low, (right - left).max(high - low).max(f32::MIN_POSITIVE))
}

/// Places along the curve, rising, and the points there.
fn sorted(points: &[[f32; 2]]) -> Vec<(u32, u32)> {
    let (left, low, width) = extent(points);
    let scale = ((1u32 << LEVELS) - 1) as f32 / width;
    // The bits of a number with a gap after each.
    let apart = |x: u32| {
        let x = (x | x << 8) & 0x00ff_00ff;
        let x = (x | x << 4) & 0x0f0f_0f0f;
        let x = (x | x << 2) & 0x3333_3333;
        (x | x << 1) & 0x5555_5555
    };
    let place = |p: &[f32; 2]| apart(((p[0] - left) * scale) as u32) | apart(((p[1] - low) * scale) as u32) << 1;
    let mut order: Vec<(u32, u32)> = points.iter().zip(0..).map(|(p, i)| (place(p), i)).collect();
    order.sort_unstable();
    order
}

/// Appends the node of these points of the order, which agree in `level` halvings, and all inside of it.
fn grow(
    order: &[(u32, u32)],
    prefix: &[(f64, f64)],
    Range { start, end }: Range<usize>,
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
                grow(order, prefix, from..to, level + 1, width / 2.0, nodes);
            }
            from = to;
        }
    }
    nodes[own].next = nodes.len() as u32;
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
        let (places, _) = points.as_chunks::<2>();
        let tree = Tree::new(places);
        for (angle, allowed) in [(0.0, 1e-5), (0.5, 0.03)] {
            let walked = places.chunks(LANES).flat_map(|some| {
                let [x, y, mass] = tree.push(&std::array::from_fn(|lane| some[lane.min(some.len() - 1)]), angle);
                (0..some.len()).map(move |lane| [x[lane], y[lane], mass[lane]])
            });
            let found: Vec<[f32; 3]> = walked.collect();
            let push = found.iter().flat_map(|f| [f[0], f[1]]);
            let worst = push.zip(&expected).map(|(a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
            let near: f64 = found.iter().map(|f| f64::from(f[2])).sum();
            assert!(worst <= allowed * largest, "{angle}: {worst} of {largest}");
            assert!((near - mass).abs() <= allowed * mass, "{angle}: {near} {mass}");
        }
        let alone = [[1.0, 2.0]; LANES];
        assert_eq!(Tree::new(&alone[..1]).push(&alone, 0.5), [[0.0; LANES], [0.0; LANES], [1.0; LANES]]);
    }
}
