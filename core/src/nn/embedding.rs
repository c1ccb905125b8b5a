//! [`Embedding`]: rows of a table by number.

use super::{Module, init};
use crate::device::Device;
use crate::shape::fail;
use crate::tensor::Tensor;
use crate::var::Var;

/// Rows of a trained table: `[..]` of i32 or u32 `-> [.., width]`.
#[derive(Clone, Debug, Module)]
pub struct Embedding {
    /// `[count, width]`.
    pub weight: Var,
    /// A row that starts at zero and gets no gradient.
    pub padding: Option<usize>,
}

impl Embedding {
    /// A table of standard normal numbers.
    ///
    /// # Panics
    /// If memory cannot be had.
    #[must_use]
    #[track_caller]
    pub fn new(count: usize, width: usize, device: &Device) -> Embedding {
        let weight = init::normal(&[count, width], 0.0, 1.0, device);
        Embedding { weight: Var::new("weight", &weight), padding: None }
    }

    /// With row `padding` zero and without a gradient (PyTorch's `padding_idx`).
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    #[track_caller]
    pub fn with_padding(count: usize, width: usize, padding: usize, device: &Device) -> Embedding {
        if padding >= count {
            fail("Embedding", format!("padding row {padding} does not exist in a table of {count} rows"));
        }
        let mut values = init::Stream::new(device).normals(count * width);
        values[padding * width..(padding + 1) * width].fill(0.0);
        let weight = Tensor::from_vec(values, &[count, width], device);
        Embedding { weight: Var::new("weight", &weight), padding: Some(padding) }
    }

    /// `[..] -> [.., width]`. A number outside of the table gives NaN.
    ///
    /// # Panics
    /// If the numbers are not i32 or u32.
    #[track_caller]
    pub fn forward(&self, numbers: &Tensor) -> Tensor {
        if !numbers.dtype().is_int() {
            fail("Embedding", format!("row numbers are {}, not i32 or u32", numbers.dtype()));
        }
        let weight = self.weight.get();
        let width = weight.shape()[1];
        let flat = numbers.reshape_to(&[numbers.len()]);
        let rows = weight.gather(0, &flat.unsqueeze(1).broadcast_to(&[numbers.len(), width]));
        let rows = match self.padding {
            Some(row) => {
                let at = flat.eq(row as f64).unsqueeze(1);
                at.choose(&rows.detach(), &rows)
            }
            None => rows,
        };
        rows.reshape_to(&[numbers.shape(), &[width]].concat())
    }
}
