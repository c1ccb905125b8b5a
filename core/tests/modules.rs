//! Names, initial values and panics of modules and layers.

// What the derive writes names the facade.
extern crate anygrad_core as anygrad;

use anygrad_core::nn::*;
use anygrad_core::{Device, Tensor, Var, reference, testing};

fn var(device: &Device) -> Var {
    Var::new("", &Tensor::from_vec(vec![1.0f32, 2.0], &[2], device))
}

fn names(module: &impl Module) -> Vec<String> {
    module.named_variables().into_iter().map(|(name, _)| name).collect()
}

#[derive(Module)]
struct Named<'a, M, const N: usize = 2>
where
    M: Clone,
{
    /// Documented fields are found too.
    first: Var,
    pub(crate) list: Vec<M>,
    r#type: Option<(Var, Var)>,
    pair: std::marker::PhantomData<std::collections::HashMap<&'a str, M>>,
    #[module(buffer)]
    statistics: [Var; N],
    #[module(skip)]
    #[allow(dead_code, reason = "its type is no module, which is what it is here for")]
    skipped: fn(f64) -> f64,
    #[module(flatten)]
    inner: Tuple,
    rate: f64,
}

#[derive(Clone, Module)]
struct Tuple(Var, usize, #[module(buffer)] Var);

#[derive(Module)]
struct Unit;

#[test]
fn derived_modules_name_variables_by_their_fields() {
    let device = testing::device();
    let shared = var(&device);
    let net: Named<'_, Tuple> = Named {
        first: shared.clone(),
        list: vec![Tuple(var(&device), 1, var(&device))],
        r#type: Some((var(&device), shared)),
        pair: std::marker::PhantomData,
        statistics: [var(&device), var(&device)],
        skipped: f64::sqrt,
        inner: Tuple(var(&device), 1, var(&device)),
        rate: 0.5,
    };
    let all = ["first", "list.0.0", "list.0.2", "type.0", "statistics.0", "statistics.1", "0", "2"];
    assert_eq!(names(&net), all);
    let parameters: Vec<String> = net.parameters().iter().map(Var::name).collect();
    assert_eq!(parameters, ["first", "list.0.0", "type.0", "0"]);
    let buffers: Vec<String> = net.buffers().iter().map(Var::name).collect();
    assert_eq!(buffers, ["list.0.2", "statistics.0", "statistics.1", "2"]);
    assert_eq!(net.parameter_count(), 8);
    assert!(names(&Unit).is_empty() && net.rate > 0.0);
    // A part keeps the names that the whole gave.
    assert_eq!(net.list[0].parameters()[0].name(), "list.0.0");
}

#[test]
fn layers_carry_pytorch_names() {
    let device = testing::device();
    let options = TransformerOptions { hidden: 8, norm_first: true, ..TransformerOptions::default() };
    let encoder = TransformerEncoder::new(1, 4, 2, &options, &device);
    let expected = [
        "layers.0.self_attn.in_proj_weight",
        "layers.0.self_attn.in_proj_bias",
        "layers.0.self_attn.out_proj.weight",
        "layers.0.self_attn.out_proj.bias",
        "layers.0.linear1.weight",
    ];
    assert_eq!(names(&encoder)[..5], expected);
    assert_eq!(BatchNorm::new(3, &device).buffers().len(), 2);
    assert_eq!(names(&Residual::new(Linear::new(2, 2, &device))), ["weight", "bias"]);
}

#[test]
fn the_same_seed_gives_the_same_model() {
    let values = |seed: u64| {
        let device = testing::device();
        device.seed(seed).expect("the device works");
        let net = Sequential::new().add(Linear::new(3, 4, &device)).add(Conv1d::new(2, 2, 3, &device));
        reference::values(&net.parameters().iter().map(Var::get).collect::<Vec<_>>()).expect("numbers are there")
    };
    assert_eq!(values(1), values(1));
    assert_ne!(values(1), values(2));
}

