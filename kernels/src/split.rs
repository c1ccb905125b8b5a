//! Long reductions of few points, in two dispatches: many invocations each reduce a stretch into scratch memory, and a
//! second kernel reduces those. Both are ordinary kernels, so that every reduction has this for free.

use anygrad_core::kernel::{Core, Inst, Kernel, Output, Reg, Slice};
use anygrad_core::view::{Layout, View, contiguous_strides};
use anygrad_core::{DType, dtype::Scalar};

use crate::body::{Body, is_reduction, operands};
use crate::target::Target;

/// The two kernels: the first writes one scratch buffer per reduction (its outputs, of the given lengths), the second
/// reads them as its last inputs.
pub(crate) struct Split {
    pub(crate) parts: Kernel,
    pub(crate) rest: Kernel,
}

/// Splits a kernel, where that pays and is possible: one stage of plain reductions and nothing written per inner point.
pub(crate) fn split(kernel: &Kernel, target: &Target) -> Option<Split> {
    let (outer, inner) = (kernel.outer_len(), kernel.inner_len());
    // Enough stretches to fill the device, each long enough to be worth a number in scratch.
    let (filled, least) = if target.software { (128, 256) } else { (512, 2048) };
    let chunks = (filled / outer.max(1)).min(inner / least);
    if chunks < 2 {
        return None;
    }
    let body = Body::new(kernel);
    let live = |r: Reg| body.live[r];
    let reductions: Vec<Reg> = (0..kernel.body.len()).filter(|&r| live(r) && is_reduction(&kernel.body[r])).collect();
    let simple = !reductions.is_empty()
        && reductions.iter().all(|&r| matches!(kernel.body[r], Inst::Reduce(..)) && body.stage[r] == 1)
        && reductions.iter().all(|&r| body.types[r] != DType::Bool)
        && !kernel.body.iter().any(|inst| matches!(inst, Inst::Gather { .. }))
        && kernel.outputs.iter().all(|o| !body.inner[o.value]);
    if !simple {
        return None;
    }
    let length = inner.div_ceil(chunks);
    // On GPUs lanes read along a stretch; on software drivers, and where outer points are neighbours, stretches interleave.
    let stretch = !target.software && !crate::reduce::points_first(kernel);
    Some(Split {
        parts: parts(kernel, &body, &reductions, chunks, length, stretch),
        rest: rest(kernel, &body, &reductions, chunks),
    })
}

