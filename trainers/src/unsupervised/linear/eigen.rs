//! Eigenvalues and eigenvectors of symmetric matrices: Householder's reflections to tridiagonal form, then QL. Cubic time.

use super::dot;

/// Eigenvalues, largest first, and their unit eigenvectors, one per row.
#[derive(Clone, Debug, PartialEq)]
pub struct Eigen {
    /// Largest first.
    pub values: Vec<f64>,
    /// `[n, n]`, row `i` belongs to `values[i]`.
    pub vectors: Vec<f64>,
}

/// Eigenvalues and eigenvectors of a symmetric matrix `a: [n, n]` (its lower triangle is read): Householder reflections to
/// tridiagonal form, then QL with implicit shifts, both orthogonal, so errors stay near `n eps |a|`.
/// Source: Golub and Van Loan, "Matrix computations", 8.3.1 and 8.3.5.
///
/// # Panics
/// If `a` has not `n * n` elements.
#[must_use]
pub fn symmetric_eigen(a: &[f64], n: usize) -> Eigen {
    assert_eq!(a.len(), n * n, "symmetric_eigen: {} elements are not {n} x {n}", a.len());
    if n == 0 {
        return Eigen { values: Vec::new(), vectors: Vec::new() };
    }
    let Tridiagonal { mut diagonal, mut below, reflections } = tridiagonal(a, n);
    let mut q = orthogonal(&reflections, n);
    implicit_ql(&mut diagonal, &mut below, &mut q, n);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| diagonal[j].total_cmp(&diagonal[i]));
    let vectors = order.iter().flat_map(|&i| q[i * n..(i + 1) * n].iter().copied()).collect();
    Eigen { values: order.iter().map(|&i| diagonal[i]).collect(), vectors }
}

/// As [`symmetric_eigen`], all values but only the vectors of the `count` largest: `[count, n]`. For few of many this takes a
/// quarter of the time: values without vectors, then inverse iteration, each vector orthogonal to those before. Where that does not
/// give eigenvectors to `n eps |a|` (a matrix of zeros), the other way does.
/// Source: Golub and Van Loan, "Matrix computations", 8.2.2; Peters and Wilkinson, "Inverse iteration, ill-conditioned equations
/// and Newton's method" (1979).
///
/// # Panics
/// If `a` has not `n * n` elements.
#[must_use]
pub fn largest_eigen(a: &[f64], n: usize, count: usize) -> Eigen {
    assert_eq!(a.len(), n * n, "largest_eigen: {} elements are not {n} x {n}", a.len());
    if 2 * count < n {
        let t = tridiagonal(a, n);
        let values = t.values();
        if let Some(mut vectors) = t.vectors(&values, count) {
            reflect(&t.reflections, &mut vectors);
            return Eigen { values, vectors };
        }
    }
    let mut all = symmetric_eigen(a, n);
    all.vectors.truncate(count * n);
    all
}

/// `a = Qᵀ T Q`: a tridiagonal matrix, and the reflections `I - beta v vᵀ` that `Q` is made of; `v` of step k has elements k+1.. .
struct Tridiagonal {
    diagonal: Vec<f64>,
    /// `below[i]` between `i` and `i + 1`.
    below: Vec<f64>,
    reflections: Vec<(f64, Vec<f64>)>,
}

impl Tridiagonal {
    /// All eigenvalues, largest first, by the variant of QL without roots (a quarter of the time of the one that turns vectors).
    /// Source: Parlett, "The symmetric eigenvalue problem", 8.15 (the algorithm of Pal, Walker and Kahan).
    fn values(&self) -> Vec<f64> {
        let n = self.diagonal.len();
        let scale = self.diagonal.iter().chain(&self.below).fold(f64::MIN_POSITIVE, |most, x| most.max(x.abs()));
        let mut d: Vec<f64> = self.diagonal.iter().map(|x| x / scale).collect();
        let mut squares: Vec<f64> = self.below.iter().map(|x| (x / scale) * (x / scale)).collect();
        let least = f64::EPSILON * f64::EPSILON;
        for l in 0..n {
            // As many sweeps as in `implicit_ql`.
            for _ in 0..60 {
                let m = (l..n - 1).find(|&m| squares[m] <= least * (d[m] * d[m + 1]).abs()).unwrap_or(n - 1);
                if m == l {
                    break;
                }
                let root = squares[l].sqrt();
                let g = (d[l + 1] - d[l]) / (2.0 * root);
                let shift = d[l] - root / (g + g.hypot(1.0).copysign(g));
                let (mut c, mut s, mut gamma) = (1.0, 0.0, d[m] - shift);
                let mut p = gamma * gamma;
                for i in (l..m).rev() {
                    let (square, r) = (squares[i], p + squares[i]);
                    if i + 1 < m {
                        squares[i + 1] = s * r;
                    }
                    let (before, old) = (c, gamma);
                    (c, s) = (p / r, square / r);
                    gamma = c * (d[i] - shift) - s * old;
                    d[i + 1] = old + (d[i] - gamma);
                    p = if c == 0.0 { before * square } else { gamma * gamma / c };
                }
                (squares[l], d[l]) = (s * p, shift + gamma);
            }
        }
        d.iter_mut().for_each(|x| *x *= scale);
        d.sort_by(|x, y| y.total_cmp(x));
        d
    }

