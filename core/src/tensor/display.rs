//! Printing, as NumPy does it: aligned columns in nested brackets, the middle of large axes left out.
//!
//! Printing reads the device. Inside of a program, or if the device fails, shape and reason are printed instead.

use std::fmt::{Display, Formatter, Result};

use crate::dtype::DType;
use crate::tensor::Tensor;

/// More elements than this are not printed in full.
const FULL: usize = 1000;
/// Elements at each end of an axis that are printed then.
const EDGE: usize = 3;

impl Display for Tensor {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if crate::trace::active() && self.0.data.get().is_none() {
            return write!(f, "<{:?} {} of a program that is being traced>", self.shape(), self.dtype());
        }
        let values = match self.to_f64() {
            Ok(values) => values,
            Err(error) => return write!(f, "<{:?} {}: {error}>", self.shape(), self.dtype()),
        };
        f.write_str(&text(&values, self.shape(), self.dtype()))
    }
}

/// The elements of an axis that are printed; `None` stands for those left out.
fn places(size: usize, short: bool) -> Vec<Option<usize>> {
    if short && size > 2 * EDGE {
        (0..EDGE).map(Some).chain([None]).chain((size - EDGE..size).map(Some)).collect()
    } else {
        (0..size).map(Some).collect()
    }
}

/// Numbers in row-major order as text.
fn text(values: &[f64], shape: &[usize], dtype: DType) -> String {
    let short = values.len() > FULL;
    let mut shown = Vec::new();
    collect(values, shape, short, &mut shown);
    let style = Style::of(&shown, dtype);
    let width = shown.iter().map(|&v| style.number(v).chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    write(&mut out, values, shape, short, 0, &|v| format!("{:>width$}", style.number(v)));
    if dtype != DType::F32 {
        out.push_str(&format!(" {dtype}"));
    }
    out
}

/// The numbers that will be printed.
fn collect(values: &[f64], shape: &[usize], short: bool, shown: &mut Vec<f64>) {
    let Some((&size, inner)) = shape.split_first() else {
        shown.extend(values);
        return;
    };
    let step = values.len() / size.max(1);
    for place in places(size, short).into_iter().flatten() {
        collect(&values[place * step..(place + 1) * step], inner, short, shown);
    }
}

fn write(out: &mut String, values: &[f64], shape: &[usize], short: bool, depth: usize, number: &dyn Fn(f64) -> String) {
    let Some((&size, inner)) = shape.split_first() else {
        out.extend(values.iter().map(|&v| number(v)));
        return;
    };
    let step = values.len() / size.max(1);
    out.push('[');
    for (i, place) in places(size, short).into_iter().enumerate() {
        if i > 0 && inner.is_empty() {
            out.push_str(", ");
        } else if i > 0 {
            // One empty line more per nested axis keeps matrices apart.
            out.push(',');
            out.push_str(&"\n".repeat(inner.len()));
            out.push_str(&" ".repeat(depth + 1));
        }
        match place {
            Some(place) => write(out, &values[place * step..(place + 1) * step], inner, short, depth + 1, number),
            None => out.push_str("..."),
        }
    }
    out.push(']');
}

/// How all numbers of one tensor are written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Style {
    Whole,
    Bool,
    /// With this many decimals.
    Decimals(usize),
    Exponent,
}

impl Style {
    /// Four significant decimals for the smallest number shown, in an exponent if magnitudes lie too far apart.
    fn of(shown: &[f64], dtype: DType) -> Style {
        if dtype == DType::Bool {
            return Style::Bool;
        }
        let sizes: Vec<f64> = shown.iter().map(|v| v.abs()).filter(|v| v.is_finite() && *v > 0.0).collect();
        let largest = sizes.iter().copied().fold(0.0, f64::max);
        let smallest = sizes.iter().copied().fold(f64::INFINITY, f64::min);
        if dtype.is_int() {
            return Style::Whole;
        }
        // The limits are those of NumPy and PyTorch.
        if largest >= 1e8 || (largest > 0.0 && smallest < 1e-4) || largest / smallest > 1e3 && largest >= 1e5 {
            return Style::Exponent;
        }
        let needed = |&v: &f64| {
            let digits = format!("{v:.4}");
            digits.trim_end_matches('0').split('.').nth(1).map_or(0, str::len)
        };
        Style::Decimals(sizes.iter().map(needed).max().unwrap_or(0))
    }

    fn number(self, v: f64) -> String {
        match self {
            Style::Bool => (v != 0.0).to_string(),
            _ if v.is_nan() => "NaN".into(),
            _ if v.is_infinite() => if v > 0.0 { "inf" } else { "-inf" }.into(),
            Style::Whole => format!("{v:.0}"),
            Style::Decimals(0) => format!("{v:.0}."),
            Style::Decimals(n) => format!("{v:.n$}"),
            Style::Exponent => format!("{v:.4e}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Expected texts are NumPy's (`np.set_printoptions(precision=4)`, with commas), checked by hand.
    #[test]
    fn columns_align() {
        assert_eq!(text(&[1.0, -2.5, 10.0, 0.125], &[2, 2], DType::F32), "[[ 1.000, -2.500],\n [10.000,  0.125]]");
        assert_eq!(text(&[1.0, 2.0, 30.0], &[3], DType::F32), "[ 1.,  2., 30.]");
        assert_eq!(text(&[1.0, 2.0, 30.0], &[3], DType::I32), "[ 1,  2, 30] i32");
        assert_eq!(text(&[1.0, 0.0], &[2], DType::Bool), "[ true, false] bool");
        assert_eq!(text(&[1.5], &[], DType::F32), "1.5");
        assert_eq!(text(&[], &[0], DType::F32), "[]");
        assert_eq!(text(&[], &[2, 0], DType::F32), "[[],\n []]");
    }

    #[test]
    fn extremes_and_specials() {
        assert_eq!(text(&[f64::NAN, 1.0, f64::NEG_INFINITY], &[3], DType::F32), "[ NaN,   1., -inf]");
        assert_eq!(text(&[1e-9, 1.0], &[2], DType::F32), "[1.0000e-9,  1.0000e0]");
    }

    #[test]
    fn the_middle_of_large_tensors_is_left_out() {
        let values: Vec<f64> = (0..1001).map(f64::from).collect();
        assert_eq!(text(&values, &[1001], DType::I32), "[   0,    1,    2, ...,  998,  999, 1000] i32");
        let values: Vec<f64> = (0..1200).map(|i| f64::from(i % 10)).collect();
        let printed = text(&values, &[300, 4], DType::I32);
        assert_eq!(printed.lines().count(), 7);
        assert_eq!(printed.lines().nth(3), Some(" ...,"));
    }

    #[test]
    fn blocks_are_kept_apart() {
        let values: Vec<f64> = (0..4).map(f64::from).collect();
        assert_eq!(text(&values, &[2, 1, 2], DType::I32), "[[[0, 1]],\n\n [[2, 3]]] i32");
    }
}
