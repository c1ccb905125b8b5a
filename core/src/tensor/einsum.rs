//! Sums of products by index names, like `"bij,bjk->bik"`.
//!
//! Operands are taken from left to right. A pair becomes one matrix product: names in both that are still needed later are
//! its batch, names in both that are not are summed, the others are its rows and columns. Without a name to sum it is a
//! broadcast multiplication.

use crate::shape::fail;
use crate::tensor::Tensor;

/// A tensor whose axes have names.
struct Named {
    tensor: Tensor,
    names: Vec<char>,
}

/// Names of the axes that `...` stands for: private characters, the last axis first, so that ellipses align at the end.
fn hidden_name(from_end: usize) -> char {
    char::from_u32(0xE000 + from_end as u32).unwrap_or('\u{E000}')
}

impl Tensor {
    /// The sum of products that an equation names: each axis of each operand has a letter, letters missing in the result are
    /// summed over, a letter twice on one operand takes the diagonal, `...` stands for any axes, which broadcast.
    ///
    /// Without `->` the result has the letters that occur once, in alphabetical order.
    ///
    /// ```
    /// # use anygrad_core::Tensor;
    /// # let device = anygrad_core::testing::device();
    /// # let (a, b) = (Tensor::zeros(&[3, 3], &device), Tensor::zeros(&[3, 4], &device));
    /// # let (q, k) = (Tensor::zeros(&[2, 5, 8, 16], &device), Tensor::zeros(&[2, 7, 8, 16], &device));
    /// let product = Tensor::einsum("ij,jk->ik", &[&a, &b]);
    /// let scores = Tensor::einsum("bthd,bshd->bhts", &[&q, &k]);
    /// assert_eq!(scores.shape(), [2, 8, 5, 7]);
    /// let trace = Tensor::einsum("ii->", &[&a]);
    /// # assert_eq!((product.shape(), trace.rank()), (&[3, 4][..], 0));
    /// ```
    ///
    /// # Panics
    /// If the equation is not well formed, operands and their letters differ in number, or one letter has two sizes.
    #[track_caller]
    pub fn einsum(equation: &str, operands: &[&Tensor]) -> Tensor {
        let text: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
        let (left, right) = match text.split_once("->") {
            Some((left, right)) => (left.to_string(), Some(right.to_string())),
            None => (text, None),
        };
        let parts: Vec<&str> = left.split(',').collect();
        if parts.len() != operands.len() || operands.is_empty() {
            fail("einsum", format!("'{equation}' names {} operands, {} were given", parts.len(), operands.len()));
        }
        let mut sizes: Vec<(char, usize)> = Vec::new();
        let (mut named, mut hidden) = (Vec::new(), 0);
        for (part, operand) in parts.iter().zip(operands) {
            let Some(names) = parse(part, operand.rank()) else {
                fail("einsum", format!("'{part}' in '{equation}' does not name the axes of {:?}", operand.shape()));
            };
            hidden = hidden.max(names.iter().filter(|c| !c.is_alphabetic()).count());
            for (&name, &size) in names.iter().zip(operand.shape()) {
                match sizes.iter_mut().find(|(n, _)| *n == name) {
                    None => sizes.push((name, size)),
                    Some((_, known)) if *known == 1 => *known = size,
                    Some((_, known)) if *known == size || size == 1 => {}
                    Some((_, known)) => {
                        let what = if name.is_alphabetic() { name.to_string() } else { "...".into() };
                        fail("einsum", format!("'{equation}': {what} has the sizes {known} and {size}"));
                    }
                }
            }
            named.push(Named { tensor: (*operand).clone(), names });
        }
        let result = match &right {
            Some(right) => {
                let known = |c: &char| sizes.iter().any(|(n, _)| n == c);
                let axes = right.replace("...", "").chars().count() + if right.contains("...") { hidden } else { 0 };
                match parse(right, axes) {
                    Some(names) if names.iter().all(known) && unique(&names).len() == names.len() => names,
                    _ => fail("einsum", format!("'{equation}': the result must name known letters, each once")),
                }
            }
            None => {
                let once = |c: &char| left.matches(*c).count() == 1;
                let mut letters: Vec<char> = left.chars().filter(|c| c.is_alphabetic() && once(c)).collect();
                letters.sort_unstable();
                (0..hidden).rev().map(hidden_name).chain(letters).collect()
            }
        };
        let size = |name: &char| sizes.iter().find(|(n, _)| n == name).map_or(1, |(_, s)| *s);
        let mut product: Option<Named> = None;
        for (i, Named { tensor, names }) in named.iter().enumerate() {
            // Names that are still needed after this operand; others are summed as early as possible.
            let later: Vec<char> = named[i + 1..].iter().flat_map(|n| &n.names).chain(&result).copied().collect();
            let wide: Vec<usize> = names.iter().map(size).collect();
            let own = Named { tensor: tensor.broadcast_to(&wide), names: names.clone() }.diagonals();
            product = Some(match product {
                None => own.sum_except(|c| later.contains(&c)),
                Some(before) => {
                    let own = own.sum_except(|c| later.contains(&c) || before.names.contains(&c));
                    before.times(&own, &later)
                }
            });
        }
        let Some(last) = product else { fail("einsum", "no operands were given") };
        last.sum_except(|c| result.contains(&c)).in_order(&result).tensor
    }
}

