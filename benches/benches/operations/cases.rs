//! The operations of the table of cases (`anygrad_core::cases`), each in one row, on inputs that are repeated along their
//! first axis until they have about a million elements. What means something else then (products, which have rows of
//! their own, fixed shapes) is left out.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use anygrad::prelude::*;
use anygrad_core::cases::{Case, Input, all};

use crate::bench::Bench;

/// Elements of a row's largest input, at least.
const ELEMENTS: usize = 1 << 20;

pub(crate) fn operations(bench: &mut Bench) -> Result<()> {
    // One row per operation, the one with most elements: names end in shapes and axes.
    let mut chosen: BTreeMap<String, Case> = BTreeMap::new();
    let elements = |case: &Case| case.inputs.iter().map(|i| i.values.len()).max().unwrap_or(0);
    for case in all() {
        let name = case.name.split(" [").next().unwrap_or_default().trim().to_string();
        let larger = chosen.get(&name).is_none_or(|known| elements(known) < elements(&case));
        if larger && elements(&case) > 0 && !name.contains("matmul") {
            chosen.insert(name, case);
        }
    }
    let mut left = Vec::new();
    for (name, case) in chosen {
        let times = ELEMENTS.div_ceil(elements(&case));
        let inputs: Vec<Tensor> =
            case.inputs.iter().map(|input| repeated(input, times).tensor(&bench.device)).collect();
        // Whether it takes inputs of this shape; a program's closure would say so in the middle of a measurement.
        let hook = take_hook();
        set_hook(Box::new(|_| {}));
        let taken = catch_unwind(AssertUnwindSafe(|| (case.f)(&inputs).iter().all(|y| y.len() <= 4 * ELEMENTS)));
        set_hook(hook);
        match taken {
            Ok(true) => bench.operation("operation", &name, inputs, |t| (case.f)(t))?,
            _ => left.push(name),
        }
    }
    println!("\nleft out, for their shapes are fixed: {}", left.join(", "));
    Ok(())
}

/// The input, so many times one after the other along the first axis.
fn repeated(input: &Input, times: usize) -> Input {
    let Some(&first) = input.shape.first() else { return input.clone() };
    let mut shape = input.shape.clone();
    shape[0] = first * times;
    Input { shape, dtype: input.dtype, values: input.values.repeat(times) }
}
