//! Convolutions and their gradients as a [`Product`] (an implicit GEMM): the patches are never written to memory, the
//! loaders find each of their elements by index arithmetic.
//!
//! | kind            | z     | rows         | columns        | k                |
//! |-----------------|-------|--------------|----------------|------------------|
//! | Forward         | group | out channels | image, place   | in channel, tap  |
//! | InputGradient   | group | in channels  | image, x place | out channel, tap |
//! | WeightGradient  | group | out channels | in channel,tap | image, place     |
//!
//! "place" is a row-major number in the spatial sizes, "tap" one in the taps; channels count inside their group.

use std::fmt::Write;

use anygrad_core::kernel::{Conv, ConvGeometry, ConvKind};

use crate::buffers::Buffers;
use crate::index::{divide, modulo};
use crate::matmul::{Side, loaders, strided};
use crate::product::{Product, Variant};
use crate::words;

fn product_of(sizes: &[usize]) -> usize {
    sizes.iter().product()
}

/// Rows, columns, length of the sums and number of products.
pub(crate) fn sizes(p: &Conv) -> (u64, u64, u64, u64) {
    let g = &p.geometry;
    let (x, y, taps) = (product_of(&g.input), product_of(&g.output), product_of(&g.taps));
    let (c_in, c_out) = (g.c_in / g.groups.max(1), g.c_out / g.groups.max(1));
    let (m, n, depth) = match p.kind {
        ConvKind::Forward => (c_out, g.batch * y, c_in * taps),
        ConvKind::InputGradient => (c_in, g.batch * x, c_out * taps),
        ConvKind::WeightGradient => (c_out, c_in * taps, g.batch * y),
    };
    (m as u64, n as u64, depth as u64, g.groups as u64)
}

/// The product of a [`Conv`].
pub(crate) fn product(p: &Conv, variant: Variant, buffers: &mut Buffers<'_>) -> Product {
    let g = &p.geometry;
    let (m, n, depth, batch) = sizes(p);
    let (x, y, taps) = (product_of(&g.input), product_of(&g.output), product_of(&g.taps));
    let (c_in, c_out) = (g.c_in / g.groups.max(1), g.c_out / g.groups.max(1));
    let number = words::held(buffers.dtype(p.a));
    let mut text = String::new();
    // The weights (or dy): one number says where a line begins.
    let mut a_line = |line: String| {
        let _ = writeln!(text, "alias LineA = u32;\nfn line_a(z: u32, line: u32) -> u32 {{ return {line}; }}");
    };
    match p.kind {
        ConvKind::Forward => {
            let side = Side {
                name: "a",
                input: p.b,
                base: format!("(z * {}u)", m * depth),
                base_aligned: (m * depth).is_multiple_of(4),
                lines: m,
                line_stride: depth as usize,
                depth,
                depth_stride: 1,
            };
            strided(&side, variant, buffers, &mut text);
        }
        // w[out channel, in channel, tap] with the out channel and the tap along k.
        ConvKind::InputGradient => {
            a_line(format!("(z * {}u + min(line, {}u)) * {taps}u", c_out * c_in, c_in - 1));
            let one = buffers.element(p.b, &format!("line + (k / {taps}u) * {}u + k % {taps}u", c_in * taps));
            loaders(&mut text, "a", number, &one, None, true, depth, variant);
        }
        // dy[image, out channel, place] with the image and the place along k.
        ConvKind::WeightGradient => {
            a_line(format!("(z * {c_out}u + min(line, {}u)) * {y}u", c_out - 1));
            let at = format!("line + (k / {y}u) * {}u + k % {y}u", g.c_out * y);
            let four =
                (y.is_multiple_of(4) && variant != Variant::Thin).then(|| buffers.four(p.b, &format!("({at}) / 4u")));
            let one = buffers.element(p.b, &at);
            loaders(&mut text, "a", number, &one, four.as_deref(), true, depth, variant);
        }
    }
    let b_along_k = p.kind == ConvKind::WeightGradient;
    patches(p, &mut text);
    let zero = format!("{number}()");
    let one = match p.kind {
        ConvKind::Forward => spatial(p, "k % {taps}u", &format!("(k / {taps}u) * {x}u"), buffers, &zero, &mut text),
        ConvKind::InputGradient => {
            spatial(p, "k % {taps}u", &format!("(k / {taps}u) * {y}u"), buffers, &zero, &mut text)
        }
        ConvKind::WeightGradient => {
            spatial(p, "k % {y}u", &format!("(k / {y}u) * {}u", g.c_in * x), buffers, &zero, &mut text)
        }
    };
    loaders(&mut text, "b", number, &one, None, b_along_k, depth, variant);
    let at = match p.kind {
        ConvKind::Forward => format!("((column / {y}u) * {}u + z * {c_out}u + row) * {y}u + column % {y}u", g.c_out),
        ConvKind::InputGradient => {
            format!("((column / {x}u) * {}u + z * {c_in}u + row) * {x}u + column % {x}u", g.c_in)
        }
        ConvKind::WeightGradient => format!("(z * {c_out}u + row) * {n}u + column"),
    };
    let _ = writeln!(text, "fn point(z: u32, row: u32, column: u32) -> u32 {{ return {at}; }}");
    Product { m, n, depth, batch, a_along_k: true, b_along_k, functions: text }
}

