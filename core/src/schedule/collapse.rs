//! Neighbouring axes that every view walks as one become one: fewer divisions on GPUs, longer runs on CPUs, and more
//! kernels that are equal.

use crate::kernel::{Core, Inst, Kernel};
use crate::view::{Layout, View};

/// Joins axes of a kernel without a core wherever all of its views allow.
pub(crate) fn collapse(kernel: &mut Kernel) {
    if kernel.core != Core::Map || kernel.outer.contains(&0) || kernel.inner.contains(&0) {
        return;
    }
    let mut axis = 0;
    while axis + 1 < kernel.outer.len() + kernel.inner.len() {
        let within = axis + 1 < kernel.outer.len() || axis >= kernel.outer.len();
        let mut joins = true;
        each_view(kernel, &mut |view| joins &= axis + 1 >= view.shape.len() || joined(view, axis).is_some());
        if !within || !joins {
            axis += 1;
            continue;
        }
        each_view(kernel, &mut |view| {
            if axis + 1 < view.shape.len()
                && let Some(next) = joined(view, axis)
            {
                *view = next;
            }
        });
        let outer = kernel.outer.len();
        let axes = if axis < outer { &mut kernel.outer } else { &mut kernel.inner };
        let at = if axis < outer { axis } else { axis - outer };
        axes[at] *= axes.remove(at + 1);
    }
    // A single axis of size 1 in `outer` is the scalar space; it is dropped so that equal kernels look equal.
    if kernel.outer == [1] && kernel.inner.is_empty() {
        kernel.outer.clear();
        let mut plain = true;
        each_view(kernel, &mut |view| plain &= view.mask.is_none());
        if plain {
            each_view(kernel, &mut |view| (view.shape, view.strides) = (Vec::new(), Vec::new()));
        } else {
            kernel.outer.push(1);
        }
    }
}

/// Calls `f` with every view over the kernel's space: the first of each chain.
fn each_view(kernel: &mut Kernel, f: &mut dyn FnMut(&mut View)) {
    let mut first = |layout: &mut Layout| {
        let mut view = layout.views()[0].clone();
        f(&mut view);
        *layout = layout.with_first(view);
    };
    for inst in &mut kernel.body {
        match inst {
            Inst::Load { layout, .. } | Inst::Iota { layout, .. } => first(layout),
            Inst::Inside { layout } | Inst::Random { layout, .. } => first(layout),
            Inst::Gather { view, .. } => {
                let mut layout = Layout::of(view.clone());
                first(&mut layout);
                *view = layout.views()[0].clone();
            }
            _ => {}
        }
    }
    for output in &mut kernel.outputs {
        let mut layout = Layout::of(output.view.clone());
        first(&mut layout);
        output.view = layout.views()[0].clone();
    }
}

/// The view with `axis` and the next one as one, if it walks them so.
fn joined(view: &View, axis: usize) -> Option<View> {
    let (size, next) = (view.shape[axis], view.shape[axis + 1]);
    let stride = match (size, next) {
        (_, 1) => view.strides[axis],
        (1, _) => view.strides[axis + 1],
        _ if view.strides[axis] == view.strides[axis + 1] * next as isize => view.strides[axis + 1],
        _ => return None,
    };
    let mut result = view.clone();
    if let Some(mask) = &mut result.mask {
        let range = match (mask[axis], mask[axis + 1]) {
            ((low, high), whole) if whole == (0, next) => (low * next, high * next),
            ((0, 1), range) if size == 1 => range,
            _ => return None,
        };
        mask[axis] = range;
        mask.remove(axis + 1);
    }
    result.shape[axis] = size * next;
    result.shape.remove(axis + 1);
    result.strides[axis] = stride;
    result.strides.remove(axis + 1);
    Some(result)
}
