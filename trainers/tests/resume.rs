//! Runs that are cut off and go on: same bits; and checkpoints that are damaged, foreign or cannot be written.

// What `#[derive(Module)]` writes names the facade's paths.
extern crate anygrad_core as anygrad;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use anygrad_core::nn::{BatchNorm, Dropout, Layer, Linear, Module};
use anygrad_core::testing::device;
use anygrad_core::{Device, Result, Tensor};
use anygrad_trainers::data::Resident;
use anygrad_trainers::events::{Event, Flow};
use anygrad_trainers::optim::{Adam, AdamConfig, Rate};
use anygrad_trainers::supervised::{Checkpoints, EarlyStopping, Fit, NonFinite, Reason, Supervised};

/// A directory of a test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("anygrad-resume-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Dropout and batch norm: random numbers and buffers that belong to the state.
#[derive(Module)]
struct Net {
    first: Linear,
    norm: BatchNorm,
    drop: Dropout,
    second: Linear,
}

impl Net {
    fn new(width: usize, device: &Device) -> Net {
        device.seed(3).expect("seeded");
        Net {
            first: Linear::new(4, width, device),
            norm: BatchNorm::new(width, device),
            drop: Dropout::new(0.2),
            second: Linear::new(width, 2, device),
        }
    }
}

impl Layer for Net {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.second.forward(&self.drop.forward(&self.norm.forward(&self.first.forward(x)).tanh()))
    }
}

fn data(device: &Device) -> Resident {
    let values: Vec<f32> = (0..44 * 4).map(|i| ((i * 7919 % 101) as f32 - 50.0) / 25.0).collect();
    let x = Tensor::from_vec(values, &[44, 4], device);
    let y = Tensor::stack(&[x.sum(1), x.slice(1, ..2).sum(1).sin()], 1);
    Resident::new(x, y).expect("rows")
}

#[track_caller]
fn fails<T: std::fmt::Debug>(result: Result<T>, words: &[&str]) {
    let message = match result {
        Ok(value) => panic!("an error with {words:?} was expected, not {value:?}"),
        Err(error) => error.to_string(),
    };
    assert!(words.iter().all(|word| message.contains(word)), "{message}\nlacks one of {words:?}");
}

/// All that a life of a run leaves behind.
struct Life {
    result: Result<Fit>,
    weights: Vec<Vec<u8>>,
    warnings: Vec<String>,
}

/// A run in this directory on a fresh device, as in a process of its own; `stop` ends it at this update. Each life has another
/// number of threads that read ahead, which must not be seen in anything.
fn live(directory: &Path, stop: Option<u64>, accumulate: usize) -> Life {
    let d = device();
    let (net, data) = (Net::new(8, &d), data(&d));
    let warnings = RefCell::new(Vec::new());
    let listener = |event: &Event<'_>| {
        if let Event::Warning(message) = event {
            warnings.borrow_mut().push(message.to_string());
        }
        let reached = matches!(event, Event::Step(record) if Some(record.step) == stop);
        Ok(if reached { Flow::Stop } else { Flow::Continue })
    };
    let config = AdamConfig { lr: 0.02, clip_norm: Some(1.0), ..AdamConfig::default() };
    let mut trainer = Supervised::new(&net, Tensor::mse_loss)
        .optimizer(Adam::with(net.parameters(), config).expect("valid"))
        .schedule(Rate(|step| 0.02 / (1.0 + 0.1 * step as f64)))
        .augment(|x, y| {
            let sign = Tensor::bernoulli(&[x.shape()[0], 1], 0.5, x.device()).select(1.0, -1.0);
            (x * &sign, y * &sign)
        })
        .batch(4)
        .epochs(3)
        .workers(stop.map_or(2, |stop| stop as usize % 3))
        .accumulate(accumulate)
        .ema(0.9)
        .early_stopping(EarlyStopping { patience: 50, ..EarlyStopping::default() })
        .checkpoints(Checkpoints { every_steps: Some(3), ..Checkpoints::new(directory) })
        .listen(listener)
        .quiet();
    trainer.config.report_every = 1;
    let result = trainer.fit(&data, &data);
    drop(trainer);
    let weights = net.named_variables().iter().map(|(_, var)| var.get().to_bytes().expect("numbers")).collect();
    Life { result, weights, warnings: warnings.into_inner() }
}

