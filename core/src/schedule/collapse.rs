//! Neighbouring axes that every view walks as one become one: fewer divisions on GPUs, longer runs on CPUs, and more
//! kernels that are equal.

use crate::kernel::{Core, Inst, Kernel};
use crate::view::View;

/// Joins axes of a kernel without a core wherever all of its views allow.
pub(crate) fn collapse(kernel: &mut Kernel) {
    if kernel.core != Core::Map || kernel.outer.contains(&0) || kernel.inner.contains(&0) {
        return;
    }
    let mut axis = 0;
    while axis + 1 < kernel.outer.len() + kernel.inner.len() {
        let within = axis + 1 < kernel.outer.len() || axis >= kernel.outer.len();
        if !within || !views(kernel).all(|view| axis + 1 >= view.shape.len() || joined(view, axis).is_some()) {
            axis += 1;
            continue;
        }
        each_view(kernel, &mut |view| join(view, axis));
        let outer = kernel.outer.len();
        let axes = if axis < outer { &mut kernel.outer } else { &mut kernel.inner };
        let at = if axis < outer { axis } else { axis - outer };
        axes[at] *= axes.remove(at + 1);
    }
    // A single axis of size 1 in `outer` is the scalar space; it is dropped so that equal kernels look equal.
    if kernel.outer == [1] && kernel.inner.is_empty() && views(kernel).all(|view| view.mask.is_none()) {
        kernel.outer.clear();
        each_view(kernel, &mut |view| (view.shape, view.strides) = (Vec::new(), Vec::new()));
    }
}

/// Every view over the kernel's space: the first of each chain.
fn views(kernel: &Kernel) -> impl Iterator<Item = &View> {
    let loaded = kernel.body.iter().filter_map(|inst| match inst {
        Inst::Load { layout, .. } | Inst::Iota { layout, .. } => Some(&layout.views()[0]),
        Inst::Inside { layout } | Inst::Random { layout, .. } => Some(&layout.views()[0]),
        Inst::Gather { view, .. } => Some(view),
        _ => None,
    });
    loaded.chain(kernel.outputs.iter().map(|output| &output.view))
}

/// Changes every view over the kernel's space.
fn each_view(kernel: &mut Kernel, f: &mut dyn FnMut(&mut View)) {
    for inst in &mut kernel.body {
        match inst {
            Inst::Load { layout, .. } | Inst::Iota { layout, .. } => f(layout.first_mut()),
            Inst::Inside { layout } | Inst::Random { layout, .. } => f(layout.first_mut()),
            Inst::Gather { view, .. } => f(view),
            _ => {}
        }
    }
    kernel.outputs.iter_mut().for_each(|output| f(&mut output.view));
}

/// The stride and the mask's range of `axis` and the next one as one axis, if the view walks them so.
fn joined(view: &View, axis: usize) -> Option<(isize, Option<(usize, usize)>)> {
    let (size, next) = (view.shape[axis], view.shape[axis + 1]);
    let stride = match (size, next) {
        (_, 1) => view.strides[axis],
        (1, _) => view.strides[axis + 1],
        _ if view.strides[axis] == view.strides[axis + 1] * next as isize => view.strides[axis + 1],
        _ => return None,
    };
    let Some(mask) = &view.mask else { return Some((stride, None)) };
    match (mask[axis], mask[axis + 1]) {
        ((low, high), whole) if whole == (0, next) => Some((stride, Some((low * next, high * next)))),
        ((0, 1), range) if size == 1 => Some((stride, Some(range))),
        _ => None,
    }
}

/// Makes one axis of `axis` and the next one, where the view has both.
fn join(view: &mut View, axis: usize) {
    if axis + 1 >= view.shape.len() {
        return;
    }
    let Some((stride, range)) = joined(view, axis) else { return };
    view.shape[axis] *= view.shape.remove(axis + 1);
    view.strides[axis] = stride;
    view.strides.remove(axis + 1);
    if let (Some(mask), Some(range)) = (&mut view.mask, range) {
        mask[axis] = range;
        mask.remove(axis + 1);
    }
}
