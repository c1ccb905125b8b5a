//! The functions of `scalar.wgsl`, of which a kernel's text gets just those that it names.
//!
//! The file is cut at blank lines into one block per function; a block is taken if the text, or a block already taken,
//! names it. So the files stay plain WGSL, and texts stay short.

use std::collections::{BTreeMap, BTreeSet};

const SCALAR: &str = include_str!("../wgsl/scalar.wgsl");

/// `text` with the library functions that it calls, in the library's order.
pub(crate) fn link(text: &str) -> String {
    let blocks: Vec<(&str, &str)> =
        SCALAR.split("\n\n").filter_map(|block| Some((function_name(block)?, block.trim()))).collect();
    let by_name: BTreeMap<&str, &str> = blocks.iter().copied().collect();
    let (mut wanted, mut open) = (BTreeSet::new(), vec![text]);
    while let Some(part) = open.pop() {
        for word in part.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if let Some((&name, &block)) = by_name.get_key_value(word)
                && wanted.insert(name)
            {
                open.push(block);
            }
        }
    }
    let mut linked = text.to_string();
    for (name, block) in blocks {
        if wanted.contains(name) {
            linked.push('\n');
            linked.push_str(block);
            linked.push('\n');
        }
    }
    linked
}

/// The name behind `fn` at the start of one of the block's lines.
fn function_name(block: &str) -> Option<&str> {
    let line = block.lines().find_map(|line| line.strip_prefix("fn "))?;
    line.split('(').next()
}
