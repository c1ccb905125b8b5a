//! Mistakes in model code panic with the operation, both shapes and the rule.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use crate::dtype::DType;
use crate::tensor::Tensor;
use crate::tensor::conv::{ConvOptions, TransposeOptions};
use crate::tensor::pool::PoolOptions;
use crate::tensor::tests::{device, zeros};
use crate::testing;

type Mistake = (&'static str, fn() -> Tensor);

const MISTAKES: &[Mistake] = &[
    ("add: [2, 3] and [4] do not broadcast: sizes 3 and 4 differ and neither is 1", || {
        let d = device();
        Tensor::zeros(&[2, 3], &d) + Tensor::zeros(&[4], &d)
    }),
    ("mul: element types f32 and i32 differ; cast one", || {
        let x = zeros(&[2]);
        &x * x.cast(DType::I32)
    }),
    ("add: one tensor is on store and the other on store", || zeros(&[2]) + Tensor::zeros(&[2], &testing::device())),
    ("number: 0.5 is not a value of i32; cast the tensor first", || zeros(&[2]).cast(DType::I32) * 0.5),
    ("number: -1 is not a value of u32", || zeros(&[2]).cast(DType::U32) + -1),
    ("exp: elements of type i32 have none; cast first", || zeros(&[2]).cast(DType::I32).exp()),
    ("clamp: the lower limit 2 is not below the upper limit 1", || zeros(&[2]).clamp(2.0, 1.0)),
    ("select: the condition is f32, not bool; compare first", || zeros(&[2]).select(1.0, 2.0)),
    ("sum: axis 2 does not exist in [2, 3], which has 2 axes", || zeros(&[2, 3]).sum(2)),
    ("sum: axis 1 is named twice", || zeros(&[2, 3]).sum([1, -1])),
    ("sum: bool elements have none; use `any`, `all` or cast", || zeros(&[2]).eq(0.0).sum(())),
    ("mean: elements are i32, not floats; cast first", || zeros(&[2]).cast(DType::I32).mean(())),
    ("argmax/argmin: axis 1 of [2, 0] is empty", || zeros(&[2, 0]).argmax(1)),
    ("median: axis 0 of [0] is empty", || zeros(&[0]).median(0)),
    ("softmax: axis -3 does not exist in [2, 3]", || zeros(&[2, 3]).softmax(-3)),
    ("softmax: elements are i32, not floats", || zeros(&[2]).cast(DType::I32).softmax(0)),
    ("reshape: [2, 3] has 6 elements and cannot take the shape [4, -1]", || zeros(&[2, 3]).reshape([4, -1])),
    ("reshape: [-1, -1]: only one size may be -1", || zeros(&[2, 3]).reshape([-1, -1])),
    ("squeeze: axis 1 of [1, 3] has size 3, not 1", || zeros(&[1, 3]).squeeze(1)),
    ("expand: [2, 3] has more axes than [3]", || zeros(&[2, 3]).expand([3])),
    ("broadcast_to: [2, 3] and [4, 3] do not broadcast", || zeros(&[2, 3]).expand([4, -1])),
    ("permute: [0, 0] does not name each", || zeros(&[2]).permute([0, 0])),
    ("permute: axis 1 is named twice", || zeros(&[2, 3]).permute([1, -1])),
    ("t: [3] has no two axes to exchange", || zeros(&[3]).t()),
    ("slice: 1..5 does not fit axis 1 of [2, 4]", || zeros(&[2, 4]).slice(1, 1..5)),
    ("slice: -1..4 does not fit axis 1 of [2, 4]", || zeros(&[2, 4]).slice(1, -5..)),
    ("slice_step: steps of 0 elements never end", || zeros(&[4]).slice_step(0, 0.., 0)),
    ("masked_select: the mask is f32, not bool; compare first", || zeros(&[4]).masked_select(&zeros(&[4]), 2, 0.0)),
    ("masked_scatter: the mask is f32, not bool; compare first", || {
        zeros(&[4]).masked_scatter(&zeros(&[4]), &zeros(&[4]))
    }),
    ("index_axis: place 4 does not exist on axis 1 of [2, 4]", || zeros(&[2, 4]).index_axis(1, 4)),
    ("split: parts of 0 elements never end", || zeros(&[2]).split(0, 0).remove(0)),
    ("cat: no tensors were given", || Tensor::cat(&[] as &[Tensor], 0)),
    ("cat: [2, 3] and [3, 3] differ in another axis than the joined axis 1", || {
        Tensor::cat(&[zeros(&[2, 3]), zeros(&[3, 3])], 1)
    }),
    ("stack: [2] and [3] differ; only equal shapes can be stacked", || Tensor::stack(&[zeros(&[2]), zeros(&[3])], 0)),
    ("pad: 2 pairs for the 1 axes of [3]", || zeros(&[3]).pad(&[(1, 1), (1, 1)], 0.0)),
    ("repeat: [2] has fewer numbers than [2, 3] has axes", || zeros(&[2, 3]).repeat(&[2])),
    ("matmul: [32, 784] x [100, 10]: inner sizes 784 and 100 differ", || zeros(&[32, 784]).matmul(&zeros(&[100, 10]))),
    ("matmul: [2, 3, 4] x [3, 4, 5]: batch axes: [2] and [3] do not broadcast: sizes 2 and 3 differ", || {
        zeros(&[2, 3, 4]).matmul(&zeros(&[3, 4, 5]))
    }),
    ("matmul: [] x [2]: a number has no inner axis; use *", || zeros(&[]).matmul(&zeros(&[2]))),
    ("matmul: elements are i32, not floats", || {
        let x = zeros(&[2, 2]).cast(DType::I32);
        x.matmul(&x)
    }),
    ("bmm: [2, 2] x [2, 2]: needs [b, m, k] and [b, k, n]", || zeros(&[2, 2]).bmm(&zeros(&[2, 2]))),
    ("dot: [2] and [3]: needs two vectors of one length", || zeros(&[2]).dot(&zeros(&[3]))),
    ("einsum: 'ij,jk->ik' names 2 operands, 1 were given", || Tensor::einsum("ij,jk->ik", &[&zeros(&[2, 2])])),
    ("einsum: 'ijk' in 'ijk->i' does not name the axes of [2, 2]", || Tensor::einsum("ijk->i", &[&zeros(&[2, 2])])),
    ("einsum: 'ij,jk->ik': j has the sizes 2 and 3", || {
        Tensor::einsum("ij,jk->ik", &[&zeros(&[2, 2]), &zeros(&[3, 2])])
    }),
    ("einsum: 'ij->k': the result must name known letters, each once", || Tensor::einsum("ij->k", &[&zeros(&[2, 2])])),
    ("conv2d: [1, 3, 8, 8] by [4, 2, 3, 3]: the input has 3 channels", || {
        zeros(&[1, 3, 8, 8]).conv2d(&zeros(&[4, 2, 3, 3]), &ConvOptions::default())
    }),
    ("conv1d: [1, 3, 8] by [4, 3, 9]: a window of 9 does not fit the padded size 8", || {
        zeros(&[1, 3, 8]).conv1d(&zeros(&[4, 3, 9]), &ConvOptions::default())
    }),
    ("conv2d: [3, 8, 8] by [4, 3, 3, 3]: needs a batch axis, a channel axis and 2 more on both", || {
        zeros(&[3, 8, 8]).conv2d(&zeros(&[4, 3, 3, 3]), &ConvOptions::default())
    }),
    ("conv1d: groups 1, stride [0], dilation [1] and taps [3] must be at least 1", || {
        zeros(&[1, 3, 8]).conv1d(&zeros(&[4, 3, 3]), &ConvOptions { stride: [0], ..Default::default() })
    }),
    ("conv_transpose1d: output_padding 1 must be smaller than stride 1 or dilation 1", || {
        let options = TransposeOptions { output_padding: [1], ..Default::default() };
        zeros(&[1, 3, 8]).conv_transpose1d(&zeros(&[3, 4, 3]), &options)
    }),
    ("max_pool: [1, 1, 2]: a window of 3 does not fit the padded size 2", || zeros(&[1, 1, 2]).max_pool1d(3)),
    ("max_pool: padding (2, 2) is more than half of a window of 3", || {
        zeros(&[1, 1, 9]).max_pool(&PoolOptions { padding: [(2, 2)], ..PoolOptions::new([3]) })
    }),
    ("gather: [2, 3] by indices [3]: sizes must agree but for axis 0", || {
        zeros(&[2, 3]).gather(0, &zeros(&[3]).cast(DType::I32))
    }),
    ("index_select: indices [1, 2] have 2 axes, not one", || {
        zeros(&[2, 3]).index_select(0, &zeros(&[1, 2]).cast(DType::I32))
    }),
    ("one_hot: elements are f32, not i32 or u32; cast first", || zeros(&[2]).one_hot(3)),
    ("topk: axis 0 of [2] has fewer than 3 elements", || zeros(&[2]).topk(3, 0).0),
    ("bernoulli: the probability 1.5 is not in 0..=1", || Tensor::bernoulli(&[2], 1.5, &device())),
    ("randint: 3..3 is empty", || Tensor::randint(&[2], 3, 3, &device())),
    ("scaled_dot_product_attention: q [2, 4], k [3, 5], v [3, 5]: q and k must have equal features", || {
        zeros(&[2, 4]).scaled_dot_product_attention(&zeros(&[3, 5]), &zeros(&[3, 5]), None, false)
    }),
    ("arange: from 0 to 1 there is no end with steps of 0", || Tensor::arange(0.0, 1.0, 0.0, &device())),
    ("unsqueeze: axis 3 does not exist", || zeros(&[2]).unsqueeze(3)),
    ("interpolate_nearest: [4] to [2, 2]: needs two axes", || zeros(&[4]).interpolate_nearest([2, 2])),
];

#[test]
fn mistakes_are_named_in_words_at_the_users_line() {
    let place = Arc::new(Mutex::new(String::new()));
    let (slot, thread) = (place.clone(), std::thread::current().id());
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == thread {
            let file = info.location().map(|l| l.file().to_string()).unwrap_or_default();
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = file;
        }
    }));
    let mut wrong = Vec::new();
    for (expected, mistake) in MISTAKES {
        let said = match catch_unwind(AssertUnwindSafe(mistake)) {
            Ok(tensor) => format!("no panic, but {tensor:?}"),
            Err(payload) => payload.downcast_ref::<String>().cloned().unwrap_or_default(),
        };
        let file = place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !said.starts_with(expected) || !file.ends_with("panics.rs") {
            wrong.push(format!("expected: {expected}\n   found: {said} in {file}"));
        }
    }
    std::panic::set_hook(before);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
