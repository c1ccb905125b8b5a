//! Rows of a benchmark beside the least time that the machine allows: bytes that must be moved over its bandwidth, or operations
//! over its rate, whichever is longer.
//!
//! Bandwidth and rate are what the library's own profiler reaches on this device, now. What fits into a cache may pass the
//! bound by bandwidth, which is that of main memory.

use anygrad::prelude::*;
use anygrad::program::Profile;

/// What a device reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roof {
    /// Bytes per second of a long map (reads and writes).
    pub bandwidth: f64,
    /// Operations per second of a product of matrices of 1024 x 1024.
    pub rate: f64,
}

impl Roof {
    /// Measures a device: the best of three turns.
    ///
    /// # Errors
    /// If the device fails.
    pub fn measure(device: &Device) -> Result<Roof> {
        let mut program = Program::inference(device, |x: Tensor| x + 1.0);
        let x = Tensor::zeros(&[1], device);
        let mut roof = Roof { bandwidth: 0.0, rate: 0.0 };
        for _ in 0..3 {
            let Profile { bandwidth, rate, .. } = program.profile(&x)?;
            roof = Roof { bandwidth: roof.bandwidth.max(bandwidth), rate: roof.rate.max(rate) };
        }
        Ok(roof)
    }

    /// Seconds that so much work takes at least.
    #[must_use]
    pub fn bound(&self, work: Work) -> f64 {
        (work.bytes / self.bandwidth).max(work.operations / self.rate)
    }
}

/// What has to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Bytes that must be read or written.
    pub bytes: f64,
    /// Floating-point operations.
    pub operations: f64,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Group and name.
    pub name: String,
    /// Seconds of one run: the median of the samples.
    pub seconds: f64,
    /// What it has to do; `None` where no roof of this machine bounds it.
    pub work: Option<Work>,
    /// The least time, in seconds.
    pub bound: Option<f64>,
    /// What else there is to say.
    pub note: String,
}

/// The rows as a table of Markdown, under the roof.
#[must_use]
pub fn table(roof: Roof, rows: &[Row]) -> String {
    let (bandwidth, rate) = (roof.bandwidth / 1e9, roof.rate / 1e9);
    let mut text = format!("roof: {bandwidth:.1} GB/s, {rate:.0} GFLOP/s\n\n");
    text += "| | MB | MFLOP | bound, us | taken, us | of bound | |\n|---|---|---|---|---|---|---|\n";
    for Row { name, seconds, work, bound, note } in rows {
        let amount = |n: f64| if n > 0.0 { format!("{:.3}", n / 1e6) } else { "-".into() };
        let (bytes, operations) = work.map_or(("-".into(), "-".into()), |w| (amount(w.bytes), amount(w.operations)));
        let (least, share) = match bound {
            Some(bound) => (format!("{:.1}", bound * 1e6), format!("{:.0} %", 100.0 * bound / seconds)),
            None => ("-".into(), "-".into()),
        };
        text += &format!("| {name} | {bytes} | {operations} | {least} | {:.1} | {share} | {note} |\n", seconds * 1e6);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_of_two_bounds_counts() {
        let roof = Roof { bandwidth: 10.0, rate: 100.0 };
        assert_eq!(roof.bound(Work { bytes: 20.0, operations: 100.0 }), 2.0);
        assert_eq!(roof.bound(Work { bytes: 20.0, operations: 400.0 }), 4.0);
    }

    #[test]
    fn a_row_says_how_much_of_the_bound_was_reached() {
        let roof = Roof { bandwidth: 1e9, rate: 1e9 };
        let work = Work { bytes: 1e6, operations: 0.0 };
        let row = |work: Option<Work>| Row {
            name: "x".into(),
            seconds: 2e-3,
            work,
            bound: work.map(|work| roof.bound(work)),
            note: String::new(),
        };
        let text = table(roof, &[row(Some(work)), row(None)]);
        assert!(text.contains("| x | 1.000 | - | 1000.0 | 2000.0 | 50 % |"), "{text}");
        assert!(text.contains("| x | - | - | - | 2000.0 | - |"), "{text}");
    }
}
