//! Initial values of parameters, drawn on the host.
//!
//! Numbers come from Philox with the device's seed and its counter of draws, in f64, and are rounded to f32: the same
//! seed gives the same bits on every backend, no kernel is compiled for it, and two calls give different numbers.
//! Fans are counted as PyTorch does: a weight `[out, in, taps..]` has `fan_in = in * taps`, `fan_out = out * taps`.

use crate::device::Device;
use crate::scalar::philox;
use crate::shape::fail;
use crate::tensor::Tensor;

/// Host random numbers from the device's seed; each has its own counter.
pub(crate) struct Stream {
    words: [u32; 4],
    block: u64,
    ready: Vec<u32>,
}

impl Stream {
    pub(crate) fn new(device: &Device) -> Stream {
        Stream { words: device.next_words(), block: 0, ready: Vec::new() }
    }

    fn word(&mut self) -> u32 {
        if self.ready.is_empty() {
            let [k0, k1, count, high] = self.words;
            // The low half of the counter numbers blocks of four words, the high half the draw.
            self.ready = philox([self.block as u32, (self.block >> 32) as u32, count, high], [k0, k1]).to_vec();
            self.block += 1;
        }
        self.ready.pop().unwrap_or_default()
    }

    /// Uniform in 0..1, with 53 random bits.
    fn unit(&mut self) -> f64 {
        let bits = (u64::from(self.word()) << 32 | u64::from(self.word())) >> 11;
        bits as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller, 1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.unit()).cos()
    }

    /// Standard normal numbers, rounded to f32.
    pub(crate) fn normals(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.normal() as f32).collect()
    }
}

#[track_caller]
fn fill(shape: &[usize], device: &Device, mut value: impl FnMut(&mut Stream) -> f64) -> Tensor {
    let mut stream = Stream::new(device);
    let len: usize = shape.iter().product();
    let values: Vec<f32> = (0..len).map(|_| value(&mut stream) as f32).collect();
    Tensor::from_vec(values, shape, device)
}

/// The same number everywhere.
#[track_caller]
pub fn constant(shape: &[usize], value: f64, device: &Device) -> Tensor {
    Tensor::from_vec(vec![value as f32; shape.iter().product()], shape, device)
}

/// Uniform in `low..high`.
#[track_caller]
pub fn uniform(shape: &[usize], low: f64, high: f64, device: &Device) -> Tensor {
    fill(shape, device, |s| low + (high - low) * s.unit())
}

/// Normal with this mean and standard deviation.
#[track_caller]
pub fn normal(shape: &[usize], mean: f64, std: f64, device: &Device) -> Tensor {
    fill(shape, device, |s| mean + std * s.normal())
}

/// Normal, drawn again until it lies in `mean - width*std ..= mean + width*std` (PyTorch's `trunc_normal_` has width 2
/// at `std = 1`).
///
/// # Panics
/// If `width` is not positive.
#[track_caller]
pub fn truncated_normal(shape: &[usize], mean: f64, std: f64, width: f64, device: &Device) -> Tensor {
    if width.is_nan() || width <= 0.0 {
        fail("truncated_normal", format!("width {width} leaves nothing to draw; it must be positive"));
    }
    fill(shape, device, |s| {
        loop {
            let x = s.normal();
            if x.abs() <= width {
                return mean + std * x;
            }
        }
    })
}

/// `(fan_in, fan_out)` of a weight `[out, in, taps..]`.
///
/// # Panics
/// If the shape has fewer than two axes.
#[must_use]
#[track_caller]
pub fn fans(shape: &[usize]) -> (usize, usize) {
    if shape.len() < 2 {
        fail("init", format!("fans are counted on weights [out, in, taps..]; {shape:?} has fewer than two axes"));
    }
    let taps: usize = shape[2..].iter().product();
    (shape[1] * taps, shape[0] * taps)
}

