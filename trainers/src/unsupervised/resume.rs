//! What a fit that ended early leaves in its model, so that it can go on.

use anygrad_core::{Device, Result, Tensor};

use super::store::Parts;
use super::wrong;

/// Where a fit stood; nothing if it is finished.
pub(crate) type Unfinished = Option<Box<Parts>>;

/// The name of a state in the parts of its model.
pub(crate) const STATE: &str = "unfinished";

/// The beginnings of a state: of which method on what.
pub(crate) fn state(device: &Device, method: &str, sizes: &[(&str, usize)]) -> Parts {
    sizes.iter().fold(Parts::on(device).set("method", method), |parts, (name, size)| parts.set(name, *size))
}

/// An error unless a state is of this method, on data and for a configuration of these sizes.
pub(crate) fn check(state: &Parts, method: &str, sizes: &[(&str, usize)]) -> Result<()> {
    let of = state.text("method")?;
    if of != method {
        return Err(wrong(method, format!("the model was made by {of}; resume with the configuration that made it")));
    }
    for (name, size) in sizes {
        let before = state.count(name)?;
        if before != *size {
            let message = format!("the fit that was stopped had {before} {name}, there are {size} now");
            return Err(wrong(method, format!("{message}; resume with the same data and configuration")));
        }
    }
    Ok(())
}

/// A copy of a tensor that keeps nothing else alive and that later writes to a variable leave alone.
pub(crate) fn copied(tensor: &Tensor) -> Result<Tensor> {
    Tensor::try_from_bytes(tensor.to_bytes()?, tensor.dtype(), tensor.shape(), tensor.device())
}
