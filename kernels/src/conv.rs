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
use crate::matmul::{Side, strided};
use crate::product::{Product, Variant};

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
    let number = crate::words::held(buffers.dtype(p.a));
    let mut text = String::new();
    let a_along_k = match p.kind {
        ConvKind::Forward => {
            let base = format!("(z * {}u)", m * depth);
            let base_aligned = (m * depth).is_multiple_of(4);
            let side = Side {
                name: "a",
                input: p.b,
                base,
                base_aligned,
                lines: m,
                line_stride: depth as usize,
                depth,
                depth_stride: 1,
            };
            strided(&side, variant, buffers, &mut text)
        }
        // w[out channel, in channel, tap] with the out channel and the tap along k.
        ConvKind::InputGradient => {
            let at =
                format!("((z * {c_out}u + k / {taps}u) * {c_in}u + min(line, {}u)) * {taps}u + k % {taps}u", c_in - 1);
            let value = buffers.element(p.b, &at);
            loader(&mut text, "a", &value, number, variant, depth, true);
            true
        }
        // dy[image, out channel, place]
        ConvKind::WeightGradient => {
            let at =
                format!("((k / {y}u) * {}u + z * {c_out}u + min(line, {}u)) * {y}u + k % {y}u", g.c_out, c_out - 1);
            let value = buffers.element(p.b, &at);
            loader(&mut text, "a", &value, number, variant, depth, true);
            true
        }
    };
    let last = n - 1;
    let b_along_k = match p.kind {
        ConvKind::Forward => {
            x_at(&mut text, p, buffers, number);
            let value = format!(
                "x_at(min(line, {last}u) / {y}u, z * {c_in}u + k / {taps}u, min(line, {last}u) % {y}u, k % {taps}u)"
            );
            loader(&mut text, "b", &value, number, variant, depth, false);
            false
        }
        ConvKind::InputGradient => {
            dy_at(&mut text, p, buffers, number);
            let value = format!(
                "dy_at(min(line, {last}u) / {x}u, z * {c_out}u + k / {taps}u, min(line, {last}u) % {x}u, k % {taps}u)"
            );
            loader(&mut text, "b", &value, number, variant, depth, false);
            false
        }
        ConvKind::WeightGradient => {
            x_at(&mut text, p, buffers, number);
            let value = format!(
                "x_at(k / {y}u, z * {c_in}u + min(line, {last}u) / {taps}u, k % {y}u, min(line, {last}u) % {taps}u)"
            );
            loader(&mut text, "b", &value, number, variant, depth, true);
            true
        }
    };
    let at = match p.kind {
        ConvKind::Forward => {
            format!("((column / {y}u) * {}u + z * {c_out}u + row) * {y}u + column % {y}u", g.c_out)
        }
        ConvKind::InputGradient => {
            format!("((column / {x}u) * {}u + z * {c_in}u + row) * {x}u + column % {x}u", g.c_in)
        }
        ConvKind::WeightGradient => format!("(z * {c_out}u + row) * {n}u + column"),
    };
    let _ = writeln!(text, "fn point(z: u32, row: u32, column: u32) -> u32 {{ return {at}; }}");
    Product { m, n, depth, batch, a_along_k, b_along_k, functions: text }
}

/// `load_x` from an expression of z, line and k, and `load_x4` by four calls.
fn loader(text: &mut String, name: &str, value: &str, number: &str, variant: Variant, depth: u64, along_k: bool) {
    let tiled = matches!(variant, Variant::Tiled | Variant::TiledLarge);
    let guard = if tiled && !depth.is_multiple_of(16) {
        format!("if (k >= DEPTH) {{ return {number}(); }}\n")
    } else {
        String::new()
    };
    let _ = writeln!(text, "fn load_{name}(z: u32, line: u32, k: u32) -> {number} {{\n{guard}return {value};\n}}");
    if variant != Variant::Thin {
        let call = |l: u32| match along_k {
            true => format!("load_{name}(z, line, k + {l}u)"),
            false => format!("load_{name}(z, line + {l}u, k)"),
        };
        let calls = [call(0), call(1), call(2), call(3)].join(", ");
        let _ =
            writeln!(text, "fn load_{name}4(z: u32, line: u32, k: u32) -> vec4<f32> {{ return vec4<f32>({calls}); }}");
    }
}

