//! Kill -9: a run of three epochs with shuffling, dropout, augmentation on the device, an average of weights and a schedule
//! is killed at random moments, most of them while a checkpoint is being written (there is one after every update), and
//! started again. What it ends with must be, bit for bit, what the undisturbed run ends with.
//!
//! Few kills here; twenty on each device: `ANYGRAD_KILLS=20 cargo test --release --test kill -- --nocapture`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anygrad::prelude::*;

/// The device and directory of a run that this process shall be, if it is one.
const DEVICE: &str = "ANYGRAD_KILL_DEVICE";
const DIRECTORY: &str = "ANYGRAD_KILL_DIRECTORY";

#[derive(Module)]
struct Net {
    conv: Conv2d,
    drop: Dropout,
    hidden: Linear,
    head: Linear,
}

impl Layer for Net {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.conv.forward(x).relu().max_pool2d(2);
        self.head.forward(&self.drop.forward(&self.hidden.forward(&x.flatten(1)).relu()))
    }
}

/// Random flips, and crops of the image with a border of one.
fn augment(x: Tensor, y: Tensor) -> (Tensor, Tensor) {
    let each = [x.shape()[0], 1, 1, 1];
    let x = Tensor::bernoulli(&each, 0.5, x.device()).select(x.flip(&[-1]), &x);
    let wide = x.pad(&[(0, 0), (0, 0), (0, 0), (1, 1)], 0.0);
    let by = Tensor::randint(&each, 0, 3, x.device());
    let crop = |start: usize| wide.narrow(-1, start, x.shape()[3]);
    (by.eq(0).select(crop(0), by.eq(1).select(crop(1), crop(2))), y)
}

/// The run, if this process was started as one.
#[test]
fn run() {
    let (Ok(device), Ok(directory)) = (std::env::var(DEVICE), std::env::var(DIRECTORY)) else { return };
    let device = Device::open(&device).expect("the device");
    device.seed(7).expect("seeded");
    let digits = include_bytes!("../examples/data/digits.csv.gz");
    let images = LabelledImages::from_csv("digits", digits, [1, 8, 8], 16).expect("digits");
    let (train, valid) = images.split(0.3, 0).expect("split");
    let net = Net {
        conv: Conv2d::new(1, 8, 3, &device).padding(1),
        drop: Dropout::new(0.2),
        hidden: Linear::new(8 * 4 * 4, 64, &device),
        head: Linear::new(64, 10, &device),
    };
    let checkpoints = Checkpoints { every_steps: Some(1), ..Checkpoints::new(&directory) };
    let mut trainer = Supervised::new(&net, Tensor::cross_entropy)
        .optimizer(Adam::new(net.parameters(), 1e-2))
        .schedule(Rate(|step| warmup_cosine(step as usize, 5, 48, 1e-2, 0.0)))
        .metric("accuracy", metrics::accuracy)
        .augment(augment)
        .batch(32)
        .epochs(3)
        .ema(0.9)
        .checkpoints(checkpoints)
        .quiet();
    let report = trainer.fit(&train, &valid).expect("trained");
    assert_eq!(report.steps, 48);
    // Far above chance (0.1): the numbers are those of learning.
    assert!(report.last("valid.accuracy").expect("one") > 0.5, "{:?}", report.history);
    checkpoint::save(Path::new(&directory).join("final.weights"), &net).expect("saved");
}

fn start(device: &str, directory: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["run", "--exact", "--nocapture"]).env(DEVICE, device).env(DIRECTORY, directory);
    command.stdout(Stdio::null()).spawn().expect("started")
}

/// The weights, and the last checkpoint's tensors: moments, average, random state.
fn end(directory: &Path) -> [Vec<u8>; 2] {
    ["final.weights", "step-000000048.safetensors"].map(|name| std::fs::read(directory.join(name)).expect(name))
}

/// Whether the directory shows that a checkpoint was being written: a part of a file, or tensors without their manifest.
fn is_half_written(directory: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(directory) else { return false };
    let names: Vec<String> = entries.flatten().map(|e| e.file_name().to_string_lossy().to_string()).collect();
    let lone =
        |name: &String| name.ends_with(".safetensors") && !names.contains(&name.replace(".safetensors", ".json"));
    names.iter().any(|name| name.ends_with(".part") || lone(name))
}

fn survives(device: &str, kills: usize) {
    let root = std::env::temp_dir().join(format!("anygrad-kill-{}-{}", device.replace(':', ""), std::process::id()));
    let directory = |number: usize| -> PathBuf { root.join(number.to_string()) };
    std::fs::create_dir_all(&root).expect("a temporary directory");
    let begin = Instant::now();
    assert!(start(device, &directory(0)).wait().expect("ended").success(), "the undisturbed run");
    let whole = begin.elapsed();
    let expected = end(&directory(0));
    let (mut killed, mut half, mut runs) = (0, 0, 1);
    let mut draws = Draws::new(u64::from(std::process::id()), 0);
    while killed < kills {
        let place = directory(runs);
        runs += 1;
        loop {
            let mut child = start(device, &place);
            // A life is long enough to get on, and mostly too short to finish.
            let delay = whole.mul_f64(0.15 + 0.5 * draws.uniform());
            let born = Instant::now();
            let mut ended = None;
            while ended.is_none() && (killed == kills || born.elapsed() < delay) {
                std::thread::sleep(Duration::from_millis(1));
                ended = child.try_wait().expect("a status");
            }
            match ended {
                Some(status) => {
                    assert!(status.success(), "life after {killed} kills");
                    break;
                }
                None => {
                    // SIGKILL on Unix.
                    child.kill().expect("killed");
                    let _ = child.wait().expect("ended");
                    killed += 1;
                    half += usize::from(is_half_written(&place));
                }
            }
        }
        assert!(end(&place) == expected, "run {runs} on {device} after {killed} kills: another end");
    }
    println!(
        "{device}: {killed} kills in {} runs, {half} of them while a checkpoint was written: the same bits",
        runs - 1
    );
    std::fs::remove_dir_all(&root).expect("removed");
}

fn kills(default: usize) -> usize {
    std::env::var("ANYGRAD_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

#[test]
#[cfg(feature = "cpu")]
fn kill_9_on_the_cpu() {
    survives("cpu", kills(4));
}

#[test]
#[cfg(feature = "wgpu")]
fn kill_9_on_the_gpu() {
    if Device::gpu().is_err() {
        assert!(std::env::var("ANYGRAD_REQUIRE_GPU").is_err(), "ANYGRAD_REQUIRE_GPU is set and there is no GPU");
        return println!("skipped: no GPU");
    }
    survives("gpu", kills(2));
}
