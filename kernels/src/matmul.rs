//! Matmul as a [`Product`]: loaders for strided operands, and thin shapes as reductions.

use std::fmt::Write;

use anygrad_core::kernel::{Core, Inst, Kernel, Matmul, Operand, Output, Reduction, Slice};
use anygrad_core::scalar::Binary;
use anygrad_core::view::{Layout, View, contiguous_strides};

use crate::buffers::Buffers;
use crate::product::{Product, Variant};
use crate::words;

/// One side of a product: `lines` are rows of a or columns of b.
pub(crate) struct Side<'a> {
    /// `a` or `b`.
    pub(crate) name: &'a str,
    pub(crate) input: usize,
    /// WGSL expression of the first element of product `z`, and whether it is a multiple of 4.
    pub(crate) base: String,
    pub(crate) base_aligned: bool,
    pub(crate) lines: u64,
    pub(crate) line_stride: usize,
    pub(crate) depth: u64,
    pub(crate) depth_stride: usize,
}

/// The product of a [`Matmul`].
pub(crate) fn product(p: &Matmul, variant: Variant, buffers: &mut Buffers<'_>) -> Product {
    let (m, n, depth) = (p.m as u64, p.n as u64, p.k as u64);
    let (base_a, aligned_a) = base(&p.a, &p.batch);
    let (base_b, aligned_b) = base(&p.b, &p.batch);
    let a = Side {
        name: "a",
        input: p.a.input,
        base: base_a,
        base_aligned: aligned_a,
        lines: m,
        line_stride: p.a.row_stride,
        depth,
        depth_stride: p.a.column_stride,
    };
    let b = Side {
        name: "b",
        input: p.b.input,
        base: base_b,
        base_aligned: aligned_b,
        lines: n,
        line_stride: p.b.column_stride,
        depth,
        depth_stride: p.b.row_stride,
    };
    let mut functions = String::new();
    let a_along_k = strided(&a, variant, buffers, &mut functions);
    let b_along_k = strided(&b, variant, buffers, &mut functions);
    let _ = writeln!(
        functions,
        "fn point(z: u32, row: u32, column: u32) -> u32 {{ return z * {}u + row * {n}u + column; }}",
        m * n
    );
    Product { m, n, depth, batch: p.batch.iter().product::<usize>() as u64, a_along_k, b_along_k, functions }
}

/// The first element of product `z` of an operand, and whether that is always a multiple of 4.
pub(crate) fn base(operand: &Operand, batch: &[usize]) -> (String, bool) {
    let mut terms = vec![format!("{}u", operand.offset)];
    let mut below = 1;
    let mut aligned = operand.offset.is_multiple_of(4);
    for (&size, &stride) in batch.iter().zip(&operand.batch_strides).rev() {
        if stride > 0 && size > 1 {
            terms.push(format!("((z / {below}u) % {size}u) * {stride}u"));
            aligned &= stride.is_multiple_of(4);
        }
        below *= size;
    }
    (format!("({})", terms.join(" + ")), aligned)
}

/// Appends the loaders of a strided operand; returns whether four numbers are better fetched along k.
pub(crate) fn strided(side: &Side<'_>, variant: Variant, buffers: &mut Buffers<'_>, text: &mut String) -> bool {
    let Side { name, input, base, lines, line_stride, depth, depth_stride, .. } = side;
    let along_k = *depth_stride == 1 || (*line_stride != 1 && depth_stride < line_stride);
    let upper = name.to_uppercase();
    let _ = writeln!(
        text,
        "alias Line{upper} = u32;\nfn line_{name}(z: u32, line: u32) -> u32 {{ return {base} + min(line, {}u) * \
         {line_stride}u; }}",
        lines - 1
    );
    let at = format!("line + k * {depth_stride}u");
    let run = if along_k { *depth } else { *lines };
    let (unit, step) = if along_k { (depth_stride, line_stride) } else { (line_stride, depth_stride) };
    let other = if along_k { *lines } else { *depth };
    let aligned = side.base_aligned && *unit == 1 && run.is_multiple_of(4) && (step.is_multiple_of(4) || other == 1);
    let four = (aligned && variant != Variant::Thin).then(|| buffers.four(*input, &format!("({at}) / 4u")));
    let number = words::held(buffers.dtype(*input));
    let one = buffers.element(*input, &at);
    loaders(text, name, number, &one, four.as_deref(), along_k, *depth, variant);
    along_k
}