    /// Unit eigenvectors of the first `count` of these eigenvalues; `None` if some are none.
    fn vectors(&self, values: &[f64], count: usize) -> Option<Vec<f64>> {
        let n = self.diagonal.len();
        let scale = values.iter().fold(f64::MIN_POSITIVE, |most, v| most.max(v.abs()));
        let mut draws = crate::data::Draws::new(0, 0);
        let mut found: Vec<f64> = Vec::with_capacity(count * n);
        for (k, &exact) in values[..count].iter().enumerate() {
            // Equal values are told apart, or the same vector would come out.
            let value = exact - (k as f64) * f64::EPSILON * scale;
            let mut v: Vec<f64> = (0..n).map(|_| draws.uniform() - 0.5).collect();
            for _ in 0..3 {
                self.solve(value, scale, &mut v);
                for _ in 0..2 {
                    for before in found.chunks_exact(n) {
                        let along = dot(before, &v);
                        v.iter_mut().zip(before).for_each(|(x, b)| *x -= along * b);
                    }
                    let length = dot(&v, &v).sqrt();
                    v.iter_mut().for_each(|x| *x /= length);
                }
            }
            let limit = 8.0 * n as f64 * f64::EPSILON * scale;
            if !(0..n).all(|i| (self.row(i, &v) - exact * v[i]).abs() <= limit) {
                return None;
            }
            found.extend_from_slice(&v);
        }
        Some(found)
    }

    /// Element `i` of the product with `v`.
    fn row(&self, i: usize, v: &[f64]) -> f64 {
        let above = if i > 0 { self.below[i - 1] * v[i - 1] } else { 0.0 };
        let under = if i + 1 < v.len() { self.below[i] * v[i + 1] } else { 0.0 };
        above + self.diagonal[i] * v[i] + under
    }

    /// `v := (T - value)^-1 v`, up to length, by elimination with exchanged rows; a zero pivot is as small as rounding of `scale`.
    fn solve(&self, value: f64, scale: f64, v: &mut [f64]) {
        let n = v.len();
        let tiny = f64::EPSILON * scale;
        // Rows of the triangle: pivot and the two elements behind it.
        let mut rows: Vec<[f64; 3]> = Vec::with_capacity(n);
        let next = |i: usize| if i + 1 < n { self.below[i] } else { 0.0 };
        let mut row = [self.diagonal[0] - value, next(0), 0.0];
        for i in 0..n {
            if i + 1 < n {
                let mut under = [self.below[i], self.diagonal[i + 1] - value, next(i + 1)];
                if under[0].abs() > row[0].abs() {
                    std::mem::swap(&mut row, &mut under);
                    v.swap(i, i + 1);
                }
                let pivot = if row[0] == 0.0 { tiny } else { row[0] };
                let factor = under[0] / pivot;
                v[i + 1] -= factor * v[i];
                rows.push([pivot, row[1], row[2]]);
                row = [under[1] - factor * row[1], under[2] - factor * row[2], 0.0];
            } else {
                rows.push([if row[0].abs() < tiny { tiny } else { row[0] }, 0.0, 0.0]);
            }
        }
        for i in (0..n).rev() {
            let behind = |k: usize| if i + k < n { v[i + k] } else { 0.0 };
            v[i] = (v[i] - rows[i][1] * behind(1) - rows[i][2] * behind(2)) / rows[i][0];
        }
        let most = v.iter().fold(f64::MIN_POSITIVE, |most, x| most.max(x.abs()));
        v.iter_mut().for_each(|x| *x /= most);
    }
}

