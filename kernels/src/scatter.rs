//! Scatter (sums of updates by index, in a fixed order) and cumulative sums.

use std::fmt::Write;

use anygrad_core::kernel::Scatter;
use anygrad_core::view::{Layout, View};

use crate::body::Body;
use crate::buffers::{Buffers, Job};
use crate::index::{Group, index};
use crate::map::{finish, fold};
use crate::shader::{Lowered, Place, Refusal};
use crate::sort;
use crate::target::Target;
use crate::words;

/// Invocations per workgroup.
const GROUP: u64 = 64;
/// Up to so many updates per row, each element of the result looks at all of them.
const FEW: usize = 32;

/// A function that reads an input through a view over `[before, count, after]`.
fn reader(name: &str, input: usize, view: &View, as_u32: bool, buffers: &mut Buffers<'_>) -> String {
    let axis = |name| Group { name, rank: 1 };
    let place = index(&Layout::of(view.clone()), &[axis("before"), axis("j"), axis("after")], name);
    let dtype = buffers.dtype(input);
    let (kind, zero) =
        if as_u32 { ("u32", "0u".to_string()) } else { (words::held(dtype), words::literal(dtype, 0.0)) };
    let read = |at: &str, buffers: &mut Buffers<'_>| {
        let element = buffers.element(input, at);
        if as_u32 { format!("bitcast<u32>({element})") } else { element }
    };
    let value = match &place.inside {
        None => read(&place.at, buffers),
        Some(inside) => {
            let element = read(&format!("select(0u, {}, {inside})", place.at), buffers);
            format!("select({zero}, {element}, {inside})")
        }
    };
    format!(
        "fn {name}(before: u32, j: u32, after: u32) -> {kind} {{\n{}{}return {value};\n}}\n",
        place.hoisted, place.lets
    )
}

/// Appends the dispatches of a scatter.
pub(crate) fn lower(
    job: &Job,
    p: &Scatter,
    target: &Target,
    shared: &[usize],
    lowered: &mut Lowered,
) -> Result<(), Refusal> {
    let kernel = &job.kernel;
    let (size, after) = (kernel.outer[1], kernel.outer[2]);
    let count = p.index.1.shape[1];
    let points = kernel.outer_len() as u64;
    // Does the index depend on the last axis? If not, one sort serves all of it (rows of an embedding).
    let view = &p.index.1;
    let spread = view.strides[2] == 0 && view.mask.as_ref().is_none_or(|mask| mask[2] == (0, view.shape[2]));
    let rows_after = if spread { 1 } else { after };
    let sorted = if count > FEW {
        let key = |buffers: &mut Buffers<'_>| {
            let read = reader("index_at", p.index.0, &p.index.1, true, buffers);
            format!(
                "{read}fn key_at(row: u32, j: u32) -> u32 {{ return index_at(row / {rows_after}u, j, row % {rows_after}u); }}\n"
            )
        };
        let rows = (kernel.outer[0] * rows_after) as u64;
        let rows = sort::Rows { rows, length: count as u64, key: &key, epilogue: false };
        Some(sort::lower(job, &rows, target, shared, lowered)?)
    } else {
        None
    };
    let body = Body::new(kernel);
    let mut buffers = Buffers::new(job, shared);
    let workgroups = fold(target, points.div_ceil(GROUP))?;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "const POINTS = {points}u;\nconst SIZES = {size}u;\nconst COUNT = {count}u;\nconst AFTER = {after}u;\n\
         const ROWS_AFTER = {rows_after}u;\nconst GROUP = {GROUP}u;\nconst ROW = {}u;\nalias Number = {};",
        workgroups[0],
        words::held(kernel.core_dtype())
    );
    if let Some(sorted) = sorted {
        text.push_str(include_str!("../wgsl/scatter_sorted.wgsl"));
        text.push_str(&sort::sorted_at(sorted, &mut buffers));
    } else {
        text.push_str(include_str!("../wgsl/scatter_scan.wgsl"));
        text.push_str(&reader("index_at", p.index.0, &p.index.1, true, &mut buffers));
    }
    text.push_str(&reader("update_at", p.updates.0, &p.updates.1, false, &mut buffers));
    text.push_str(&body.epilogue(&mut buffers));
    let variant = if sorted.is_some() { "scatter_sorted" } else { "scatter_scan" };
    lowered.passes.push(finish(text, buffers, target, workgroups, 0, variant.to_string())?);
    Ok(())
}

/// Appends the dispatches of a cumulative sum.
pub(crate) fn cumulative_sum(
    job: &Job,
    input: usize,
    target: &Target,
    shared: &[usize],
    lowered: &mut Lowered,
) -> Result<(), Refusal> {
    let kernel = &job.kernel;
    let (before, length, after) = (kernel.outer[0] as u64, kernel.outer[1] as u64, kernel.outer[2] as u64);
    let dtype = kernel.core_dtype();
    let chunk = ((length as f64).sqrt() as u64).next_power_of_two().max(64).min(length.max(1));
    let chunks = length.div_ceil(chunk);
    let total = before * chunks * after;
    let workgroups = fold(target, total.div_ceil(GROUP))?;
    let mut head = String::new();
    let _ = writeln!(
        head,
        "const TOTAL = {total}u;\nconst LENGTH = {length}u;\nconst AFTER = {after}u;\nconst CHUNK = {chunk}u;\n\
         const CHUNKS = {chunks}u;\nconst GROUP = {GROUP}u;\nconst ROW = {}u;\nalias Number = {};",
        workgroups[0],
        words::held(dtype)
    );
    let value = |buffers: &mut Buffers<'_>| {
        format!("fn value_at(i: u32) -> Number {{ return {}; }}\n", buffers.element(input, "i"))
    };
    let scratch = Place::Scratch(lowered.scratch.len());
    if chunks > 1 {
        lowered.scratch.push(total as usize * 4);
        let mut buffers = Buffers::new(job, shared);
        let mut text = format!("{head}{}", include_str!("../wgsl/scan_sums.wgsl"));
        text.push_str(&value(&mut buffers));
        let name = buffers.raw(scratch, dtype, true);
        let _ = writeln!(text, "fn keep(i: u32, sum: Number) {{ {name}[i] = sum; }}");
        lowered.passes.push(finish(text, buffers, target, workgroups, 0, "scan_sums".to_string())?);
    }
    let mut buffers = Buffers::new(job, shared);
    let mut text = format!("{head}{}", include_str!("../wgsl/scan_chunks.wgsl"));
    text.push_str(&value(&mut buffers));
    if chunks > 1 {
        let name = buffers.raw(scratch, dtype, false);
        let _ = writeln!(text, "fn kept(i: u32) -> Number {{ return {name}[i]; }}");
    } else {
        text.push_str("fn kept(i: u32) -> Number { return Number(); }\n");
    }
    text.push_str(&Body::new(kernel).epilogue(&mut buffers));
    lowered.passes.push(finish(text, buffers, target, workgroups, 0, format!("scan_chunks of {chunk}"))?);
    Ok(())
}
