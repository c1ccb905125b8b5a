//! [`Resident`]: a whole data set on the device.

use anygrad_core::{Device, Error, Result, Tensor};

use super::{Dataset, Pass, check_rows};

/// Inputs and targets that lie on a device as a whole; batches are picked there, no numbers cross the bus but the row numbers.
#[derive(Clone, Debug)]
pub struct Resident {
    inputs: Tensor,
    targets: Tensor,
}

impl Resident {
    /// `inputs`, `targets`: `[rows, ..]` on one device.
    ///
    /// # Errors
    /// If the numbers of rows differ or a tensor has no axes.
    pub fn new(inputs: Tensor, targets: Tensor) -> Result<Resident> {
        if inputs.rank() == 0 || targets.rank() == 0 || inputs.shape()[0] != targets.shape()[0] {
            let shapes = format!("inputs {:?} and targets {:?}", inputs.shape(), targets.shape());
            return Err(Error::data("data set", format!("{shapes} must have the same number of rows (axis 0)")));
        }
        Tensor::realize_all(&[inputs.clone(), targets.clone()])?;
        Ok(Resident { inputs, targets })
    }

    /// All rows of another data set, copied to `device` once.
    ///
    /// # Errors
    /// If the rows cannot be read, or there is no memory for them.
    pub fn of(data: &(impl Dataset + ?Sized), device: &Device) -> Result<Resident> {
        let rows: Vec<u32> = (0..data.len() as u32).collect();
        let (inputs, targets) = data.batch(&rows, device)?;
        Resident::new(inputs, targets)
    }

    /// All inputs, `[rows, ..]`.
    pub fn inputs(&self) -> &Tensor {
        &self.inputs
    }

    /// All targets, `[rows, ..]`.
    pub fn targets(&self) -> &Tensor {
        &self.targets
    }
}

impl Dataset for Resident {
    fn len(&self) -> usize {
        self.inputs.shape()[0]
    }

    fn read(&self, rows: &[u32], _: Pass, device: &Device) -> Result<(Tensor, Tensor)> {
        check_rows(rows, self.len())?;
        if self.inputs.device() != device {
            let message = format!("it lies on {}, batches were asked for on {device}", self.inputs.device());
            return Err(Error::data("data set", message));
        }
        let index = Tensor::try_from_slice(rows, &[rows.len()], device)?;
        Ok((self.inputs.index_select(0, &index), self.targets.index_select(0, &index)))
    }
}
