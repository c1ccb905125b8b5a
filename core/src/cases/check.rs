//! What is checked of each row: without a device its gradient, with a device its values and gradients through views.
//!
//! Central differences use four points, `(8 (f(x+h) - f(x-h)) - (f(x+2h) - f(x-2h))) / 12 h`: at `h = 2e-4` truncation is
//! `h^4 f^(5) / 30`, about 1e-16, and rounding `epsilon |f| / h`, about 1e-12 of the loss; a relative 1e-7 leaves room for
//! steep functions. The loss is `sum(w sin(0.7 y))`, so that a dropped or misplaced incoming gradient shows.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Case, Input, Tolerance};
use crate::device::Device;
use crate::dtype::DType;
use crate::graph::linearize;
use crate::kernel::Reduction;
use crate::program::compute;
use crate::reference::{values, values_with};
use crate::scalar::{Binary, Unary};
use crate::tensor::Tensor;
use crate::verify::verify;

type Outcome = Result<(), String>;

/// Runs a check on every row, and lists all that fail, panics included.
///
/// # Errors
/// One line per failing row.
pub fn check_all(cases: &[Case], check: impl Fn(&Case) -> Outcome) -> Outcome {
    let mut failures = Vec::new();
    for case in cases {
        if let Err(message) = caught(|| check(case)) {
            failures.push(format!("{case:?}: {message}"));
        }
    }
    let summary = format!("{} of {} rows fail:\n{}", failures.len(), cases.len(), failures.join("\n"));
    if failures.is_empty() { Ok(()) } else { Err(summary) }
}

/// A panic as an error.
fn caught(check: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or("panic".into()))
    })
}

/// The graph's invariants, and the gradient against central differences of the reference.
///
/// # Errors
/// What differs.
pub fn check_meaning(case: &Case) -> Outcome {
    let device = crate::testing::device();
    let inputs: Vec<Tensor> = case.inputs.iter().map(|input| input.tensor(&device)).collect();
    let outputs = (case.f)(&inputs);
    verify(&linearize(&outputs, &[], None).graph)?;
    values(&outputs).map_err(|e| e.to_string())?;
    if !case.differentiable {
        return Ok(());
    }
    let floats: Vec<usize> = (0..inputs.len()).filter(|&k| inputs[k].dtype().is_float()).collect();
    let targets: Vec<Tensor> = floats.iter().map(|&k| inputs[k].clone()).collect();
    let loss = loss(&outputs);
    let gradients = loss.gradients(&targets);
    verify(&linearize(&gradients, &[], None).graph)?;
    let found = values(&gradients).map_err(|e| e.to_string())?;
    let total: usize = targets.iter().map(Tensor::len).sum();
    // The loss where every input has moved by `step` along its direction.
    let moved = |directions: &[Vec<f64>], step: f64| -> Result<f64, String> {
        let leaves: Vec<(Tensor, Vec<f64>)> = floats
            .iter()
            .zip(directions)
            .map(|(&k, d)| {
                let at = case.inputs[k].values.iter().zip(d).map(|(x, d)| x + d * step).collect();
                (inputs[k].clone(), at)
            })
            .collect();
        values_with(std::slice::from_ref(&loss), &leaves).map(|v| v[0][0]).map_err(|e| e.to_string())
    };
    let compare = |what: String, directions: &[Vec<f64>]| -> Outcome {
        let h = 2e-4;
        let near = moved(directions, h)? - moved(directions, -h)?;
        let far = moved(directions, 2.0 * h)? - moved(directions, -2.0 * h)?;
        let expected = (8.0 * near - far) / (12.0 * h);
        let product = |(g, d): (&Vec<f64>, &Vec<f64>)| g.iter().zip(d).map(|(g, d)| g * d).sum::<f64>();
        let gradient: f64 = found.iter().zip(directions).map(product).sum();
        let close = (gradient - expected).abs() <= 1e-7 * (1.0 + expected.abs());
        if close { Ok(()) } else { Err(format!("gradient {what} is {gradient}, differences say {expected}")) }
    };
    let still: Vec<Vec<f64>> = targets.iter().map(|t| vec![0.0; t.len()]).collect();
    if total > 64 {
        let any = |(k, t): (usize, &Tensor)| Input::floats(&[t.len(), k + 1], -1.0, 1.0).values[..t.len()].to_vec();
        return compare("along a direction".into(), &targets.iter().enumerate().map(any).collect::<Vec<_>>());
    }
    for (k, target) in targets.iter().enumerate() {
        for i in 0..target.len() {
            let mut directions = still.clone();
            directions[k][i] = 1.0;
            compare(format!("of input {k}, element {i},"), &directions)?;
        }
    }
    Ok(())
}