/// Uniform with variance `gain² * 2 / (fan_in + fan_out)`.
/// Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010).
///
/// # Panics
/// If the shape has fewer than two axes.
#[track_caller]
pub fn xavier_uniform(shape: &[usize], gain: f64, device: &Device) -> Tensor {
    let (fan_in, fan_out) = fans(shape);
    let bound = gain * (6.0 / (fan_in + fan_out) as f64).sqrt();
    uniform(shape, -bound, bound, device)
}

/// Normal with variance `gain² * 2 / (fan_in + fan_out)`. Source: as [`xavier_uniform`].
///
/// # Panics
/// If the shape has fewer than two axes.
#[track_caller]
pub fn xavier_normal(shape: &[usize], gain: f64, device: &Device) -> Tensor {
    let (fan_in, fan_out) = fans(shape);
    normal(shape, 0.0, gain * (2.0 / (fan_in + fan_out) as f64).sqrt(), device)
}

/// Uniform with variance `gain² / fan_in`; `gain` is the square root of 2 for relu.
/// Source: He and others, "Delving deep into rectifiers" (2015), equation 14.
///
/// # Panics
/// If the shape has fewer than two axes.
#[track_caller]
pub fn kaiming_uniform(shape: &[usize], gain: f64, device: &Device) -> Tensor {
    let bound = gain * (3.0 / fans(shape).0.max(1) as f64).sqrt();
    uniform(shape, -bound, bound, device)
}

/// Normal with variance `gain² / fan_in`. Source: as [`kaiming_uniform`].
///
/// # Panics
/// If the shape has fewer than two axes.
#[track_caller]
pub fn kaiming_normal(shape: &[usize], gain: f64, device: &Device) -> Tensor {
    normal(shape, 0.0, gain / (fans(shape).0.max(1) as f64).sqrt(), device)
}

/// PyTorch's default for linear and convolution weights (`kaiming_uniform_(a = sqrt(5))`): uniform within
/// `1 / sqrt(fan_in)`.
#[track_caller]
pub(crate) fn default_weight(shape: &[usize], device: &Device) -> Tensor {
    default_bias(shape, fans(shape).0, device)
}

/// PyTorch's default for biases: uniform within `1 / sqrt(fan_in)`.
#[track_caller]
pub(crate) fn default_bias(shape: &[usize], fan_in: usize, device: &Device) -> Tensor {
    let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
    uniform(shape, -bound, bound, device)
}

/// A random matrix `[rows, the rest]` whose rows (or columns, if there are fewer) are orthonormal, times `gain`.
///
/// QR of a normal matrix by Gram and Schmidt, twice, in f64; a positive diagonal of R makes it uniform over all such
/// matrices. Source: Saxe and others, "Exact solutions to the nonlinear dynamics of learning" (2013).
///
/// # Panics
/// If the shape has fewer than two axes.
#[track_caller]
pub fn orthogonal(shape: &[usize], gain: f64, device: &Device) -> Tensor {
    let _ = fans(shape);
    let (rows, cols) = (shape[0], shape[1..].iter().product::<usize>());
    let (count, length) = (rows.min(cols), rows.max(cols));
    let mut stream = Stream::new(device);
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
    while basis.len() < count {
        let mut v: Vec<f64> = (0..length).map(|_| stream.normal()).collect();
        for _ in 0..2 {
            for b in &basis {
                let dot: f64 = v.iter().zip(b).map(|(x, y)| x * y).sum();
                v.iter_mut().zip(b).for_each(|(x, y)| *x -= dot * y);
            }
        }
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm > 1e-9 {
            v.iter_mut().for_each(|x| *x /= norm);
            basis.push(v);
        }
    }
    let at = |r: usize, c: usize| if rows <= cols { basis[r][c] } else { basis[c][r] };
    let values = (0..rows * cols).map(|i| (gain * at(i / cols, i % cols)) as f32).collect();
    Tensor::from_vec::<f32>(values, shape, device)
}
