//! Weights: saved and loaded bit for bit, read from PyTorch, replaced as a whole.

use std::path::{Path, PathBuf};

use anygrad_core::{DType, Device, Tensor, Var};
use anygrad_trainers::checkpoint;

fn device() -> Device {
    anygrad_core::testing::device()
}

/// A directory of this test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("anygrad-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Scratch(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn named(list: &[(&str, Tensor)]) -> Vec<(String, Var)> {
    list.iter().map(|(name, tensor)| (name.to_string(), Var::new(*name, tensor))).collect()
}

#[test]
fn what_was_saved_is_loaded_bit_for_bit() {
    let (device, scratch) = (device(), Scratch::new("round"));
    let path = scratch.file("weights.safetensors");
    let values = [1.5f32, -0.0, f32::MIN_POSITIVE, f32::INFINITY, 3.0e38, 0.1];
    let saved = named(&[
        ("layers.0.weight", Tensor::from_vec(values.to_vec(), &[2, 3], &device)),
        ("steps", Tensor::from_vec(vec![7i32], &[], &device)),
        ("words", Tensor::from_vec(vec![u32::MAX, 0], &[2], &device)),
        ("mask", Tensor::from_vec(vec![true, false, true], &[3], &device)),
        ("precise", Tensor::from_vec(vec![0.1f64], &[1], &device)),
        ("none", Tensor::from_vec(Vec::<f32>::new(), &[0, 4], &device)),
    ]);
    checkpoint::save_named(&path, &saved).expect("saved");
    let blank = |var: &Var| Tensor::full(var.shape(), 0.0, var.dtype(), &device);
    let loaded: Vec<_> = saved.iter().map(|(name, var)| (name.clone(), Var::new(name, &blank(var)))).collect();
    checkpoint::load_named(&path, &loaded).expect("loaded");
    for ((name, a), (_, b)) in saved.iter().zip(&loaded) {
        assert_eq!(a.get().to_bytes().expect("bytes"), b.get().to_bytes().expect("bytes"), "{name}");
    }
    // Nothing but the file is left, also after it was replaced.
    checkpoint::save_named(&path, &saved[..1]).expect("saved again");
    assert_eq!(std::fs::read_dir(&scratch.0).expect("directory").count(), 1);
}

#[test]
fn a_file_of_pytorch_is_read_and_converted() {
    let device = device();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/weights_torch.safetensors");
    let zeros = Tensor::zeros(&[2, 3], &device);
    let count = Tensor::full(&[], 0.0, DType::I32, &device);
    let vars = named(&[
        ("f32", zeros.clone()),
        ("f64", zeros.clone()),
        ("f16", zeros.clone()),
        ("bf16", zeros),
        ("count", count),
    ]);
    checkpoint::load_named(&path, &vars).expect("loaded");
    for (name, var) in &vars[..4] {
        // 65504 is f16's largest number; bf16 rounds it to 65536.
        let large = if name == "bf16" { 65536.0 } else { 65504.0 };
        assert_eq!(var.get().to_vec::<f32>().expect("numbers"), [1.5, -2.0, 0.0, large, -0.25, 3.0], "{name}");
    }
    assert_eq!(vars[4].1.get().to_vec::<i32>().expect("number"), [7]);
}

#[test]
fn misfits_are_listed_and_nothing_is_changed() {
    let (device, scratch) = (device(), Scratch::new("misfit"));
    let path = scratch.file("weights.safetensors");
    let ones = |shape: &[usize]| Tensor::ones(shape, &device);
    checkpoint::save_named(&path, &named(&[("a", ones(&[2])), ("b", ones(&[3])), ("old", ones(&[1]))])).expect("saved");
    let zeros = |shape: &[usize]| Tensor::zeros(shape, &device);
    let model = named(&[("a", zeros(&[2])), ("b", zeros(&[4])), ("new", zeros(&[1]))]);
    let message = checkpoint::load_named(&path, &model).expect_err("misfits").to_string();
    for words in ["weights.safetensors", "missing in the file: new", "not in the model: old", "b (the model has [4]"] {
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(model[0].1.get().to_vec::<f32>().expect("numbers"), [0.0, 0.0]);

    let report = checkpoint::load_partial(&path, &model.iter().map(|(_, v)| v.clone()).collect::<Vec<_>>());
    // A list of variables is a module whose names are numbers: nothing fits, and that is said.
    assert_eq!(report.expect("a report").loaded.len(), 0);
}

#[test]
fn damaged_files_are_errors_that_say_so() {
    let (device, scratch) = (device(), Scratch::new("damage"));
    let path = scratch.file("weights.safetensors");
    let model = named(&[("a", Tensor::ones(&[64], &device))]);
    checkpoint::save_named(&path, &model).expect("saved");
    let good = std::fs::read(&path).expect("bytes");
    let mut long = good.clone();
    long.push(0);
    let mut header = good.clone();
    header[8] = b'!';
    let cases: [(&str, &[u8]); 7] = [
        ("empty", &[]),
        ("only a few bytes", &good[..5]),
        ("cut off in the header", &good[..40]),
        ("cut off in the numbers", &good[..good.len() - 1]),
        ("one byte too long", &long),
        ("a broken header", &header),
        ("huge header length", &[0xff; 64]),
    ];
    for (what, bytes) in cases {
        let bad = scratch.file("bad.safetensors");
        std::fs::write(&bad, bytes).expect("written");
        let message = checkpoint::load_named(&bad, &model).expect_err(what).to_string();
        assert!(message.contains("bad.safetensors") && message.contains("again"), "{what}: {message}");
    }
    let message = checkpoint::load_named(scratch.file("none"), &model).expect_err("no file").to_string();
    assert!(message.contains("no such file"), "{message}");
    let message = checkpoint::save_named(scratch.file("no/such/place"), &model).expect_err("no directory").to_string();
    assert!(message.contains("no/such/place"), "{message}");
    let message = checkpoint::save_named(&path, &[model[0].clone(), model[0].clone()]).expect_err("twice").to_string();
    assert!(message.contains("two variables are named 'a'"), "{message}");
    assert_eq!(std::fs::read(&path).expect("bytes"), good);
}
