//! Random changes of images against their definitions and PyTorch (trainers/tests/goldens/rotation.py), on every device.

use anygrad::data::augment;
use anygrad::prelude::*;

/// The CPU, and a GPU if there is one (it must be there with ANYGRAD_REQUIRE_GPU=1).
fn devices() -> Vec<Device> {
    let mut devices = Vec::new();
    #[cfg(feature = "cpu")]
    devices.push(Device::cpu());
    #[cfg(feature = "wgpu")]
    match Device::gpu() {
        Ok(gpu) => devices.push(gpu),
        Err(error) => {
            assert!(std::env::var("ANYGRAD_REQUIRE_GPU").as_deref() != Ok("1"), "{error}");
            println!("skipped on GPUs: {error}");
        }
    }
    devices
}

/// Runs `f` as a program of one argument and reads its result.
fn run(x: &Tensor, f: impl Fn(&Tensor) -> Tensor) -> Vec<f32> {
    let mut program = Program::training(x.device(), |x: Tensor| -> Tensor { f(&x) });
    program.run(x.clone()).expect("runs").to_vec().expect("read")
}

fn close(got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len());
    for (i, (a, b)) in got.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance, "{i}: {a} instead of {b}");
    }
}

/// `[n, channels, rows, columns]` with all elements different and above 0.
fn ramp(shape: &[usize], device: &Device) -> (Vec<f32>, Tensor) {
    let values: Vec<f32> = (1..=shape.iter().product()).map(|x: usize| x as f32).collect();
    (values.clone(), Tensor::from_vec(values, shape, device))
}

#[test]
fn rotation_equals_pytorch() {
    let golden = include_str!("../trainers/tests/goldens/rotation.json");
    let numbers = |name: &str| -> Vec<f32> {
        let start = golden.find(&format!("\"{name}\": [")).expect(name) + name.len() + 5;
        let end = start + golden[start..].find(']').expect("closed");
        golden[start..end].split(',').map(|x| x.trim().parse().expect("a number")).collect()
    };
    for device in devices() {
        let x = Tensor::from_vec(numbers("x"), &[2, 2, 4, 5], &device);
        let angles = Tensor::from_vec(numbers("degrees"), &[2], &device);
        // Values to 100, slopes to 25 per pixel; places are right to 5 pixels' epsilon and GPU's sine to 2^-11 at worst.
        let tolerance = if device == Device::cpu() { 1e-3 } else { 0.05 };
        close(&run(&x, |x| augment::rotate(x, &angles)), &numbers("y"), tolerance);
        // A quarter turn of a square moves whole pixels: the right column becomes the top row.
        let (_, x) = ramp(&[1, 1, 3, 3], &device);
        let quarter = Tensor::full(&[1], 90.0, DType::F32, &device);
        close(&run(&x, |x| augment::rotate(x, &quarter)), &[3.0, 6.0, 9.0, 2.0, 5.0, 8.0, 1.0, 4.0, 7.0], tolerance);
    }
}

#[test]
fn channels_are_normalized() {
    for device in devices() {
        let (values, x) = ramp(&[2, 2, 1, 2], &device);
        let expected: Vec<f32> = values
            .iter()
            .enumerate()
            .map(|(i, x)| if i / 2 % 2 == 0 { (x - 1.0) / 2.0 } else { (x - 3.0) / 0.5 })
            .collect();
        close(&run(&x, |x| augment::normalize(x, &[1.0, 3.0], &[2.0, 0.5])), &expected, 1e-6);
    }
}

