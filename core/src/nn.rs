//! Layers: plain structs with `new` and `forward`, whose fields carry PyTorch's names, so that its weights load by name.
//!
//! Whether one trains is asked of the trace ([`crate::trace::is_training`]), no layer has a flag. Parameters are drawn
//! on the host from the device's generator ([`init`]): the same seed gives the same model on every backend.

mod attention;
mod batch_norm;
mod conv;
mod dropout;
mod embedding;
pub mod init;
mod linear;
pub mod loss;
pub mod module;
mod norm;
mod pool;
mod recurrent;
mod sequential;
mod transformer;

pub use anygrad_derive::Module;
pub use attention::{Masks, MultiHeadAttention, attention};
pub use batch_norm::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d};
pub use conv::{Conv, Conv1d, Conv2d, Conv3d, ConvTranspose, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use linear::Linear;
pub use loss::{CrossEntropy, Reduce};
pub use module::{Layer, Module, Role, Visitor};
pub use norm::{GroupNorm, LayerNorm, RmsNorm};
pub use pool::{
    AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AvgPool, AvgPool1d, AvgPool2d, AvgPool3d, MaxPool,
    MaxPool1d, MaxPool2d, MaxPool3d,
};
pub use recurrent::{Gru, Lstm, RecurrentOptions, RecurrentWeights, Rnn};
pub use sequential::{Activation, Flatten, Residual, Sequential};
pub use transformer::{TransformerEncoder, TransformerEncoderLayer, TransformerOptions};