/// `v := Qᵀ v` for each row `v` of `[.., n]`, where `n` is two more than there are reflections.
fn reflect(reflections: &[(f64, Vec<f64>)], rows: &mut [f64]) {
    for (k, (beta, mirror)) in reflections.iter().enumerate().rev() {
        for v in rows.chunks_exact_mut(reflections.len() + 2) {
            let rest = &mut v[k + 1..];
            let scale = beta * dot(rest, mirror);
            rest.iter_mut().zip(mirror).for_each(|(x, m)| *x -= scale * m);
        }
    }
}

/// Householder's reflections of the lower triangle of `a`. A reflection changes the trailing block to `A - v wᵀ - w vᵀ`; that is done while
/// the next one multiplies the block, so that each row is fetched once.
fn tridiagonal(a: &[f64], n: usize) -> Tridiagonal {
    let mut a = a.to_vec();
    let (mut diagonal, mut below) = (vec![0.0; n], vec![0.0; n]);
    let mut reflections: Vec<(f64, Vec<f64>)> = Vec::with_capacity(n);
    // The change that waits, and the next one's vector and product, by row.
    let (mut v, mut w) = (vec![0.0; n], vec![0.0; n]);
    let (mut next, mut product) = (vec![0.0; n], vec![0.0; n]);
    for k in 0..n {
        // A column becomes final.
        for i in k..n {
            a[i * n + k] -= v[i] * w[k] + w[i] * v[k];
        }
        diagonal[k] = a[k * n + k];
        if k + 1 == n {
            break;
        }
        (k + 1..n).for_each(|i| next[i] = a[i * n + k]);
        let first = next[k + 1];
        let rest: f64 = next[k + 2..].iter().map(|x| x * x).sum();
        below[k] = first;
        let mut beta = 0.0;
        if rest != 0.0 {
            let length = (first * first + rest).sqrt();
            // The sign that adds, so that nothing cancels.
            below[k] = if first > 0.0 { -length } else { length };
            next[k + 1] = first - below[k];
            beta = 2.0 / (next[k + 1] * next[k + 1] + rest);
        }
        product[k + 1..].fill(0.0);
        for i in k + 1..n {
            let row = &mut a[i * n + k + 1..=i * n + i];
            let along = pass(
                row,
                [v[i], w[i], next[i]],
                [&v[k + 1..=i], &w[k + 1..=i], &next[k + 1..=i]],
                &mut product[k + 1..=i],
            );
            product[i] += along - row[i - k - 1] * next[i];
        }
        // w = p - (beta/2) (pᵀ v) v with p = beta A v.
        let half = 0.5 * beta * beta * dot(&product[k + 1..], &next[k + 1..]);
        for i in k + 1..n {
            (v[i], w[i]) = (next[i], beta * product[i] - half * next[i]);
        }
        if k + 2 < n {
            reflections.push((beta, next[k + 1..].to_vec()));
        }
    }
    Tridiagonal { diagonal, below, reflections }
}

/// Changes a row `x := x - v_i w - w_i v`, adds `next_i` times it to `product`, and gives its product with `next`.
fn pass(x: &mut [f64], [vi, wi, ni]: [f64; 3], [v, w, next]: [&[f64]; 3], product: &mut [f64]) -> f64 {
    const SIDE: usize = 8;
    let one = |x: &mut f64, v: f64, w: f64, next: f64, product: &mut f64| {
        *x -= vi * w + wi * v;
        *product += ni * *x;
        *x * next
    };
    let mut sums = [0.0; SIDE];
    let whole = x.len() / SIDE * SIDE;
    for at in (0..whole).step_by(SIDE) {
        let (x, product) = (&mut x[at..at + SIDE], &mut product[at..at + SIDE]);
        let (v, w, next) = (&v[at..at + SIDE], &w[at..at + SIDE], &next[at..at + SIDE]);
        for i in 0..SIDE {
            sums[i] += one(&mut x[i], v[i], w[i], next[i], &mut product[i]);
        }
    }
    let rest: f64 = (whole..x.len()).map(|i| one(&mut x[i], v[i], w[i], next[i], &mut product[i])).sum();
    sums.iter().sum::<f64>() + rest
}

/// Q = H_{n-3} .. H_0, built from the inside, where only the trailing block is not the identity.
fn orthogonal(reflections: &[(f64, Vec<f64>)], n: usize) -> Vec<f64> {
    let mut q = vec![0.0; n * n];
    (0..n).for_each(|i| q[i * n + i] = 1.0);
    for (k, (beta, v)) in reflections.iter().enumerate().rev() {
        if *beta == 0.0 {
            continue;
        }
        for row in q.chunks_exact_mut(n).skip(k + 1) {
            let row = &mut row[k + 1..];
            let scale = beta * dot(row, v);
            row.iter_mut().zip(v).for_each(|(x, v)| *x -= scale * v);
        }
    }
    q
}

