//! Charts as SVG text: curves over steps, and a matrix as a heat map. Colors are the page's (`style.css`), so that dark pages have
//! dark charts; numbers of single points show when the pointer rests on them.

use std::borrow::Cow;
use std::fmt::Write;

use crate::metrics::Confusion;
use crate::report::short;

/// A curve of a chart.
pub(super) struct Curve<'a> {
    pub(super) name: &'a str,
    /// (step, value), by rising steps.
    pub(super) points: Cow<'a, [[f64; 2]]>,
    /// Lower and upper edge of a band around it.
    pub(super) band: Option<(&'a [[f64; 2]], &'a [[f64; 2]])>,
    /// Which of the page's six colors.
    pub(super) color: usize,
    /// A thin line behind the others, without dots.
    pub(super) faint: bool,
}

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 270.0;
/// Left, right, top, bottom: room for labels.
const MARGIN: [f64; 4] = [48.0, 14.0, 8.0, 26.0];

/// Where values lie between the edges of an axis.
struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    ticks: Vec<f64>,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64> + Clone, logarithmic: bool) -> Axis {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        if logarithmic {
            let (low, high) = (low.log10(), high.log10());
            let room = (high - low) * 0.05;
            // Whole powers of ten: each, or every second, .. if there are many.
            let each = ((high - low) / 6.0).ceil().max(1.0);
            let first = (low / each).ceil() * each;
            let ticks =
                (0..12).map(|i| first + f64::from(i) * each).filter(|t| *t <= high + room).map(|t| 10f64.powf(t));
            return Axis { low: low - room, high: high + room, logarithmic, ticks: ticks.collect() };
        }
        let (low, high) =
            if high > low { (low, high) } else { (low - low.abs().max(1.0) / 2.0, low + low.abs().max(1.0) / 2.0) };
        // Five steps or so, of 1, 2 or 5 times a power of ten.
        let rough = (high - low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let each = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|m| *m >= rough).unwrap_or(rough);
        let first = (low / each).ceil();
        let ticks = (0..12).map(|i| (first + f64::from(i)) * each).filter(|t| *t <= high + each * 1e-9).collect();
        let room = (high - low) * 0.04;
        Axis { low: low - room, high: high + room, logarithmic, ticks }
    }

    /// 0 at the lower edge, 1 at the upper.
    fn place(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }
}

