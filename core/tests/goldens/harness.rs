//! Runs the rows of the tables against what PyTorch computed (`*.safetensors`, written by `make.py`).
//!
//! A row names a golden and says how to compute it here. The harness loads its inputs and weights (by PyTorch's names),
//! asks a [`Runner`] for values and gradients, and lists every element that differs. The same tables serve the f64
//! reference (`core/tests/goldens.rs`) and the backends (`tests/goldens.rs` of the facade).

use std::collections::BTreeSet;
use std::sync::Mutex;

use anygrad_core::nn::{Layer, Module};
use anygrad_core::{DType, Device, Tensor, Var};
use safetensors::SafeTensors;

/// A function of the inputs.
pub(crate) type Function = Box<dyn Fn(&[Tensor]) -> Vec<Tensor>>;

/// How an operation or loss is computed here.
pub(crate) type OpRow = (&'static str, fn(&[Tensor]) -> Vec<Tensor>);

/// How a layer is made here; [`Case::layer`] loads its weights.
pub(crate) type LayerRow = (&'static str, fn(&Case) -> Function);

/// Builds tensors (as a training program if the first argument says so) and computes them in f64.
pub(crate) type Runner<'a> = dyn Fn(bool, &dyn Fn() -> Vec<Tensor>) -> Vec<Vec<f64>> + 'a;

/// One golden.
pub(crate) struct Case<'a> {
    file: &'a SafeTensors<'a>,
    name: &'a str,
    pub(crate) device: &'a Device,
    float: DType,
    variables: Mutex<Vec<(String, Var)>>,
}

/// Where and how exactly all is computed.
pub(crate) struct Setup<'a> {
    pub(crate) device: &'a Device,
    /// Type of the floats.
    pub(crate) float: DType,
    /// Largest difference: this times the largest number of the golden (or one, if that is larger).
    pub(crate) tolerance: f64,
    pub(crate) run: &'a Runner<'a>,
}

impl Case<'_> {
    /// Loads a module's variables by name and gives it with a function.
    pub(crate) fn layer<M: Module + 'static>(
        &self,
        module: M,
        forward: impl Fn(&M, &[Tensor]) -> Vec<Tensor> + 'static,
    ) -> Function {
        module.convert(self.float).expect("the device has this type");
        let variables = module.named_variables();
        let ours: BTreeSet<String> = variables.iter().map(|(name, _)| name.clone()).collect();
        let prefix = format!("{}/weight/", self.name);
        let theirs = keys(self.file, &prefix).into_iter().collect();
        assert_eq!(ours, theirs, "{}: names of variables", self.name);
        for (name, var) in &variables {
            let (shape, values) = numbers(self.file, &format!("{prefix}{name}"));
            assert_eq!(var.shape(), shape, "{}: shape of {name}", self.name);
            match self.float {
                DType::F64 => var.write(&values),
                _ => var.write(&values.iter().map(|&v| v as f32).collect::<Vec<f32>>()),
            }
            .expect("the variable takes its golden values");
        }
        self.variables.lock().expect("one thread").extend(variables);
        Box::new(move |x| forward(&module, x))
    }

    /// As [`Case::layer`], for a layer of one tensor.
    pub(crate) fn simple<M: Layer + 'static>(&self, module: M) -> Function {
        self.layer(module, |m, x| vec![m.forward(&x[0])])
    }

    fn tensor(&self, key: &str) -> Tensor {
        let (shape, values) = numbers(self.file, &format!("{}/{key}", self.name));
        let view = self.file.tensor(&format!("{}/{key}", self.name)).expect("listed");
        match view.dtype() {
            safetensors::Dtype::BOOL => {
                Tensor::from_vec(values.iter().map(|&v| v != 0.0).collect::<Vec<bool>>(), &shape, self.device)
            }
            safetensors::Dtype::I32 => {
                Tensor::from_vec(values.iter().map(|&v| v as i32).collect::<Vec<i32>>(), &shape, self.device)
            }
            _ if self.float == DType::F64 => Tensor::from_vec(values, &shape, self.device),
            _ => Tensor::from_vec(values.iter().map(|&v| v as f32).collect::<Vec<f32>>(), &shape, self.device),
        }
    }

    fn list(&self, kind: &str) -> Vec<String> {
        let prefix = format!("{}/", self.name);
        let all = keys(self.file, &prefix).into_iter();
        let mut found: Vec<String> =
            all.filter(|key| key.starts_with(kind) && !key[kind.len()..].contains('/')).collect();
        if !kind.ends_with('/') {
            found.retain(|key| key[kind.len()..].parse::<usize>().is_ok());
        }
        found
    }

    /// Everything the golden has, computed here: keys, and a builder of the tensors in that order.
    fn check(&self, setup: &Setup, function: &Function, failures: &mut Vec<String>) {
        let inputs: Vec<Tensor> = self.list("in").iter().map(|key| self.tensor(key)).collect();
        let weights: Vec<Tensor> = self.list("dy").iter().map(|key| self.tensor(key)).collect();
        let weighted: Vec<usize> = self.list("dy").iter().map(|key| key[2..].parse().expect("a number")).collect();
        let outputs = self.list("out");
        let gradients = self.list("grad/");
        let after = self.list("after/");
        let variables = self.variables.lock().expect("one thread").clone();
        let variable = |name: &str| &variables.iter().find(|(n, _)| n == name).expect("a variable of this name").1;
        let build = || {
            let mut all = function(&inputs);
            assert_eq!(all.len(), outputs.len(), "{}: number of results", self.name);
            let losses = weighted.iter().zip(&weights).map(|(&i, dy)| (&all[i] * dy).sum(()));
            if let Some(total) = losses.reduce(|a, b| a + b) {
                let targets: Vec<Tensor> = gradients
                    .iter()
                    .map(|key| match key["grad/".len()..].strip_prefix("in").and_then(|i| i.parse::<usize>().ok()) {
                        Some(i) => inputs[i].clone(),
                        None => variable(&key["grad/".len()..]).get(),
                    })
                    .collect();
                all.extend(total.gradients(&targets));
            }
            all.extend(after.iter().map(|key| variable(&key["after/".len()..]).get()));
            all
        };
        let got = (setup.run)(!after.is_empty(), &build);
        for (key, got) in [outputs, gradients.clone(), after.clone()].concat().iter().zip(&got) {
            let (shape, want) = numbers(self.file, &format!("{}/{key}", self.name));
            if got.len() != want.len() {
                failures.push(format!("{} {key}: {} elements, PyTorch has {shape:?}", self.name, got.len()));
                continue;
            }
            let scale = want.iter().fold(1.0f64, |m, x| m.max(x.abs()));
            let differs = |(a, b): (&f64, &f64)| {
                !(a == b || (a - b).abs() <= setup.tolerance * scale || a.is_nan() && b.is_nan())
            };
            let wrong: Vec<usize> = (0..want.len()).filter(|&i| differs((&got[i], &want[i]))).collect();
            if let Some(&i) = wrong.first() {
                let place = format!("{} {key} {shape:?}: {} of {} elements", self.name, wrong.len(), want.len());
                failures.push(format!("{place} differ, first number {i}: {} here, {} there", got[i], want[i]));
            }
        }
    }
}

