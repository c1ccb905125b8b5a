//! [`Encoder`]: tables as arrays of numbers, with means, deviations and categories learnt from the training rows alone.

use std::collections::BTreeMap;

use anygrad_core::{Error, Result};

use super::table::{Kind, Table, Values};
use super::{Array, Arrays};

/// How a [`Table`]'s columns become numbers: fitted on the training rows, applied to all.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoder {
    inputs: Vec<(String, Input)>,
    target: (String, Target),
}

/// How one input column is said in numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// `(x - mean) / deviation`; a missing value becomes 0, and 1 in a column of its own if the training rows lack any.
    Number {
        /// The mean of the training rows.
        mean: f64,
        /// Their standard deviation (1 if they are all equal).
        deviation: f64,
        /// Whether a column says which values are missing.
        marks_missing: bool,
    },
    /// One column per category, sorted: 1 at the row's, 0 at others; all 0 for one that is missing or was not seen.
    Category(Vec<String>),
}

/// What is predicted.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A number, standardised by mean and deviation of the training rows.
    Number {
        /// Their mean.
        mean: f64,
        /// Their standard deviation (1 if they are all equal).
        deviation: f64,
    },
    /// A class: its number among these names, sorted.
    Class(Vec<String>),
}

impl Encoder {
    /// Learns from the training rows. Words and truth values are classes as a target, numbers are predicted as numbers;
    /// `classes: true` takes whole numbers as classes, too.
    ///
    /// # Errors
    /// If there is no such target column, no other column, or a target is missing, or there are more than 10,000
    /// categories in a column.
    pub fn fit(train: &Table, target: &str, classes: bool) -> Result<Encoder> {
        let column = train.column(target)?;
        let said = match column.values.numbers() {
            Some(numbers) if !classes && column.values.kind() != Kind::Bool => {
                let (mean, deviation) = moments(&numbers);
                Target::Number { mean, deviation }
            }
            _ => Target::Class(categories(train, target, &column.values)?),
        };
        let mut inputs = Vec::new();
        for column in train.columns().iter().filter(|column| column.name != target) {
            let input = match column.values.numbers() {
                Some(numbers) => {
                    let (mean, deviation) = moments(&numbers);
                    Input::Number { mean, deviation, marks_missing: numbers.iter().any(|x| x.is_nan()) }
                }
                None => Input::Category(categories(train, &column.name, &column.values)?),
            };
            inputs.push((column.name.clone(), input));
        }
        if inputs.is_empty() {
            return Err(Error::data(train.name(), format!("there is no column but the target '{target}'")));
        }
        Ok(Encoder { inputs, target: (target.to_string(), said) })
    }

    /// How each input column is said.
    #[must_use]
    pub fn columns(&self) -> &[(String, Input)] {
        &self.inputs
    }

