//! Accuracy, precision, recall and F1 from a confusion matrix on the device.

use anygrad_core::{DType, Device, Error, Result, Tensor, Var};

use super::{Averaging, Confusion, Metric};

/// Counts how often each class is taken for each other. Its values: accuracy, precision, recall, F1 (the latter three averaged
/// as `averaging` says; [`Classification::confusion`] has all others).
///
/// Outputs are scores `[.., classes]` (the largest counts), class numbers `[..]` (i32 or u32), or, of two classes, one logit per
/// row `[..]` (above 0 is class 1). Targets are class numbers `[..]`; rows with a number that does not exist are left out.
#[derive(Debug)]
pub struct Classification {
    classes: usize,
    averaging: Averaging,
    /// `[classes * classes]` i32: exact up to 2^31 rows.
    counts: Var,
}

impl Classification {
    /// Counts of so many classes, averaged over classes ([`Averaging::Macro`]).
    ///
    /// # Errors
    /// If there are no classes or memory cannot be had.
    pub fn new(classes: usize, device: &Device) -> Result<Classification> {
        if classes == 0 {
            return Err(Error::data("classification", "0 classes; give the number of classes of the data"));
        }
        let zeros = Tensor::full(&[classes * classes], 0.0, DType::I32, device);
        let counts = Var::try_new("metric.confusion", &zeros)?;
        Ok(Classification { classes, averaging: Averaging::Macro, counts })
    }

    /// Averaged so.
    #[must_use]
    pub fn averaged(mut self, averaging: Averaging) -> Classification {
        self.averaging = averaging;
        self
    }

    /// The matrix; waits for the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn confusion(&self) -> Result<Confusion> {
        let counts = self.counts.get().to_vec::<i32>()?;
        Ok(Confusion {
            counts: counts.chunks(self.classes).map(|row| row.iter().map(|&n| n as u64).collect()).collect(),
        })
    }
}

impl Metric for Classification {
    #[track_caller]
    fn update(&self, output: &Tensor, target: &Tensor) {
        let predicted = if output.dtype().is_int() {
            output.cast(DType::I32)
        } else if output.shape() == target.shape() && self.classes == 2 {
            output.gt(0.0).cast(DType::I32)
        } else {
            let found = output.shape().last().copied().unwrap_or(0);
            assert!(found == self.classes, "scores {:?} for {} classes", output.shape(), self.classes);
            output.argmax(-1)
        };
        let shapes = (output.shape(), target.shape());
        assert!(predicted.shape() == target.shape(), "scores {:?} do not fit targets {:?}", shapes.0, shapes.1);
        let (predicted, truth) = (predicted.reshape([-1]), target.cast(DType::I32).reshape([-1]));
        let there = |x: &Tensor| x.ge(0.0).logical_and(&x.lt(self.classes as f64));
        let place = &truth * self.classes as f64 + &predicted;
        let place = there(&predicted).logical_and(&there(&truth)).select(&place, place.full_like(-1.0));
        let more = place.full_like(1.0).scatter_sum(0, &place, self.classes * self.classes);
        self.counts.assign(&(self.counts.get() + more));
    }

    fn values(&self) -> Result<Vec<(&'static str, f64)>> {
        let (confusion, averaging) = (self.confusion()?, self.averaging);
        Ok(vec![
            ("accuracy", confusion.accuracy()),
            ("precision", confusion.precision(averaging)),
            ("recall", confusion.recall(averaging)),
            ("f1", confusion.f1(averaging)),
        ])
    }

    fn state(&self) -> Vec<Var> {
        vec![self.counts.clone()]
    }
}