fn float_outputs(outputs: &[Tensor]) -> impl Iterator<Item = &Tensor> {
    outputs.iter().filter(|y| y.dtype().is_float())
}

/// Fixed numbers of a tensor's shape, as an incoming gradient.
fn weights(y: &Tensor) -> Tensor {
    let w = Input { dtype: y.dtype(), ..Input::floats(y.shape(), -1.0, 1.0) };
    w.tensor(y.device())
}

fn total(y: &Tensor) -> Tensor {
    let axes: Vec<usize> = (0..y.rank()).collect();
    y.reduce(Reduction::Sum, &axes)
}

fn loss(outputs: &[Tensor]) -> Tensor {
    let terms = float_outputs(outputs).map(|y| {
        let bent = y.binary(Binary::Mul, &y.full_like(0.7)).unary(Unary::Sin);
        total(&bent.binary(Binary::Mul, &weights(y)))
    });
    terms.reduce(|a, b| a.binary(Binary::Add, &b)).unwrap_or_else(|| crate::shape::fail("case", "no float result"))
}

/// How an input lies in its buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// Row-major.
    Plain,
    /// Axes in reverse order.
    Permuted,
    /// Inside of a larger buffer whose other elements are NaN or absurd.
    Offset,
    /// Backwards along every axis.
    Flipped,
    /// Only the first element of the first axis is stored.
    Broadcast,
    /// The last element of the last axis is padding.
    Padded,
}

/// The stored leaf and the input as a view of it.
fn placed(input: &Input, place: Place, device: &Device) -> Option<(Tensor, Tensor)> {
    let (rank, shape) = (input.shape.len(), &input.shape);
    let store = |values: &[f64], shape: &[usize]| Input::stored(values, input.dtype, shape, device);
    let whole = || store(&input.values, shape);
    // Lets the reference lay the numbers out: the inverse movement of a plain tensor.
    let laid = |moved: Tensor| -> Option<Tensor> {
        Some(store(&values(std::slice::from_ref(&moved)).ok()?[0], moved.shape()))
    };
    let reversed: Vec<usize> = (0..rank).rev().collect();
    let all: Vec<isize> = (0..rank as isize).collect();
    match place {
        Place::Plain => {
            let leaf = whole();
            Some((leaf.clone(), leaf))
        }
        Place::Permuted if rank >= 2 => {
            let leaf = laid(whole().permute_to(&reversed))?;
            Some((leaf.clone(), leaf.permute_to(&reversed)))
        }
        Place::Offset if rank >= 1 => {
            let canary = if input.dtype.is_float() { f64::NAN } else { 1e6 };
            let leaf = laid(whole().pad_to(&vec![(1, 2); rank], canary))?;
            let ranges: Vec<(usize, usize)> = shape.iter().map(|&s| (1, s + 1)).collect();
            Some((leaf.clone(), leaf.slice_to(&ranges)))
        }
        Place::Flipped if rank >= 1 => {
            let leaf = laid(whole().flip(&all))?;
            Some((leaf.clone(), leaf.flip(&all)))
        }
        Place::Broadcast if rank >= 1 && shape[0] >= 2 => {
            let row = [&[1], &shape[1..]].concat();
            let leaf = store(&input.values[..row.iter().product()], &row);
            Some((leaf.clone(), leaf.broadcast_to(shape)))
        }
        Place::Padded if rank >= 1 && shape[rank - 1] >= 2 && !input.values.is_empty() => {
            let mut ranges: Vec<(usize, usize)> = shape.iter().map(|&s| (0, s)).collect();
            ranges[rank - 1].1 -= 1;
            let leaf = laid(whole().slice_to(&ranges))?;
            let mut padding = vec![(0, 0); rank];
            padding[rank - 1].1 = 1;
            Some((leaf.clone(), leaf.pad_to(&padding, input.values[0])))
        }
        _ => None,
    }
}

