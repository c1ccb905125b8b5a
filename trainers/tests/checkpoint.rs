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

#[test]
fn files_of_other_libraries_are_loaded_through_a_map() {
    use anygrad_trainers::checkpoint::{NameMap, load_mapped};

    let (device, scratch) = (device(), Scratch::new("map"));
    let path = scratch.file("gpt2.safetensors");
    let count = |shape: &[usize], first: f32| {
        let len: usize = shape.iter().product();
        Tensor::from_vec((0..len).map(|i| first + i as f32).collect::<Vec<f32>>(), shape, &device)
    };
    // The names of Hugging Face's GPT-2 and BERT, small: width 2, its Conv1D stored as [inputs, outputs].
    let file = named(&[
        ("h.0.ln_1.weight", count(&[2], 1.0)),
        ("h.0.attn.bias", count(&[1, 1, 4, 4], 0.0)),
        ("h.0.attn.c_attn.weight", count(&[2, 6], 10.0)),
        ("h.0.attn.c_attn.bias", count(&[6], 30.0)),
        ("bert.layer.0.attention.self.query.weight", count(&[2, 2], 100.0)),
        ("bert.layer.0.attention.self.key.weight", count(&[2, 2], 200.0)),
        ("bert.layer.0.attention.self.value.weight", count(&[2, 2], 300.0)),
        ("bert.layer.0.output.LayerNorm.gamma", count(&[2], 400.0)),
    ]);
    checkpoint::save_named(&path, &file).expect("saved");
    let map = NameMap::default()
        .skip("attn.bias")
        .transpose("c_attn.weight")
        .rename("h.*", "blocks.*")
        .rename("ln_1", "norm1")
        .rename("attn.c_attn.weight", "attention.in_proj_weight")
        .rename("attn.c_attn.bias", "attention.in_proj_bias")
        .rename("bert.layer.*", "bert.*")
        .join(["self.query.weight", "self.key.weight", "self.value.weight"], "in_proj_weight")
        .rename("output.LayerNorm.gamma", "norm.weight");
    struct Model(Vec<(String, Var)>);
    impl anygrad_core::nn::Module for Model {
        fn visit(&self, visitor: &mut anygrad_core::nn::Visitor<'_>) {
            self.0.iter().for_each(|(name, var)| visitor.field(name, var));
        }
    }
    let model = Model(named(&[
        ("blocks.0.norm1.weight", Tensor::zeros(&[2], &device)),
        ("blocks.0.attention.in_proj_weight", Tensor::zeros(&[6, 2], &device)),
        ("blocks.0.attention.in_proj_bias", Tensor::zeros(&[6], &device)),
        ("bert.0.attention.in_proj_weight", Tensor::zeros(&[6, 2], &device)),
        ("bert.0.norm.weight", Tensor::zeros(&[2], &device)),
    ]));
    let report = load_mapped(&path, &model, &map).expect("loaded");
    assert!(report.is_exact(), "{report}");
    let values = |at: usize| model.0[at].1.get().to_vec::<f32>().expect("numbers");
    // Column k of the file's matrix [2, 6] is row k here.
    assert_eq!(values(1), [10.0, 16.0, 11.0, 17.0, 12.0, 18.0, 13.0, 19.0, 14.0, 20.0, 15.0, 21.0]);
    assert_eq!(values(3), [100.0, 101.0, 102.0, 103.0, 200.0, 201.0, 202.0, 203.0, 300.0, 301.0, 302.0, 303.0]);
    assert_eq!((values(2)[5], values(4)[1]), (35.0, 401.0));
    // Rules that do not fit the file.
    let error = |map: NameMap| load_mapped(&path, &model, &map).expect_err("no map for it").to_string();
    assert!(error(NameMap::default().transpose("ln_1.weight")).contains("'h.0.ln_1.weight': [2] is no matrix"));
    assert!(error(NameMap::default().rename("self.query", "self.key")).contains("two tensors become"));
    let joined = NameMap::default().join(["self.query.weight", "LayerNorm.gamma"], "x").rename("attention", "output");
    assert!(error(joined).contains("cannot be joined"));
}
