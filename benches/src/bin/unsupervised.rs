//! Seconds of unsupervised methods on made-up data of fixed sizes; `unsupervised.py` runs scikit-learn, `peers` linfa on the same.
//!
//!     cargo run --release -p anygrad-benches --bin unsupervised -- [--device gpu] kmeans
//!     TORCH_PYTHON=python3 cargo run --release -p anygrad-benches --bin unsupervised -- --compare --mnist DIR
//!     cargo run --release -p anygrad-benches --bin unsupervised -- --stream TABLE.npy
//!
//! One line per task: name, seconds, seconds of processor time (user and system), and the figure of merit that both sides print. With `--compare`
//! the tables are written to a temporary directory, each task runs here, in Python and by linfa (`PEERS` or `target/peers`, if it is
//! built) in turn, and a line says how many times as fast this is, by the clock and by processor time (which other programs on the
//! machine disturb less). `--mnist` names the directory of its idx files, for t-SNE of 10,000 images; without it that task is left out. `--stream` reads a table of f32 from
//! disk instead, of any size, once for mini-batch k-means and once for incremental PCA, and says the most memory in use.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anygrad::data::numpy::{self, NpyRows};
use anygrad::data::{Array, Draws};
use anygrad::prelude::*;
use anygrad::unsupervised::*;

/// The tables' rows, features and centres.
const KMEANS: [usize; 3] = [1_000_000, 32, 64];
const PCA: [usize; 3] = [200_000, 256, 64];
const MIXTURE: [usize; 3] = [200_000, 16, 16];
const DBSCAN: [usize; 3] = [50_000, 8, 32];

/// Rows around centres, uniform in a box of half width 10, with uniform noise of half width 2.
fn blobs([rows, features, centers]: [usize; 3]) -> Result<Array> {
    let mut draws = Draws::new(1, 0);
    let places: Vec<f64> = (0..centers * features).map(|_| draws.uniform() * 20.0 - 10.0).collect();
    let mut values = Vec::with_capacity(rows * features);
    for _ in 0..rows {
        let center = draws.below(centers as u64) as usize * features;
        values.extend((0..features).map(|j| (places[center + j] + draws.uniform() * 4.0 - 2.0) as f32));
    }
    Array::new(&values, &[rows, features])
}

/// What was asked for.
struct Request {
    device: String,
    tasks: Vec<String>,
    /// Where tables for the other side lie, if it runs.
    tables: Option<PathBuf>,
    mnist: Option<PathBuf>,
    stream: Option<PathBuf>,
}

impl Request {
    fn parse() -> Request {
        let mut request = Request { device: "best".into(), tasks: Vec::new(), tables: None, mnist: None, stream: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--compare" => {
                    request.tables = Some(std::env::temp_dir().join(format!("anygrad-tables-{}", std::process::id())));
                }
                "--mnist" => request.mnist = words.next().map(PathBuf::from),
                "--device" => request.device = words.next().unwrap_or_default(),
                "--stream" => request.stream = words.next().map(PathBuf::from),
                _ => request.tasks.push(word),
            }
        }
        request
    }

    /// Runs a task if it was asked for.
    fn run(
        &self,
        device: &Device,
        name: &str,
        array: impl Fn() -> Result<Array>,
        fit: impl Fn(&Tensor) -> Result<Fitted>,
    ) -> Result<()> {
        if !self.tasks.is_empty() && !self.tasks.iter().any(|task| task == name) {
            return Ok(());
        }
        let array = array()?;
        let x = array.tensor(device)?.realize()?.clone();
        let (begin, processor) = (Instant::now(), processor_seconds());
        let fitted = fit(&x)?;
        let own = [begin.elapsed().as_secs_f64(), processor_seconds() - processor];
        println!("{name} {:.3} s {:.3} s {}{}", own[0], own[1], fitted.merit, trust(&x, fitted.points.as_ref())?);
        let Some(tables) = &self.tables else { return Ok(()) };
        let broken = |error: std::io::Error| Error::data(tables.display().to_string(), error.to_string());
        std::fs::create_dir_all(tables).map_err(broken)?;
        let path = tables.join("table.npy");
        numpy::write_npy(&path, &array)?;
        drop(array);
        for peer in ["scikit-learn", "linfa"] {
            if let Err(error) = beside(peer, &path, name, own, &x) {
                println!("  {peer}: {error}");
            }
        }
        std::fs::remove_dir_all(tables).map_err(broken)
    }
}

/// What a fit is judged by.
struct Fitted {
    merit: String,
    /// An embedding.
    points: Option<Tensor>,
}

fn judged(merit: String) -> Result<Fitted> {
    Ok(Fitted { merit, points: None })
}

/// The trustworthiness of an embedding, if there is one, in words.
fn trust(x: &Tensor, points: Option<&Tensor>) -> Result<String> {
    let say = |points| Ok(format!(" trustworthiness {:.4}", scores::trustworthiness(x, points, 5)?));
    points.map_or(Ok(String::new()), say)
}

/// How a peer's program is called.
fn program(peer: &str) -> Result<Command> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    if peer == "scikit-learn" {
        let mut python = Command::new(std::env::var("TORCH_PYTHON").unwrap_or_else(|_| "python3".to_string()));
        python.arg(here.join("unsupervised.py"));
        return Ok(python);
    }
    let path = std::env::var_os("PEERS").map_or_else(|| here.join("../target/peers/release/peers"), PathBuf::from);
    if !path.exists() {
        return Err(Error::data("absent", format!("no {}; benches/README.md says how it is built", path.display())));
    }
    let mut command = Command::new(path);
    command.arg(peer);
    Ok(command)
}

