//! Random changes of images on the device, for use inside of a traced training step, where they fuse with what follows.
//!
//! Images are `[n, channels, rows, columns]`, floats; each image of a batch gets its own draw. What is random comes from the device's
//! counter-based generator ([`Device::seed`](anygrad_core::Device::seed)), whose state is saved with a checkpoint, so a resumed run sees the same
//! images. A function changes images whenever it is called: call it in the training program and not in the one that
//! evaluates.
//!
//! ```
//! use anygrad_core::{Tensor, program::Program};
//! use anygrad_trainers::data::augment;
//!
//! # let device = anygrad_core::testing::device();
//! let mut step = Program::training(&device, |x: Tensor| -> Tensor {
//!     let x = augment::random_crop(&augment::random_flip(&x, 0.5), [8, 8], 1);
//!     augment::normalize(&x, &[0.5], &[0.25])
//! });
//! assert_eq!(step.run(Tensor::zeros(&[4, 1, 8, 8], &device))?.shape(), [4, 1, 8, 8]);
//! # Ok::<(), anygrad_core::Error>(())
//! ```

use anygrad_core::{DType, Device, Tensor};

/// The sizes of a batch of images; panics in words if it is none.
#[track_caller]
fn sizes(what: &str, x: &Tensor) -> [usize; 4] {
    match *x.shape() {
        [n, channels, rows, columns] if x.dtype().is_float() => [n, channels, rows, columns],
        _ => panic!("{what}: {:?} of {}; images are floats [n, channels, rows, columns]", x.shape(), x.dtype()),
    }
}

/// `(x - mean) / std` per channel of `[n, channels, ..]`.
///
/// # Panics
/// If there is not one mean and one deviation per channel, or a deviation is not positive.
#[track_caller]
pub fn normalize(x: &Tensor, mean: &[f32], std: &[f32]) -> Tensor {
    let channels = x.shape().get(1).copied().unwrap_or(0);
    if mean.len() != channels || std.len() != channels {
        panic!(
            "normalize: {} means and {} deviations for {:?}; give one per channel",
            mean.len(),
            std.len(),
            x.shape()
        );
    }
    if let Some(bad) = std.iter().find(|s| s.is_nan() || **s <= 0.0) {
        panic!("normalize: a deviation is {bad}; it must be positive");
    }
    let mut shape = vec![1; x.rank()];
    shape[1] = channels;
    let spread = |values: Vec<f32>| Tensor::from_vec(values, &shape, x.device()).cast(x.dtype());
    let scale = spread(std.iter().map(|s| 1.0 / s).collect());
    (x - spread(mean.to_vec())) * scale
}

/// A random window of `size` (rows, columns) of each image, after `padding` zeros were put around it.
///
/// All places of the window are equally likely (torchvision's `RandomCrop`).
///
/// # Panics
/// If `x` is no batch of images, or the window is larger than the padded image.
#[track_caller]
pub fn random_crop(x: &Tensor, size: [usize; 2], padding: usize) -> Tensor {
    let [n, _, rows, columns] = sizes("random_crop", x);
    let [height, width] = size;
    if height > rows + 2 * padding || width > columns + 2 * padding {
        panic!("random_crop: a window {size:?} of images {rows} x {columns} with {padding} around; it is too large");
    }
    let start = |free: usize| Tensor::randint(&[n, 1, 1, 1], 0, free as i32 + 1, x.device()) - padding as i32;
    let (top, left) = (start(rows + 2 * padding - height), start(columns + 2 * padding - width));
    pick(x, &(top + places(&[1, 1, height, 1], x.device())), &(left + places(&[1, 1, 1, width], x.device())))
}

/// Each image mirrored left to right with probability `p`.
///
/// # Panics
/// If `x` is no batch of images, or `p` is not in `0..=1`.
#[track_caller]
pub fn random_flip(x: &Tensor, p: f64) -> Tensor {
    let [n, ..] = sizes("random_flip", x);
    let mirrored = x.flip(&[3]);
    Tensor::bernoulli(&[n, 1, 1, 1], p, x.device()).broadcast_to(x.shape()).select(&mirrored, x)
}

/// Each image turned about its centre by an angle that is uniform in `-degrees..degrees`; see [`rotate`].
///
/// # Panics
/// If `x` is no batch of images, or the angle is negative.
#[track_caller]
pub fn random_rotation(x: &Tensor, degrees: f64) -> Tensor {
    let [n, ..] = sizes("random_rotation", x);
    rotate(x, &Tensor::uniform(&[n], -degrees, degrees, x.device()))
}