#[test]
fn initial_values_have_their_moments() {
    let device = testing::device();
    let moments = |x: Tensor| {
        let values = reference::values(&[x]).expect("numbers are there").remove(0);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / values.len() as f64;
        (mean, variance, values)
    };
    let shape = [200, 30, 3];
    let (fan_in, fan_out) = (90.0, 600.0);
    let cases: [(Tensor, f64); 6] = [
        (init::xavier_uniform(&shape, 2.0, &device), 4.0 * 2.0 / (fan_in + fan_out)),
        (init::xavier_normal(&shape, 1.0, &device), 2.0 / (fan_in + fan_out)),
        (init::kaiming_uniform(&shape, Activation::Relu.gain(), &device), 2.0 / fan_in),
        (init::kaiming_normal(&shape, 1.0, &device), 1.0 / fan_in),
        (init::uniform(&shape, -1.0, 1.0, &device), 1.0 / 3.0),
        // The variance of a standard normal cut off at 2 is 1 - 4 phi(2) / (2 Phi(2) - 1).
        (init::truncated_normal(&shape, 0.0, 0.5, 2.0, &device), 0.25 * 0.773_741_3),
    ];
    for (i, (x, variance)) in cases.into_iter().enumerate() {
        let (mean, got, _) = moments(x);
        // 18000 numbers: the mean within 5, the variance within 5 times 1.5 % of its own size.
        assert!(mean.abs() < 5.0 * (variance / 18_000.0).sqrt(), "case {i}: mean {mean}");
        assert!((got / variance - 1.0).abs() < 0.075, "case {i}: variance {got}, expected {variance}");
    }
    let (_, _, values) = moments(init::truncated_normal(&[5000], 1.0, 0.5, 2.0, &device));
    assert!(values.iter().all(|x| (0.0..=2.0).contains(x)));
}

#[test]
fn orthogonal_matrices_are_orthogonal() {
    let device = testing::device();
    for shape in [[4, 7], [7, 4], [5, 5]] {
        let x = init::orthogonal(&shape, 1.5, &device);
        let gram = if shape[0] <= shape[1] { x.matmul(&x.t()) } else { x.t().matmul(&x) };
        let n = shape[0].min(shape[1]);
        let values = reference::values(&[gram]).expect("numbers are there").remove(0);
        for (i, v) in values.into_iter().enumerate() {
            let expected = if i / n == i % n { 2.25 } else { 0.0 };
            // The matrix is rounded to f32.
            assert!((v - expected).abs() < 1e-6, "{shape:?} element {i}: {v}");
        }
    }
}

#[test]
fn dropout_keeps_the_mean_while_training() {
    let device = testing::device();
    let x = Tensor::ones(&[4, 50, 100], &device);
    for dropout in [Dropout::new(0.3), Dropout::channels(0.3)] {
        let y = testing::training(&device, || dropout.forward(&x));
        let values = reference::values(&[y]).expect("numbers are there").remove(0);
        let dropped = values.iter().filter(|&&v| v == 0.0).count() as f64 / values.len() as f64;
        let independent = if dropout.channels { 200.0f64 } else { 20_000.0 };
        assert!((dropped - 0.3).abs() < 5.0 * (0.21 / independent).sqrt(), "{dropped}");
        assert!(values.iter().all(|&v| v == 0.0 || (v - 1.0 / 0.7).abs() < 1e-6));
        if dropout.channels {
            assert!(values.chunks(100).all(|channel| channel.iter().all(|v| v == &channel[0])));
        }
        assert_eq!(reference::values(&[dropout.forward(&x)]).expect("numbers are there")[0], vec![1.0; 20_000]);
    }
}

#[test]
fn a_query_without_keys_attends_to_nothing() {
    let device = testing::device();
    let layer = MultiHeadAttention::new(4, 2, &device);
    let x = init::normal(&[1, 3, 4], 0.0, 1.0, &device);
    let key_padding = Some(Tensor::from_vec(vec![true; 3], &[1, 3], &device));
    let (y, weights) = layer.attend(&x, &x, &x, &Masks { key_padding, ..Masks::default() });
    let gradient = (&y * &y).sum(()).gradients(&[&x]);
    let values = reference::values(&[y, weights, gradient[0].clone()]).expect("numbers are there");
    assert!(values.iter().flatten().all(|&v| v == 0.0), "{values:?}");
}

#[test]
fn labels_that_do_not_exist_give_nan() {
    let device = testing::device();
    let logits = Tensor::zeros(&[3, 4], &device);
    let labels = Tensor::from_vec(vec![3, 4, -1], &[3], &device);
    let losses = CrossEntropy { reduction: Reduce::None, ..CrossEntropy::default() }.of(&logits, &labels);
    let values = reference::values(&[losses]).expect("numbers are there").remove(0);
    assert!((values[0] - 4f64.ln()).abs() < 1e-12 && values[1].is_nan() && values[2].is_nan(), "{values:?}");
}

/// The message of the panic of `f`.
fn message(f: impl FnOnce() -> Tensor + std::panic::UnwindSafe) -> String {
    let Err(panic) = std::panic::catch_unwind(f) else { panic!("this should have panicked") };
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).into()))
        .unwrap_or_default()
}

