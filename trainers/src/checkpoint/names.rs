//! [`NameMap`]: the names and layouts of another library's files as those of a model here.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anygrad_core::{Error, Result};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

/// A tensor of a file under the name that a model looks for.
pub(super) struct Found<'f> {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: Cow<'f, [u8]>,
}

/// Rules that are applied to each name of a file, in the order in which they were given, each to what the rules before made.
///
/// A pattern is parts of a dotted name that follow each other, anywhere in it; `*` is any one part and is kept where the
/// replacement has a `*`: `rename("encoder.layer.*", "blocks.*")` makes `blocks.3.norm` of `bert.encoder.layer.3.norm`'s
/// middle: `bert.blocks.3.norm`.
///
/// GPT-2 of Hugging Face, whose linear layers are stored transposed:
///
/// ```
/// # use anygrad_trainers::checkpoint::NameMap;
/// let map = NameMap::default()
///     .skip("attn.bias")
///     .transpose("c_attn.weight")
///     .transpose("c_proj.weight")
///     .rename("h.*", "blocks.*")
///     .rename("attn.c_attn.weight", "attention.in_proj_weight")
///     .rename("attn.c_attn.bias", "attention.in_proj_bias")
///     .rename("attn.c_proj", "attention.out_proj");
/// assert_eq!(map.name("h.3.attn.c_proj.weight").as_deref(), Some("blocks.3.attention.out_proj.weight"));
/// assert_eq!(map.name("h.3.attn.bias"), None);
/// ```
///
/// BERT keeps queries, keys and values apart: `.join(["self.query.weight", "self.key.weight", "self.value.weight"],
/// "in_proj_weight")`. Norms of burn (and of old BERT files) have `gamma` and `beta`: `.rename("gamma", "weight")`,
/// `.rename("beta", "bias")`; burn's linear layers are stored transposed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameMap {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Rename(String, String),
    Skip(String),
    Transpose(String),
    Join(Vec<String>, String),
}

impl NameMap {
    /// Replaces the first place where the pattern fits; an empty `to` takes the parts away.
    #[must_use]
    pub fn rename(mut self, from: &str, to: &str) -> NameMap {
        self.rules.push(Rule::Rename(from.into(), to.into()));
        self
    }

    /// Leaves tensors out whose names end with the pattern.
    #[must_use]
    pub fn skip(mut self, pattern: &str) -> NameMap {
        self.rules.push(Rule::Skip(pattern.into()));
        self
    }

    /// Exchanges the axes of matrices whose names end with the pattern: `[inputs, outputs]` becomes `[outputs, inputs]`.
    #[must_use]
    pub fn transpose(mut self, pattern: &str) -> NameMap {
        self.rules.push(Rule::Transpose(pattern.into()));
        self
    }

    /// Joins tensors whose names end with these patterns and begin alike, in this order along their first axis, as one.
    #[must_use]
    pub fn join<const N: usize>(mut self, from: [&str; N], to: &str) -> NameMap {
        self.rules.push(Rule::Join(from.map(String::from).to_vec(), to.into()));
        self
    }

    /// What a name becomes; `None` if it is left out.
    #[must_use]
    pub fn name(&self, name: &str) -> Option<String> {
        self.trace(name).map(|(name, ..)| name)
    }

    /// The name, whether the axes are exchanged, and which part of a joined tensor it is.
    fn trace(&self, name: &str) -> Option<(String, bool, usize)> {
        let (mut name, mut transposed, mut part) = (name.to_string(), false, 0);
        for rule in &self.rules {
            match rule {
                Rule::Rename(from, to) => {
                    if let Some((start, end, kept)) = find(&name, from, false) {
                        name = replace(&name, (start, end), to, &kept);
                    }
                }
                Rule::Skip(pattern) if find(&name, pattern, true).is_some() => return None,
                Rule::Transpose(pattern) => transposed ^= find(&name, pattern, true).is_some(),
                Rule::Join(from, to) => {
                    for (number, pattern) in from.iter().enumerate() {
                        if let Some((start, end, kept)) = find(&name, pattern, true) {
                            (name, part) = (replace(&name, (start, end), to, &kept), number);
                            break;
                        }
                    }
                }
                Rule::Skip(_) => {}
            }
        }
        Some((name, transposed, part))
    }

