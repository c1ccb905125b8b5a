//! Two old tricks with images: a palette of few colours by k-means, and noise taken away by principal components.
//!
//!     cargo run --release --example image_palette -- --data picture.ppm --out small.png
//!
//! `--data` names a picture in the binary PPM format (`P6`, as written by most programs); without it one is drawn. Printed:
//! colours, and the mean squared error of both tricks (on a scale from 0 to 1). The picture: the original, with 16 colours, with
//! noise, and without it again, below each other.

use anygrad::prelude::*;
use anygrad::unsupervised::{Components, KMeans, Pca};

const COLORS: usize = 16;
/// Side of the squares whose principal components are kept, and how many of these.
const SIDE: usize = 8;
const KEPT: usize = 12;
/// Deviation of the noise.
const NOISE: f64 = 0.1;

/// Pixels `[height, width, 3]` from 0 to 1, sides cut to multiples of `SIDE`.
fn read(path: &std::path::Path, device: &Device) -> Result<Tensor> {
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, &error))?;
    let wrong = || Error::data(path.display().to_string(), "not a binary PPM (P6) with 255 levels; convert it first");
    // Four words, and one space before the pixels.
    let (mut words, mut at) = (Vec::new(), 0);
    while words.len() < 4 {
        let rest = bytes.get(at..).ok_or_else(wrong)?;
        let end = rest.iter().position(u8::is_ascii_whitespace).ok_or_else(wrong)?;
        if end > 0 && rest[0] != b'#' {
            words.push(String::from_utf8_lossy(&rest[..end]).into_owned());
        }
        let line = rest.iter().position(|&byte| byte == b'\n').unwrap_or(end);
        at += if rest[0] == b'#' { line } else { end } + 1;
    }
    let size = |word: usize| words[word].parse::<usize>().map_err(|_| wrong());
    let (width, height) = (size(1)?, size(2)?);
    if words[0] != "P6" || words[3] != "255" || width < SIDE || height < SIDE || bytes.len() < at + width * height * 3 {
        return Err(wrong());
    }
    let levels: Vec<f32> = bytes[at..at + width * height * 3].iter().map(|&b| f32::from(b) / 255.0).collect();
    let whole = Tensor::try_from_slice(&levels, &[height, width, 3], device)?;
    Ok(whole.narrow(0, 0, height / SIDE * SIDE).narrow(1, 0, width / SIDE * SIDE))
}

/// A sun over hills.
fn drawn(device: &Device) -> Tensor {
    let (height, width) = (192, 256);
    let y = Tensor::linspace(0.0, 1.0, height, device).unsqueeze(1);
    let x = Tensor::linspace(0.0, 1.0, width, device).unsqueeze(0);
    let sun = ((&x - 0.7).square() + (&y - 0.3).square()).lt(0.02);
    let hills = (&x * 9.0).sin() * 0.08 + (&x * 23.0).cos() * 0.03 + 0.7;
    let land = y.ge(&hills);
    let shade = (&x * 0.2 + &y * 0.5).expand([height, width]);
    let channel = |sky: f64, light: f64, ground: f64| {
        let above = sun.select(light, &shade * 0.6 + sky);
        land.select(&shade * ground, &above)
    };
    Tensor::stack(&[channel(0.2, 1.0, 0.5), channel(0.3, 0.85, 0.9), channel(0.55, 0.3, 0.3)], -1).clamp(0.0, 1.0)
}

/// `[height, width, 3]` as one row per square: `[squares, SIDE * SIDE * 3]`; and back.
fn squares(image: &Tensor) -> Tensor {
    let (rows, columns) = (image.size(0) / SIDE, image.size(1) / SIDE);
    let apart = image.reshape([rows, SIDE, columns, SIDE, 3]).permute([0, 2, 1, 3, 4]);
    apart.reshape([rows * columns, SIDE * SIDE * 3])
}

fn joined(rows: &Tensor, height: usize, width: usize) -> Tensor {
    let apart = rows.reshape([height / SIDE, width / SIDE, SIDE, SIDE, 3]).permute([0, 2, 1, 3, 4]);
    apart.reshape([height, width, 3])
}

fn main() -> Exit {
    let options = Options::from_args("image_palette: few colours by k-means, less noise by principal components")?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    println!("device: {device}");
    let image = match &options.data {
        Some(path) => read(path, &device)?,
        None => drawn(&device),
    };
    let image = image.realize()?.clone();
    let (height, width) = (image.size(0), image.size(1));
    println!("{width} x {height} pixels");

    let pixels = image.reshape([height * width, 3]);
    let clusters = KMeans { clusters: COLORS, n_init: 1, seed: options.seed, ..Default::default() };
    let clusters = clusters.fit(&device, &pixels)?;
    let few = clusters.centers.index_select(0, &clusters.predict(&pixels)?).reshape([height, width, 3]);
    println!("{COLORS} colours: error {:.6}", few.mse_loss(&image).item()?);

    let noisy = (&image + Tensor::randn(image.shape(), &device) * NOISE).realize()?.clone();
    let rows = squares(&noisy).realize()?.clone();
    let pca = Pca { components: Components::Count(KEPT), ..Default::default() }.fit(&device, &rows)?;
    let clean = joined(&pca.inverse_transform(&pca.transform(&rows)?)?, height, width);
    println!("noise: error {:.6}", noisy.mse_loss(&image).item()?);
    println!("{KEPT} components of squares: error {:.6}", clean.mse_loss(&image).item()?);
    if let Some(path) = &options.out {
        let all = Tensor::cat(&[image, few, noisy, clean], 0).permute([2, 0, 1]);
        checkpoint::write_whole(path, &report::png(&all)?)?;
        println!("picture written to {}", path.display());
    }
    Ok(())
}