#[test]
fn crops_are_windows_of_the_padded_image_and_all_places_occur() {
    for device in devices() {
        device.seed(1).expect("seeded");
        let (n, size, padding) = (400, 3, 1);
        let (_, one) = ramp(&[1, 2, size, size], &device);
        let x = one.expand([n, 2, size, size]) + 0.0;
        let got = run(&x, |x| augment::random_crop(x, [size, size], padding));
        let mut counts = [0; 9];
        for image in got.chunks(18) {
            let place = (0..9).find(|place| {
                let (dy, dx) = (place / 3, place % 3);
                (0..18).all(|i| {
                    let (c, row, column) = (i / 9, i / 3 % 3 + dy, i % 3 + dx);
                    let inside = (1..=3).contains(&row) && (1..=3).contains(&column);
                    let expected = if inside { (c * 9 + (row - 1) * 3 + column) as f32 } else { 0.0 };
                    image[i] == expected
                })
            });
            counts[place.expect("a window")] += 1;
        }
        // Binomial(400, 1/9): 44 +- 6.3; five deviations.
        assert!(counts.iter().all(|c| (13..=76).contains(c)), "{counts:?}");
    }
}

#[test]
fn half_of_the_images_are_mirrored() {
    for device in devices() {
        device.seed(2).expect("seeded");
        let (values, one) = ramp(&[1, 1, 2, 3], &device);
        let x = one.expand([1000, 1, 2, 3]) + 0.0;
        let got = run(&x, |x| augment::random_flip(x, 0.5));
        let mirrored = [3.0, 2.0, 1.0, 6.0, 5.0, 4.0];
        let count = got.chunks(6).filter(|image| *image == mirrored).count();
        assert!(got.chunks(6).all(|image| image == mirrored || image == values));
        // Binomial(1000, 1/2): 500 +- 16.
        assert!((421..=579).contains(&count), "{count}");
        assert_eq!(run(&one, |x| augment::random_flip(x, 1.0)), mirrored);
    }
}

#[test]
fn holes_are_square_and_their_centres_uniform() {
    for device in devices() {
        device.seed(3).expect("seeded");
        let n = 1000;
        let x = Tensor::ones(&[n, 2, 6, 8], &device);
        let got = run(&x, |x| augment::random_cutout(x, 3));
        let mut corners = 0;
        for image in got.chunks(96) {
            assert_eq!(image[..48], image[48..], "channels lose the same pixels");
            let lost: Vec<(usize, usize)> = (0..48).filter(|&i| image[i] == 0.0).map(|i| (i / 8, i % 8)).collect();
            let (top, left) = (lost.iter().map(|p| p.0).min(), lost.iter().map(|p| p.1).min());
            let (bottom, right) = (lost.iter().map(|p| p.0).max(), lost.iter().map(|p| p.1).max());
            let side = |a: Option<usize>, b: Option<usize>| b.expect("a hole") - a.expect("a hole") + 1;
            let (height, width) = (side(top, bottom), side(left, right));
            assert!(height * width == lost.len() && (2..=3).contains(&height) && (2..=3).contains(&width), "{lost:?}");
            corners += usize::from(lost.len() == 4);
        }
        // The centre is in one of 4 corners of 48: binomial(1000, 1/12), 83 +- 8.7.
        assert!((40..=127).contains(&corners), "{corners}");
    }
}

#[test]
fn jitter_is_affine_within_its_strengths() {
    for device in devices() {
        device.seed(4).expect("seeded");
        let n = 500;
        let pixels = [0.3f32, 0.4, 0.5, 0.4];
        let x = Tensor::from_vec(pixels.to_vec(), &[1, 1, 2, 2], &device).expand([n, 1, 2, 2]) + 0.0;
        let (mut bright, mut contrast) = (Vec::new(), Vec::new());
        for image in run(&x, |x| augment::random_jitter(x, 0.2, 0.5)).chunks(4) {
            // Nothing is clamped here: the mean tells the first factor, the range the product of both.
            let b = image.iter().sum::<f32>() / 1.6;
            let c = (image[2] - image[0]) / 0.2 / b;
            for (got, pixel) in image.iter().zip(pixels) {
                assert!((got - (0.4 * b + c * b * (pixel - 0.4))).abs() < 1e-5);
            }
            bright.push(b);
            contrast.push(c);
        }
        for (values, strength) in [(bright, 0.2f32), (contrast, 0.5)] {
            let (least, most) = values.iter().fold((9f32, 0f32), |(a, b), &x| (a.min(x), b.max(x)));
            let mean = values.iter().sum::<f32>() / n as f32;
            assert!(least >= 1.0 - strength - 1e-4 && most <= 1.0 + strength + 1e-4, "{least} {most}");
            // Uniform: deviation strength / sqrt(3); five standard errors. And of 500 draws some are in the outer tenths.
            assert!((mean - 1.0).abs() < 5.0 * strength / 1.732 / 22.3, "{mean}");
            assert!(least < 1.0 - 0.9 * strength && most > 1.0 + 0.9 * strength, "{least} {most}");
        }
        // Black and white leave 0..=1 and are put back; grey weighs the three colours.
        let extreme = Tensor::from_vec(vec![0f32, 1.0, 0.5], &[1, 3, 1, 1], &device);
        let y = run(&extreme, |x| augment::random_jitter(x, 0.9, 0.9));
        assert!(y.iter().all(|y| (0.0..=1.0).contains(y)), "{y:?}");
    }
}

