//! [`Tensors`]: structures of tensors that programs take as arguments and return as results.

use crate::tensor::Tensor;

/// What programs take and return: tensors, tuples, arrays, vectors and options of them.
pub trait Tensors: Sized {
    /// The same structure with each tensor replaced.
    #[must_use]
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Tensor) -> Self;

    /// All tensors in order.
    fn list(&self) -> Vec<Tensor> {
        let mut all = Vec::new();
        let _ = self.map(&mut |t| {
            all.push(t.clone());
            t.clone()
        });
        all
    }
}

impl Tensors for Tensor {
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Tensor) -> Tensor {
        f(self)
    }
}

impl Tensors for () {
    fn map(&self, _: &mut dyn FnMut(&Tensor) -> Tensor) {}
}

impl<A: Tensors, B: Tensors> Tensors for (A, B) {
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Tensor) -> (A, B) {
        (self.0.map(f), self.1.map(f))
    }
}

impl<A: Tensors, B: Tensors, C: Tensors> Tensors for (A, B, C) {
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Tensor) -> (A, B, C) {
        (self.0.map(f), self.1.map(f), self.2.map(f))
    }
}

impl<A: Tensors, B: Tensors, C: Tensors, D: Tensors> Tensors for (A, B, C, D) {
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Tensor) -> (A, B, C, D) {
        (self.0.map(f), self.1.map(f), self.2.map(f), self.3.map(f))
    }
}

impl<A: Tensors> Tensors for Vec<A> {
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Tensor) -> Vec<A> {
        self.iter().map(|t| t.map(f)).collect()
    }
}

impl<A: Tensors> Tensors for Option<A> {
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Tensor) -> Option<A> {
        self.as_ref().map(|t| t.map(f))
    }
}

impl<A: Tensors, const N: usize> Tensors for [A; N] {
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Tensor) -> [A; N] {
        std::array::from_fn(|i| self[i].map(f))
    }
}
