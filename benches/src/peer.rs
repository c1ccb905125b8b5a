//! Peers to compare with: other processes that answer one line of JSON per question (see `torch/workloads.py --serve`
//! and `peers/src/main.rs`). Each has its own memory and threads, and does nothing while another one is measured.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A peer's process.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// What it says it is.
    pub version: String,
}

/// How a peer's program is called.
///
/// # Errors
/// If it is not there, in words.
pub fn command(name: &str, device: &str) -> Result<Command, String> {
    let here = std::env::var_os("BENCHES").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    if name == "torch" {
        let python = std::env::var_os("TORCH_PYTHON").ok_or("TORCH_PYTHON names no Python with PyTorch")?;
        let mut command = Command::new(python);
        command.arg(here.join("torch/workloads.py")).args(["--device", device]);
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        command.arg("--threads").arg(threads.to_string());
        return Ok(command);
    }
    if device != "cpu" {
        return Err(format!("it runs on the CPU only, not on {device}"));
    }
    let path = std::env::var_os("PEERS").map_or_else(|| here.join("../target/peers/release/peers"), PathBuf::from);
    if !path.exists() {
        return Err(format!("no {}; benches/README.md says how it is built", path.display()));
    }
    let mut command = Command::new(path);
    command.arg(name);
    Ok(command)
}

impl Peer {
    /// Starts `torch`, `burn-flex` or `candle`; `device` is a PyTorch device's name.
    ///
    /// # Errors
    /// If it is not there, in words.
    pub fn start(name: &str, device: &str) -> Result<Peer, String> {
        let mut command = command(name, device)?;
        if name == "torch" {
            command.arg("--serve");
        }
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| format!("{command:?}: {error}"))?;
        let (Some(ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes".into());
        };
        let mut peer = Peer { child, ask: Some(ask), answers: BufReader::new(answers), version: String::new() };
        let first = peer.read()?;
        if let Some(error) = first["error"].as_str() {
            return Err(error.to_string());
        }
        peer.version = first["version"].as_str().unwrap_or_default().to_string();
        Ok(peer)
    }

    fn read(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => Err("it ended".into()),
            Ok(_) => serde_json::from_str(&line).map_err(|error| format!("{line:?}: {error}")),
            Err(error) => Err(error.to_string()),
        }
    }

    fn question(&mut self, line: &str) -> Result<Value, String> {
        let ask = self.ask.as_mut().ok_or("it ended")?;
        writeln!(ask, "{line}").and_then(|()| ask.flush()).map_err(|error| error.to_string())?;
        let answer = self.read()?;
        match answer["error"].as_str() {
            Some(error) => Err(error.to_string()),
            None => Ok(answer),
        }
    }

    /// Steps per second of a workload over about this many seconds. The first time it is built and warmed up before.
    ///
    /// # Errors
    /// What the peer says.
    pub fn block(&mut self, workload: &str, mode: &str, seconds: f64) -> Result<f64, String> {
        let answer = self.question(&format!("{workload} {mode} {seconds}"))?;
        answer["steps_per_s"].as_f64().ok_or_else(|| format!("not a rate: {answer}"))
    }

    /// The losses of the first steps from the weights and on the data in a safetensors file; `precision` is empty or
    /// `float64`.
    ///
    /// # Errors
    /// What the peer says.
    pub fn losses(&mut self, workload: &str, file: &str, steps: usize, precision: &str) -> Result<Vec<f64>, String> {
        let answer = self.question(&format!("{workload} losses {file} {steps} {precision}"))?;
        let losses = answer["losses"].as_array().ok_or_else(|| format!("not losses: {answer}"))?;
        Ok(losses.iter().filter_map(Value::as_f64).collect())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.ask = None;
        let _ = self.child.wait();
    }
}
