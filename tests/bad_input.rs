//! Wrong input from outside is an error that says what, where and what to do; mistakes in model code panic at the caller's
//! line in words. (Files in detail: the tests of `anygrad-trainers`.)

use std::path::PathBuf;

use anygrad::data::idx;
use anygrad::prelude::*;

/// A file in a directory of this test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("anygrad-bad-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Scratch(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn fails<T: std::fmt::Debug>(result: Result<T>, words: &[&str]) {
    let message = match result {
        Ok(value) => panic!("an error with {words:?} was expected, not {value:?}"),
        Err(error) => error.to_string(),
    };
    assert!(words.iter().all(|word| message.contains(word)), "{message}\nlacks one of {words:?}");
}

#[test]
fn data_files_that_are_missing_cut_off_of_another_kind_or_too_long() {
    let scratch = Scratch::new("data");
    let missing = scratch.0.join("none-idx3-ubyte.gz");
    fails(idx::read(&missing), &["none-idx3-ubyte.gz", "no such file", "download"]);
    let cut = scratch.write("cut", &[0, 0, 8, 1, 0, 0, 0, 5, 1, 2]);
    fails(idx::read(&cut), &["cut", "5 bytes", "only 2 follow", "fetch it again"]);
    let other = scratch.write("other", b"PK\x03\x04 a zip file");
    fails(idx::read(&other), &["other", "0x504b0304", "not idx", "right file"]);
    let long = scratch.write("long", &[0, 0, 8, 1, 0, 0, 0, 1, 1, 2]);
    fails(idx::read(&long), &["long", "more bytes follow than the 1"]);
    fails(LabelledImages::open(&scratch.0), &["train-images-idx3-ubyte", "put the files of MNIST"]);
}

#[test]
fn weights_that_are_missing_cut_off_of_another_kind_or_too_long() {
    let scratch = Scratch::new("weights");
    let device = Device::cpu();
    let model = Linear::new(3, 2, &device);
    let path = scratch.0.join("w.safetensors");
    fails(checkpoint::load(&path, &model), &["w.safetensors", "no such file", "check the path"]);
    checkpoint::save(&path, &model).expect("saved");
    let before = model.weight.get().to_vec::<f32>().expect("numbers");
    let good = std::fs::read(&path).expect("bytes");
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("cut", good[..good.len() - 4].to_vec(), "cut off"),
        ("long", [&good[..], &[0; 8]].concat(), "appended"),
        ("other", b"PK\x03\x04 a zip file, long enough for a header".to_vec(), "not a safetensors file"),
        ("empty", Vec::new(), "cut off"),
    ];
    for (name, bytes, words) in cases {
        fails(checkpoint::load(scratch.write(name, &bytes), &model), &[name, words, "again"]);
    }
    let wider = Linear::new(4, 2, &device);
    fails(checkpoint::load(&path, &wider), &["weight (the model has [2, 4], the file [2, 3])", "load_partial"]);
    let without = Linear::without_bias(3, 2, &device);
    fails(checkpoint::load(&path, &without), &["not in the model: bias"]);
    checkpoint::load(&path, &model).expect("loaded");
    assert_eq!(model.weight.get().to_vec::<f32>().expect("numbers"), before);
}

#[test]
fn devices_that_do_not_exist() {
    for name in ["cuda", "gpu:x", "", "gpu:4096"] {
        fails(Device::open(name), &["device", "available:"]);
    }
    assert!(Device::list().iter().any(|device| device.name == "cpu"));
    let (a, b) = (Device::open("cpu").expect("cpu"), Device::cpu());
    assert_eq!(a, b, "a device is opened once");
}

#[test]
fn tensors_over_the_limits_of_the_device() {
    let device = Device::cpu();
    // 2^60 bytes: more than any machine's address space, and than the largest buffer.
    let huge = Tensor::zeros(&[1 << 30, 1 << 28], &device);
    fails(huge.realize().map(|_| ()), &["bytes", "available"]);
}

#[test]
fn programs_over_the_memory_budget() {
    // A device of its own: the budget is the device's.
    let device = Device::new(std::sync::Arc::new(anygrad::cpu::Cpu::new().expect("cpu")));
    device.set_memory_budget(1 << 20);
    let model = Linear::new(256, 256, &device);
    let mut program = Program::inference(&device, |x: Tensor| model.forward(&x).relu());
    let few = program.memory(&Tensor::zeros(&[8, 256], &device)).expect("small enough");
    assert!(few.peak() <= 1 << 20);
    let many = Tensor::zeros(&[4096, 256], &device);
    fails(program.memory(&many), &["this program", "budget", "1048576", "smaller batch"]);
    device.set_memory_budget(u64::MAX);
    assert!(program.run(many).is_ok(), "a larger budget is enough");
}

#[test]
fn options_that_do_not_exist() {
    let parse = |words: &[&str]| Options::parse(&words.iter().map(|w| w.to_string()).collect::<Vec<_>>());
    fails(parse(&["--devise", "gpu"]), &["--devise", "no such option", "--help"]);
    fails(parse(&["--epochs"]), &["--epochs", "missing"]);
    fails(parse(&["--epochs", "many"]), &["--epochs many", "whole number"]);
}

/// The message and the line of a panic in model code.
fn panic_of(code: impl FnOnce() + std::panic::UnwindSafe) -> (String, String) {
    use std::sync::{Arc, Mutex};
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().expect("the lock");
    let seen = Arc::new(Mutex::new(String::new()));
    let (copy, before) = (seen.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |info| {
        *copy.lock().expect("the lock") = info.location().map(|l| l.file().to_string()).unwrap_or_default();
    }));
    let result = std::panic::catch_unwind(code);
    std::panic::set_hook(before);
    let payload = result.expect_err("a panic");
    let message = payload.downcast_ref::<String>().cloned().unwrap_or_default();
    let file = seen.lock().expect("the lock").clone();
    (message, file)
}

#[test]
fn mistakes_in_model_code_panic_at_the_callers_line() {
    let x = || Tensor::zeros(&[32, 784], &Device::cpu());
    let cases: [(&str, Box<dyn FnOnce() + std::panic::UnwindSafe>); 7] = [
        (
            "inner sizes 784 and 100 differ",
            Box::new(move || drop(x().matmul(&Tensor::zeros(&[100, 10], &Device::cpu())))),
        ),
        ("do not broadcast", Box::new(move || drop(x() + Tensor::zeros(&[3], &Device::cpu())))),
        ("element types f32 and i32 differ", Box::new(move || drop(x() + x().cast(DType::I32)))),
        ("axis 2 does not exist", Box::new(move || drop(x().sum(2)))),
        ("cannot take the shape", Box::new(move || drop(x().reshape([7, 7])))),
        ("at most 8", Box::new(move || drop(Tensor::zeros(&[1; 9], &Device::cpu())))),
        ("has 25088 elements, not one", Box::new(move || drop(x().item()))),
    ];
    for (words, code) in cases {
        let (message, file) = panic_of(code);
        assert!(message.contains(words), "{message}\nlacks {words}");
        assert!(file.ends_with("bad_input.rs"), "{words}: the panic points at {file}");
    }
}
