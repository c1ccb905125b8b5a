//! Tensors longer than one binding of the device (128 MiB on lavapipe) are computed in slices.
#![cfg(feature = "wgpu")]

use anygrad::prelude::*;

/// A GPU whose longest binding is at most 256 MiB, so that tests stay small; `None` skips.
fn gpu() -> Option<Device> {
    let device = match Device::gpu() {
        Ok(device) => device,
        Err(error) if std::env::var_os("ANYGRAD_REQUIRE_GPU").is_none() => {
            println!("skipped: {error}");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let longest = device.limits().binding_bytes;
    if longest > 256 << 20 {
        println!("skipped: {device} binds {longest} bytes at once, too many for a test");
        return None;
    }
    Some(device)
}

#[test]
fn maps_reductions_and_products_over_long_tensors() -> Result<()> {
    let Some(device) = gpu() else { return Ok(()) };
    let columns = 1024;
    let rows = device.limits().binding_bytes as usize / (4 * columns) + 513;
    let index = Tensor::arange(0.0, rows as f64, 1.0, &device).reshape([rows as isize, 1]);
    // x[i, j] = i mod 7 + j / 1024, exact in f32.
    let row = (&index / 7.0).floor() * -7.0 + &index;
    let x = (&row + Tensor::arange(0.0, columns as f64, 1.0, &device) / 1024.0).realize()?.clone();
    assert!((x.len() * 4) as u64 > device.limits().binding_bytes);

    let part = |t: &Tensor, i: usize| -> Result<Vec<f32>> { t.slice(0, i..i + 1).to_vec() };
    let y = (&x * 2.0 + 1.0).realize()?.clone();
    let sums = x.sum(-1).to_vec::<f32>()?;
    let product = x.matmul(&Tensor::ones(&[columns, 2], &device)).to_vec::<f32>()?;
    for i in [0, 1, rows / 2, rows - 1] {
        let found = part(&y, i)?;
        let expected: Vec<f32> = (0..columns).map(|j| 2.0 * ((i % 7) as f32 + j as f32 / 1024.0) + 1.0).collect();
        assert_eq!(found, expected, "row {i}");
        // Sums of 1024 multiples of 1/1024 below 8192 are exact.
        let sum = (i % 7) as f32 * 1024.0 + 511.5;
        assert_eq!((sums[i], product[2 * i], product[2 * i + 1]), (sum, sum, sum), "row {i}");
    }
    // A long axis that is reduced.
    let columns_sum = x.max(0).to_vec::<f32>()?;
    assert_eq!((columns_sum[0], columns_sum[1023]), (6.0, 6.0 + 1023.0 / 1024.0));
    Ok(())
}
