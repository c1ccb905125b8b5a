//! Shapes of results, which are known without running anything.

use crate::dtype::DType;
use crate::tensor::Tensor;
use crate::tensor::conv::{ConvOptions, TransposeOptions};
use crate::tensor::pool::PoolOptions;
use crate::tensor::tests::{device, zeros};

#[test]
fn axes_are_written_as_one_thinks_them() {
    let x = zeros(&[2, 3, 4]);
    assert_eq!(x.sum(()).shape(), []);
    assert_eq!(x.sum(..).shape(), []);
    assert_eq!(x.sum(1).shape(), [2, 4]);
    assert_eq!(x.sum(2usize).shape(), [2, 3]);
    assert_eq!(x.sum([0, -1]).shape(), [3]);
    assert_eq!(x.sum([0, 1].as_slice()).shape(), [4]);
    assert_eq!(x.sum(vec![0usize]).shape(), [3, 4]);
    assert_eq!(x.sum([0isize; 0]).shape(), [2, 3, 4]);
    assert_eq!(x.mean_keep(-1).shape(), [2, 3, 1]);
    assert_eq!(x.var([1, 2], 1).shape(), [2]);
    assert_eq!(x.argmax(1).shape(), [2, 4]);
    assert_eq!(x.any(0).dtype(), DType::Bool);
}

#[test]
fn sizes_are_any_integers() {
    let x = zeros(&[2, 6]);
    let (n, like) = (2usize, zeros(&[3, 4]));
    assert_eq!(x.reshape([3, -1]).shape(), [3, 4]);
    assert_eq!(x.reshape([n, 3, n]).shape(), [2, 3, 2]);
    assert_eq!(x.reshape(like.shape()).shape(), [3, 4]);
    assert_eq!(x.reshape(vec![12]).shape(), [12]);
    assert_eq!(x.reshape([-1]).shape(), [12]);
    assert_eq!(x.unflatten(1, [3, -1]).shape(), [2, 3, 2]);
    assert_eq!(x.flatten(0).shape(), [12]);
    assert_eq!(x.unsqueeze(-1).shape(), [2, 6, 1]);
    assert_eq!(zeros(&[1, 3, 1]).squeeze(()).shape(), [3]);
    assert_eq!(zeros(&[1, 3, 1]).squeeze([0, -1]).shape(), [3]);
    assert_eq!(zeros(&[3, 1]).expand([2, -1, 4]).shape(), [2, 3, 4]);
    assert_eq!(x.slice(1, 1..).slice(1, ..-1).shape(), [2, 4]);
    assert_eq!(x.slice(1, n..).shape(), [2, 4]);
    assert_eq!(x.slice(1, ..=-2).shape(), [2, 5]);
    assert_eq!(x.index_axis(0, -1).shape(), [6]);
    assert_eq!(x.split(4, 1).iter().map(|p| p.size(1)).collect::<Vec<_>>(), [4, 2]);
    assert_eq!(x.chunk(4, 1).len(), 3);
    assert_eq!(x.pad(&[(1, 2)], 0.0).shape(), [2, 9]);
    assert_eq!(x.repeat(&[2, 1, 3]).shape(), [2, 2, 18]);
    assert_eq!(Tensor::stack(&[&x, &x], -1).shape(), [2, 6, 2]);
}

#[test]
fn products() {
    let shape = |a: &[usize], b: &[usize]| {
        let d = device();
        Tensor::zeros(a, &d).matmul(&Tensor::zeros(b, &d)).shape().to_vec()
    };
    assert_eq!(shape(&[3], &[3]), []);
    assert_eq!(shape(&[2, 3], &[3]), [2]);
    assert_eq!(shape(&[3], &[3, 2]), [2]);
    assert_eq!(shape(&[5, 2, 3], &[3, 4]), [5, 2, 4]);
    assert_eq!(shape(&[2, 3], &[5, 3, 4]), [5, 2, 4]);
    assert_eq!(shape(&[7, 1, 2, 3], &[5, 3, 4]), [7, 5, 2, 4]);
    assert_eq!(shape(&[5, 2, 3], &[3]), [5, 2]);
    assert_eq!(shape(&[3], &[5, 3, 4]), [5, 4]);
    assert_eq!(shape(&[0, 3], &[3, 4]), [0, 4]);
}

#[test]
fn windows() {
    let d = device();
    let x = Tensor::zeros(&[2, 4, 9, 7], &d);
    let same = ConvOptions { padding: [(1, 1); 2], groups: 2, ..Default::default() };
    assert_eq!(x.conv2d(&Tensor::zeros(&[6, 2, 3, 3], &d), &same).shape(), [2, 6, 9, 7]);
    let strided = ConvOptions { stride: [2, 3], dilation: [2, 1], padding: [(1, 0), (0, 2)], groups: 1 };
    let y = x.conv2d(&Tensor::zeros(&[6, 4, 3, 3], &d), &strided);
    assert_eq!(y.shape(), [2, 6, 3, 3]);
    let back = TransposeOptions {
        stride: [2, 3],
        dilation: [2, 1],
        padding: [(1, 0), (0, 2)],
        groups: 1,
        output_padding: [1, 0],
    };
    assert_eq!(y.conv_transpose2d(&Tensor::zeros(&[6, 4, 3, 3], &d), &back).shape(), [2, 4, 9, 7]);
    assert_eq!(x.max_pool2d(2).shape(), [2, 4, 4, 3]);
    let ceil = PoolOptions { ceil_mode: true, ..PoolOptions::new([2, 2]) };
    assert_eq!(x.max_pool(&ceil).shape(), [2, 4, 5, 4]);
    assert_eq!(x.avg_pool(&ceil).shape(), [2, 4, 5, 4]);
    assert_eq!(x.adaptive_avg_pool2d([1, 1]).shape(), [2, 4, 1, 1]);
    assert_eq!(x.adaptive_avg_pool2d([3, 4]).shape(), [2, 4, 3, 4]);
    assert_eq!(x.interpolate_bilinear([5, 14], false).shape(), [2, 4, 5, 14]);
    assert_eq!(Tensor::zeros(&[1, 2, 8, 8, 8], &d).max_pool3d(2).shape(), [1, 2, 4, 4, 4]);
}

#[test]
fn numbers_meet_tensors_on_both_sides() {
    let x = zeros(&[2]);
    let y: Tensor = (1.0 - &x).exp() * 2.0 + 1;
    assert_eq!(y.dtype(), DType::F32);
    let z: Tensor = 2.0 * (3.0 / (x + 1.0f32));
    assert_eq!(z.shape(), [2]);
    let i = z.cast(DType::I32);
    assert_eq!((1 + &i % 2 * 3usize).dtype(), DType::I32);
    assert_eq!((!i.eq(0) & i.lt(3)).dtype(), DType::Bool);
    assert_eq!(i.eq(0).select(1.0, 2.0).dtype(), DType::F32);
}
