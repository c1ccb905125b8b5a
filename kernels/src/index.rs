//! Layouts as WGSL index arithmetic.
//!
//! A point is given by flat row-major numbers, one per group of axes (`i` over outer, `j` over inner). Each number is
//! taken apart only as far as strides and masks ask for; neighbouring axes that move together are joined first. All
//! arithmetic is u32 and wraps, so negative strides need no signed numbers.

use std::fmt::Write;

use anygrad_core::view::{Layout, View};

/// A group of neighbouring axes, counted by one variable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group<'a> {
    /// Name of the u32 variable.
    pub(crate) name: &'a str,
    /// How many axes it counts.
    pub(crate) rank: usize,
}

/// Index arithmetic of one layout at one point.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// `let` lines that use the first group's variable only, so that they can stand outside of an inner loop.
    pub(crate) hoisted: String,
    /// The other `let` lines.
    pub(crate) lets: String,
    /// The element's number.
    pub(crate) at: String,
    /// Whether the point is inside of all masks; `None` if it always is. Joined by `&`: `&&` would be a branch each.
    pub(crate) inside: Option<String>,
}

/// One axis of a joined view.
struct Axis {
    size: usize,
    stride: isize,
    range: (usize, usize),
}

/// The index arithmetic of `layout`, whose axes are those of `groups` in order; `tag` makes names unique.
pub(crate) fn index(layout: &Layout, groups: &[Group<'_>], tag: &str) -> Index {
    let mut result = Index::default();
    let mut inside: Vec<String> = Vec::new();
    let views = layout.views();
    let mut terms = vec![number(views[0].offset)];
    let mut axis = 0;
    for (g, group) in groups.iter().enumerate() {
        let axes = joined(&views[0], axis..axis + group.rank);
        let (sum, masks) = part(group.name, &axes);
        axis += group.rank;
        let lines = if g == 0 { &mut result.hoisted } else { &mut result.lets };
        if groups.len() > 1 && g == 0 && (sum.contains(['/', '*', '>', '%', '&'])) {
            let _ = writeln!(lines, "let at_{tag}_{g} = {sum};");
            terms.push(format!("at_{tag}_{g}"));
        } else {
            terms.push(sum);
        }
        if groups.len() > 1 && g == 0 && !masks.is_empty() {
            let _ = writeln!(lines, "let in_{tag}_{g} = {};", masks.join(" & "));
            inside.push(format!("in_{tag}_{g}"));
        } else {
            inside.extend(masks);
        }
    }
    let mut at = total(&terms);
    for (v, view) in views.iter().enumerate().skip(1) {
        let name = format!("at_{tag}_v{v}");
        let _ = writeln!(result.lets, "let {name} = {at};");
        let (sum, masks) = part(&name, &joined(view, 0..view.shape.len()));
        inside.extend(masks);
        at = total(&[number(view.offset), sum]);
    }
    result.at = at;
    if !inside.is_empty() {
        result.inside = Some(format!("({})", inside.join(" & ")));
    }
    result
}

/// `x / n` for a constant over 0; shifts where that is the same, for not all drivers see it.
pub(crate) fn divide(x: &str, n: usize) -> String {
    match n {
        1 => x.to_string(),
        _ if n.is_power_of_two() => format!("({x} >> {}u)", n.trailing_zeros()),
        _ => format!("({x} / {n}u)"),
    }
}

/// `x % n` for a constant over 0.
pub(crate) fn modulo(x: &str, n: usize) -> String {
    match n {
        1 => "0u".to_string(),
        _ if n.is_power_of_two() => format!("({x} & {}u)", n - 1),
        _ => format!("({x} % {n}u)"),
    }
}

/// A signed number of elements as a u32 that wraps.
fn number(x: isize) -> String {
    format!("{}u", x as i32 as u32)
}

/// The sum of terms, zeros left out.
fn total(terms: &[String]) -> String {
    let terms: Vec<&str> = terms.iter().map(String::as_str).filter(|t| *t != "0u").collect();
    if terms.is_empty() { "0u".to_string() } else { format!("({})", terms.join(" + ")) }
}

/// Sum of coordinate times stride, and the mask conditions, for the axes that `name` counts.
fn part(name: &str, axes: &[Axis]) -> (String, Vec<String>) {
    let (mut terms, mut masks) = (Vec::new(), Vec::new());
    let mut below: usize = 1;
    for (n, axis) in axes.iter().enumerate().rev() {
        let divided = divide(name, below);
        let coordinate = if n == 0 { divided } else { modulo(&divided, axis.size.max(1)) };
        below *= axis.size.max(1);
        match axis.stride {
            0 => {}
            1 => terms.push(coordinate.clone()),
            stride => terms.push(format!("{coordinate} * {}", number(stride))),
        }
        let (low, high) = axis.range;
        if low >= high {
            masks.push("false".to_string());
        } else if low > 0 && high < axis.size {
            masks.push(format!("({coordinate} - {low}u < {}u)", high - low));
        } else if low > 0 {
            masks.push(format!("({coordinate} >= {low}u)"));
        } else if high < axis.size {
            masks.push(format!("({coordinate} < {high}u)"));
        }
    }
    terms.reverse();
    (total(&terms), masks)
}

/// The axes `range` of a view, with neighbours joined where one step of the left is a whole run of the right.
fn joined(view: &View, range: std::ops::Range<usize>) -> Vec<Axis> {
    let mut axes: Vec<Axis> = Vec::new();
    for axis in range {
        let size = view.shape[axis];
        let range = view.mask.as_ref().map_or((0, size), |mask| mask[axis]);
        let next = Axis { size, stride: view.strides[axis], range };
        let full = next.range == (0, size);
        if size == 1 && full {
            continue;
        }
        if let Some(last) = axes.last_mut()
            && full
            && last.range == (0, last.size)
            && last.stride == next.stride * size as isize
        {
            last.size *= size;
            last.range = (0, last.size);
            last.stride = next.stride;
            continue;
        }
        axes.push(next);
    }
    axes
}
