//! Text as numbers, one per character, and blocks of it for language models.

use anygrad_core::{Device, Error, Result, Tensor};

use super::{Array, Dataset, Pass, Sample, check_rows};

/// The distinct characters of a text, sorted; the number of a character is its place among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Characters {
    symbols: Vec<char>,
}

impl Characters {
    /// All characters that occur in `text`.
    #[must_use]
    pub fn of(text: &str) -> Characters {
        let symbols: std::collections::BTreeSet<char> = text.chars().collect();
        Characters { symbols: symbols.into_iter().collect() }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Whether the text was empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// The numbers of a text's characters.
    ///
    /// # Errors
    /// If one is not among them.
    pub fn encode(&self, text: &str) -> Result<Vec<i32>> {
        let number = |(at, symbol): (usize, char)| match self.symbols.binary_search(&symbol) {
            Ok(number) => Ok(number as i32),
            Err(_) => Err(Error::data("text", format!("character {at}, {symbol:?}, is not in the vocabulary"))),
        };
        text.chars().enumerate().map(number).collect()
    }

    /// The text of these numbers; a number that no character has becomes U+FFFD.
    #[must_use]
    pub fn decode(&self, numbers: &[i32]) -> String {
        let symbol = |&number: &i32| self.symbols.get(number as usize).copied().unwrap_or(char::REPLACEMENT_CHARACTER);
        numbers.iter().map(symbol).collect()
    }
}

/// A long text as rows for a language model: stretches of tokens, and the same one token later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    tokens: Vec<i32>,
    length: usize,
    stride: usize,
}

impl Blocks {
    /// Stretches of `length` tokens that begin at every `stride`-th token: 1 gives all of them, `length` cuts the text into
    /// stretches that do not overlap.
    ///
    /// # Errors
    /// If there are not more than `length` tokens, or a number is 0.
    pub fn new(tokens: impl Into<Vec<i32>>, length: usize, stride: usize) -> Result<Blocks> {
        let tokens = tokens.into();
        if length == 0 || stride == 0 {
            return Err(Error::data("text", "blocks have at least 1 token and begin at least 1 token apart, not 0"));
        }
        if tokens.len() <= length {
            let message = format!("{} tokens, blocks of {length} need at least {}", tokens.len(), length + 1);
            return Err(Error::data("text", format!("{message}; give a longer text")));
        }
        Ok(Blocks { tokens, length, stride })
    }

    /// The tokens of a block, and one more.
    fn block(&self, row: u32) -> &[i32] {
        &self.tokens[row as usize * self.stride..][..self.length + 1]
    }
}

impl Dataset for Blocks {
    fn len(&self) -> usize {
        (self.tokens.len() - self.length - 1) / self.stride + 1
    }

    fn sample(&self, row: u32, _: Pass) -> Result<Sample> {
        check_rows(&[row], self.len())?;
        let (block, shape) = (self.block(row), [self.length]);
        Ok(Sample { input: Array::new(&block[..self.length], &shape)?, target: Array::new(&block[1..], &shape)? })
    }

    /// `x`, `y`: `[rows, length]`, i32.
    fn read(&self, rows: &[u32], _: Pass, device: &Device) -> Result<(Tensor, Tensor)> {
        check_rows(rows, self.len())?;
        let part = |from: usize| -> Result<Tensor> {
            let values: Vec<i32> =
                rows.iter().flat_map(|&row| &self.block(row)[from..from + self.length]).copied().collect();
            Tensor::try_from_slice(&values, &[rows.len(), self.length], device)
        };
        Ok((part(0)?, part(1)?))
    }
}
