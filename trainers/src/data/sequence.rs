//! Sequences: windows of time series, and token lists of different lengths as one array.

use anygrad_core::{Device, Error, Result, Tensor};

use super::{Array, Dataset, Pass, Sample, check_rows};

/// Windows of fixed length over the series of several units (engines, patients), none across two units.
///
/// The series is held once; a window is a place in it. Inputs are `[window, features]`, the target is the one of the
/// window's last row.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    series: Vec<f32>,
    targets: Vec<f32>,
    features: usize,
    length: usize,
    /// First row of each window.
    starts: Vec<u32>,
    /// The unit of each window.
    units: Vec<u32>,
}

/// Which windows are taken of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// One every so many rows, the last one ending at the unit's last row; 1: all of them.
    Every(usize),
    /// The one that ends at the unit's last row.
    Last,
}

impl Windows {
    /// Windows of `length` rows over `series: [rows, features]`; `units` and `targets` have a number per row, and rows of a
    /// unit follow each other. Units that are shorter than a window give none: [`Windows::units`] tells which are there.
    ///
    /// # Errors
    /// If lengths differ, a number is NaN or infinite, a unit's rows do not follow each other, the length or step is 0,
    /// or there is no window at all.
    pub fn new(series: &Array, targets: &[f32], units: &[u32], length: usize, take: Take) -> Result<Windows> {
        let wrong = |message: String| Err(Error::data("windows", message));
        let [rows, features] = *series.shape() else {
            return wrong(format!("a series {:?}; [rows, features] is needed", series.shape()));
        };
        if targets.len() != rows || units.len() != rows {
            return wrong(format!(
                "{rows} rows, {} targets and {} units; give one per row",
                targets.len(),
                units.len()
            ));
        }
        if length == 0 || take == Take::Every(0) {
            return wrong("a length or step of 0; at least 1 is needed".into());
        }
        let values = series.to_vec::<f32>();
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            return wrong(format!(
                "row {}, column {}: {} is no number to learn from",
                at / features,
                at % features,
                values[at]
            ));
        }
        if let Some(row) = targets.iter().position(|x| !x.is_finite()) {
            return wrong(format!("row {row}: the target is {}", targets[row]));
        }
        let (mut starts, mut owners) = (Vec::new(), Vec::new());
        let mut seen = std::collections::BTreeSet::new();
        let mut first = 0;
        for unit in units.chunk_by(|a, b| a == b) {
            if !seen.insert(unit[0]) {
                return wrong(format!("rows of unit {} do not follow each other; sort by unit and time", unit[0]));
            }
            let end = first + unit.len();
            if unit.len() >= length {
                let (last, step) = (end - length, if let Take::Every(step) = take { step } else { rows });
                let places = (first..=last).rev().step_by(step).collect::<Vec<_>>();
                starts.extend(places.iter().rev().map(|&place| place as u32));
                owners.extend(std::iter::repeat_n(unit[0], places.len()));
            }
            first = end;
        }
        if starts.is_empty() {
            return wrong(format!("no unit has {length} rows"));
        }
        Ok(Windows { series: values, targets: targets.to_vec(), features, length, starts, units: owners })
    }

    /// The unit of each window.
    #[must_use]
    pub fn units(&self) -> &[u32] {
        &self.units
    }

    /// The target of each window.
    #[must_use]
    pub fn targets(&self) -> Vec<f32> {
        (0..self.starts.len()).map(|window| self.target(window)).collect()
    }

    fn target(&self, window: usize) -> f32 {
        self.targets[self.starts[window] as usize + self.length - 1]
    }

    fn values(&self, window: usize) -> &[f32] {
        let start = self.starts[window] as usize * self.features;
        &self.series[start..start + self.length * self.features]
    }
}

impl Dataset for Windows {
    fn len(&self) -> usize {
        self.starts.len()
    }

    fn sample(&self, row: u32, _: Pass) -> Result<Sample> {
        check_rows(&[row], self.len())?;
        let input = Array::new(self.values(row as usize), &[self.length, self.features])?;
        Ok(Sample { input, target: Array::new(&[self.target(row as usize)], &[1])? })
    }

    /// Windows `[n, length, features]` and targets `[n, 1]`, f32.
    fn read(&self, rows: &[u32], _: Pass, device: &Device) -> Result<(Tensor, Tensor)> {
        check_rows(rows, self.len())?;
        let x: Vec<f32> = rows.iter().flat_map(|&row| self.values(row as usize)).copied().collect();
        let y: Vec<f32> = rows.iter().map(|&row| self.target(row as usize)).collect();
        let x = Tensor::try_from_slice(&x, &[rows.len(), self.length, self.features], device)?;
        Ok((x, Tensor::try_from_slice(&y, &[rows.len(), 1], device)?))
    }
}

/// Which end of a sequence is cut or filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// What comes last is cut, padding comes after.
    #[default]
    Right,
    /// What comes first is cut, padding comes before: the latest tokens stay, at the end.
    Left,
}

/// Token lists as one array `[lists, length]` (i32), cut or filled with `padding`, and each list's number of tokens there.
/// `length: None` takes the longest.
///
/// # Errors
/// If there are no lists, or the length is 0.
pub fn pad(lists: &[Vec<i32>], length: Option<usize>, padding: i32, side: Side) -> Result<(Array, Vec<usize>)> {
    let length = length.or_else(|| lists.iter().map(Vec::len).max()).unwrap_or(0);
    if length == 0 {
        return Err(Error::data("pad", "there are no tokens; give lists that are not all empty"));
    }
    let mut values = vec![padding; lists.len() * length];
    let mut lengths = Vec::with_capacity(lists.len());
    for (row, list) in values.chunks_exact_mut(length).zip(lists) {
        let kept = list.len().min(length);
        match side {
            Side::Right => row[..kept].copy_from_slice(&list[..kept]),
            Side::Left => row[length - kept..].copy_from_slice(&list[list.len() - kept..]),
        }
        lengths.push(kept);
    }
    Ok((Array::new(&values, &[lists.len(), length])?, lengths))
}
