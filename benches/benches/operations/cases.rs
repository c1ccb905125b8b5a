//! The operations of the table of cases (`anygrad_core::cases`), each in one row, on inputs that are repeated along their
//! first axis until they have about a million elements. What means something else then (products and attention,
//! which are measured elsewhere, fixed shapes) is left out.

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
        let elsewhere = name.contains("matmul") || name.contains("attention");
        if larger && elements(&case) > 0 && !elsewhere {
            chosen.insert(name, case);
        }
    }
    let mut left = Vec::new();
    chosen.retain(|name, _| bench.wanted("operation", name));
    for (name, case) in chosen {
        let times = ELEMENTS.div_ceil(elements(&case));
        let inputs: Vec<Tensor> =
            case.inputs.iter().map(|input| repeated(input, times).tensor(&bench.device)).collect();
        // Whether a program can be made of it (layers make their variables themselves) with inputs of this shape.
        let hook = take_hook();
        set_hook(Box::new(|_| {}));
        let taken = catch_unwind(AssertUnwindSafe(|| {
            let small = (case.f)(&inputs).iter().all(|y| y.len() <= 4 * ELEMENTS);
            let mut program = Program::inference(&bench.device, |t: Vec<Tensor>| (case.f)(&t));
            small && program.memory(&inputs).is_ok()
        }));
        set_hook(hook);
        match taken {
            Ok(true) => bench.operation("operation", &name, |_| inputs, |t| (case.f)(t))?,
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
