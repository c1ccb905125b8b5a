//! From the start of a process to its first finished step, and the most memory it ever held: each framework in processes of
//! its own, which say a line of JSON after the first step and one with `peak_bytes` after twenty more.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

/// What one process took.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Seconds from its start to its first line.
    pub seconds: f64,
    /// Bytes resident at most.
    pub peak_bytes: f64,
}

/// Runs a command that speaks so.
///
/// # Errors
/// If it cannot be run or says something else.
pub fn start(command: &mut Command) -> Result<Start, String> {
    let begin = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no pipe")?).lines().map_while(Result::ok);
    let mut value = || -> Result<Value, String> {
        let line = lines.next().ok_or("it ended")?;
        let value: Value = serde_json::from_str(&line).map_err(|error| format!("{line:?}: {error}"))?;
        value["error"].as_str().map_or(Ok(value.clone()), |error| Err(error.to_string()))
    };
    let first = value();
    let seconds = begin.elapsed().as_secs_f64();
    let last = first.and_then(|_| value());
    let _ = child.wait();
    let peak_bytes = last?["peak_bytes"].as_f64().ok_or("no peak_bytes")?;
    Ok(Start { seconds, peak_bytes })
}

/// The most memory that this process ever held, in bytes, where the system says so (Linux).
#[must_use]
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}
