//! How the cost of a step grows: with batch, width, depth, the number of parameters' tensors and of threads; and how the time
//! to trace, plan and compile grows with the graph.

mod graphs;
mod plot;
mod steps;

use anygrad::Result;
use anygrad::prelude::*;

pub use plot::plot;

/// One table, and what of it is plotted against its first column.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// `batch`, ...
    pub name: &'static str,
    /// What was run, in a line.
    pub about: &'static str,
    /// What each column is; the first is what was changed.
    pub columns: Vec<&'static str>,
    /// The numbers; NaN where something was not measured.
    pub rows: Vec<Vec<f64>>,
    /// Columns that are plotted, both axes logarithmic.
    pub plotted: Vec<usize>,
    /// The label of the plot's vertical axis.
    pub unit: &'static str,
    /// A bound that was asked for, drawn as a line.
    pub bound: Option<f64>,
    /// What else there is to say: what was left out, and why.
    pub notes: Vec<String>,
}

impl Sweep {
    fn new(name: &'static str, about: &'static str, columns: &[&'static str]) -> Sweep {
        Sweep {
            name,
            about,
            columns: columns.to_vec(),
            rows: Vec::new(),
            plotted: Vec::new(),
            unit: "us",
            bound: None,
            notes: Vec::new(),
        }
    }

    /// As a table of Markdown, with its notes.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("{}: {}\n\n", self.name, self.about);
        text += &format!("| {} |\n|{}\n", self.columns.join(" | "), "---|".repeat(self.columns.len()));
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|&x| figure(x)).collect();
            text += &format!("| {} |\n", cells.join(" | "));
        }
        for note in &self.notes {
            text += &format!("\n{note}\n");
        }
        text
    }
}

/// Three figures: more than a noisy machine knows; counts as they are.
fn figure(x: f64) -> String {
    match x {
        _ if x.is_nan() => "-".into(),
        _ if x.fract() == 0.0 || x >= 100.0 => format!("{x:.0}"),
        _ if x >= 10.0 => format!("{x:.1}"),
        _ => format!("{x:.2}"),
    }
}

/// A sweep by its name.
type Run = fn(&Device, f64) -> Result<Sweep>;

/// All sweeps; the number is how many seconds one measurement may take (larger sizes are left out when one took longer).
pub const SWEEPS: &[(&str, Run)] = &[
    ("batch", steps::batch),
    ("width", steps::width),
    ("depth", steps::depth),
    ("tensors", steps::tensors),
    ("threads", steps::threads),
    ("graph-chain", graphs::chain),
    ("graph-layers", graphs::layers),
    ("graph-recurrent", graphs::recurrent),
    ("graph-branches", graphs::branches),
];
