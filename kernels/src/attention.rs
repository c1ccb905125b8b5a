//! Attention: which way the keys come, and what the two files of it need generated.

use std::fmt::Write;

use anygrad_core::kernel::{Attention, AttentionKind, Operand};

use crate::body::Body;
use crate::buffers::{Buffers, Job};
use crate::map::{finish, fold};
use crate::matmul::base;
use crate::shader::{Lowered, Refusal, Shader};
use crate::target::Target;
use crate::words;

/// Invocations per workgroup: two subgroups of most devices.
const SIZE: u64 = 64;
/// Rows that one invocation of a software driver keeps: each number that it reads is used so often.
const SOFTWARE_ROWS: u64 = 4;
/// Most rows of the other side in workgroup memory, and most of its bytes (what WebGPU promises).
const MOST_ROWS: u64 = 32;
const MOST_BYTES: u64 = 16384;

/// One dispatch: rows that results belong to, and the rows that each of them looks at.
struct Pass<'a> {
    name: &'static str,
    file: &'static str,
    /// Operands by the names that the file has for them.
    own: Vec<(&'static str, &'a Operand, u64)>,
    /// Both operands of the other side; they come by way of workgroup memory on GPUs.
    others: [(&'static str, &'a Operand, u64); 2],
    rows: u64,
    other_rows: u64,
    /// Further constants.
    constants: String,
}

/// Appends the dispatches of an attention.
pub(crate) fn lower(
    job: &Job,
    p: &Attention,
    target: &Target,
    shared: &[usize],
    lowered: &mut Lowered,
) -> Result<(), Refusal> {
    let g = &p.geometry;
    let [t, s, d, e] = [g.queries, g.keys, g.width, g.out].map(|n| n as u64);
    let [q, k, v] = [&p.operands[0], &p.operands[1], &p.operands[2]];
    let forward = |name, file, constants| {
        let (own, others) = (vec![("q", q, d)], [("k", k, d), ("v", v, e)]);
        Pass { name, file, own, others, rows: t, other_rows: s, constants }
    };
    let passes = match p.kind {
        AttentionKind::Forward => {
            let constants = format!(
                "const QUERIES = {t}u;\nconst KEYS = {s}u;\nconst WIDTH4 = {}u;\nconst OUT = {e}u;\nconst OUT4 = {}u;\n",
                d.div_ceil(4),
                e.div_ceil(4)
            );
            vec![forward("attention_forward", include_str!("../wgsl/attention_forward.wgsl"), constants)]
        }
        AttentionKind::Gradient => {
            let (dy, file) = (&p.operands[3], include_str!("../wgsl/attention_gradient.wgsl"));
            let constants = |own: u64, others: u64, of_keys: bool, start_a: u64, start_b: u64| {
                format!(
                    "const OWN = {own}u;\nconst OTHERS = {others}u;\nconst OF_KEYS = {of_keys};\nconst A = {d}u;\n\
                     const A4 = {}u;\nconst B = {e}u;\nconst B4 = {}u;\nconst START_A = {start_a}u;\n\
                     const START_B = {start_b}u;\n",
                    d.div_ceil(4),
                    e.div_ceil(4)
                )
            };
            let queries = Pass {
                name: "attention_gradient of queries",
                file,
                own: vec![("own_a", q, d), ("own_b", dy, e)],
                others: [("a", k, d), ("b", v, e)],
                rows: t,
                other_rows: s,
                constants: constants(t, s, false, 0, 0),
            };
            let keys = Pass {
                name: "attention_gradient of keys",
                own: vec![("own_a", k, d), ("own_b", v, e)],
                others: [("a", q, d), ("b", dy, e)],
                rows: s,
                other_rows: t,
                constants: constants(s, t, true, t * d, (t + s) * d),
                ..queries
            };
            vec![Pass { own: vec![("own_a", q, d), ("own_b", dy, e)], ..keys_of(&queries) }, keys]
        }
    };
    for pass in passes {
        lowered.passes.push(dispatch(job, p, &pass, target, shared)?);
    }
    Ok(())
}
