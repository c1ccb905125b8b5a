//! Handwritten digits without their labels: clusters, principal components, and a map of all images.
//!
//!     cargo run --release --example digits_clusters
//!     cargo run --release --example digits_clusters -- --device gpu --out digits.svg
//!
//! Data: E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository (1998).

use std::fmt::Write;

use anygrad::prelude::*;
use anygrad::unsupervised::{Components, GaussianMixture, KMeans, Pca, Tsne, scores};

static DIGITS: &[u8] = include_bytes!("data/digits.csv.gz");

/// One colour per digit.
const COLORS: [&str; 10] =
    ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"];

fn main() -> Exit {
    let options = Options::from_args("digits_clusters: group 8x8 digits without their labels, and draw a map of them")?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    println!("device: {device}");
    let digits = LabelledImages::from_csv("digits.csv.gz", DIGITS, [1, 8, 8], 16)?;
    let pixels: Vec<f32> = digits.pixels.iter().map(|&p| f32::from(p)).collect();
    let truth: Vec<i32> = digits.labels.iter().map(|&label| i32::from(label)).collect();
    let x = Tensor::try_from_slice(&pixels, &[digits.len(), 64], &device)?;

    let clusters = KMeans { clusters: 10, seed: options.seed, ..Default::default() }.fit(&device, &x)?;
    let labels = clusters.predict(&x)?.to_vec::<i32>()?;
    println!("inertia {:.1}", clusters.inertia);
    println!("k-means ari {:.4}", scores::adjusted_rand(&truth, &labels)?);
    println!("k-means nmi {:.4}", scores::normalized_mutual_information(&truth, &labels)?);
    println!("k-means silhouette {:.4}", scores::silhouette(&x, &labels)?);

    let components = Pca { components: Components::Count(30), ..Default::default() }.fit(&device, &x)?;
    let ratios: Vec<String> = components.explained_variance_ratio[..5].iter().map(|r| format!("{r:.6}")).collect();
    println!("explained variance ratio {}", ratios.join(" "));

    let reduced = components.transform(&x)?;
    let mixture = GaussianMixture { components: 10, seed: options.seed, ..Default::default() };
    let mixture = mixture.fit(&device, &reduced)?;
    let labels = mixture.predict(&reduced)?.to_vec::<i32>()?;
    println!("mixture log-likelihood {:.3}", mixture.score(&reduced)?);
    println!("mixture ari {:.4}", scores::adjusted_rand(&truth, &labels)?);

    let map = Tsne { max_iterations: if options.quick { 50 } else { 1000 }, ..Default::default() };
    let map = map.fit(&device, &x)?;
    println!("t-sne divergence {:.4}", map.divergence);
    println!("t-sne trustworthiness {:.4}", scores::trustworthiness(&x, &map.points, 5)?);
    if let Some(path) = &options.out {
        checkpoint::write_whole(path, picture(&map.points.to_f64()?, &truth).as_bytes())?;
        println!("picture written to {}", path.display());
    }
    Ok(())
}

/// A scatter plot as SVG: one dot per image, coloured by its digit, and a legend.
fn picture(points: &[f64], labels: &[i32]) -> String {
    let reach = points.iter().fold(f64::MIN_POSITIVE, |most, p| most.max(p.abs()));
    let place = |p: f64| 400.0 + 380.0 * p / reach;
    let mut svg = String::from("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 860 800'>\n");
    svg.push_str("<rect width='860' height='800' fill='white'/>\n");
    for (point, &label) in points.chunks_exact(2).zip(labels) {
        let (x, y, color) = (place(point[0]), place(point[1]), COLORS[label as usize]);
        let _ = writeln!(svg, "<circle cx='{x:.1}' cy='{y:.1}' r='3' fill='{color}' fill-opacity='.7'/>");
    }
    for (digit, color) in COLORS.iter().enumerate() {
        let y = 40 + 24 * digit;
        let _ = writeln!(svg, "<circle cx='815' cy='{y}' r='7' fill='{color}'/>");
        let _ = writeln!(svg, "<text x='830' y='{}' font-family='sans-serif' font-size='16'>{digit}</text>", y + 5);
    }
    svg.push_str("</svg>\n");
    svg
}
