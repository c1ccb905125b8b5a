//! [`BytePairs`]: text as byte-pair tokens, with vocabularies of Hugging Face or learned here (feature `tokenizers`).

use std::path::Path;

use anygrad_core::{Error, Result};
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::{DecoderWrapper, PreTokenizerWrapper, Tokenizer, TokenizerBuilder};

/// A vocabulary of byte pairs: any text becomes tokens and comes back, none is unknown.
/// Source: Sennrich, Haddow and Birch, "Neural machine translation of rare words with subword units" (2016), over bytes as in GPT-2.
#[derive(Clone, Debug)]
pub struct BytePairs {
    tokenizer: Tokenizer,
}

impl BytePairs {
    /// Reads a `tokenizer.json` of Hugging Face's library.
    ///
    /// # Errors
    /// If it is missing or cannot be read as one.
    pub fn open(path: &Path) -> Result<BytePairs> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, &error))?;
        let tokenizer = text.parse::<Tokenizer>().map_err(|error| {
            let message = format!("it cannot be read as a tokenizer ({error}); give a `tokenizer.json`");
            Error::data(path.display().to_string(), message)
        })?;
        Ok(BytePairs { tokenizer })
    }

    /// Learns a vocabulary of at most `size` tokens from a text: the 256 bytes, then the most frequent pairs.
    ///
    /// # Errors
    /// If there is no text or `size` is below 256.
    pub fn learn(text: &str, size: usize) -> Result<BytePairs> {
        let wrong = |message: String| Error::data("byte pairs", message);
        if text.is_empty() || size < 256 {
            return Err(wrong(format!("{} bytes of text, {size} tokens; give some text and 256 or more", text.len())));
        }
        let failed = |error: tokenizers::Error| wrong(format!("learning failed: {error}"));
        let bytes = || ByteLevel::new(false, true, true);
        let mut trainer = BpeTrainerBuilder::new()
            .vocab_size(size)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let mut tokenizer =
            TokenizerBuilder::<BPE, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>::new(
            )
            .with_model(BPE::default())
            .with_pre_tokenizer(Some(PreTokenizerWrapper::ByteLevel(bytes())))
            .with_decoder(Some(DecoderWrapper::ByteLevel(bytes())))
            .build()
            .map_err(failed)?;
        tokenizer.train(&mut trainer, text.lines().map(|line| format!("{line}\n"))).map_err(failed)?;
        let text = tokenizer.to_string(false).map_err(failed)?;
        Ok(BytePairs { tokenizer: text.parse().map_err(failed)? })
    }

    /// Writes a `tokenizer.json`, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let place = path.display().to_string();
        let text = self.tokenizer.to_string(true).map_err(|error| Error::data(place, error.to_string()))?;
        crate::checkpoint::write_whole(path, text.as_bytes())
    }

    /// How many tokens there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// If the vocabulary cannot say it (one that was opened may lack bytes).
    pub fn encode(&self, text: &str) -> Result<Vec<i32>> {
        let failed = |error: tokenizers::Error| Error::data("byte pairs", format!("a text cannot be said: {error}"));
        let encoded = self.tokenizer.encode(text, false).map_err(failed)?;
        Ok(encoded.get_ids().iter().map(|&id| id as i32).collect())
    }

    /// The text of these tokens.
    ///
    /// # Errors
    /// If the vocabulary's decoder cannot say them.
    pub fn decode(&self, tokens: &[i32]) -> Result<String> {
        let ids: Vec<u32> = tokens.iter().map(|&token| token as u32).collect();
        let failed = |error: tokenizers::Error| Error::data("byte pairs", format!("tokens cannot be said: {error}"));
        self.tokenizer.decode(&ids, false).map_err(failed)
    }
}
