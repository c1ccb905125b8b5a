//! Unsupervised methods in bounded memory: tables on disk that are larger than what may be used, and how much of a table in
//! memory is copied. One test, for the peak that the system reports is the process'.
#![cfg(all(feature = "cpu", target_os = "linux"))]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anygrad::data::Draws;
use anygrad::data::numpy::NpyRows;
use anygrad::prelude::*;
use anygrad::unsupervised::*;

const MIB: usize = 1 << 20;
const FEATURES: usize = 32;

/// The memory that this process has now, in bytes, from which its peak counts on.
fn settle() -> usize {
    // Linux: forgets the peak so far.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    peak()
}

/// The most memory that this process had at a time, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells the peak");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<usize>().ok()).expect("a number") * 1024
}

/// A row around one of eight centres, 10 apart in their own feature, with noise of deviation 0.29 in all features.
fn row(draws: &mut Draws) -> [f32; FEATURES] {
    let center = draws.below(8) as usize;
    std::array::from_fn(|j| if j == center { 10.0 } else { 0.0 } + (draws.uniform() - 0.5) as f32)
}

/// A file of rows, removed at the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn write(path: &Path, rows: usize) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {FEATURES}), }}");
    header.push_str(&" ".repeat(117 - header.len()));
    header.push('\n');
    file.write_all(b"\x93NUMPY\x01\x00\x76\x00")?;
    file.write_all(header.as_bytes())?;
    let mut draws = Draws::new(1, 0);
    for _ in 0..rows {
        row(&mut draws).iter().try_for_each(|x| file.write_all(&x.to_le_bytes()))?;
    }
    file.flush()
}

#[test]
fn tables_larger_than_memory_and_tables_in_memory() {
    let device = Device::cpu();

    // On disk: 128 MiB, or as many as are asked for; in 4096 the whole process stays within 512 MiB.
    let asked = std::env::var("ANYGRAD_STREAM_MIB").ok().and_then(|mib| mib.parse().ok());
    let rows = asked.unwrap_or(128) * MIB / 4 / FEATURES;
    let scratch = Scratch(std::env::temp_dir().join(format!("anygrad-stream-{}.npy", std::process::id())));
    write(&scratch.0, rows).expect("room in the temporary directory");
    let table = NpyRows::open(&scratch.0).expect("as written");
    assert_eq!(table.dimensions(), (rows, FEATURES));
    let before = settle();
    let model = MiniBatchKMeans { clusters: 8, batch: 8192, epochs: 1, ..Default::default() };
    let model = model.fit(&device, &table).expect("fits");
    // Noise of variance 1/12 in each feature.
    let share = model.inertia / (rows * FEATURES) as f64 * 12.0;
    assert!(share < 1.1, "{share}");
    let mut pca = IncrementalPca::new(Components::Count(8), false);
    let pca = pca.fit(&device, &table, 8192).expect("fits");
    // Seven directions between eight centres: each has the variance 100/8 and that of the noise.
    assert!(pca.explained_variance[6] > 10.0 && pca.explained_variance[7] < 0.2, "{:?}", pca.explained_variance);
    let (now, grown) = (peak(), peak() - before);
    println!("{} MiB of rows: peak {} MiB, {} MiB more than before", rows * FEATURES * 4 / MIB, now / MIB, grown / MIB);
    assert!(now <= 512 * MIB && grown <= 64 * MIB, "peak {} MiB, {} MiB more than before", now / MIB, grown / MIB);
    drop(scratch);

    // In memory: 64 MiB of rows; working memory must not grow with them.
    let count = 64 * MIB / 4 / FEATURES;
    let mut draws = Draws::new(2, 0);
    let mut values = Vec::with_capacity(count * FEATURES);
    (0..count).for_each(|_| values.extend(row(&mut draws)));
    let x = Tensor::from_vec(values, &[count, FEATURES], &device).realize().expect("fits").clone();
    let before = settle();
    let clusters = KMeans { clusters: 8, n_init: 1, max_iterations: 5, ..Default::default() }.fit(&device, &x);
    // Labels and distances are a number per row each; tiles are 4 MiB, some of them for each thread.
    let allowed = 3 * count * 4 + 48 * MIB;
    let grown = peak() - before;
    assert!(grown <= allowed, "k-means: {} MiB more", grown / MIB);
    assert_eq!(clusters.expect("fits").centers.shape(), [8, FEATURES]);
    let before = settle();
    let config =
        GaussianMixture { components: 8, covariance: Covariance::Diagonal, max_iterations: 2, ..Default::default() };
    let _ = config.fit(&device, &x).expect("fits");
    let grown = peak() - before;
    assert!(grown <= allowed, "mixture: {} MiB more", grown / MIB);
    drop(x);
}
