//! Attention: which way keys and values come, and what the two files of it need generated.

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

/// An operand by the name that a file has for it, and its number of columns.
type Named<'a> = (&'static str, &'a Operand, u64);

/// One dispatch: rows that results belong to, and the other rows that each of them looks at.
struct Pass<'a> {
    name: &'static str,
    file: &'static str,
    /// Operands of which an invocation reads its own rows.
    own: Vec<Named<'a>>,
    /// Both operands of the other side; on GPUs they come by way of workgroup memory.
    others: [Named<'a>; 2],
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
    let [q, k, v] = [0, 1, 2].map(|i| &p.operands[i]);
    let (d4, e4) = (d.div_ceil(4), e.div_ceil(4));
    if p.kind == AttentionKind::Forward {
        let pass = Pass {
            name: "attention_forward",
            file: include_str!("../wgsl/attention_forward.wgsl"),
            own: vec![("q", q, d)],
            others: [("k", k, d), ("v", v, e)],
            rows: t,
            other_rows: s,
            constants: format!(
                "const QUERIES = {t}u;\nconst KEYS = {s}u;\nconst WIDTH4 = {d4}u;\nconst OUT = {e}u;\nconst OUT4 = {e4}u;\n"
            ),
        };
        lowered.passes.push(dispatch(job, p, &pass, target, shared)?);
        return Ok(());
    }
    let dy = &p.operands[3];
    let constants = |own: u64, others: u64, of_keys: bool, start_a: u64| {
        format!(
            "const OWN = {own}u;\nconst OTHERS = {others}u;\nconst OF_KEYS = {of_keys};\nconst A = {d}u;\nconst A4 = {d4}u;\n\
             const B = {e}u;\nconst B4 = {e4}u;\nconst START_A = {start_a}u;\nconst START_B = {}u;\n",
            (t + s) * d
        )
    };
    let queries = Pass {
        name: "attention_gradient of queries",
        file: include_str!("../wgsl/attention_gradient.wgsl"),
        own: vec![("own_a", q, d), ("own_b", dy, e)],
        others: [("a", k, d), ("b", v, e)],
        rows: t,
        other_rows: s,
        constants: constants(t, s, false, 0),
    };
    let keys = Pass {
        name: "attention_gradient of keys",
        file: queries.file,
        own: vec![("own_a", k, d), ("own_b", v, e)],
        others: [("a", q, d), ("b", dy, e)],
        rows: s,
        other_rows: t,
        constants: constants(s, t, true, t * d),
    };
    for pass in [queries, keys] {
        lowered.passes.push(dispatch(job, p, &pass, target, shared)?);
    }
    Ok(())
}