    /// The tensors of a file under their new names.
    pub(super) fn apply<'f>(&self, place: &str, file: &SafeTensors<'f>) -> Result<BTreeMap<String, Found<'f>>> {
        let mut parts: BTreeMap<String, BTreeMap<usize, Found<'f>>> = BTreeMap::new();
        for (old, view) in file.tensors() {
            let Some((name, transposed, part)) = self.trace(&old) else { continue };
            let mut found =
                Found { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: Cow::Borrowed(view.data()) };
            if transposed {
                found = exchanged(found).map_err(|message| Error::data(format!("{place}, tensor '{old}'"), message))?;
            }
            let group = parts.entry(name.clone()).or_default();
            if group.insert(part, found).is_some() {
                return Err(Error::data(
                    place,
                    format!("two tensors become '{name}', one of them '{old}'; check the name map"),
                ));
            }
        }
        let join = |(name, group): (String, BTreeMap<usize, Found<'f>>)| {
            let mut all = group.into_values();
            let Some(mut first) = all.next() else { return Ok(None) };
            for next in all {
                if next.dtype != first.dtype || next.shape.get(1..) != first.shape.get(1..) || next.shape.is_empty() {
                    let message = format!("parts {:?} and {:?} cannot be joined", first.shape, next.shape);
                    return Err(Error::data(format!("{place}, tensor '{name}'"), message));
                }
                first.shape[0] += next.shape[0];
                first.bytes.to_mut().extend_from_slice(&next.bytes);
            }
            Ok(Some((name, first)))
        };
        parts.into_iter().filter_map(|group| join(group).transpose()).collect()
    }
}

/// Where in a name the pattern fits (in parts), and what its stars are.
fn find(name: &str, pattern: &str, at_end: bool) -> Option<(usize, usize, Vec<String>)> {
    let (parts, wanted): (Vec<&str>, Vec<&str>) = (name.split('.').collect(), pattern.split('.').collect());
    let last = parts.len().checked_sub(wanted.len())?;
    let fits = |&start: &usize| wanted.iter().zip(&parts[start..]).all(|(w, p)| *w == "*" || w == p);
    let start = (if at_end { last } else { 0 }..=last).find(fits)?;
    let stars = wanted.iter().zip(&parts[start..]).filter(|(w, _)| **w == "*").map(|(_, p)| p.to_string()).collect();
    Some((start, start + wanted.len(), stars))
}

fn replace(name: &str, (start, end): (usize, usize), to: &str, stars: &[String]) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let mut stars = stars.iter();
    let new = to.split('.').filter(|part| !part.is_empty());
    let new = new.map(|part| if part == "*" { stars.next().map_or(part, String::as_str) } else { part });
    let all: Vec<&str> = parts[..start].iter().copied().chain(new).chain(parts[end..].iter().copied()).collect();
    all.join(".")
}

/// The matrix with its axes exchanged.
fn exchanged(found: Found<'_>) -> std::result::Result<Found<'_>, String> {
    let [rows, columns] = found.shape[..] else {
        return Err(format!("{:?} is no matrix whose axes could be exchanged; check the name map", found.shape));
    };
    let size = found.bytes.len() / (rows * columns).max(1);
    let mut bytes = Vec::with_capacity(found.bytes.len());
    for column in 0..columns {
        for row in 0..rows {
            let at = (row * columns + column) * size;
            bytes.extend_from_slice(&found.bytes[at..at + size]);
        }
    }
    Ok(Found { dtype: found.dtype, shape: vec![columns, rows], bytes: Cow::Owned(bytes) })
}