/// Runs a task by a peer on the same table, and says how many times as fast this was.
fn beside(peer: &str, table: &Path, name: &str, own: [f64; 2], x: &Tensor) -> Result<()> {
    let broken = |error: std::io::Error| Error::data(peer, error.to_string());
    let output = program(peer)?.arg(table).arg(name).output().map_err(broken)?;
    let line = String::from_utf8_lossy(&output.stdout).trim().to_string();
    if !output.status.success() || line.is_empty() {
        return Err(Error::data("it ended", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let embedding = table.with_file_name("embedding.npy");
    let points = if embedding.exists() { Some(numpy::read_npy(&embedding)?.tensor(x.device())?) } else { None };
    println!("  {peer}: {line}{}", trust(x, points.as_ref())?);
    if points.is_some() {
        std::fs::remove_file(embedding).map_err(broken)?;
    }
    let seconds: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    if let [wall, processor, ..] = seconds[..] {
        println!("    ratio {:.2}, of processor time {:.2}", wall / own[0], processor / own[1]);
    }
    Ok(())
}

/// Learns from a table on disk, batch by batch.
fn stream(device: &Device, path: &Path) -> Result<()> {
    let table = NpyRows::open(path)?;
    let (rows, features) = table.dimensions();
    let begin = Instant::now();
    let clusters = MiniBatchKMeans { clusters: 64, batch: 8192, epochs: 1, ..Default::default() };
    let clusters = clusters.fit(device, &table)?;
    println!("mini-batch k-means {:.1} s inertia {:.6e}", begin.elapsed().as_secs_f64(), clusters.inertia);
    let begin = Instant::now();
    let pca = IncrementalPca::new(Components::Count(8.min(features)), false).fit(device, &table, 8192)?;
    let share: f64 = pca.explained_variance_ratio.iter().sum();
    println!("incremental PCA {:.1} s ratio {share:.6}", begin.elapsed().as_secs_f64());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or("unknown").to_string();
    println!("{rows} rows of {features}, {} MiB; peak memory {peak}", (rows * features * 4) >> 20);
    Ok(())
}

/// Processor time of this process so far, in user and system mode; 0 where the system does not say.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in parentheses: fields 14 and 15 count ticks, of which Linux reports 100 a second.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn main() -> Exit {
    let request = Request::parse();
    let device = Device::open(&request.device)?;
    if let Some(path) = &request.stream {
        stream(&device, path)?;
        return Ok(());
    }
    request.run(
        &device,
        "kmeans",
        || blobs(KMEANS),
        |x| {
            let model = KMeans { clusters: 64, n_init: 1, ..Default::default() }.fit(&device, x)?;
            judged(format!("inertia {:.6e} iterations {}", model.inertia, model.iterations))
        },
    )?;
    // The same work on all sides: the first rows are the first centres, then ten iterations.
    request.run(
        &device,
        "kmeans_given",
        || blobs(KMEANS),
        |x| {
            let seeding = Seeding::Given(x.narrow(0, 0, 64));
            let config = KMeans { clusters: 64, seeding, max_iterations: 10, tolerance: 0.0, ..Default::default() };
            let model = config.fit(&device, x)?;
            judged(format!("inertia {:.6e} iterations {}", model.inertia, model.iterations))
        },
    )?;
    request.run(
        &device,
        "pca",
        || blobs(PCA),
        |x| {
            let model = Pca { components: Components::Count(32), ..Default::default() }.fit(&device, x)?;
            judged(format!("ratio {:.6}", model.explained_variance_ratio.iter().sum::<f64>()))
        },
    )?;
    for (name, covariance) in [("gmm_diagonal", Covariance::Diagonal), ("gmm_full", Covariance::Full)] {
        let config =
            GaussianMixture { components: 16, covariance, max_iterations: 20, tolerance: 0.0, ..Default::default() };
        request.run(
            &device,
            name,
            || blobs(MIXTURE),
            |x| {
                let model = config.fit(&device, x)?;
                judged(format!("bound {:.4} iterations {}", model.log_likelihood, model.iterations))
            },
        )?;
    }
    request.run(
        &device,
        "dbscan",
        || blobs(DBSCAN),
        |x| {
            let found = Dbscan { eps: 2.0, min_samples: 10 }.fit(&device, x)?;
            let noise = found.labels.iter().filter(|&&label| label < 0).count();
            judged(format!("clusters {} noise {noise}", found.labels.iter().max().map_or(0, |label| label + 1)))
        },
    )?;
    let pixels = |images: &LabelledImages, count: usize, size: usize| {
        let pixels: Vec<f32> = images.pixels[..count * size].iter().map(|&p| f32::from(p)).collect();
        Array::new(&pixels, &[count, size])
    };
    let digits = || {
        let bytes = include_bytes!("../../../examples/data/digits.csv.gz");
        let images = LabelledImages::from_csv("digits", bytes, [1, 8, 8], 16)?;
        pixels(&images, images.len(), 64)
    };
    let embed = |x: &Tensor| {
        let map = Tsne::default().fit(&device, x)?;
        Ok(Fitted { merit: format!("kl {:.4}", map.divergence), points: Some(map.points) })
    };
    request.run(&device, "tsne", digits, embed)?;
    if let Some(directory) = &request.mnist {
        // By their first 50 components, as users do.
        let images = || {
            let x = pixels(&LabelledImages::open(directory)?.0, 10_000, 784)?.tensor(&device)?;
            let pca = Pca { components: Components::Count(50), ..Default::default() }.fit(&device, &x)?;
            Array::new(&pca.transform(&x)?.to_vec::<f32>()?, &[10_000, 50])
        };
        request.run(&device, "tsne_mnist", images, embed)?;
    }
    Ok(())
}
