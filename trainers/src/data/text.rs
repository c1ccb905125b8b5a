//! Text as numbers, one per character, and random blocks of it for language models.

use anygrad_core::{Device, Error, Result, Tensor};

use super::Draws;

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

/// `count` random stretches of `length` tokens, and the same one token later: `x`, `y` `[count, length]`, i32.
///
/// # Errors
/// If there are not more than `length` tokens, or the device fails.
pub fn random_blocks(
    tokens: &[i32],
    count: usize,
    length: usize,
    draws: &mut Draws,
    device: &Device,
) -> Result<(Tensor, Tensor)> {
    if tokens.len() <= length {
        let message = format!("{} characters, blocks of {length} need at least {}", tokens.len(), length + 1);
        return Err(Error::data("text", format!("{message}; give a longer text")));
    }
    let (mut x, mut y) = (Vec::with_capacity(count * length), Vec::with_capacity(count * length));
    for _ in 0..count {
        let start = draws.below((tokens.len() - length) as u64) as usize;
        x.extend_from_slice(&tokens[start..start + length]);
        y.extend_from_slice(&tokens[start + 1..start + length + 1]);
    }
    let shape = [count, length];
    Ok((Tensor::try_from_slice(&x, &shape, device)?, Tensor::try_from_slice(&y, &shape, device)?))
}
