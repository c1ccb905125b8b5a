//! The one table of cases: every operation with the inputs, attributes and sizes that matter. Tests hold the reference's
//! gradients, and every backend, against it; benches and new backends use the same rows.
//!
//! A row is a name, inputs and a function; the function builds the same graph whatever the device, so that the reference
//! and a backend compute the very same thing. [`check_meaning`] needs no device; [`check`] holds a device against the
//! reference: values, gradients, and both again with inputs that are views of larger buffers. [`random`] makes rows that
//! nobody would write.

mod attention;
mod check;
mod heavy;
mod index;
mod layers;
mod maps;
mod movement;
pub mod random;
mod reductions;
mod special;
mod tolerance;

pub use check::{check, check_all, check_meaning, check_turn};
pub use tolerance::Tolerance;

use crate::device::Device;
use crate::dtype::DType;
use crate::tensor::Tensor;

/// From inputs to results.
pub type Function = dyn Fn(&[Tensor]) -> Vec<Tensor> + Send + Sync;

/// A function with inputs.
pub struct Case {
    /// Operation and attributes; no two rows have the same.
    pub name: String,
    /// What it is called with.
    pub inputs: Vec<Input>,
    /// Results for the inputs.
    pub f: Box<Function>,
    /// Whether gradients are checked by central differences and on devices: smooth around all inputs.
    pub differentiable: bool,
    /// How far a device may be from the reference.
    pub tolerance: Tolerance,
}

/// Shape, type and numbers of an input.
#[derive(Clone, Debug)]
pub struct Input {
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Type of its elements: f32, i32, u32 or bool.
    pub dtype: DType,
    /// Its numbers, row-major.
    pub values: Vec<f64>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shapes: Vec<_> = self.inputs.iter().map(|i| &i.shape).collect();
        write!(f, "{} {shapes:?}", self.name)
    }
}

/// All rows.
#[must_use]
pub fn all() -> Vec<Case> {
    let families = [
        maps::cases,
        movement::cases,
        reductions::cases,
        index::cases,
        heavy::cases,
        attention::cases,
        layers::cases,
        special::cases,
    ];
    families.into_iter().flat_map(|cases| cases()).collect()
}

/// All rows that have float inputs, with these stored as `dtype` (f64 or f16): the same graphs in another type.
///
/// Rows about the bits of an f32 are left out.
#[must_use]
pub fn all_in(dtype: DType) -> Vec<Case> {
    let fits = |case: &Case| case.inputs.iter().any(|input| input.dtype.is_float()) && case.name != "bitcast";
    all().into_iter().filter(fits).map(|case| case.stored_as(dtype)).collect()
}

impl Case {
    /// The row with float inputs of another float type, rounded to it.
    #[must_use]
    pub fn stored_as(mut self, dtype: DType) -> Case {
        for input in self.inputs.iter_mut().filter(|input| input.dtype.is_float()) {
            input.dtype = dtype;
            input.values.iter_mut().for_each(|x| *x = dtype.round(*x));
        }
        self.name = format!("{} in {dtype}", self.name);
        self
    }

    /// A row with one result, differentiable, with the tolerance of a scalar map.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        inputs: impl IntoIterator<Item = Input>,
        f: impl Fn(&[Tensor]) -> Tensor + Send + Sync + 'static,
    ) -> Case {
        Case::several(name, inputs, move |x| vec![f(x)])
    }

    /// A row with several results.
    #[must_use]
    pub fn several(
        name: impl Into<String>,
        inputs: impl IntoIterator<Item = Input>,
        f: impl Fn(&[Tensor]) -> Vec<Tensor> + Send + Sync + 'static,
    ) -> Case {
        Case {
            name: name.into(),
            inputs: inputs.into_iter().collect(),
            f: Box::new(f),
            differentiable: true,
            tolerance: Tolerance::Map,
        }
    }

    /// The device's result must equal the reference's exactly (after rounding inputs to their type).
    #[must_use]
    pub fn exact(self) -> Case {
        Case { tolerance: Tolerance::Exact, ..self }
    }

    /// Results are sums of so many products.
    #[must_use]
    pub fn sum_of(self, terms: usize) -> Case {
        Case { tolerance: Tolerance::Sum(terms), ..self }
    }

    /// There is no gradient to check: integer or bool results, or inputs on an edge.
    #[must_use]
    pub fn values_only(self) -> Case {
        Case { differentiable: false, ..self }
    }
}