/// The names of `rank` axes, or `None` if the text does not fit.
fn parse(text: &str, rank: usize) -> Option<Vec<char>> {
    let (before, after) = match text.split_once("...") {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    };
    let mut names: Vec<char> = before.chars().collect();
    let rest = after.unwrap_or_default();
    let hidden = rank.checked_sub(names.len() + rest.chars().count())?;
    if after.is_none() && hidden > 0 || !before.chars().chain(rest.chars()).all(|c| c.is_ascii_alphabetic()) {
        return None;
    }
    names.extend((0..hidden).rev().map(hidden_name));
    names.extend(rest.chars());
    Some(names)
}

fn unique(names: &[char]) -> Vec<char> {
    let mut seen = Vec::new();
    for &name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

impl Named {
    fn place(&self, name: char) -> Option<usize> {
        self.names.iter().position(|&n| n == name)
    }

    /// With every name once: repeated ones become the diagonal.
    #[track_caller]
    fn diagonals(mut self) -> Named {
        while let Some(second) = (1..self.names.len()).find(|&i| self.names[..i].contains(&self.names[i])) {
            let name = self.names[second];
            let Some(first) = self.place(name) else { return self };
            let last_first = self.tensor.movedim(second as isize, -1).movedim(first as isize, -2);
            self.tensor = last_first.diagonal();
            self.names.remove(second);
            self.names.remove(first);
            self.names.push(name);
        }
        self
    }

    /// Summed over the names that are not kept.
    #[track_caller]
    fn sum_except(self, keep: impl Fn(char) -> bool) -> Named {
        let gone: Vec<usize> = (0..self.names.len()).filter(|&i| !keep(self.names[i])).collect();
        if gone.is_empty() {
            return self;
        }
        let names = self.names.iter().copied().filter(|&c| keep(c)).collect();
        Named { tensor: self.tensor.sum(gone), names }
    }

    /// With the axes in the given order, which names each of them.
    #[track_caller]
    fn in_order(&self, names: &[char]) -> Named {
        let order: Vec<usize> = names.iter().filter_map(|&n| self.place(n)).collect();
        Named { tensor: self.tensor.permute_to(&order), names: names.to_vec() }
    }

    /// The product, summed over the names of both that are not needed later.
    #[track_caller]
    fn times(&self, other: &Named, later: &[char]) -> Named {
        let pick = |from: &Named, test: &dyn Fn(&char) -> bool| -> Vec<char> {
            from.names.iter().copied().filter(|c| test(c)).collect()
        };
        let rows = pick(self, &|c| !other.names.contains(c));
        let columns = pick(other, &|c| !self.names.contains(c));
        let batch = pick(self, &|c| other.names.contains(c) && later.contains(c));
        let summed = pick(self, &|c| other.names.contains(c) && !later.contains(c));
        let a = self.in_order(&[&batch[..], &rows, &summed].concat()).tensor;
        let b = other.in_order(&[&batch[..], &summed, &columns].concat()).tensor;
        let names = [&batch[..], &rows, &columns].concat();
        let (batch, inner) = (batch.len(), summed.len());
        let (left, right) = (&a.shape()[..a.rank() - inner], &b.shape()[batch + inner..]);
        if summed.is_empty() {
            let a = a.reshape_to(&[left, &vec![1; right.len()]].concat());
            let b = b.reshape_to(&[&b.shape()[..batch], &vec![1; left.len() - batch], right].concat());
            return Named { tensor: a * b, names };
        }
        let (m, n) = (left[batch..].iter().product(), right.iter().product());
        let k: usize = a.shape()[a.rank() - inner..].iter().product();
        let shape = [left, right].concat();
        let a = a.reshape_to(&[&left[..batch], &[m, k]].concat());
        let b = b.reshape_to(&[&left[..batch], &[k, n]].concat());
        Named { tensor: a.product(&b).reshape_to(&shape), names }
    }
}
