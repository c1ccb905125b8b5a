//! Shape rules, and the panics that say in words which rule a model's code broke.

/// Panics at the caller's line with the operation's name and the broken rule.
#[track_caller]
pub(crate) fn fail(op: &str, message: impl std::fmt::Display) -> ! {
    panic!("{op}: {message}")
}

/// The shape that two shapes broadcast to: aligned at the last axis, sizes equal or 1.
#[track_caller]
pub(crate) fn broadcast(op: &str, a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let size = |s: &[usize], axis: usize| if axis + s.len() < rank { 1 } else { s[axis + s.len() - rank] };
    let mut joined = Vec::with_capacity(rank);
    for axis in 0..rank {
        joined.push(match (size(a, axis), size(b, axis)) {
            (x, y) if x == y => x,
            (1, y) => y,
            (x, 1) => x,
            (x, y) => fail(op, format!("{a:?} and {b:?} do not broadcast: sizes {x} and {y} differ and neither is 1")),
        });
    }
    joined
}

/// An axis that may count from the end (-1 is the last), as a number from 0.
#[track_caller]
pub(crate) fn axis(op: &str, axis: isize, shape: &[usize]) -> usize {
    let rank = shape.len() as isize;
    let from_start = if axis < 0 { axis + rank } else { axis };
    if from_start < 0 || from_start >= rank {
        fail(op, format!("axis {axis} does not exist in {shape:?}, which has {rank} axes"));
    }
    from_start as usize
}

/// Several axes, sorted; a repeated one panics.
#[track_caller]
pub(crate) fn axes(op: &str, list: &[isize], shape: &[usize]) -> Vec<usize> {
    let mut all = Vec::with_capacity(list.len());
    for &a in list {
        let a = axis(op, a, shape);
        if all.contains(&a) {
            fail(op, format!("axis {a} is named twice"));
        }
        all.push(a);
    }
    all.sort_unstable();
    all
}

/// `shape` with at most one -1 replaced by what makes `len` elements.
#[track_caller]
pub(crate) fn infer(op: &str, from: &[usize], to: &[isize]) -> Vec<usize> {
    let len: usize = from.iter().product();
    let known: usize = to.iter().filter(|&&s| s >= 0).map(|&s| s as usize).product();
    let unknown = to.iter().filter(|&&s| s < 0).count();
    if unknown > 1 || to.iter().any(|&s| s < -1) {
        fail(op, format!("{to:?}: only one size may be -1, and no other may be negative"));
    }
    let fits = if unknown == 0 { known == len } else { known > 0 && len.is_multiple_of(known) };
    if !fits {
        fail(op, format!("{from:?} has {len} elements and cannot take the shape {to:?}"));
    }
    to.iter().map(|&s| if s < 0 { len / known } else { s as usize }).collect()
}

/// Largest rank of a tensor.
pub(crate) const MAX_RANK: usize = 8;
