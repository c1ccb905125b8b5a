//! A confusion matrix on the host, and what follows from it.

/// How often each class was taken for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    /// `counts[truth][prediction]`.
    pub counts: Vec<Vec<u64>>,
}

/// How numbers of single classes become one. Classes that neither occur nor are predicted count for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Averaging {
    /// All decisions in one pot; with one label per row all three numbers are the accuracy.
    Micro,
    /// The mean over classes.
    #[default]
    Macro,
    /// The mean over classes, weighted by how often each occurs.
    Weighted,
}

/// What is right, what was said and what is true, of one class or of all.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    right: f64,
    said: f64,
    truly: f64,
}

impl Tally {
    /// 0 where nothing was said (as scikit-learn, which warns).
    fn precision(self) -> f64 {
        if self.said > 0.0 { self.right / self.said } else { 0.0 }
    }

    fn recall(self) -> f64 {
        if self.truly > 0.0 { self.right / self.truly } else { 0.0 }
    }

    fn f1(self) -> f64 {
        let both = self.said + self.truly;
        if both > 0.0 { 2.0 * self.right / both } else { 0.0 }
    }
}

/// Source of all definitions: scikit-learn's `precision_recall_fscore_support` with its defaults.
impl Confusion {
    /// Rows in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// The share of rows that were taken for what they are; NaN if there are none.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let right: u64 = self.counts.iter().enumerate().map(|(i, row)| row[i]).sum();
        right as f64 / self.total() as f64
    }

    /// Of what was taken for a class, the share that is of it.
    #[must_use]
    pub fn precision(&self, averaging: Averaging) -> f64 {
        self.average(averaging, Tally::precision)
    }

    /// Of what is of a class, the share that was taken for it.
    #[must_use]
    pub fn recall(&self, averaging: Averaging) -> f64 {
        self.average(averaging, Tally::recall)
    }

    /// The harmonic mean of precision and recall, `2 right / (said + true)`.
    #[must_use]
    pub fn f1(&self, averaging: Averaging) -> f64 {
        self.average(averaging, Tally::f1)
    }

    /// Precision, recall and F1 of each class.
    #[must_use]
    pub fn per_class(&self) -> Vec<[f64; 3]> {
        self.tallies().into_iter().map(|tally| [tally.precision(), tally.recall(), tally.f1()]).collect()
    }

    fn tallies(&self) -> Vec<Tally> {
        let tally = |class: usize| Tally {
            right: self.counts[class][class] as f64,
            said: self.counts.iter().map(|row| row[class]).sum::<u64>() as f64,
            truly: self.counts[class].iter().sum::<u64>() as f64,
        };
        (0..self.counts.len()).map(tally).collect()
    }

    fn average(&self, averaging: Averaging, of: fn(Tally) -> f64) -> f64 {
        let mut tallies = self.tallies();
        tallies.retain(|tally| tally.said + tally.truly > 0.0);
        let mean = |weight: fn(Tally) -> f64| {
            let weights: f64 = tallies.iter().map(|&tally| weight(tally)).sum();
            tallies.iter().map(|&tally| weight(tally) * of(tally)).sum::<f64>() / weights
        };
        match averaging {
            Averaging::Macro => mean(|_| 1.0),
            Averaging::Weighted => mean(|tally| tally.truly),
            Averaging::Micro if tallies.is_empty() => f64::NAN,
            Averaging::Micro => of(tallies.iter().fold(Tally::default(), |a, b| Tally {
                right: a.right + b.right,
                said: a.said + b.said,
                truly: a.truly + b.truly,
            })),
        }
    }
}