#[test]
fn misuse_panics_in_words() {
    type Misuse = (&'static str, fn(&Device) -> Tensor);
    fn x(shape: &[usize], device: &Device) -> Tensor {
        Tensor::zeros(shape, device)
    }
    let rows: &[Misuse] = &[
        ("Linear: x is [2, 5], but its last axis must have 4 elements", |d| {
            Linear::new(4, 3, d).forward(&x(&[2, 5], d))
        }),
        ("the input has 2 channels, weights are [c_out, c_in / groups, taps..]", |d| {
            Conv2d::new(3, 4, 3, d).forward(&x(&[1, 2, 5, 5], d))
        }),
        ("Conv: 3 channels to 4 cannot be divided into 2 equal groups", |d| {
            let options = anygrad_core::tensor::conv::ConvOptions { groups: 2, ..Default::default() };
            Conv2d::with_options(3, 4, [3; 2], options, d).forward(&x(&[1, 3, 5, 5], d))
        }),
        ("MultiHeadAttention: 6 channels cannot be divided evenly among 4 heads", |d| {
            MultiHeadAttention::new(6, 4, d).forward(&x(&[1, 2, 6], d), &Masks::default())
        }),
        ("MultiHeadAttention: x is [2, 6], but must be [batch, time, 6]", |d| {
            MultiHeadAttention::new(6, 2, d).forward(&x(&[2, 6], d), &Masks::default())
        }),
        ("key_padding is [2, 3] of f32; [1, 2] of bool is needed", |d| {
            let masks = Masks { key_padding: Some(x(&[2, 3], d)), ..Masks::default() };
            MultiHeadAttention::new(6, 2, d).forward(&x(&[1, 2, 6], d), &masks)
        }),
        ("LayerNorm: x is [2, 3], but its last axes must be [4]", |d| LayerNorm::new(4, d).forward(&x(&[2, 3], d))),
        ("RmsNorm: x is [2, 3], but its last axis must have 4 elements", |d| {
            RmsNorm::new(4, d).forward(&x(&[2, 3], d))
        }),
        ("GroupNorm: 5 channels cannot be divided into 2 equal groups", |d| {
            GroupNorm::new(2, 5, d).forward(&x(&[1, 5], d))
        }),
        ("BatchNorm: x is [2, 3], but must be [batch, 4, ..]", |d| BatchNorm::new(4, d).forward(&x(&[2, 3], d))),
        ("training needs more than one number per channel", |d| {
            let norm = BatchNorm::new(4, d);
            testing::training(d, || norm.forward(&x(&[1, 4], d)))
        }),
        ("Dropout: probability 1.5 is not between 0 and 1", |d| Dropout::new(1.5).forward(&x(&[1], d))),
        ("Embedding: row numbers are f32, not i32 or u32", |d| Embedding::new(4, 2, d).forward(&x(&[1], d))),
        ("Embedding: padding row 4 does not exist in a table of 4 rows", |d| {
            Embedding::with_padding(4, 2, 4, d).forward(&x(&[1], d))
        }),
        ("Gru: x is [2, 3, 5], but must be [batch, time, 4]", |d| {
            Gru::new(4, 3, RecurrentOptions::default(), d).forward(&x(&[2, 3, 5], d), None).0
        }),
        ("Lstm: the state is [2, 2, 3], but must be [1, 2, 3]", |d| {
            let state = x(&[2, 2, 3], d);
            Lstm::new(4, 3, RecurrentOptions::default(), d).forward(&x(&[2, 5, 4], d), Some((&state, &state))).0
        }),
        ("Residual: the layer makes [2, 3] of [2, 4]", |d| Residual::new(Linear::new(4, 3, d)).forward(&x(&[2, 4], d))),
        ("cross_entropy: logits [2, 3] take labels [2] of i32 or u32, these are [3] of i32", |d| {
            x(&[2, 3], d).cross_entropy(&Tensor::from_vec(vec![0, 1, 2], &[3], d))
        }),
        ("mse_loss: the prediction is [2, 1] and the target [2]", |d| x(&[2, 1], d).mse_loss(&x(&[2], d))),
        ("init: fans are counted on weights [out, in, taps..]; [3] has fewer than two axes", |d| {
            init::xavier_uniform(&[3], 1.0, d)
        }),
    ];
    for (expected, f) in rows {
        let device = testing::device();
        let got = message(std::panic::AssertUnwindSafe(|| f(&device)));
        assert!(got.contains(expected), "expected: {expected}\ngot: {got}");
    }
}