/// What stands behind `prefix` in the file's keys, sorted.
fn keys(file: &SafeTensors, prefix: &str) -> Vec<String> {
    let mut found: Vec<String> =
        file.names().into_iter().filter_map(|key| key.strip_prefix(prefix)).map(String::from).collect();
    found.sort();
    found
}

/// A golden's shape and values.
fn numbers(file: &SafeTensors, key: &str) -> (Vec<usize>, Vec<f64>) {
    let view = file.tensor(key).unwrap_or_else(|error| panic!("golden {key}: {error}"));
    let bytes = view.data();
    let values = match view.dtype() {
        safetensors::Dtype::F64 => bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect(),
        safetensors::Dtype::F32 => bytes.as_chunks().0.iter().map(|&b| f64::from(f32::from_le_bytes(b))).collect(),
        safetensors::Dtype::I32 => bytes.as_chunks().0.iter().map(|&b| f64::from(i32::from_le_bytes(b))).collect(),
        safetensors::Dtype::BOOL => bytes.iter().map(|&b| f64::from(b)).collect(),
        other => panic!("golden {key}: elements of type {other:?}"),
    };
    (view.shape().to_vec(), values)
}

/// Checks the rows of layers against `name.safetensors`, and that rows and goldens have the same names.
pub(crate) fn check_layers(name: &str, rows: &[LayerRow], setup: &Setup) {
    let names: Vec<&str> = rows.iter().map(|row| row.0).collect();
    check(name, &names, setup, &|i, case| rows[i].1(case));
}

/// As [`check_layers`], for operations and losses.
pub(crate) fn check_ops(name: &str, rows: &[OpRow], setup: &Setup) {
    let names: Vec<&str> = rows.iter().map(|row| row.0).collect();
    check(name, &names, setup, &|i, _| Box::new(rows[i].1));
}

fn check(file: &str, rows: &[&str], setup: &Setup, function: &dyn Fn(usize, &Case) -> Function) {
    let path = format!("{}/{file}.safetensors", directory());
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
    let theirs: BTreeSet<&str> = file.names().into_iter().filter_map(|key| key.split('/').next()).collect();
    let ours: BTreeSet<&str> = rows.iter().copied().collect();
    assert_eq!(ours, theirs, "rows and goldens must have the same names");
    let mut failures = Vec::new();
    for (i, name) in rows.iter().enumerate() {
        let case = Case { file: &file, name, device: setup.device, float: setup.float, variables: Mutex::default() };
        case.check(setup, &function(i, &case), &mut failures);
    }
    assert!(failures.is_empty(), "{} values differ from PyTorch's:\n{}", failures.len(), failures.join("\n"));
}

/// Where the goldens lie, from this crate or from the facade.
fn directory() -> String {
    let here = env!("CARGO_MANIFEST_DIR");
    let beside = format!("{here}/tests/goldens/ops.safetensors");
    let base = if std::path::Path::new(&beside).exists() { "tests" } else { "core/tests" };
    format!("{here}/{base}/goldens")
}
