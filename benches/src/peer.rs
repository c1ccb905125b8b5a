//! Peers to compare with: other processes that answer one line of JSON per question (see `torch/workloads.py --serve`
//! and `peers/src/main.rs`). Each has its own memory and threads, and does nothing while another one is measured.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

/// A peer's process.
#[derive(Debug)]
pub struct Peer {
    name: String,
    device: String,
    limit: Duration,
    child: Child,
    ask: Option<ChildStdin>,
    answers: Receiver<String>,
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
    match (name, device) {
        ("burn-vulkan", "cpu") => return Err("it runs on GPUs only; open one by --device gpu".into()),
        ("burn-vulkan", _) | (_, "cpu") => {}
        _ => return Err(format!("it runs on the CPU only, not on {device}")),
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
    /// Starts `torch`, `burn-flex`, `burn-vulkan` or `candle`; `device` is a PyTorch device's name. An answer that takes longer
    /// than `limit` is an error.
    ///
    /// # Errors
    /// If it is not there, in words.
    pub fn start(name: &str, device: &str, limit: Duration) -> Result<Peer, String> {
        let mut command = command(name, device)?;
        if name == "torch" {
            command.arg("--serve");
        }
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| format!("{command:?}: {error}"))?;
        let (Some(ask), Some(out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes".into());
        };
        let (send, answers) = channel();
        // It ends with its process.
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).all(|line| send.send(line).is_ok());
        });
        let (name, device, version) = (name.to_string(), device.to_string(), String::new());
        let mut peer = Peer { name, device, limit, child, ask: Some(ask), answers, version };
        let first = peer.read()?;
        if let Some(error) = first["error"].as_str() {
            return Err(error.to_string());
        }
        peer.version = first["version"].as_str().unwrap_or_default().to_string();
        Ok(peer)
    }

    fn read(&mut self) -> Result<Value, String> {
        match self.answers.recv_timeout(self.limit) {
            Ok(line) => serde_json::from_str(&line).map_err(|error| format!("{line:?}: {error}")),
            Err(RecvTimeoutError::Timeout) => Err(format!("no answer within {} s", self.limit.as_secs())),
            Err(RecvTimeoutError::Disconnected) => Err("it ended".into()),
        }
    }

    /// What it answers; one that does not, or ended, is started anew for the next question.
    fn question(&mut self, line: &str) -> Result<Value, String> {
        let ask = self.ask.as_mut().ok_or("it ended")?;
        let asked = writeln!(ask, "{line}").and_then(|()| ask.flush()).map_err(|error| error.to_string());
        match asked.and_then(|()| self.read()) {
            Ok(answer) => match answer["error"].as_str() {
                Some(error) => Err(error.to_string()),
                None => Ok(answer),
            },
            Err(why) => {
                let _ = self.child.kill();
                if let Ok(anew) = Peer::start(&self.name, &self.device, self.limit) {
                    *self = anew;
                }
                Err(why)
            }
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
