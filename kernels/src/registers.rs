//! The lines of `product_software.wgsl` that name registers, written by loops: rows of sums, what is fetched for them, and
//! their multiplications.

use std::fmt::Write;

/// The text of the software variant with `rows` rows per lane (a multiple of 4; of 8 if lanes share them), which are fetched
/// four along k or four rows at once, by each lane or by all of a subgroup together.
pub(crate) fn product(rows: u64, shares: bool, along_k: bool) -> String {
    let (mut registers, mut lines, mut step, mut shift) = Default::default();
    repeat(&mut registers, rows, |r| format!("var c{r} = vec4<f32>();"));
    repeat(&mut shift, rows - 1, |r| format!("c{r} = c{};", r + 1));
    fetch(rows, shares, along_k, &mut lines, &mut step);
    repeat(&mut step, rows, |r| match along_k {
        true => format!("c{r} += a{r}.x * b0 + a{r}.y * b1 + a{r}.z * b2 + a{r}.w * b3;"),
        false => {
            let (four, at) = (r / 4, ["x", "y", "z", "w"][r as usize % 4]);
            let term = |k: u64| format!("a{four}_{k}.{at} * b{k}");
            format!("c{r} += {} + {} + {} + {};", term(0), term(1), term(2), term(3))
        }
    });
    let file = include_str!("../wgsl/product_software.wgsl");
    // One subgroup is the workgroup, and broadcasts count its lanes.
    let lane = if shares { "subgroup_invocation_id" } else { "local_invocation_index" };
    let mut text = file.replace("local_invocation_index", lane);
    for (name, lines) in [("registers", registers), ("lines", lines), ("step", step), ("shift", shift)] {
        text = text.replace(&format!("//: {name}\n"), &lines);
    }
    text
}

/// What does not depend on k into `lines`; into `step` the rows' numbers at k: `a{row}` with four along k, or
/// `a{four}_{k}` with those of four rows.
fn fetch(rows: u64, shares: bool, along_k: bool, lines: &mut String, step: &mut String) {
    match (shares, along_k) {
        (false, _) => {
            repeat(lines, rows, |r| format!("let row{r} = line_a(z, row + {r}u);"));
            match along_k {
                true => repeat(step, rows, |r| format!("let a{r} = along_a(row{r}, z, k);")),
                false => repeat(step, rows, |n| {
                    let (four, k) = (n / 4, n % 4);
                    let row = |i: u64| format!("row{}", 4 * four + i);
                    let (r0, r1, r2, r3) = (row(0), row(1), row(2), row(3));
                    format!("let a{four}_{k} = across_a({r0}, {r1}, {r2}, {r3}, z, k + {k}u);")
                }),
            }
        }
        // Of every eight rows a lane fetches one.
        (true, true) => {
            repeat(lines, rows / 8, |g| format!("let line{g} = line_a(z, row + lane % 8u + {}u);", 8 * g));
            repeat(step, rows / 8, |g| format!("let s{g} = along_a(line{g}, z, k);"));
            repeat(step, rows, |r| format!("let a{r} = subgroupBroadcast(s{}, {}u);", r / 8, r % 8));
        }
        // Or four at one of four places along k.
        (true, false) => {
            lines.push_str("let place = lane % 4u;\nlet four = row + lane / 4u % 2u * 4u;\n");
            repeat(lines, rows / 2, |n| {
                format!("let line{}_{} = line_a(z, four + {}u);", n / 4, n % 4, n / 4 * 8 + n % 4)
            });
            repeat(step, rows / 8, |g| {
                format!("let s{g} = across_a(line{g}_0, line{g}_1, line{g}_2, line{g}_3, z, k + place);")
            });
            repeat(step, rows, |n| {
                let (four, k) = (n / 4, n % 4);
                format!("let a{four}_{k} = subgroupBroadcast(s{}, {}u);", four / 2, four % 2 * 4 + k)
            });
        }
    }
}

/// So many lines.
fn repeat(text: &mut String, count: u64, line: impl Fn(u64) -> String) {
    for n in 0..count {
        let _ = writeln!(text, "{}", line(n));
    }
}
