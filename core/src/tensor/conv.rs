//! Convolutions over 1, 2 or 3 axes and their transposes, as cross-correlations like PyTorch's.
//!
//! A transposed convolution is the gradient of a convolution with respect to its input, so both are one primitive.

use crate::kernel::{ConvGeometry, ConvKind};
use crate::shape::fail;
use crate::tensor::Tensor;

/// Steps and borders of a convolution over `N` axes; the default is stride 1 without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvOptions<const N: usize> {
    /// Elements from one window to the next.
    pub stride: [usize; N],
    /// Zeros before and after each axis.
    pub padding: [(usize, usize); N],
    /// Elements from one tap to the next.
    pub dilation: [usize; N],
    /// Channels are split into this many groups that do not see each other.
    pub groups: usize,
}

impl<const N: usize> Default for ConvOptions<N> {
    fn default() -> Self {
        ConvOptions { stride: [1; N], padding: [(0, 0); N], dilation: [1; N], groups: 1 }
    }
}

/// Steps and borders of a transposed convolution over `N` axes; the default is stride 1 without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransposeOptions<const N: usize> {
    /// Elements of the result from one window to the next.
    pub stride: [usize; N],
    /// Elements cut off before and after each axis of the result.
    pub padding: [(usize, usize); N],
    /// Elements of the result from one tap to the next.
    pub dilation: [usize; N],
    /// Channels are split into this many groups that do not see each other.
    pub groups: usize,
    /// More elements at the end of each axis of the result, less than stride or dilation.
    pub output_padding: [usize; N],
}

impl<const N: usize> Default for TransposeOptions<N> {
    fn default() -> Self {
        TransposeOptions { stride: [1; N], padding: [(0, 0); N], dilation: [1; N], groups: 1, output_padding: [0; N] }
    }
}

impl Tensor {
    /// `[batch, c_in, t]` by weights `[c_out, c_in / groups, taps]` gives `[batch, c_out, out]`,
    /// `out = (t + padding - dilation * (taps - 1) - 1) / stride + 1`.
    ///
    /// # Panics
    /// If sizes do not fit each other or a window does not fit the padded input.
    #[track_caller]
    pub fn conv1d(&self, weight: &Tensor, options: &ConvOptions<1>) -> Tensor {
        self.conv("conv1d", weight, options)
    }

    /// `[batch, c_in, h, w]` by weights `[c_out, c_in / groups, kh, kw]` gives `[batch, c_out, h', w']`; see
    /// [`Tensor::conv1d`] for the sizes.
    ///
    /// ```
    /// # use anygrad_core::{Tensor, tensor::conv::ConvOptions};
    /// # let device = anygrad_core::testing::device();
    /// # let (x, w) = (Tensor::zeros(&[1, 3, 8, 8], &device), Tensor::zeros(&[5, 3, 3, 3], &device));
    /// let y = x.conv2d(&w, &ConvOptions { padding: [(1, 1); 2], ..Default::default() });
    /// assert_eq!(y.shape(), [1, 5, 8, 8]);
    /// ```
    ///
    /// # Panics
    /// As [`Tensor::conv1d`].
    #[track_caller]
    pub fn conv2d(&self, weight: &Tensor, options: &ConvOptions<2>) -> Tensor {
        self.conv("conv2d", weight, options)
    }

    /// `[batch, c_in, d, h, w]` by weights `[c_out, c_in / groups, kd, kh, kw]` gives `[batch, c_out, d', h', w']`; see
    /// [`Tensor::conv1d`] for the sizes.
    ///
    /// # Panics
    /// As [`Tensor::conv1d`].
    #[track_caller]
    pub fn conv3d(&self, weight: &Tensor, options: &ConvOptions<3>) -> Tensor {
        self.conv("conv3d", weight, options)
    }

    /// `[batch, c_in, t]` by weights `[c_in, c_out / groups, taps]` gives `[batch, c_out, out]`,
    /// `out = (t - 1) * stride - padding + dilation * (taps - 1) + 1 + output_padding`.
    ///
    /// # Panics
    /// If sizes do not fit each other.
    #[track_caller]
    pub fn conv_transpose1d(&self, weight: &Tensor, options: &TransposeOptions<1>) -> Tensor {
        self.conv_transpose("conv_transpose1d", weight, options)
    }

    /// `[batch, c_in, h, w]` by weights `[c_in, c_out / groups, kh, kw]` gives `[batch, c_out, h', w']`; see
    /// [`Tensor::conv_transpose1d`] for the sizes.
    ///
    /// # Panics
    /// As [`Tensor::conv_transpose1d`].
    #[track_caller]
    pub fn conv_transpose2d(&self, weight: &Tensor, options: &TransposeOptions<2>) -> Tensor {
        self.conv_transpose("conv_transpose2d", weight, options)
    }

