//! The meaning of a kernel: a slow and obvious interpreter of one [`Kernel`] in f64, one point after the other.
//!
//! Every backend's tests hold its kernels against this. Values of every type are held in f64, exactly for integers,
//! bools and f16; floats are rounded only where a kernel says so (`Cast`, `Bitcast`) and where they are stored, so the
//! difference to a backend is that backend's rounding error.

mod heavy;

use crate::dtype::DType;
use crate::kernel::{Core, Extremum, Inst, Kernel, Reduction};
use crate::scalar::{Binary, philox};
use crate::view::{Layout, View};

/// Runs `kernel` once; an output that aliases an input starts with that input's values, others keep what they hold.
///
/// # Panics
/// If the kernel breaks an invariant of [`Kernel::verify`], or the buffers are shorter than its slices.
pub fn interpret(kernel: &Kernel, inputs: &[Vec<f64>], outputs: &mut [Vec<f64>]) {
    let core = match kernel.core {
        Core::Map => Vec::new(),
        _ => heavy::core(kernel, inputs),
    };
    for (output, values) in kernel.outputs.iter().zip(outputs.iter_mut()) {
        if let Some(input) = output.aliases {
            values.clone_from(&inputs[input]);
        }
    }
    let run = Run { kernel, inputs, core, types: kernel.dtypes(), inner: kernel.is_inner() };
    for row in 0..kernel.outer_len() {
        let outer = unravel(row, &kernel.outer);
        let mut registers: Vec<Vec<f64>> = Vec::new();
        for (i, inst) in kernel.body.iter().enumerate() {
            let columns = if run.inner[i] { kernel.inner_len() } else { 1 };
            let values = (0..columns).map(|column| run.value(i, inst, row, &outer, column, &registers)).collect();
            registers.push(values);
        }
        for (output, values) in kernel.outputs.iter().zip(outputs.iter_mut()) {
            for (column, &x) in registers[output.value].iter().enumerate() {
                let point = run.point(run.inner[output.value], &outer, column);
                let at = output.view.index(&point).expect("an output has no mask");
                values[at] = output.slice.dtype.round(x);
            }
        }
    }
}

/// Coordinates of the row-major number `rest` in `shape`.
fn unravel(mut rest: usize, shape: &[usize]) -> Vec<usize> {
    let mut point = vec![0; shape.len()];
    for axis in (0..shape.len()).rev() {
        point[axis] = rest % shape[axis];
        rest /= shape[axis];
    }
    point
}

/// What is the same for all points.
struct Run<'a> {
    kernel: &'a Kernel,
    inputs: &'a [Vec<f64>],
    core: Vec<f64>,
    types: Vec<DType>,
    inner: Vec<bool>,
}

impl Run<'_> {
    /// The point that a view of this level is asked for.
    fn point(&self, inner: bool, outer: &[usize], column: usize) -> Vec<usize> {
        let mut point = outer.to_vec();
        if inner {
            point.extend(unravel(column, &self.kernel.inner));
        }
        point
    }

    /// The element of `layout` at this point; its level follows from its rank.
    fn index(&self, layout: &Layout, outer: &[usize], column: usize) -> Option<usize> {
        layout.index(&self.point(layout.shape().len() > outer.len(), outer, column))
    }

    fn value(&self, i: usize, inst: &Inst, row: usize, outer: &[usize], column: usize, registers: &[Vec<f64>]) -> f64 {
        let get = |r: usize| registers[r][if self.inner[r] { column } else { 0 }];
        let all = |r: usize| (0..self.kernel.inner_len()).map(move |c| registers[r][if self.inner[r] { c } else { 0 }]);
        match inst {
            Inst::Load { input, layout } => self.index(layout, outer, column).map_or(0.0, |at| self.inputs[*input][at]),
            Inst::Gather { input, view, index, stride, size } => {
                self.gather(*input, view, get(*index), *stride, *size, outer, column)
            }
            Inst::Constant { value, dtype } => dtype.round(value.0),
            Inst::Iota { layout, dtype } => self.index(layout, outer, column).map_or(0.0, |at| match dtype {
                DType::I32 => f64::from(at as i32),
                _ => f64::from(at as u32),
            }),
            Inst::Inside { layout } => f64::from(u8::from(self.index(layout, outer, column).is_some())),
            Inst::Random { state, stream, layout } => {
                let element = self.index(layout, outer, column).unwrap_or(0) as u32;
                let word = |w: usize| self.inputs[*state][w] as u32;
                let words = philox([element / 4, *stream, word(2), word(3)], [word(0), word(1)]);
                f64::from(words[(element % 4) as usize])
            }
            Inst::Core => self.core[if self.inner[i] { row * self.kernel.inner_len() + column } else { row }],
            Inst::Unary(op, x) => op.apply(self.types[*x], get(*x)),
            Inst::Binary(op, x, y) => op.apply(self.types[*x], get(*x), get(*y)),
            Inst::Select(c, x, y) => get(if get(*c) != 0.0 { *x } else { *y }),
            Inst::Cast(x, to) => self.types[*x].cast(*to, get(*x)),
            Inst::Bitcast(x, to) => bitcast(self.types[*x], *to, get(*x)),
            Inst::Reduce(how, x) => reduce(*how, self.types[i], all(*x)),
            Inst::ArgReduce(which, x) => f64::from(arg_reduce(*which, all(*x))),
        }
    }

    fn gather(&self, input: usize, view: &View, at: f64, stride: isize, size: usize, outer: &[usize], c: usize) -> f64 {
        let Some(start) = view.index(&self.point(view.shape.len() > outer.len(), outer, c)) else { return 0.0 };
        if at < 0.0 || at >= size as f64 {
            return if self.kernel.inputs[input].dtype.is_float() { f64::NAN } else { 0.0 };
        }
        self.inputs[input][(start as isize + at as isize * stride) as usize]
    }
}

/// The same 32 bits read as another type.
fn bitcast(from: DType, to: DType, x: f64) -> f64 {
    let bits = match from {
        DType::F32 => (x as f32).to_bits(),
        DType::I32 => x as i32 as u32,
        _ => x as u32,
    };
    match to {
        DType::F32 => f64::from(f32::from_bits(bits)),
        DType::I32 => f64::from(bits as i32),
        _ => f64::from(bits),
    }
}

/// All values made one; the neutral element if there are none.
fn reduce(how: Reduction, dtype: DType, values: impl Iterator<Item = f64>) -> f64 {
    values.fold(how.neutral(dtype), |a, x| match how {
        Reduction::Sum => Binary::Add.apply(dtype, a, x),
        Reduction::Prod => Binary::Mul.apply(dtype, a, x),
        Reduction::Max => Binary::Max.apply(dtype, a, x),
        Reduction::Min => Binary::Min.apply(dtype, a, x),
    })
}

/// Number of the first largest (smallest) value, NaN before all; 0 if there are none.
fn arg_reduce(which: Extremum, values: impl Iterator<Item = f64>) -> i32 {
    let mut best: Option<(i32, f64)> = None;
    for (i, x) in (0..).zip(values) {
        let better = match (best, which) {
            (None, _) => true,
            (Some((_, b)), _) if b.is_nan() => false,
            _ if x.is_nan() => true,
            (Some((_, b)), Extremum::Max) => x > b,
            (Some((_, b)), Extremum::Min) => x < b,
        };
        if better {
            best = Some((i, x));
        }
    }
    best.map_or(0, |(i, _)| i)
}

#[cfg(test)]
#[path = "interpret_tests.rs"]
mod tests;
