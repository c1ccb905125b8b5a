//! Argsort, and the sorting of indices for Scatter: blocks by counting, then merges by bisection.
//!
//! Elements are pairs (u32 key, number) that pass through two scratch buffers in turn; keys order like the values
//! (`order_f32` and its kin in `scalar.wgsl`), ties are kept in rising order of the number.

use std::fmt::Write;

use anygrad_core::DType;

use crate::body::Body;
use crate::buffers::{Buffers, Job};
use crate::map::{finish, fold};
use crate::shader::{Lowered, Place, Refusal};
use crate::target::Target;

/// Invocations per workgroup.
const GROUP: u64 = 64;

/// What is sorted: `rows` rows of `length` keys.
pub(crate) struct Rows<'k> {
    pub(crate) rows: u64,
    pub(crate) length: u64,
    /// Gives the WGSL of `key_at(row, j)`.
    pub(crate) key: &'k dyn Fn(&mut Buffers<'_>) -> String,
    /// Whether the last dispatch runs the kernel's body with the numbers as its core, else they stay in scratch.
    pub(crate) epilogue: bool,
}

/// Appends the dispatches of a sort; returns the scratch buffer that holds the sorted pairs (if no epilogue took them).
pub(crate) fn lower(
    job: &Job,
    rows: &Rows<'_>,
    target: &Target,
    shared: &[usize],
    lowered: &mut Lowered,
) -> Result<usize, Refusal> {
    let total = rows.rows * rows.length;
    // One dispatch for rows up to 256 (64 on software drivers, where the count is quadratic in earnest), else short blocks.
    let alone = if target.software { 64 } else { 256 };
    let block = if rows.length <= alone { rows.length.max(1) } else { 32 };
    let bytes = total as usize * 8;
    let mut run = block;
    let mut from: Option<usize> = None;
    let mut pair: Vec<usize> = Vec::new();
    loop {
        let first = from.is_none();
        let last = if first { block >= rows.length } else { run * 2 >= rows.length };
        let mut buffers = Buffers::new(job, shared);
        let mut text = String::new();
        let workgroups = fold(target, total.div_ceil(GROUP))?;
        let _ = writeln!(
            text,
            "const TOTAL = {total}u;\nconst LENGTH = {}u;\nconst GROUP = {GROUP}u;\nconst ROW = {}u;",
            rows.length, workgroups[0]
        );
        if let Some(from) = from {
            let _ = writeln!(text, "const RUN = {run}u;");
            text.push_str(include_str!("../wgsl/sort_merge.wgsl"));
            text.push_str(&sorted_at(from, &mut buffers));
        } else {
            let _ = writeln!(text, "const BLOCK = {block}u;");
            text.push_str(include_str!("../wgsl/sort_blocks.wgsl"));
            text.push_str(&(rows.key)(&mut buffers));
        }
        let to = if last && rows.epilogue {
            text.push_str(&Body::new(&job.kernel).epilogue(&mut buffers));
            text.push_str("fn emit(slot: u32, key: u32, j: u32) { epilogue(slot, i32(j)); }\n");
            0
        } else {
            // Two buffers, in turn.
            let to = if pair.len() < 2 {
                lowered.scratch.push(bytes);
                pair.push(lowered.scratch.len() - 1);
                lowered.scratch.len() - 1
            } else {
                pair[usize::from(from == Some(pair[0]))]
            };
            let name = buffers.raw(Place::Scratch(to), DType::U32, true);
            let _ = writeln!(
                text,
                "fn emit(slot: u32, key: u32, j: u32) {{ {name}[2u * slot] = key; {name}[2u * slot + 1u] = j; }}"
            );
            to
        };
        let variant = if first { format!("sort_blocks of {block}") } else { format!("sort_merge of {run}") };
        lowered.passes.push(finish(text, buffers, target, workgroups, 0, variant)?);
        if last {
            return Ok(to);
        }
        if !first {
            run *= 2;
        }
        from = Some(to);
    }
}

/// WGSL of `sorted_at(slot)`: the pair in a slot of a scratch buffer.
pub(crate) fn sorted_at(scratch: usize, buffers: &mut Buffers<'_>) -> String {
    let name = buffers.raw(Place::Scratch(scratch), DType::U32, false);
    format!("fn sorted_at(slot: u32) -> vec2<u32> {{ return vec2<u32>({name}[2u * slot], {name}[2u * slot + 1u]); }}\n")
}

/// WGSL of `key_at(row, j)` for an input that is contiguous `[rows, length]`.
pub(crate) fn input_key(input: usize, length: u64, descending: bool, buffers: &mut Buffers<'_>) -> String {
    let order = if descending { "reverse_order" } else { "order" };
    let dtype = buffers.dtype(input);
    let element = buffers.element(input, &format!("row * {length}u + j"));
    let key = match dtype {
        DType::I32 => format!("{order}_i32({element})"),
        DType::U32 => format!("{order}_u32({element})"),
        DType::Bool => format!("{order}_u32(u32({element}))"),
        // NaN comes last in rising and first in falling order.
        _ if descending => format!("~order_f32({element})"),
        _ => format!("order_f32({element})"),
    };
    format!("fn key_at(row: u32, j: u32) -> u32 {{ return {key}; }}\n")
}
