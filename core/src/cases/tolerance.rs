//! How far a device may be from the reference, derived and in one place.
//!
//! One rounding to a float type errs by at most `epsilon / 2` of the value. A scalar map on a GPU errs by a few units more
//! (WGSL allows `3 + 2 |x|` units for `exp`), and a composed function is a dozen maps: 32 epsilon. A sum of `n` products has
//! `n` roundings of partial sums with random signs: they grow with the square root of `n`. Errors of sums are relative to
//! the terms and not to a result that cancels, so they are measured against the largest result of the tensor. f16 is
//! computed in f32; what errs is what is stored between kernels and at the end, by half an epsilon each: half as many units.

use crate::dtype::DType;

/// What kind of arithmetic gives a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// Numbers are only moved or compared.
    Exact,
    /// A few scalar maps.
    Map,
    /// A sum of so many terms.
    Sum(usize),
}

/// Roundings in a row of scalar maps.
const MAPS: f64 = 32.0;

impl Tolerance {
    /// The allowed difference in units of epsilon times the scale.
    fn units(self, dtype: DType) -> f64 {
        let maps = if dtype == DType::F16 { MAPS / 2.0 } else { MAPS };
        match self {
            Tolerance::Exact => 0.0,
            Tolerance::Map => maps,
            Tolerance::Sum(terms) => maps * (terms.max(1) as f64).sqrt(),
        }
    }

    /// The tolerance of a gradient: each element of it may be a sum over all results.
    pub(super) fn of_gradient(self, elements: usize) -> Tolerance {
        match self {
            Tolerance::Sum(terms) => Tolerance::Sum(terms.max(elements)),
            Tolerance::Exact | Tolerance::Map => Tolerance::Sum(elements),
        }
    }

    /// Compares a device's numbers with the reference's.
    pub(super) fn compare(self, dtype: DType, found: &[f64], expected: &[f64]) -> Result<(), String> {
        let (largest, smallest) = match dtype {
            DType::F32 => (f64::from(f32::MAX), f64::from(f32::MIN_POSITIVE)),
            DType::F16 => (65504.0, 6.2e-5),
            _ => (f64::MAX, 0.0),
        };
        if found.len() != expected.len() {
            return Err(format!("{} elements, not {}", found.len(), expected.len()));
        }
        let finite = expected.iter().map(|x| x.abs()).filter(|x| *x < largest);
        // The terms of a sum are of order one in every row, whatever is left of them after cancelling.
        let terms = if matches!(self, Tolerance::Sum(_)) { 1.0 } else { 0.0 };
        let scale = finite.fold(terms, f64::max);
        for (i, (&y, &e)) in found.iter().zip(expected).enumerate() {
            // What the type cannot hold is infinite there; numbers below its smallest normal one may be flushed to 0.
            let e = if dtype.is_float() && e.abs() > largest { e.signum() * f64::INFINITY } else { e };
            let allowed = self.units(dtype) * dtype.epsilon() * (e.abs() + scale) + smallest;
            let same = y == e || (y.is_nan() && e.is_nan()) || (e.is_finite() && (y - e).abs() <= allowed);
            // At the edge of the range a rounding decides between the largest number and infinity.
            let edge = y.is_infinite() && e.abs() > largest * (1.0 - 1e-5) && y.signum() == e.signum();
            if !same && !edge {
                return Err(format!("element {i} is {y:e}, the reference says {e:e} +- {allowed:.1e}"));
            }
        }
        Ok(())
    }
}