/// The last checkpoint's tensors: model, moments, average, best weights, random state.
fn last(directory: &Path) -> Vec<u8> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .expect("there")
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    files.sort();
    std::fs::read(files.last().expect("a checkpoint")).expect("read")
}

#[test]
fn a_run_in_many_lives_is_the_run_in_one() {
    for accumulate in [1, 3] {
        let (whole, cut) = (Scratch::new(&format!("whole{accumulate}")), Scratch::new(&format!("cut{accumulate}")));
        let one = live(&whole.0, None, accumulate);
        let report = one.result.expect("trained");
        let stops: &[u64] = if accumulate == 1 { &[1, 5, 11, 12, 19, 32] } else { &[2, 4, 5, 9] };
        for &stop in stops {
            let part = live(&cut.0, Some(stop), accumulate).result.expect("trained");
            assert_eq!((part.reason, part.steps), (Reason::Stopped, stop));
        }
        let end = live(&cut.0, None, accumulate);
        let other = end.result.expect("trained");
        assert_eq!(other.history, report.history, "the same numbers in each epoch");
        assert_eq!((other.best, other.steps, other.reason), (report.best, report.steps, Reason::Done));
        assert!(end.weights == one.weights, "the same weights");
        assert!(last(&cut.0) == last(&whole.0), "the same state, byte for byte");
        // Once more: it is done, and says the same.
        let again = live(&cut.0, None, accumulate);
        assert!(again.weights == one.weights && again.result.expect("done").history == report.history);
    }
}

/// Runs to its end, spoils the newest checkpoint, and goes on.
fn spoiled(name: &str, spoil: impl Fn(&Path)) -> (Life, Vec<u8>, Vec<u8>) {
    let scratch = Scratch::new(name);
    let _ = live(&scratch.0, Some(20), 1).result.expect("trained");
    spoil(&scratch.0);
    let life = live(&scratch.0, None, 1);
    let whole = Scratch::new(&format!("{name}-whole"));
    let _ = live(&whole.0, None, 1).result.expect("trained");
    let states = (last(&scratch.0), last(&whole.0));
    (life, states.0, states.1)
}

#[test]
fn a_damaged_checkpoint_is_passed_over_with_a_warning() {
    let cut = |file: PathBuf, keep: usize| {
        let bytes = std::fs::read(&file).expect("there");
        std::fs::write(&file, &bytes[..bytes.len() * keep / 10]).expect("written");
    };
    let flip = |file: PathBuf, from_end: usize| {
        let mut bytes = std::fs::read(&file).expect("there");
        let at = bytes.len() - from_end;
        bytes[at] ^= 1;
        std::fs::write(&file, bytes).expect("written");
    };
    let (tensors, manifest) =
        (|d: &Path| d.join("step-000000020.safetensors"), |d: &Path| d.join("step-000000020.json"));
    type Spoil = Box<dyn Fn(&Path)>;
    let spoil: [(&str, &str, Spoil); 6] = [
        ("cut", "cut off or was changed", Box::new(move |d| cut(tensors(d), 9))),
        ("flipped", "tensors' checksum", Box::new(move |d| flip(tensors(d), 5))),
        ("gone", "tensors cannot be read", Box::new(move |d| std::fs::remove_file(tensors(d)).expect("there"))),
        ("manifest", "manifest is cut off", Box::new(move |d| cut(manifest(d), 5))),
        ("empty", "manifest is cut off", Box::new(move |d| cut(manifest(d), 0))),
        (
            "number",
            "checksum is wrong",
            Box::new(move |d| {
                let text = std::fs::read_to_string(manifest(d)).expect("there");
                std::fs::write(manifest(d), text.replace("\"batch\":9", "\"batch\":8")).expect("written");
            }),
        ),
    ];
    for (name, words, spoil) in spoil {
        let (life, state, expected) = spoiled(name, spoil);
        let _ = life.result.expect("trained");
        assert!(life.warnings.len() == 1 && life.warnings[0].contains(words), "{name}: {:?}", life.warnings);
        assert!(life.warnings[0].contains("step-000000020.json") && life.warnings[0].contains("before it is used"));
        assert!(state == expected, "{name}: the same end");
    }
}