    /// What is predicted.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target.1
    }

    /// Numbers per row of the inputs.
    #[must_use]
    pub fn width(&self) -> usize {
        self.inputs.iter().map(|(_, input)| width(input)).sum()
    }

    /// Inputs `[rows, width]`, f32, categories one-hot.
    ///
    /// # Errors
    /// If a column is missing or has another type than in training.
    pub fn inputs(&self, table: &Table) -> Result<Array> {
        let total = self.width();
        let mut values = vec![0f32; table.rows() * total];
        let mut start = 0;
        for (name, input) in &self.inputs {
            let column = &table.column(name)?.values;
            match input {
                Input::Number { mean, deviation, marks_missing } => {
                    for (row, x) in table.numbers(name)?.into_iter().enumerate() {
                        let at = row * total + start;
                        match x.is_nan() {
                            true if *marks_missing => values[at + 1] = 1.0,
                            true => {}
                            false => values[at] = ((x - mean) / deviation) as f32,
                        }
                    }
                }
                Input::Category(names) => {
                    for (row, code) in codes(names, column).into_iter().enumerate() {
                        if let Some(code) = code {
                            values[row * total + start + code] = 1.0;
                        }
                    }
                }
            }
            start += width(input);
        }
        Array::new(&values, &[table.rows(), total])
    }

    /// Categories as numbers for embeddings, `[rows, categorical columns]`, i32: 0 for one that is missing or was not
    /// seen in training, else its place and 1.
    ///
    /// # Errors
    /// If a column is missing.
    pub fn codes(&self, table: &Table) -> Result<Array> {
        let mut columns = Vec::new();
        for (name, input) in &self.inputs {
            if let Input::Category(names) = input {
                columns.push(codes(names, &table.column(name)?.values));
            }
        }
        let code = |row: usize| columns.iter().map(move |column| column[row].map_or(0, |code| code as i32 + 1));
        let values: Vec<i32> = (0..table.rows()).flat_map(code).collect();
        Array::new(&values, &[table.rows(), columns.len()])
    }

    /// Targets: standardised numbers `[rows, 1]`, f32, or classes `[rows]`, i32.
    ///
    /// # Errors
    /// If the column is missing, a value is missing, or a class did not occur in training: with the row's number.
    pub fn targets(&self, table: &Table) -> Result<Array> {
        let (name, target) = &self.target;
        let wrong = |row: usize, what: &str| {
            let place = format!("{}, row {} of those that were read, column '{name}'", table.name(), row + 1);
            Error::data(place, format!("{what}; leave the row out or correct it"))
        };
        match target {
            Target::Number { mean, deviation } => {
                let number = |(row, x): (usize, f64)| match x.is_finite() {
                    true => Ok(((x - mean) / deviation) as f32),
                    false => Err(wrong(row, &format!("the target is {x}"))),
                };
                let values = table.numbers(name)?.into_iter().enumerate().map(number).collect::<Result<Vec<f32>>>()?;
                Array::new(&values, &[table.rows(), 1])
            }
            Target::Class(names) => {
                let column = &table.column(name)?.values;
                let class = |(row, code): (usize, Option<usize>)| {
                    code.map(|code| code as i32)
                        .ok_or_else(|| wrong(row, "its class is missing or not known from training"))
                };
                let values = codes(names, column).into_iter().enumerate().map(class).collect::<Result<Vec<i32>>>()?;
                Array::new(&values, &[table.rows()])
            }
        }
    }

    /// Inputs and targets as a data set.
    ///
    /// # Errors
    /// As [`Encoder::inputs`] and [`Encoder::targets`].
    pub fn data(&self, table: &Table) -> Result<Arrays> {
        Arrays::new(self.inputs(table)?, self.targets(table)?)
    }
}

fn width(input: &Input) -> usize {
    match input {
        Input::Number { marks_missing, .. } => 1 + usize::from(*marks_missing),
        Input::Category(names) => names.len(),
    }
}

/// Mean and standard deviation (over n) of what is not NaN; deviation 1 where it would be 0.
fn moments(numbers: &[f64]) -> (f64, f64) {
    let known: Vec<f64> = numbers.iter().copied().filter(|x| !x.is_nan()).collect();
    if known.is_empty() {
        return (0.0, 1.0);
    }
    let n = known.len() as f64;
    let mean = known.iter().sum::<f64>() / n;
    let variance = known.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
    // A constant's deviation is rounding, not spread.
    let spread = variance.sqrt() > mean.abs() * f64::EPSILON * n;
    (mean, if spread { variance.sqrt() } else { 1.0 })
}

fn categories(table: &Table, name: &str, values: &Values) -> Result<Vec<String>> {
    /// Beyond this a column is text or a key, not a category.
    const MOST: usize = 10_000;
    let set: std::collections::BTreeSet<String> = values.words().into_iter().flatten().collect();
    if set.len() > MOST || set.is_empty() {
        let message = format!("column '{name}' has {} distinct values; categories are 1 to {MOST}", set.len());
        return Err(Error::data(table.name(), format!("{message}: leave the column out")));
    }
    Ok(set.into_iter().collect())
}

fn codes(names: &[String], values: &Values) -> Vec<Option<usize>> {
    let places: BTreeMap<&str, usize> = names.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    values.words().iter().map(|word| word.as_ref().and_then(|word| places.get(word.as_str()).copied())).collect()
}
