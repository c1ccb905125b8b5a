//! Text as words: a vocabulary, and hashed n-grams with TF-IDF weights.

use std::collections::{BTreeMap, HashMap};

use anygrad_core::{Error, Result};

use super::Array;

/// Lower-case words: stretches of letters and digits (apostrophes inside count as letters).
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let separates = |c: char| !c.is_alphanumeric() && c != '\'' && c != '\u{2019}';
    let trimmed = text.split(separates).map(|word| word.trim_matches(['\'', '\u{2019}']));
    trimmed.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// Words and their numbers, the most frequent first; 0 is padding, 1 stands for all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    words: Vec<String>,
    numbers: HashMap<String, i32>,
}

impl Vocabulary {
    /// The number of the padding.
    pub const PADDING: i32 = 0;
    /// The number of a word that is not in it.
    pub const UNKNOWN: i32 = 1;

    /// The words that occur at least `least` times in the texts, at most the `most` most frequent (of equals, those that
    /// sort first).
    #[must_use]
    pub fn of<T: AsRef<str>>(texts: &[T], least: usize, most: usize) -> Vocabulary {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        texts.iter().flat_map(|text| words(text.as_ref())).for_each(|word| *counts.entry(word).or_insert(0) += 1);
        let mut counts: Vec<(String, usize)> = counts.into_iter().filter(|(_, count)| *count >= least).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.truncate(most);
        let words: Vec<String> = ["<padding>", "<unknown>"]
            .map(String::from)
            .into_iter()
            .chain(counts.into_iter().map(|(w, _)| w))
            .collect();
        let numbers = words.iter().enumerate().map(|(number, word)| (word.clone(), number as i32)).collect();
        Vocabulary { words, numbers }
    }

    /// How many numbers there are: words, padding and unknown.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether it knows no word.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.len() == 2
    }

    /// The numbers of a text's words.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<i32> {
        words(text).iter().map(|word| self.numbers.get(word).copied().unwrap_or(Vocabulary::UNKNOWN)).collect()
    }

    /// The words of these numbers, with blanks between; padding is left out.
    #[must_use]
    pub fn decode(&self, numbers: &[i32]) -> String {
        let known = |&number: &i32| match self.words.get(number as usize) {
            _ if number == Vocabulary::PADDING => None,
            Some(word) => Some(word.as_str()),
            None => Some("<unknown>"),
        };
        numbers.iter().filter_map(known).collect::<Vec<_>>().join(" ")
    }
}

/// Texts as weights of hashed n-grams: words, pairs of words, and stretches of 2 to 5 characters inside of words.
///
/// `(1 + ln count) * idf` per bucket with `idf = ln((1 + texts) / (1 + texts with it)) + 1`, each row scaled to norm 1
/// (scikit-learn's `TfidfVectorizer(sublinear_tf=True)` over hashed features). Hash: FNV-1a, 64 bits.
#[derive(Clone, Debug, PartialEq)]
pub struct HashedNgrams {
    idf: Vec<f32>,
}

impl HashedNgrams {
    /// Learns how rare each of `buckets` buckets is from the training texts.
    ///
    /// # Errors
    /// If there are no texts or no buckets.
    pub fn fit<T: AsRef<str>>(texts: &[T], buckets: usize) -> Result<HashedNgrams> {
        if texts.is_empty() || buckets == 0 {
            return Err(Error::data("n-grams", format!("{} texts, {buckets} buckets; give some of both", texts.len())));
        }
        let mut found = vec![0usize; buckets];
        for text in texts {
            counts(text.as_ref(), buckets).into_keys().for_each(|bucket| found[bucket] += 1);
        }
        let n = texts.len() as f64;
        Ok(HashedNgrams {
            idf: found.iter().map(|&with| (((1.0 + n) / (1.0 + with as f64)).ln() + 1.0) as f32).collect(),
        })
    }

    /// Weights `[texts, buckets]`, f32; a text without words is a row of zeros.
    ///
    /// # Errors
    /// If there are no texts.
    pub fn encode<T: AsRef<str>>(&self, texts: &[T]) -> Result<Array> {
        let buckets = self.idf.len();
        let mut values = vec![0f32; texts.len() * buckets];
        for (row, text) in values.chunks_exact_mut(buckets).zip(texts) {
            for (bucket, count) in counts(text.as_ref(), buckets) {
                row[bucket] = (1.0 + (count as f32).ln()) * self.idf[bucket];
            }
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            if norm > 0.0 {
                row.iter_mut().for_each(|x| *x /= norm);
            }
        }
        Array::new(&values, &[texts.len(), buckets])
    }
}

/// How often each bucket occurs in a text.
fn counts(text: &str, buckets: usize) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    // FNV-1a: offset basis and prime of Fowler, Noll and Vo for 64 bits.
    let mut add = |kind: u8, gram: &[&str]| {
        let bytes = std::iter::once(kind).chain(gram.join(" ").into_bytes());
        let hash =
            bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        *counts.entry((hash % buckets as u64) as usize).or_insert(0) += 1;
    };
    let words = words(text);
    for word in &words {
        add(1, &[word]);
        // Blanks mark where a word begins and ends.
        let padded = format!(" {word} ");
        let ends: Vec<usize> = padded.char_indices().map(|(at, _)| at).chain([padded.len()]).collect();
        for size in 2..=5 {
            ends.windows(size + 1).for_each(|w| add(3, &[&padded[w[0]..w[size]]]));
        }
    }
    words.windows(2).for_each(|pair| add(2, &[&pair[0], &pair[1]]));
    counts
}