#[test]
fn what_a_killed_process_left_half_written_is_no_checkpoint() {
    let (life, state, expected) = spoiled("half", |d| {
        std::fs::write(d.join(".step-000000021.safetensors.77.part"), b"half").expect("written");
        // Tensors whose manifest was never written.
        std::fs::write(d.join("step-000000021.safetensors"), b"whole, but alone").expect("written");
    });
    assert!(life.result.is_ok() && life.warnings.is_empty() && state == expected);
}

/// Files of a directory and what they hold.
fn files(directory: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let paths = std::fs::read_dir(directory).expect("there").flatten().map(|entry| entry.path());
    paths.map(|path| (path.clone(), std::fs::read(path).expect("read"))).collect()
}

/// The directory of a run that may write no more than a kilobyte into a file, if this process shall be one.
const FULL: &str = "ANYGRAD_RESUME_FULL";

#[test]
#[cfg(unix)]
fn a_write_that_fails_in_the_middle_is_an_error_that_loses_nothing() {
    if let Ok(directory) = std::env::var(FULL) {
        let error = live(Path::new(&directory), None, 1).result.expect_err("there was no room");
        return println!("the error: {error}");
    }
    let (whole, cut) = (Scratch::new("room"), Scratch::new("no-room"));
    let _ = live(&whole.0, None, 1).result.expect("trained");
    let _ = live(&cut.0, Some(20), 1).result.expect("trained");
    let before = files(&cut.0);
    // As on a full disk, but without one: a write past the limit fails (2 blocks of 512 bytes) after a part was written.
    let name = "a_write_that_fails_in_the_middle_is_an_error_that_loses_nothing";
    let script = format!("trap '' XFSZ; ulimit -f 2; exec \"$0\" --exact {name} --nocapture");
    let program = std::env::current_exe().expect("this program");
    let child = std::process::Command::new("sh").args(["-c", &script]).arg(program).env(FULL, &cut.0).output();
    let output = child.expect("started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("the error:") && said.contains(".safetensors") && said.contains("start again"), "{said}");
    assert!(files(&cut.0) == before, "what was there is there, nothing else is");
    let end = live(&cut.0, None, 1);
    assert!(end.result.is_ok() && last(&cut.0) == last(&whole.0), "it goes on as if nothing had happened");
}

#[test]
fn checkpoints_that_do_not_belong_here_are_errors() {
    let scratch = Scratch::new("foreign");
    let _ = live(&scratch.0, Some(20), 1).result.expect("trained");
    let before = last(&scratch.0);
    let d = device();
    let (wider, data) = (Net::new(9, &d), data(&d));
    let fit = |net: &Net, directory: &Path, batch: usize| {
        let checkpoints = Checkpoints { every_steps: Some(3), ..Checkpoints::new(directory) };
        let trainer = Supervised::new(net, Tensor::mse_loss).batch(batch).epochs(3).ema(0.9).quiet();
        let stopping = EarlyStopping { patience: 50, ..EarlyStopping::default() };
        let mut trainer = trainer.schedule(Rate(|_| 0.02)).early_stopping(stopping).checkpoints(checkpoints);
        trainer.fit(&data, &data)
    };
    let misfit = "first.weight (the model has [9, 4], the file [8, 4])";
    fails(fit(&wider, &scratch.0, 4), &["another model or optimizer", misfit, "name another directory"]);
    fails(fit(&Net::new(8, &d), &scratch.0, 8), &["made with batch 4, now it is 8"]);
    assert!(last(&scratch.0) == before, "nothing was touched");
    // All are damaged: it does not silently begin anew.
    for entry in std::fs::read_dir(&scratch.0).expect("there").flatten() {
        if entry.path().extension().is_some_and(|e| e == "safetensors") {
            std::fs::write(entry.path(), b"").expect("written");
        }
    }
    fails(fit(&Net::new(8, &d), &scratch.0, 4), &["all checkpoints are damaged", "remove them to begin anew"]);
    // Written by a newer release: the checksum is right, the version is not ours.
    let newer = Scratch::new("newer");
    let fields = r#""anygrad":"9.0.0","format":"anygrad checkpoint","state":{},"step":1,"tensors":{},"trainer":"supervised","version":2"#;
    let mut sum = flate2::Crc::new();
    sum.update(format!("{{{fields}}}").as_bytes());
    let text = format!("{{{fields},\"checksum\":\"{:08x}\"}}", sum.sum());
    std::fs::write(newer.0.join("step-000000001.json"), text).expect("written");
    fails(fit(&Net::new(8, &d), &newer.0, 4), &["version 2", "9.0.0", "update anygrad"]);
    // A directory that is a file.
    let file = newer.0.join("file");
    std::fs::write(&file, b"").expect("written");
    fails(fit(&Net::new(8, &d), &file, 4), &["file", "cannot be written there"]);
    fails(fit(&Net::new(8, &d), Path::new("/proc/checkpoints"), 4), &["/proc/checkpoints", "cannot be written there"]);
}

#[test]
fn the_last_and_the_best_are_kept() {
    let scratch = Scratch::new("kept");
    let d = device();
    let (net, data) = (Net::new(8, &d), data(&d));
    let saved = RefCell::new(Vec::new());
    let checkpoints = Checkpoints { keep_last: 2, ..Checkpoints::new(&scratch.0) };
    // The rate explodes after the second epoch, so the best is early.
    let trainer = Supervised::new(&net, Tensor::mse_loss).batch(4).epochs(6).checkpoints(checkpoints).quiet();
    let mut trainer = trainer.schedule(Rate(|step| if step < 22 { 1e-3 } else { 2.0 })).listen(|event: &Event<'_>| {
        if let Event::Saved { path } = event {
            saved.borrow_mut().push(path.file_name().expect("a name").to_string_lossy().to_string());
        }
        Ok(Flow::Continue)
    });
    let report = trainer.fit(&data, &data).expect("trained");
    drop(trainer);
    let best = report.best.expect("one").0;
    assert!(best <= 2, "{:?}", report.history);
    let mut files: Vec<String> = std::fs::read_dir(&scratch.0)
        .expect("there")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().to_string())
        .collect();
    files.sort();
    let expected: Vec<String> = [best as u64 * 11, 55, 66]
        .iter()
        .flat_map(|step| [format!("step-{step:09}.json"), format!("step-{step:09}.safetensors")])
        .collect();
    assert_eq!(files, expected);
    let all: Vec<String> = (1..=6).map(|epoch| format!("step-{:09}.safetensors", epoch * 11)).collect();
    assert_eq!(*saved.borrow(), all, "each is told of when it is on the disk");
    // A checkpoint is a file of weights, too.
    let other = Net::new(8, &d);
    let fit =
        anygrad_trainers::checkpoint::load_partial(scratch.0.join("step-000000066.safetensors"), &other).expect("read");
    assert!(fit.missing.is_empty() && fit.misfits.is_empty());
    assert_eq!(other.second.weight.get().to_bytes().expect("b"), net.second.weight.get().to_bytes().expect("b"));
}