/// Curves over the same steps; logarithmic if all values are positive and most would lie at the bottom else.
pub(super) fn curves(curves: &[Curve<'_>]) -> String {
    let edges = |curve: &Curve<'_>| curve.band.map_or([&[][..]; 2], |(low, high)| [low, high]).concat();
    let bands: Vec<[f64; 2]> = curves.iter().flat_map(edges).collect();
    let all = || curves.iter().flat_map(|curve| curve.points.iter()).chain(&bands);
    let points = || all().filter(|point| point[1].is_finite());
    if points().next().is_none() {
        return "<p>There are no finite numbers.</p>".into();
    }
    let values = || points().map(|point| point[1]);
    let mut sorted: Vec<f64> = values().collect();
    sorted.sort_by(f64::total_cmp);
    let (smallest, median, largest) = (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
    // On a straight scale half of them would lie in the lowest twentieth.
    let y = Axis::new(values(), smallest > 0.0 && median < largest / 20.0);
    let mut x = Axis::new(points().map(|point| point[0]).chain([0.0]), false);
    (x.low, x.high) = (0.0, points().map(|point| point[0]).fold(1.0, f64::max));
    let [left, right, top, bottom] = MARGIN;
    let at_x = |value: f64| left + x.place(value) * (WIDTH - left - right);
    let at_y = |value: f64| HEIGHT - bottom - y.place(value) * (HEIGHT - top - bottom);
    let mut svg = format!("<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img'>");
    for &tick in &y.ticks {
        let (at, end) = (at_y(tick), WIDTH - right);
        let _ = write!(svg, "<line class='grid' x1='{left}' x2='{end}' y1='{at:.1}' y2='{at:.1}'/>");
        let _ = write!(svg, "<text x='{}' y='{:.1}' text-anchor='end'>{}</text>", left - 8.0, at + 4.0, short(tick));
    }
    for &tick in &x.ticks {
        let text = if tick >= 1e4 { format!("{}k", short(tick / 1e3)) } else { short(tick) };
        let _ = write!(svg, "<text x='{:.1}' y='{}' text-anchor='middle'>{text}</text>", at_x(tick), HEIGHT - 6.0);
    }
    let _ = write!(svg, "<text x='{}' y='{}' text-anchor='end'>step</text>", left - 8.0, HEIGHT - 6.0);
    for curve in curves {
        let (color, mut path, mut up) = (curve.color % 6, String::new(), true);
        if let Some((low, high)) = curve.band {
            let around = low.iter().chain(high.iter().rev()).filter(|point| point[1].is_finite());
            let around: Vec<String> = around.map(|p| format!("{:.1},{:.1}", at_x(p[0]), at_y(p[1]))).collect();
            let _ = write!(svg, "<polygon class='band' fill='var(--c{color})' points='{}'/>", around.join(" "));
        }
        for point in curve.points.iter() {
            if !point[1].is_finite() {
                // A gap where a number was none.
                up = true;
                continue;
            }
            let _ = write!(path, "{}{:.1} {:.1}", if up { "M" } else { "L" }, at_x(point[0]), at_y(point[1]));
            up = false;
        }
        let class = if curve.faint { "curve faint" } else { "curve" };
        let _ = write!(svg, "<path class='{class}' stroke='var(--c{color})' d='{path}'/>");
    }
    for curve in curves.iter().filter(|curve| !curve.faint) {
        let finite = || curve.points.iter().filter(|point| point[1].is_finite());
        if let Some(last) = finite().next_back() {
            let (cx, cy) = (at_x(last[0]), at_y(last[1]));
            let _ =
                write!(svg, "<circle class='dot' fill='var(--c{})' cx='{cx:.1}' cy='{cy:.1}' r='4'/>", curve.color % 6);
        }
        // So many that the pointer can tell apart.
        for point in finite().step_by(curve.points.len().div_ceil(150).max(1)) {
            let text = format!("{}: {} at step {}", escape(curve.name), short(point[1]), point[0]);
            let (cx, cy) = (at_x(point[0]), at_y(point[1]));
            let _ = write!(svg, "<circle class='hover' cx='{cx:.1}' cy='{cy:.1}' r='7'><title>{text}</title></circle>");
        }
    }
    svg + "</svg>"
}

/// Rows are what is true, columns what was said; shades by the share of the row.
pub(super) fn matrix(names: &[String], confusion: &Confusion) -> String {
    let classes = confusion.counts.len();
    let name = |i: usize| names.get(i).map_or(i.to_string(), |name| escape(name));
    let longest = (0..classes).map(|i| name(i).chars().count()).max().unwrap_or(1) as f64;
    // About 6.4 units a letter of the page's 11.5.
    let (left, top) = ((longest * 6.4 + 16.0).min(180.0), 24.0);
    let upright = longest <= 9.0;
    let top = if upright { top } else { left.min(140.0) };
    let side = (560.0 / classes as f64).clamp(16.0, 56.0);
    let (width, height) = (left + side * classes as f64 + 8.0, top + side * classes as f64 + 8.0);
    let mut svg = format!("<svg viewBox='0 0 {width:.0} {height:.0}' style='max-width:{width:.0}px' role='img'>");
    for (i, row) in confusion.counts.iter().enumerate() {
        let (total, y) = (row.iter().sum::<u64>().max(1) as f64, top + side * i as f64);
        let _ = write!(
            svg,
            "<text x='{}' y='{:.1}' text-anchor='end'>{}</text>",
            left - 8.0,
            y + side / 2.0 + 4.0,
            name(i)
        );
        let x = left + side * (i as f64 + 0.5);
        let (turn, anchor) = if upright { (0, "middle") } else { (-60, "start") };
        let at = top - 8.0;
        let _ = write!(
            svg,
            "<text transform='translate({x:.1} {at}) rotate({turn})' text-anchor='{anchor}'>{}</text>",
            name(i)
        );
        for (j, &count) in row.iter().enumerate() {
            let (share, x) = (count as f64 / total, left + side * j as f64);
            // The root shows the few mistakes of a good model.
            let shade = if count == 0 { 0.03 } else { 0.08 + 0.92 * share.sqrt() };
            let inner = side - 2.0;
            let title = format!("{} taken for {}: {count} ({:.1} %)", name(i), name(j), share * 100.0);
            let _ = write!(
                svg,
                "<rect x='{x:.1}' y='{y:.1}' width='{inner:.1}' height='{inner:.1}' rx='4' style='fill:rgba(var(--heat),{shade:.3})'>\
                 <title>{title}</title></rect>"
            );
            if count > 0 && side >= 26.0 {
                let color = if shade > 0.6 { " style='fill:var(--card)'" } else { " class='strong'" };
                let (x, y) = (x + inner / 2.0, y + inner / 2.0 + 4.0);
                let _ = write!(
                    svg,
                    "<text x='{x:.1}' y='{y:.1}' text-anchor='middle' pointer-events='none'{color}>{count}</text>"
                );
            }
        }
    }
    svg + "</svg>"
}

/// Text inside of HTML.
pub(super) fn escape(text: &str) -> String {
    let replaced = |c| match c {
        '&' => "&amp;".into(),
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '"' => "&quot;".into(),
        '\'' => "&#39;".into(),
        other => String::from(other),
    };
    text.chars().map(replaced).collect()
}
