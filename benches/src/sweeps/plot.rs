//! A sweep as an SVG: both axes logarithmic, a line and points per column.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Sweep;

/// Okabe and Ito's colors, which people tell apart whatever they see.
const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Writes the plot; `caption` is a line below the title (machine and date).
///
/// # Errors
/// If there is nothing to plot or the file cannot be written.
pub fn plot(sweep: &Sweep, caption: &str, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let points = |column: usize| {
        let all = sweep.rows.iter().map(move |row| (row[0], row[column]));
        all.filter(|(x, y)| *x > 0.0 && *y > 0.0)
    };
    let all: Vec<(f64, f64)> = sweep.plotted.iter().flat_map(|&column| points(column)).collect();
    let bounds = |values: &mut dyn Iterator<Item = f64>| {
        let (low, high) = values.fold((f64::INFINITY, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
        (low < high).then_some((low, high)).or((high > 0.0).then_some((high / 2.0, high * 2.0)))
    };
    let x = bounds(&mut all.iter().map(|p| p.0)).ok_or("nothing was measured")?;
    let y = bounds(&mut all.iter().map(|p| p.1).chain(sweep.bound)).ok_or("nothing was measured")?;
    let root = SVGBackend::new(path, (760, 460)).into_drawing_area();
    root.fill(&WHITE)?;
    let small = ("sans-serif", 12).into_font().color(&BLACK.mix(0.6));
    root.draw(&Text::new(caption.to_string(), (750, 8), small.pos(Pos::new(HPos::Right, VPos::Top))))?;
    let root = root.margin(14, 8, 8, 16);
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("{}: {}", sweep.name, sweep.about), ("sans-serif", 15))
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d((x.0..x.1).log_scale(), (y.0 / 1.3..y.1 * 1.3).log_scale())?;
    let number = |v: &f64| if *v >= 1.0 { format!("{v:.0}") } else { format!("{v}") };
    chart
        .configure_mesh()
        .x_desc(sweep.columns[0])
        .y_desc(sweep.unit)
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .light_line_style(WHITE)
        .draw()?;
    if let Some(bound) = sweep.bound {
        let line = LineSeries::new([(x.0, bound), (x.1, bound)], BLACK.mix(0.5).stroke_width(1));
        let asked = chart.draw_series(line)?.label(format!("asked: {bound}"));
        asked.legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], BLACK.mix(0.5)));
    }
    for (k, &column) in sweep.plotted.iter().enumerate() {
        let color = COLORS[k % COLORS.len()];
        let line = LineSeries::new(points(column), color.stroke_width(2)).point_size(3);
        let drawn = chart.draw_series(line)?.label(sweep.columns[column]);
        drawn.legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    root.present()?;
    Ok(())
}