#[test]
fn it_goes_back_to_the_last_checkpoint_with_a_smaller_rate() {
    let scratch = Scratch::new("back");
    let d = device();
    let data = data(&d);
    let run = |directory: &Path, rate: f64, attempts: usize| {
        let net = Net::new(8, &d);
        let warnings = RefCell::new(Vec::new());
        // No number where predictions are beyond 1000: a rate of 1e30 does that in its first update.
        let loss = |x: &Tensor, y: &Tensor| x.mse_loss(y) + (1e6 - x.square()).sqrt().mean(..) * 0.0;
        let trainer = Supervised::new(&net, loss).batch(4).epochs(2).quiet();
        let trainer = trainer.non_finite(NonFinite::RollBack { factor: 1e-30, attempts });
        let trainer = trainer.schedule(Rate(move |step| if step < 15 { 1e-3 } else { rate }));
        let mut trainer = trainer.checkpoints(Checkpoints::new(directory)).listen(|event: &Event<'_>| {
            if let Event::Warning(message) = event {
                warnings.borrow_mut().push(message.to_string());
            }
            Ok(Flow::Continue)
        });
        let result = trainer.fit_alone(&data);
        drop(trainer);
        (result, warnings.into_inner())
    };
    let (result, warnings) = run(&scratch.0, 1e30, 1);
    let report = result.expect("trained");
    assert!(report.history[1].get("loss").expect("one").is_finite());
    assert!(
        warnings.len() == 1 && warnings[0].contains("went back") && warnings[0].contains("epoch 2"),
        "{warnings:?}"
    );
    let other = Scratch::new("back-often");
    let (result, warnings) = run(&other.0, 1e30, 0);
    fails(result, &["epoch 2", "smaller learning rate"]);
    assert!(warnings.is_empty());
}
