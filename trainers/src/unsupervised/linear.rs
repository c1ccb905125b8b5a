//! Linear algebra of small dense matrices on the host, in f64, row-major: eigenvectors of symmetric matrices, Cholesky
//! factors, triangular inverses. Large products run on the device; what is left for here has a side of features,
//! clusters or components.

mod eigen;

pub use eigen::{Eigen, largest_eigen, symmetric_eigen};

/// The sum of products, in eight partial sums so that it is vectorised.
#[must_use]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f64 = left.remainder().iter().zip(right.remainder()).map(|(x, y)| x * y).sum();
    let mut sums = [0.0; 8];
    for (x, y) in left.zip(right) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f64>() + tail
}

/// The lower triangular `l` with `l lᵀ = a`, for a symmetric positive definite `a: [n, n]`; `None` if it is not.
#[must_use]
pub fn cholesky(a: &[f64], n: usize) -> Option<Vec<f64>> {
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let sum = a[i * n + j] - dot(&l[i * n..i * n + j], &l[j * n..j * n + j]);
            if i == j {
                if sum.is_nan() || sum <= 0.0 {
                    return None;
                }
                l[i * n + i] = sum.sqrt();
            } else {
                l[i * n + j] = sum / l[j * n + j];
            }
        }
    }
    Some(l)
}

/// The inverse of a lower triangular matrix with a diagonal without zeros.
#[must_use]
pub fn lower_inverse(l: &[f64], n: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; n * n];
    for column in 0..n {
        for i in column..n {
            let mut sum = if i == column { 1.0 } else { 0.0 };
            for j in column..i {
                sum -= l[i * n + j] * inverse[j * n + column];
            }
            inverse[i * n + column] = sum / l[i * n + i];
        }
    }
    inverse
}

/// `a: [m, k]` times `b: [k, n]`.
#[must_use]
pub fn product(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let mut out = vec![0.0; m * n];
    for i in 0..m {
        let row = &mut out[i * n..(i + 1) * n];
        for j in 0..k {
            let scale = a[i * k + j];
            row.iter_mut().zip(&b[j * n..(j + 1) * n]).for_each(|(x, y)| *x += scale * y);
        }
    }
    out
}

/// `a: [m, n]` with rows and columns exchanged.
#[must_use]
pub fn transposed(a: &[f64], m: usize, n: usize) -> Vec<f64> {
    (0..n).flat_map(|j| (0..m).map(move |i| a[i * n + j])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cholesky_gives_the_matrix_back_and_refuses_others() {
        let n = 6;
        let mut draws = crate::data::Draws::new(3, 0);
        let a: Vec<f64> = (0..n * n).map(|_| draws.uniform() - 0.5).collect();
        let mut positive = product(&a, &transposed(&a, n, n), [n, n, n]);
        (0..n).for_each(|i| positive[i * n + i] += 0.1);
        let l = cholesky(&positive, n).expect("positive definite");
        let back = product(&l, &transposed(&l, n, n), [n, n, n]);
        assert!(back.iter().zip(&positive).all(|(x, y)| (x - y).abs() < 1e-14));
        let identity = product(&l, &lower_inverse(&l, n), [n, n, n]);
        assert!((0..n * n).all(|i| (identity[i] - f64::from(i % (n + 1) == 0)).abs() < 1e-12));
        assert_eq!(cholesky(&[1.0, 2.0, 2.0, 1.0], 2), None);
    }
}