/// Appends `load_x`, `along_x` and `across_x`, from the WGSL of one element (of `line` and `k`) and perhaps of four.
/// Steps reach beyond the end of the sums; there the loaders give zeros.
pub(crate) fn loaders(
    text: &mut String,
    name: &str,
    number: &str,
    one: &str,
    four: Option<&str>,
    along_k: bool,
    depth: u64,
    variant: Variant,
) {
    let upper = name.to_uppercase();
    let beyond = !depth.is_multiple_of(variant.step());
    // Branches cost software drivers more than a number that is not needed.
    let guarded = |zero: &str, value: &str| match (beyond, variant.step() > 4) {
        (true, true) => format!("if (k >= DEPTH) {{ return {zero}; }}\nreturn {value};"),
        (true, false) => format!("return select({zero}, {value}, k < DEPTH);"),
        (false, _) => format!("return {value};"),
    };
    let _ = writeln!(
        text,
        "fn load_{name}(line: Line{upper}, z: u32, k: u32) -> {number} {{\n{}\n}}",
        guarded(&format!("{number}()"), one),
    );
    if variant == Variant::Thin {
        return;
    }
    let calls = |call: &dyn Fn(u32) -> String| format!("vec4<f32>({}, {}, {}, {})", call(0), call(1), call(2), call(3));
    // Of the two ways to fetch four, one is never called; it stays empty, for some compilers choke on long functions.
    let along = match four {
        _ if !along_k => "return vec4<f32>();".to_string(),
        Some(four) => guarded("vec4<f32>()", four),
        None => format!("return {};", calls(&|l| format!("load_{name}(line, z, k + {l}u)"))),
    };
    let across = match four {
        _ if along_k => "return vec4<f32>();".to_string(),
        Some(four) => guarded("vec4<f32>()", four),
        None => {
            format!("return {};", calls(&|l| format!("load_{name}({}, z, k)", ["line", "l1", "l2", "l3"][l as usize])))
        }
    };
    let _ = writeln!(text, "fn along_{name}(line: Line{upper}, z: u32, k: u32) -> vec4<f32> {{\n{along}\n}}");
    let _ = writeln!(
        text,
        "fn across_{name}(line: Line{upper}, l1: Line{upper}, l2: Line{upper}, l3: Line{upper}, z: u32, k: u32) -> \
         vec4<f32> {{\n{across}\n}}"
    );
}

/// A thin product (few rows or columns, or integers) as a map kernel that reduces over k: no operand would be used
/// often enough to pay for tiles, and the reduction knows how to spread long sums over lanes.
pub(crate) fn as_reduction(kernel: &Kernel, p: &Matmul) -> Kernel {
    let view = |operand: &Operand, row: usize, column: usize, depth: usize| {
        let mut shape = kernel.outer.clone();
        shape.push(p.k);
        let mut strides: Vec<isize> = operand.batch_strides.iter().map(|&s| s as isize).collect();
        strides.extend([row as isize, column as isize, depth as isize]);
        Layout::of(View { shape, strides, offset: operand.offset as isize, mask: None })
    };
    let mut body = vec![
        Inst::Load { input: p.a.input, layout: view(&p.a, p.a.row_stride, 0, p.a.column_stride) },
        Inst::Load { input: p.b.input, layout: view(&p.b, 0, p.b.column_stride, p.b.row_stride) },
        Inst::Binary(Binary::Mul, 0, 1),
        Inst::Reduce(Reduction::Sum, 2),
    ];
    let outputs = append(kernel, &mut body, 3);
    Kernel {
        core: Core::Map,
        outer: kernel.outer.clone(),
        inner: vec![p.k],
        inputs: kernel.inputs.clone(),
        body,
        outputs,
    }
}

/// Appends a kernel's body to another one, where register `core` is its core's value; returns the outputs renumbered.
pub(crate) fn append(kernel: &Kernel, body: &mut Vec<Inst>, core: usize) -> Vec<Output> {
    let shift = body.len();
    for inst in &kernel.body {
        let mut inst = inst.clone();
        match &mut inst {
            Inst::Gather { index, .. } => *index += shift,
            Inst::Unary(_, x) | Inst::Cast(x, _) | Inst::Bitcast(x, _) | Inst::Reduce(_, x) | Inst::ArgReduce(_, x) => {
                *x += shift
            }
            Inst::Binary(_, x, y) => {
                *x += shift;
                *y += shift;
            }
            Inst::Select(c, x, y) => {
                *c += shift;
                *x += shift;
                *y += shift;
            }
            // The core's value under its old number.
            Inst::Core => inst = Inst::Cast(core, kernel.core_dtype()),
            Inst::Load { .. }
            | Inst::Constant { .. }
            | Inst::Iota { .. }
            | Inst::Inside { .. }
            | Inst::Random { .. } => {}
        }
        body.push(inst);
    }
    kernel.outputs.iter().map(|o| Output { value: o.value + shift, ..o.clone() }).collect()
}

/// The kernel that adds up its core's value from `splits` parts in an extra input and runs the body.
pub(crate) fn from_scratch(kernel: &Kernel, splits: usize) -> Kernel {
    let length = kernel.outer_len();
    let input = kernel.inputs.len();
    let mut inputs = kernel.inputs.clone();
    inputs.push(Slice { dtype: kernel.core_dtype(), len: length * splits });
    let strides = contiguous_strides(&kernel.outer);
    let mut view = View { shape: kernel.outer.clone(), strides, offset: 0, mask: None };
    view.shape.push(splits);
    view.strides.push(length as isize);
    let mut body = vec![Inst::Load { input, layout: Layout::of(view) }, Inst::Reduce(Reduction::Sum, 0)];
    let outputs = append(kernel, &mut body, 1);
    Kernel { core: Core::Map, outer: kernel.outer.clone(), inner: vec![splits], inputs, body, outputs }
}