const PLACES: [Place; 6] =
    [Place::Plain, Place::Permuted, Place::Offset, Place::Flipped, Place::Broadcast, Place::Padded];

/// A device's values and gradients against the reference, with inputs plain and as views of larger buffers; fused, and with
/// every operation a kernel of its own (but in f16, whose range does not hold what lies between operations).
///
/// # Errors
/// What differs, and for which layout.
pub fn check(device: &Device, case: &Case) -> Outcome {
    let unfused = case.inputs.iter().all(|input| input.dtype != DType::F16);
    PLACES.into_iter().try_for_each(|place| check_at(device, case, place, unfused && place == Place::Plain))
}

/// As [`check`], fused and for one layout only, by `turn`: for devices whose drivers compile slowly. An even turn is plain.
///
/// # Errors
/// What differs, and for which layout.
pub fn check_turn(device: &Device, case: &Case, turn: usize) -> Outcome {
    let place = if turn.is_multiple_of(2) { Place::Plain } else { PLACES[1 + turn / 2 % (PLACES.len() - 1)] };
    check_at(device, case, place, false)
}

fn check_at(device: &Device, case: &Case, place: Place, unfused: bool) -> Outcome {
    let lay = |input: &Input| placed(input, place, device);
    let found: Vec<Option<(Tensor, Tensor)>> = case.inputs.iter().map(lay).collect();
    // Inputs that cannot lie this way lie plainly.
    let fill = |(input, found): (&Input, Option<_>)| found.or_else(|| placed(input, Place::Plain, device));
    let Some(pairs) = case.inputs.iter().zip(found).map(fill).collect::<Option<Vec<_>>>() else {
        return Err("an input cannot be laid out".into());
    };
    let (leaves, inputs): (Vec<Tensor>, Vec<Tensor>) = pairs.into_iter().unzip();
    caught(|| compare(case, &leaves, &inputs, unfused)).map_err(|message| format!("inputs {place:?}: {message}"))
}

/// Values and gradients against the reference; `unfused`: also with every operation a kernel of its own.
fn compare(case: &Case, leaves: &[Tensor], inputs: &[Tensor], unfused: bool) -> Outcome {
    let outputs = (case.f)(inputs);
    let mut checked: Vec<(String, Tolerance, Tensor)> = Vec::new();
    for (k, y) in outputs.iter().enumerate() {
        checked.push((format!("result {k}"), case.tolerance, y.clone()));
    }
    if case.differentiable {
        let targets: Vec<Tensor> = leaves.iter().filter(|t| t.dtype().is_float()).cloned().collect();
        let ys: Vec<&Tensor> = float_outputs(&outputs).collect();
        let gradients = match ys.as_slice() {
            [y] => y.gradients_with(&weights(y), &targets),
            _ => loss(&outputs).gradients(&targets),
        };
        let elements: usize = outputs.iter().chain(leaves).map(Tensor::len).sum();
        for (k, gradient) in gradients.into_iter().enumerate() {
            checked.push((format!("gradient {k}"), case.tolerance.of_gradient(elements), gradient));
        }
    }
    let tensors: Vec<Tensor> = checked.iter().map(|(_, _, t)| t.clone()).collect();
    // The reference first: once realized, a tensor is a leaf.
    let expected = values(&tensors).map_err(|e| e.to_string())?;
    for fuse in [true, false] {
        if !fuse && !unfused {
            continue;
        }
        let computed = compute(&tensors, fuse).map_err(|e| e.to_string())?;
        for (k, (what, tolerance, tensor)) in checked.iter().enumerate() {
            let found = computed[k].to_f64().map_err(|e| e.to_string())?;
            let dtype = tensor.dtype();
            // An exact result is still stored in its type.
            let rounds = *tolerance == Tolerance::Exact;
            let expected: Vec<f64> = expected[k].iter().map(|&x| if rounds { dtype.round(x) } else { x }).collect();
            let named = |message| format!("{what}, {}: {message}", if fuse { "fused" } else { "unfused" });
            tolerance.compare(dtype, &found, &expected).map_err(named)?;
        }
    }
    Ok(())
}