    /// `[batch, c_in, d, h, w]` by weights `[c_in, c_out / groups, kd, kh, kw]` gives `[batch, c_out, d', h', w']`; see
    /// [`Tensor::conv_transpose1d`] for the sizes.
    ///
    /// # Panics
    /// As [`Tensor::conv_transpose1d`].
    #[track_caller]
    pub fn conv_transpose3d(&self, weight: &Tensor, options: &TransposeOptions<3>) -> Tensor {
        self.conv_transpose("conv_transpose3d", weight, options)
    }

    #[track_caller]
    pub(crate) fn conv<const N: usize>(&self, op: &str, weight: &Tensor, options: &ConvOptions<N>) -> Tensor {
        let ConvOptions { stride, padding, dilation, groups } = *options;
        let (x, w) = (self.shape(), weight.shape());
        check::<N>(op, x, w, &stride, &dilation, groups);
        if x[1] % groups != 0 || w[0] % groups != 0 || w[1] != x[1] / groups {
            let rule = format!("weights are [c_out, c_in / groups, taps..] with {groups} groups");
            fail(op, format!("{x:?} by {w:?}: the input has {} channels, {rule}", x[1]));
        }
        let mut output = Vec::with_capacity(N);
        for axis in 0..N {
            let length = x[axis + 2] + padding[axis].0 + padding[axis].1;
            let reach = dilation[axis] * (w[axis + 2] - 1) + 1;
            if length < reach {
                fail(op, format!("{x:?} by {w:?}: a window of {reach} does not fit the padded size {length}"));
            }
            output.push((length - reach) / stride[axis] + 1);
        }
        let geometry = ConvGeometry {
            batch: x[0],
            c_in: x[1],
            c_out: w[0],
            groups,
            input: x[2..].to_vec(),
            taps: w[2..].to_vec(),
            output,
            stride: stride.to_vec(),
            padding: padding.iter().map(|p| p.0).collect(),
            dilation: dilation.to_vec(),
        };
        self.convolve(weight, ConvKind::Forward, geometry)
    }

    #[track_caller]
    pub(crate) fn conv_transpose<const N: usize>(
        &self,
        op: &str,
        weight: &Tensor,
        options: &TransposeOptions<N>,
    ) -> Tensor {
        let TransposeOptions { stride, padding, dilation, groups, output_padding } = *options;
        let (x, w) = (self.shape(), weight.shape());
        check::<N>(op, x, w, &stride, &dilation, groups);
        if w[0] != x[1] || w[0] % groups != 0 {
            let rule = format!("weights are [c_in, c_out / groups, taps..] with {groups} groups");
            fail(op, format!("{x:?} by {w:?}: the input has {} channels, {rule}", x[1]));
        }
        let mut output = Vec::with_capacity(N);
        for axis in 0..N {
            if output_padding[axis] >= stride[axis].max(dilation[axis]) {
                let (pad, s, d) = (output_padding[axis], stride[axis], dilation[axis]);
                fail(op, format!("output_padding {pad} must be smaller than stride {s} or dilation {d}"));
            }
            let reach = dilation[axis] * (w[axis + 2] - 1) + 1;
            let whole = x[axis + 2].saturating_sub(1) * stride[axis] + reach + output_padding[axis];
            let cut = padding[axis].0 + padding[axis].1;
            if whole <= cut || x[axis + 2] == 0 {
                fail(op, format!("{x:?} by {w:?}: a padding of {cut} leaves nothing of the size {whole}"));
            }
            output.push(whole - cut);
        }
        // The convolution whose gradient this is: it goes from the result to the input.
        let geometry = ConvGeometry {
            batch: x[0],
            c_in: w[1] * groups,
            c_out: x[1],
            groups,
            input: output,
            taps: w[2..].to_vec(),
            output: x[2..].to_vec(),
            stride: stride.to_vec(),
            padding: padding.iter().map(|p| p.0).collect(),
            dilation: dilation.to_vec(),
        };
        self.convolve(weight, ConvKind::InputGradient, geometry)
    }
}

/// What holds for both directions.
#[track_caller]
fn check<const N: usize>(
    op: &str,
    x: &[usize],
    w: &[usize],
    stride: &[usize; N],
    dilation: &[usize; N],
    groups: usize,
) {
    if x.len() != N + 2 || w.len() != N + 2 {
        fail(op, format!("{x:?} by {w:?}: needs a batch axis, a channel axis and {N} more on both"));
    }
    if groups == 0 || stride.contains(&0) || dilation.contains(&0) || w[2..].contains(&0) {
        fail(
            op,
            format!(
                "groups {groups}, stride {stride:?}, dilation {dilation:?} and taps {:?} must be at least 1",
                &w[2..]
            ),
        );
    }
}