impl Input {
    /// Different floats in `low..high`, spread evenly and in no order, the same on every run.
    #[must_use]
    pub fn floats(shape: &[usize], low: f64, high: f64) -> Input {
        // Multiples of the golden ratio, modulo 1: neighbours are far apart and no two are equal.
        let golden = 0.618_033_988_749_894_9;
        let salt = shape.iter().fold(0.0, |sum, &s| sum * 0.37 + s as f64 * 0.11);
        let value = |i: usize| low + (high - low) * ((i + 1) as f64 * golden + salt).fract();
        let values = (0..shape.iter().product()).map(value).map(|x| DType::F32.round(x)).collect();
        Input { shape: shape.to_vec(), dtype: DType::F32, values }
    }

    /// As [`Input::floats`] with another beginning, so that two inputs of one shape differ.
    #[must_use]
    pub fn other(shape: &[usize], low: f64, high: f64) -> Input {
        let mut input = Input::floats(shape, 0.0, 1.0);
        input.values.iter_mut().for_each(|x| *x = DType::F32.round(low + (high - low) * (*x + 0.271).fract()));
        input.values.reverse();
        input
    }

    /// These floats.
    #[must_use]
    pub fn list(values: &[f64]) -> Input {
        let values: Vec<f64> = values.iter().map(|&x| DType::F32.round(x)).collect();
        Input { shape: vec![values.len()], dtype: DType::F32, values }
    }

    /// Integers (i32) in `0..below`, in no order, with repetitions.
    #[must_use]
    pub fn ints(shape: &[usize], below: usize) -> Input {
        let values = (0..shape.iter().product()).map(|i: usize| ((i * 7 + i / 3) % below) as f64).collect();
        Input { shape: shape.to_vec(), dtype: DType::I32, values }
    }

    /// These integers (i32).
    #[must_use]
    pub fn int_list(values: &[i32]) -> Input {
        Input { shape: vec![values.len()], dtype: DType::I32, values: values.iter().map(|&x| f64::from(x)).collect() }
    }

    /// True and false, in no order.
    #[must_use]
    pub fn bools(shape: &[usize]) -> Input {
        let values = (0..shape.iter().product()).map(|i: usize| f64::from(u8::from(i * i % 7 < 3))).collect();
        Input { shape: shape.to_vec(), dtype: DType::Bool, values }
    }

    /// The same with the shape `shape`.
    #[must_use]
    pub fn shaped(self, shape: &[usize]) -> Input {
        Input { shape: shape.to_vec(), ..self }
    }

    /// Moves numbers away from points where the function has no derivative.
    #[must_use]
    pub fn away_from(mut self, kinks: &[f64]) -> Input {
        for x in &mut self.values {
            if kinks.iter().any(|k| (*x - k).abs() < 0.01) {
                *x = DType::F32.round(*x + 0.03);
            }
        }
        self
    }

    /// The tensor on a device.
    pub fn tensor(&self, device: &Device) -> Tensor {
        Input::stored(&self.values, self.dtype, &self.shape, device)
    }

    fn stored(values: &[f64], dtype: DType, shape: &[usize], device: &Device) -> Tensor {
        fn typed<T: crate::dtype::Element>(values: &[f64], shape: &[usize], device: &Device) -> Tensor {
            Tensor::from_vec(values.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>(), shape, device)
        }
        match dtype {
            DType::F32 => typed::<f32>(values, shape, device),
            DType::F16 => typed::<half::f16>(values, shape, device),
            DType::F64 => typed::<f64>(values, shape, device),
            DType::I32 => typed::<i32>(values, shape, device),
            DType::U32 => typed::<u32>(values, shape, device),
            DType::Bool => typed::<bool>(values, shape, device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_the_gradient_that_differences_say() {
        check_all(&all(), check_meaning).unwrap_or_else(|failures| panic!("{failures}"));
    }

    #[test]
    fn every_row_is_scheduled_into_kernels_that_mean_the_same() {
        let device = crate::testing::device();
        check_all(&all(), |case| check(&device, case)).unwrap_or_else(|failures| panic!("{failures}"));
    }

    #[test]
    fn random_graphs_are_scheduled_into_kernels_that_mean_the_same() {
        let device = crate::testing::device();
        let cases: Vec<Case> = (0..150).map(random::random_graph).collect();
        check_all(&cases, |case| check(&device, case)).unwrap_or_else(|failures| panic!("{failures}"));
    }

    #[test]
    fn names_are_different() {
        let mut names: Vec<String> = all().into_iter().map(|case| case.name).collect();
        names.sort();
        let twice: Vec<&[String]> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
}
