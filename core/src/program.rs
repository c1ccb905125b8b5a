//! [`Program`]: a traced closure. (Being built.)
use crate::error::Result;
use crate::tensor::Tensor;

/// A compiled graph.
#[derive(Debug)]
pub(crate) struct Compiled;

/// Computes tensors outside of programs.
pub(crate) fn realize(_tensors: &[Tensor]) -> Result<()> {
    Err(crate::Error::Program("not yet".into()))
}