/// The text of one pass.
fn dispatch(job: &Job, p: &Attention, pass: &Pass<'_>, target: &Target, shared: &[usize]) -> Result<Shader, Refusal> {
    let mut buffers = Buffers::new(job, shared);
    let batch = p.batch.iter().product::<usize>() as u64;
    let vectors: u64 = pass.others.iter().map(|o| o.2.div_ceil(4)).sum();
    // Whole steps of four rows in workgroup memory; without room for one, or on software drivers, straight from buffers.
    let room = MOST_BYTES.min(u64::from(target.workgroup_bytes)) / (16 * vectors.max(1));
    let block = room.min(MOST_ROWS) / 4 * 4;
    let tiled = !target.software && block > 0 && u64::from(target.invocations) >= SIZE;
    let rows = if target.software { SOFTWARE_ROWS } else { 1 };
    let size = if tiled { SIZE } else { SIZE.min(pass.rows.div_ceil(rows).next_power_of_two()) };
    let block = if tiled { block } else { pass.other_rows.next_multiple_of(4) };
    let blocks = pass.rows.div_ceil(size * rows);
    let workgroups = fold(target, blocks * batch)?;
    let g = &p.geometry;
    let mut text = pass.constants.clone();
    let _ = writeln!(
        text,
        "const BATCH = {batch}u;\nconst BLOCKS = {blocks}u;\nconst SIZE = {size}u;\nconst ROWS = {rows}u;\n\
         const BLOCK = {block}u;\nconst STEP = {}u;\nconst ROLLED = {}u;\nconst CAUSAL = {};\nconst SCALE = {};\nconst ROW = {}u;",
        if tiled { block } else { 4 },
        u32::from(target.software),
        g.causal,
        words::literal(anygrad_core::DType::F32, g.scale.0),
        workgroups[0]
    );
    for named in pass.own.iter().chain(&pass.others) {
        loaders(named, &p.batch, &mut buffers, &mut text);
    }
    if let [_, _, _, _, l, delta] = &p.operands[..] {
        for (name, operand) in [("l", l), ("delta", delta)] {
            let element = buffers.element(operand.input, &format!("start + i * {}u", operand.row_stride));
            let function = if name == "l" { "logarithm" } else { name };
            let _ = writeln!(
                text,
                "fn base_{name}(z: u32) -> u32 {{ return {}; }}\n\
                 fn {function}(start: u32, i: u32) -> f32 {{ return {element}; }}",
                base(operand, &p.batch).0
            );
        }
    }
    let [(a, ..), (b, ..)] = pass.others;
    let mut fetch = String::new();
    for (name, _, columns) in &pass.others {
        let width = columns.div_ceil(4);
        if tiled {
            let _ = writeln!(
                text,
                "var<workgroup> tile_{name}: array<vec4<f32>, {}>;\n\
                 fn line_{name}(base: u32, begin: u32, row: u32) -> u32 {{ return (row - begin) * {width}u; }}\n\
                 fn near_{name}(line: u32, c: u32) -> vec4<f32> {{ return tile_{name}[line + c]; }}",
                block * width
            );
            let _ = writeln!(
                fetch,
                "for (var i = lane; i < {}u; i += SIZE) {{\nlet row = min(begin + i / {width}u, {}u);\n\
                 tile_{name}[i] = four_{name}(base_of_{name} + row * STRIDE_{}, i % {width}u);\n}}",
                block * width,
                pass.other_rows - 1,
                name.to_uppercase()
            );
        } else {
            let _ = writeln!(
                text,
                "fn line_{name}(base: u32, begin: u32, row: u32) -> u32 {{ return base + min(row, {}u) * STRIDE_{}; }}\n\
                 fn near_{name}(line: u32, c: u32) -> vec4<f32> {{ return four_{name}(line, c); }}",
                pass.other_rows - 1,
                name.to_uppercase()
            );
        }
    }
    if tiled {
        fetch = format!("workgroupBarrier();\n{fetch}workgroupBarrier();\n");
    }
    let _ = writeln!(text, "fn fetch(begin: u32, lane: u32, base_of_{a}: u32, base_of_{b}: u32) {{\n{fetch}}}");
    text.push_str(pass.file);
    text.push_str(&Body::new(&job.kernel).epilogue(&mut buffers));
    let length = g.length(p.kind);
    let _ = writeln!(text, "fn put(z: u32, at: u32, value: f32) {{ epilogue(z * {length}u + at, value); }}");
    let (way, bytes) = if tiled { ("tiled", (block * vectors * 16) as u32) } else { ("direct", 0) };
    let variant = format!("{} {way} {}x{} by {batch}", pass.name, pass.rows, pass.other_rows);
    finish(text, buffers, target, workgroups, bytes, variant)
}

/// `base_x(z)`, `STRIDE_X` and `four_x(line, c)`: four columns from `4 c` on, zeros beyond the last.
fn loaders((name, operand, columns): &Named<'_>, batch: &[usize], buffers: &mut Buffers<'_>, text: &mut String) {
    let (start, aligned) = base(operand, batch);
    let step = operand.column_stride;
    let wide = aligned && step == 1 && columns.is_multiple_of(4) && operand.row_stride.is_multiple_of(4);
    let value = if wide {
        buffers.four(operand.input, "line / 4u + c")
    } else {
        let lane = |l: u64, buffers: &mut Buffers<'_>| {
            let (column, last) = (format!("(c * 4u + {l}u)"), columns.max(&1) - 1);
            let element = buffers.element(operand.input, &format!("line + min({column}, {last}u) * {step}u"));
            if columns.is_multiple_of(4) { element } else { format!("select(0.0, {element}, {column} < {columns}u)") }
        };
        let lanes: Vec<String> = (0..4).map(|l| lane(l, buffers)).collect();
        format!("vec4<f32>({})", lanes.join(", "))
    };
    let _ = writeln!(
        text,
        "const STRIDE_{} = {}u;\nfn base_{name}(z: u32) -> u32 {{ return {start}; }}\n\
         fn four_{name}(line: u32, c: u32) -> vec4<f32> {{ return {value}; }}",
        name.to_uppercase(),
        operand.row_stride
    );
}