/// Images turned about their centre, counter-clockwise, by `degrees: [n]`; bilinear between pixels, 0 outside.
///
/// The pixel at `(u, v)` from the centre (right, down) comes from `(u cos a - v sin a, u sin a + v cos a)`: torchvision's
/// `rotate` with `InterpolationMode.BILINEAR`.
///
/// # Panics
/// If `x` is no batch of images, or there is not one angle per image.
#[track_caller]
pub fn rotate(x: &Tensor, degrees: &Tensor) -> Tensor {
    let [n, _, rows, columns] = sizes("rotate", x);
    if degrees.shape() != [n] {
        panic!("rotate: angles {:?} for {n} images; give one per image", degrees.shape());
    }
    let angle = degrees.reshape([n, 1, 1, 1]) * std::f64::consts::PI * (1.0 / 180.0);
    let (cos, sin) = (angle.cos(), angle.sin());
    let (middle_v, middle_u) = ((rows as f64 - 1.0) / 2.0, (columns as f64 - 1.0) / 2.0);
    let v = places(&[1, 1, rows, 1], x.device()).cast(DType::F32) - middle_v;
    let u = places(&[1, 1, 1, columns], x.device()).cast(DType::F32) - middle_u;
    let column = &u * &cos - &v * &sin + middle_u;
    let row = u * sin + v * cos + middle_v;
    let (top, left) = (row.floor(), column.floor());
    let (down, right) = (&row - &top, &column - &left);
    let (top, left) = (top.cast(DType::I32), left.cast(DType::I32));
    let (low, far) = (&top + 1, &left + 1);
    let (up, near) = (1.0 - &down, 1.0 - &right);
    pick(x, &top, &left) * (&up * &near).cast(x.dtype())
        + pick(x, &top, &far) * (up * &right).cast(x.dtype())
        + pick(x, &low, &left) * (&down * near).cast(x.dtype())
        + pick(x, &low, &far) * (down * right).cast(x.dtype())
}

/// Brightness and contrast of each image changed at random, kept in `0..=1`.
///
/// First `x b` with `b` uniform in `1 - brightness ..= 1 + brightness`, then `m + c (x - m)` with `c` in `1 - contrast ..= 1 + contrast`
/// and `m` the mean of the grey image (0.2989 red + 0.587 green + 0.114 blue, or of all channels if there are not
/// three). As torchvision's `ColorJitter` does in this order; its order is random.
///
/// # Panics
/// If `x` is no batch of images, or a strength is negative.
#[track_caller]
pub fn random_jitter(x: &Tensor, brightness: f64, contrast: f64) -> Tensor {
    let [n, channels, ..] = sizes("random_jitter", x);
    let factor = |strength: f64| {
        if strength < 0.0 {
            panic!("random_jitter: a strength of {strength}; it must not be negative");
        }
        Tensor::uniform(&[n, 1, 1, 1], (1.0 - strength).max(0.0), 1.0 + strength, x.device()).cast(x.dtype())
    };
    let bright = (x * factor(brightness)).clamp(0.0, 1.0);
    let grey = match channels {
        3 => {
            let weights = Tensor::from_vec(vec![0.2989f32, 0.587, 0.114], &[1, 3, 1, 1], x.device());
            (&bright * weights.cast(x.dtype())).sum_keep(1)
        }
        _ => bright.mean_keep(1),
    };
    let mean = grey.mean_keep([1, 2, 3]);
    (&mean + (bright - &mean) * factor(contrast)).clamp(0.0, 1.0)
}

/// A square of `size` pixels set to 0 in each image; its centre is any pixel, so it may stick out.
///
/// Source: DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout" (2017).
///
/// # Panics
/// If `x` is no batch of images.
#[track_caller]
pub fn random_cutout(x: &Tensor, size: usize) -> Tensor {
    let [n, _, rows, columns] = sizes("random_cutout", x);
    let half = (size / 2) as i32;
    let inside = |shape: [usize; 4], length: usize| {
        let start = Tensor::randint(&[n, 1, 1, 1], 0, length.max(1) as i32, x.device()) - half;
        let place = places(&shape, x.device()) - start;
        place.ge(0).logical_and(&place.lt(size as i32))
    };
    let (tall, wide) = (inside([1, 1, rows, 1], rows), inside([1, 1, 1, columns], columns));
    let hole = tall.broadcast_to(&[n, 1, rows, columns]).logical_and(&wide.broadcast_to(&[n, 1, rows, columns]));
    hole.broadcast_to(x.shape()).select(0.0, x)
}