#[test]
fn mixtures_are_convex_and_their_shares_are_beta() {
    for device in devices() {
        device.seed(5).expect("seeded");
        let n = 4000;
        let labels = Tensor::arange(0.0, n as f64, 1.0, &device).cast(DType::I32);
        let x = labels.cast(DType::F32).reshape([n, 1]);
        for alpha in [0.2, 1.0, 2.0] {
            let mut program = Program::training(&device, |x: Tensor| -> (Tensor, Tensor) {
                let (even, one) = (x.slice(1, ..1) * 0.0 + 1.0, x.full_like(0.0));
                let previous = x.roll(1, 0);
                let (mixed, _) = augment::mixup(&x, &x, alpha);
                // x' = x - 1 but for the first row, so the share is 1 - (x - mixed) / (x - x').
                let share = &even - (&x - &mixed) / (&x - &previous);
                (share, one + mixed)
            });
            let (shares, mixed) = program.run(&x * 1.0).expect("runs");
            let (shares, mixed) = (shares.to_vec::<f32>().expect("read"), mixed.to_vec::<f32>().expect("read"));
            assert!(shares.iter().all(|s| (-1e-3..=1.001).contains(s)) && mixed.iter().all(|m| m.is_finite()));
            let mean = shares.iter().sum::<f32>() / n as f32;
            let variance = shares.iter().map(|s| (s - 0.5).powi(2)).sum::<f32>() / n as f32;
            // Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)); standard errors at most 0.5 / 63 and 0.25 / 63.
            assert!((mean - 0.5).abs() < 0.04, "{alpha}: {mean}");
            assert!((f64::from(variance) - 0.25 / (2.0 * alpha + 1.0)).abs() < 0.02, "{alpha}: {variance}");
        }
        let y = Tensor::from_vec(vec![0i32, 1], &[2], &device).one_hot(3);
        let x = y.slice(1, ..2) * 1.0;
        let mut program = Program::training(&device, |(x, y): (Tensor, Tensor)| augment::mixup(&x, &y, 1.0));
        let (x, y) = program.run((x, y)).expect("runs");
        let (x, y) = (x.to_vec::<f32>().expect("x"), y.to_vec::<f32>().expect("y"));
        for (x, y) in x.chunks(2).zip(y.chunks(3)) {
            assert!((y.iter().sum::<f32>() - 1.0).abs() < 1e-6 && y[2] == 0.0);
            close(x, &y[..2], 1e-6);
        }
    }
}

#[test]
fn runs_differ_and_repeat_from_the_generators_state() {
    for device in devices() {
        let (_, x) = ramp(&[16, 1, 4, 4], &device);
        let change = |x: &Tensor| augment::random_rotation(&augment::random_crop(x, [4, 4], 2), 15.0);
        let mut program = Program::training(&device, |x: Tensor| -> Tensor { change(&x) });
        let mut next = || program.run(x.clone()).expect("runs").to_vec::<f32>().expect("read");
        device.seed(9).expect("seeded");
        let (first, saved) = (next(), device.generator().get().to_vec::<u32>().expect("read"));
        let second = next();
        assert_ne!(first, second);
        device.generator().write(&saved).expect("restored");
        assert_eq!(next(), second);
    }
}