/// Coordinate `axis` of the row-major number `name` in `sizes`.
fn coordinate(name: &str, sizes: &[usize], axis: usize) -> String {
    let below: usize = sizes[axis + 1..].iter().product();
    let divided = if below == 1 { name.to_string() } else { format!("({name} / {below}u)") };
    if axis == 0 { divided } else { format!("({divided} % {}u)", sizes[axis]) }
}

/// `x_at(image, channel, place, tap)`: the element of x that a tap of an output place reads, 0 in the padding.
fn x_at(text: &mut String, p: &Conv, buffers: &mut Buffers<'_>, number: &str) {
    let g = &p.geometry;
    let (mut lines, mut inside, mut at) = (String::new(), Vec::new(), String::from("0u"));
    for axis in 0..g.input.len() {
        let (place, tap) = (coordinate("place", &g.output, axis), coordinate("tap", &g.taps, axis));
        let (stride, dilation, padding) = (g.stride[axis], g.dilation[axis], g.padding[axis]);
        let _ = writeln!(lines, "let p{axis} = {place} * {stride}u + {tap} * {dilation}u - {padding}u;");
        if reaches_outside(g, axis) {
            inside.push(format!("p{axis} < {}u", g.input[axis]));
        }
        at = if axis == 0 { "p0".to_string() } else { format!("({at} * {}u + p{axis})", g.input[axis]) };
    }
    let (channels, size) = (g.c_in, product_of(&g.input));
    element(
        text,
        "x_at",
        &lines,
        &inside,
        &format!("(image * {channels}u + channel) * {size}u + {at}"),
        p.a,
        buffers,
        number,
    );
}

/// Whether some tap along an axis falls into the padding.
fn reaches_outside(g: &ConvGeometry, axis: usize) -> bool {
    let last = (g.output[axis].max(1) - 1) * g.stride[axis] + (g.taps[axis].max(1) - 1) * g.dilation[axis];
    g.padding[axis] > 0 || last >= g.input[axis] + g.padding[axis]
}

/// `dy_at(image, channel, place, tap)`: the element of dy whose output read x's `place` through `tap`, 0 if none did.
fn dy_at(text: &mut String, p: &Conv, buffers: &mut Buffers<'_>, number: &str) {
    let g = &p.geometry;
    let (mut lines, mut inside, mut at) = (String::new(), Vec::new(), String::new());
    for axis in 0..g.input.len() {
        let (place, tap) = (coordinate("place", &g.input, axis), coordinate("tap", &g.taps, axis));
        let (stride, dilation, padding) = (g.stride[axis], g.dilation[axis], g.padding[axis]);
        // Wraps to a huge number where the difference is negative.
        let _ = writeln!(lines, "let s{axis} = {place} + {padding}u - {tap} * {dilation}u;");
        let _ = writeln!(lines, "let p{axis} = s{axis} / {stride}u;");
        inside.push(format!("s{axis} < 0x80000000u && p{axis} < {}u", g.output[axis]));
        if stride > 1 {
            inside.push(format!("s{axis} % {stride}u == 0u"));
        }
        at = if axis == 0 { "p0".to_string() } else { format!("({at} * {}u + p{axis})", g.output[axis]) };
    }
    let (channels, size) = (g.c_out, product_of(&g.output));
    element(
        text,
        "dy_at",
        &lines,
        &inside,
        &format!("(image * {channels}u + channel) * {size}u + {at}"),
        p.a,
        buffers,
        number,
    );
}

fn element(
    text: &mut String,
    name: &str,
    lines: &str,
    inside: &[String],
    at: &str,
    input: usize,
    buffers: &mut Buffers<'_>,
    number: &str,
) {
    let value = if inside.is_empty() {
        buffers.element(input, at)
    } else {
        let element = buffers.element(input, &format!("select(0u, {at}, inside)"));
        format!("select({number}(), {element}, inside)")
    };
    let test = if inside.is_empty() { String::new() } else { format!("let inside = {};\n", inside.join(" && ")) };
    let _ = writeln!(
        text,
        "fn {name}(image: u32, channel: u32, place: u32, tap: u32) -> {number} {{\n{lines}{test}return {value};\n}}"
    );
}