/// Each row mixed with the one before it: `l x + (1 - l) x'`, for inputs `[n, ..]` and targets `[n, ..]` (floats: class
/// probabilities, such as [`Tensor::one_hot`], or numbers), with `l` drawn per row from Beta(alpha, alpha).
///
/// Batches are in random order, so the neighbour is any row.
/// Source: Zhang and others, "mixup: beyond empirical risk minimization" (2018).
///
/// # Panics
/// If the targets are integers, numbers of rows differ, or `alpha` is not positive.
#[track_caller]
pub fn mixup(x: &Tensor, y: &Tensor, alpha: f64) -> (Tensor, Tensor) {
    if x.rank() == 0 || y.rank() == 0 || x.shape()[0] != y.shape()[0] || !y.dtype().is_float() {
        let shapes = format!("inputs {:?}, targets {:?} of {}", x.shape(), y.shape(), y.dtype());
        panic!("mixup: {shapes}; both need [n, ..], and targets must be floats: use one_hot for labels");
    }
    if alpha.is_nan() || alpha <= 0.0 {
        panic!("mixup: alpha is {alpha}; it must be positive");
    }
    let n = x.shape()[0];
    let (a, b) = (gamma(n, alpha, x.device()), gamma(n, alpha, x.device()));
    let share = &a / (&a + &b);
    let mix = |values: &Tensor| {
        let mut shape = vec![1; values.rank()];
        shape[0] = n;
        let share = share.reshape(&shape).cast(values.dtype());
        let other = values.roll(1, 0);
        &other + (values - &other) * share
    };
    (mix(x), mix(y))
}

/// `[n]` draws from Gamma(alpha, 1).
///
/// For `a >= 1`: `d v` with `d = a - 1/3`, `v = (1 + x / sqrt(9 d))^3`, `x` normal, accepted if `ln u < x²/2 + d - d v + d ln v`; for
/// `a < 1` a draw for `a + 1` times `u^(1/a)`. A device cannot loop until all are accepted: the last of six tries is taken
/// if none was before; one try is accepted with at least 0.95, so that concerns fewer than 2 of 10^7 (five tries).
/// Source: Marsaglia and Tsang, "A simple method for generating gamma variables" (2000).
fn gamma(n: usize, alpha: f64, device: &Device) -> Tensor {
    let d = if alpha < 1.0 { alpha + 1.0 } else { alpha } - 1.0 / 3.0;
    let mut value = Tensor::full(&[n], d, DType::F32, device);
    for _ in 0..6 {
        let x = Tensor::randn(&[n], device);
        let root = &x * (1.0 / (9.0 * d).sqrt()) + 1.0;
        // Where the root is not positive the try is refused; the limit keeps the logarithm finite.
        let v = root.maximum(1e-6).powi(3);
        let u = 1.0 - Tensor::rand(&[n], device);
        let bound = &x * &x * 0.5 + d - &v * d + v.ln() * d;
        let accepted = u.ln().lt(&bound).logical_and(&root.gt(0.0));
        // Tries are in reverse: an earlier one that is accepted replaces what later ones gave.
        value = accepted.select(v * d, value);
    }
    if alpha < 1.0 {
        let u = 1.0 - Tensor::rand(&[n], device);
        value = value * (u.ln() * (1.0 / alpha)).exp();
    }
    // Tiny alphas underflow to 0; then 0 / (0 + 0) would be NaN.
    value.maximum(f64::from(f32::MIN_POSITIVE))
}

/// 0, 1, 2, ... (i32) along the one axis of `shape` that is not 1.
fn places(shape: &[usize], device: &Device) -> Tensor {
    let len = shape.iter().product::<usize>();
    Tensor::arange(0.0, len as f64, 1.0, device).cast(DType::I32).reshape(shape)
}

/// `x[.., row, column]`, 0 where that is outside; `rows` and `columns` are i32 and broadcast to `[n, 1, height, width]`.
fn pick(x: &Tensor, rows: &Tensor, columns: &Tensor) -> Tensor {
    let [n, channels, height, width] = sizes("pick", x);
    let (out_height, out_width) = (rows.shape()[2].max(columns.shape()[2]), rows.shape()[3].max(columns.shape()[3]));
    let inside = |place: &Tensor, end: usize| {
        place.ge(0).logical_and(&place.lt(end as i32)).broadcast_to(&[n, 1, out_height, out_width])
    };
    let valid = inside(rows, height).logical_and(&inside(columns, width));
    let flat =
        rows.clamp(0.0, height.max(1) as f64 - 1.0) * width as i32 + columns.clamp(0.0, width.max(1) as f64 - 1.0);
    let shape = [n, channels, out_height * out_width];
    let index = flat.reshape([n, 1, out_height * out_width]).broadcast_to(&shape);
    let values = x.flatten(2).gather(2, &index).reshape([n, channels, out_height, out_width]);
    valid.broadcast_to(values.shape()).select(&values, 0.0)
}