/// `[outer.., chunks] x [length]`: every reduction over one stretch.
fn parts(kernel: &Kernel, body: &Body<'_>, reductions: &[Reg], chunks: usize, length: usize, stretch: bool) -> Kernel {
    let inner = kernel.inner_len();
    let rank = kernel.outer.len();
    let mut outer = kernel.outer.clone();
    outer.push(chunks);
    // Flat numbers of outer x (chunks * length), then back to outer x inner with what is beyond hidden.
    let mut wide = View::contiguous(&[&kernel.outer[..], &[chunks, length]].concat());
    if !stretch {
        wide.strides[rank] = 1;
        wide.strides[rank + 1] = chunks as isize;
    }
    let mut padded = View::contiguous(&[&kernel.outer[..], &[inner]].concat());
    padded.shape[rank] = chunks * length;
    if chunks * length != inner {
        let mut mask: Vec<(usize, usize)> = kernel.outer.iter().map(|&n| (0, n)).collect();
        mask.push((0, inner));
        padded.mask = Some(mask);
    }
    let change = Layout::of(wide).then(&Layout::of(padded));
    let inner_layout = |layout: &Layout| change.then(layout);
    let outer_layout = |layout: &Layout| {
        let mut strides = contiguous_strides(&kernel.outer);
        strides.push(0);
        Layout::of(View { shape: outer.clone(), strides, offset: 0, mask: None }).then(layout)
    };
    let mut insts: Vec<Inst> = Vec::new();
    let mut moved: Vec<Option<Reg>> = vec![None; kernel.body.len()];
    let wanted = body.closure(reductions.iter().flat_map(|&r| operands(&kernel.body[r])), |_| true);
    for &r in &wanted {
        let mut inst = kernel.body[r].clone();
        let to = |r: Reg| moved[r].unwrap_or_default();
        let relayout = |layout: &Layout| {
            if layout.shape().len() > rank { inner_layout(layout) } else { outer_layout(layout) }
        };
        match &mut inst {
            Inst::Load { layout, .. }
            | Inst::Iota { layout, .. }
            | Inst::Inside { layout }
            | Inst::Random { layout, .. } => {
                *layout = relayout(layout);
            }
            Inst::Unary(_, x) | Inst::Cast(x, _) | Inst::Bitcast(x, _) => *x = to(*x),
            Inst::Binary(_, x, y) => (*x, *y) = (to(*x), to(*y)),
            Inst::Select(c, x, y) => (*c, *x, *y) = (to(*c), to(*x), to(*y)),
            _ => {}
        }
        insts.push(inst);
        moved[r] = Some(insts.len() - 1);
    }
    let hidden = chunks * length != inner;
    let inside = hidden.then(|| {
        insts.push(Inst::Inside { layout: change.clone() });
        insts.len() - 1
    });
    let mut outputs = Vec::new();
    for &r in reductions {
        let Inst::Reduce(how, x) = kernel.body[r] else { continue };
        let dtype = body.types[r];
        let mut value = moved[x].unwrap_or_default();
        if let Some(inside) = inside {
            insts.push(Inst::Constant { value: Scalar(how.neutral(dtype)), dtype });
            insts.push(Inst::Select(inside, value, insts.len() - 1));
            value = insts.len() - 1;
        }
        insts.push(Inst::Reduce(how, value));
        let slice = Slice { dtype: in_memory(dtype), len: outer.iter().product() };
        outputs.push(Output { value: insts.len() - 1, slice, view: View::contiguous(&outer), aliases: None });
    }
    Kernel { core: Core::Map, outer, inner: vec![length], inputs: kernel.inputs.clone(), body: insts, outputs }
}

/// Sums stay in f32 between the two passes.
fn in_memory(dtype: DType) -> DType {
    if dtype == DType::F16 { DType::F32 } else { dtype }
}

/// `outer x [chunks]`: the stretches' results reduced, and the rest of the body.
fn rest(kernel: &Kernel, body: &Body<'_>, reductions: &[Reg], chunks: usize) -> Kernel {
    let mut inputs = kernel.inputs.clone();
    let shape = [&kernel.outer[..], &[chunks]].concat();
    let mut insts: Vec<Inst> = Vec::new();
    let mut moved: Vec<Reg> = vec![0; kernel.body.len()];
    for (r, inst) in kernel.body.iter().enumerate() {
        if !body.live[r] || body.inner[r] {
            continue;
        }
        let mut inst = inst.clone();
        match &mut inst {
            Inst::Reduce(_, x) if reductions.contains(&r) => {
                let len = shape.iter().product();
                inputs.push(Slice { dtype: in_memory(body.types[r]), len });
                insts.push(Inst::Load { input: inputs.len() - 1, layout: Layout::contiguous(&shape) });
                *x = insts.len() - 1;
            }
            Inst::Gather { index, .. } => *index = moved[*index],
            Inst::Unary(_, x) | Inst::Cast(x, _) | Inst::Bitcast(x, _) => *x = moved[*x],
            Inst::Binary(_, x, y) => (*x, *y) = (moved[*x], moved[*y]),
            Inst::Select(c, x, y) => (*c, *x, *y) = (moved[*c], moved[*x], moved[*y]),
            _ => {}
        }
        insts.push(inst);
        moved[r] = insts.len() - 1;
    }
    let outputs = kernel.outputs.iter().map(|o| Output { value: moved[o.value], ..o.clone() }).collect();
    Kernel { core: Core::Map, outer: kernel.outer.clone(), inner: vec![chunks], inputs, body: insts, outputs }
}