/// Diagonalises a symmetric tridiagonal matrix, turning the rows of `q` along.
fn implicit_ql(d: &mut [f64], e: &mut [f64], q: &mut [f64], n: usize) {
    for l in 0..n {
        // 30 sweeps are never needed for finite numbers; NaN must not hang.
        for _ in 0..60 {
            let m = (l..n - 1).find(|&m| e[m].abs() <= f64::EPSILON * (d[m].abs() + d[m + 1].abs())).unwrap_or(n - 1);
            if m == l {
                break;
            }
            let g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let r = g.hypot(1.0);
            let mut g = d[m] - d[l] + e[l] / (g + r.copysign(g));
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut split = false;
            for i in (l..m).rev() {
                let (f, b) = (s * e[i], c * e[i]);
                let r = f.hypot(g);
                e[i + 1] = r;
                if r == 0.0 {
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    split = true;
                    break;
                }
                (s, c) = (f / r, g / r);
                let turn = d[i + 1] - p;
                let r = (d[i] - turn) * s + 2.0 * c * b;
                p = s * r;
                d[i + 1] = turn + p;
                g = c * r - b;
                let (first, second) = q.split_at_mut((i + 1) * n);
                for (x, y) in first[i * n..].iter_mut().zip(&mut second[..n]) {
                    let f = *y;
                    *y = s * *x + c * f;
                    *x = c * *x - s * f;
                }
            }
            if !split {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Draws;

    fn symmetric(n: usize, seed: u64) -> Vec<f64> {
        let mut draws = Draws::new(seed, 0);
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                a[i * n + j] = draws.uniform() - 0.5;
                a[j * n + i] = a[i * n + j];
            }
        }
        a
    }

    #[test]
    fn eigenvectors_are_orthonormal_and_satisfy_their_equation() {
        for n in [1, 2, 3, 5, 17, 64] {
            let a = symmetric(n, n as u64);
            let Eigen { values, vectors } = symmetric_eigen(&a, n);
            assert!(values.windows(2).all(|w| w[0] >= w[1]));
            for i in 0..n {
                let v = &vectors[i * n..(i + 1) * n];
                for j in 0..n {
                    let expected = if i == j { 1.0 } else { 0.0 };
                    assert!((dot(v, &vectors[j * n..(j + 1) * n]) - expected).abs() < 1e-13 * n as f64);
                    assert!((dot(&a[j * n..(j + 1) * n], v) - values[i] * v[j]).abs() < 1e-13 * n as f64, "{n}");
                }
            }
        }
    }

    #[test]
    fn the_largest_few_satisfy_the_equation_too() {
        // Random; with repeated values (two equal blocks, and the identity); of rank 1, whose other values are all 0.
        let n = 40;
        let single = symmetric(n / 2, 9);
        let twice = |i: usize, j: usize| if i / 20 == j / 20 { single[i % 20 * 20 + j % 20] } else { 0.0 };
        let blocks: Vec<f64> = (0..n * n).map(|at| twice(at / n, at % n)).collect();
        let identity: Vec<f64> = (0..n * n).map(|at| f64::from(at % (n + 1) == 0)).collect();
        for a in [symmetric(n, 5), blocks, identity, vec![1.0; n * n], vec![0.0; n * n]] {
            let (all, few) = (symmetric_eigen(&a, n), largest_eigen(&a, n, 7));
            assert_eq!(few.vectors.len(), 7 * n);
            assert!(all.values.iter().zip(&few.values).all(|(x, y)| (x - y).abs() < 1e-12));
            for i in 0..7 {
                let v = &few.vectors[i * n..(i + 1) * n];
                for j in 0..n {
                    assert!((dot(&a[j * n..(j + 1) * n], v) - few.values[i] * v[j]).abs() < 1e-12 * n as f64);
                }
                for j in 0..=i {
                    let product = dot(v, &few.vectors[j * n..(j + 1) * n]);
                    assert!((product - f64::from(i == j)).abs() < 1e-12, "{i} {j}: {product}");
                }
            }
        }
    }

    #[test]
    fn repeated_and_zero_eigenvalues_are_found() {
        // ones(4): eigenvalues 4, 0, 0, 0; the identity: all 1.
        let ones = symmetric_eigen(&[1.0; 16], 4);
        assert!((ones.values[0] - 4.0).abs() < 1e-14 && ones.values[1..].iter().all(|v| v.abs() < 1e-14));
        let identity = symmetric_eigen(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], 3);
        assert_eq!(identity.values, [1.0; 3]);
    }
}