/// `LineB` and `line_b(z, line)`: where a column's elements begin, and its part of the spatial coordinates.
fn patches(p: &Conv, text: &mut String) {
    let g = &p.geometry;
    let (x, y, taps) = (product_of(&g.input), product_of(&g.output), product_of(&g.taps));
    let (c_in, c_out) = (g.c_in / g.groups.max(1), g.c_out / g.groups.max(1));
    let (sizes, count, base) = match p.kind {
        ConvKind::Forward => (&g.output, y, format!("((line / {y}u) * {}u + z * {c_in}u) * {x}u", g.c_in)),
        ConvKind::InputGradient => (&g.input, x, format!("((line / {x}u) * {}u + z * {c_out}u) * {y}u", g.c_out)),
        ConvKind::WeightGradient => (&g.taps, taps, format!("(z * {c_in}u + line / {taps}u) * {x}u")),
    };
    let rank = g.input.len();
    let fields: Vec<String> = (0..rank).map(|axis| format!("p{axis}: u32")).collect();
    let coordinates: Vec<String> = (0..rank)
        .map(|axis| {
            let coordinate = coordinate("place", sizes, axis);
            match p.kind {
                // Wraps below 0 in the padding.
                ConvKind::Forward => format!("{coordinate} * {}u - {}u", g.stride[axis], g.padding[axis]),
                ConvKind::InputGradient => format!("{coordinate} + {}u", g.padding[axis]),
                ConvKind::WeightGradient => format!("{coordinate} * {}u - {}u", g.dilation[axis], g.padding[axis]),
            }
        })
        .collect();
    let (_, n, _, _) = self::sizes(p);
    let _ = writeln!(
        text,
        "struct LineB {{ base: u32, {} }}\nfn line_b(z: u32, wanted: u32) -> LineB {{\nlet line = min(wanted, {}u);\n\
         let place = line % {count}u;\nreturn LineB({base}, {});\n}}",
        fields.join(", "),
        n - 1,
        coordinates.join(", ")
    );
}

/// `pixel(line, other, start)`: the element of x or dy for a column and for the place or tap `other` along k, 0 where
/// it lies in the padding; and the call of it that stands for one element.
fn spatial(p: &Conv, other: &str, start: &str, buffers: &mut Buffers<'_>, zero: &str, text: &mut String) -> String {
    let g = &p.geometry;
    let (y, taps) = (product_of(&g.output), product_of(&g.taps));
    let (mut lines, mut inside, mut at) = (String::new(), Vec::new(), String::new());
    let limits = if p.kind == ConvKind::InputGradient { &g.output } else { &g.input };
    let sizes = if p.kind == ConvKind::WeightGradient { &g.output } else { &g.taps };
    for (axis, &limit) in limits.iter().enumerate() {
        let coordinate = coordinate("other", sizes, axis);
        let (stride, dilation) = (g.stride[axis], g.dilation[axis]);
        match p.kind {
            ConvKind::Forward | ConvKind::WeightGradient => {
                let step = if p.kind == ConvKind::Forward { dilation } else { stride };
                let _ = writeln!(lines, "let q{axis} = line.p{axis} + {coordinate} * {step}u;");
                if reaches_outside(g, axis) {
                    inside.push(format!("(q{axis} < {limit}u)"));
                }
            }
            ConvKind::InputGradient => {
                // Wraps to a huge number where the difference is negative.
                let _ = writeln!(lines, "let s{axis} = line.p{axis} - {coordinate} * {dilation}u;");
                let _ = writeln!(lines, "let q{axis} = {};", divide(&format!("s{axis}"), stride));
                inside.push(format!("(s{axis} < {}u)", limit * stride));
                if stride > 1 {
                    inside.push(format!("({} == 0u)", modulo(&format!("s{axis}"), stride)));
                }
            }
        }
        at = if axis == 0 { "q0".to_string() } else { format!("({at} * {limit}u + q{axis})") };
    }
    let at = format!("line.base + start + {at}");
    let value = if inside.is_empty() {
        buffers.element(p.a, &at)
    } else {
        let element = buffers.element(p.a, &format!("select(0u, {at}, inside)"));
        format!("select({zero}, {element}, inside)")
    };
    let test = if inside.is_empty() { String::new() } else { format!("let inside = {};\n", inside.join(" & ")) };
    let number = zero.trim_end_matches("()");
    let _ = writeln!(
        text,
        "fn pixel(line: LineB, other: u32, start: u32) -> {number} {{\n{lines}{test}return {value};\n}}"
    );
    let other = other.replace("{taps}", &taps.to_string()).replace("{y}", &y.to_string());
    format!("pixel(line, {other}, {start})")
}

/// Coordinate `axis` of the row-major number `name` in `sizes`.
fn coordinate(name: &str, sizes: &[usize], axis: usize) -> String {
    let below: usize = sizes[axis + 1..].iter().product();
    let divided = divide(name, below.max(1));
    if axis == 0 { divided } else { modulo(&divided, sizes[axis].max(1)) }
}

/// Whether some tap along an axis falls into the padding.
fn reaches_outside(g: &ConvGeometry, axis: usize) -> bool {
    let last = (g.output[axis].max(1) - 1) * g.stride[axis] + (g.taps[axis].max(1) - 1) * g.dilation[axis];
    g.padding[axis] > 0 || last >= g.input[axis] + g.padding[axis]
}
