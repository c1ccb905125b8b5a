//! Opening devices by name: which backends there are is known here only, the core's [`Device`] takes any.
//!
//! A device is opened once per process: `Device::cpu()` gives the same one each time, so tensors made in different
//! places meet. One that was lost is opened anew.

use std::sync::{Mutex, PoisonError};

use anygrad_core::{Device, Error, Result, Tensor};

/// A device that can be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// What [`Devices::open`] takes: `cpu`, `gpu:0`.
    pub name: String,
    /// The hardware, and the driver if it has one.
    pub description: String,
    /// Whether it only imitates a GPU on the CPU.
    pub is_software: bool,
}

/// Ways to get a [`Device`]; in the prelude, so that `Device::best()` reads as one expects.
pub trait Devices: Sized {
    /// The device that the environment variable `ANYGRAD_DEVICE` names; without it a real GPU if there is one, else the
    /// CPU (which is faster than a software GPU driver). If the named one cannot be opened, it says so on standard error
    /// and goes on with the best; `Device::open("best")` makes that an error.
    ///
    /// # Panics
    /// If anygrad was built without the features `cpu` and `wgpu`, or without `cpu` where no GPU can be opened.
    #[must_use]
    fn best() -> Device;

    /// The CPU, with one thread per core.
    ///
    /// # Panics
    /// If there is no memory at all; `Device::open("cpu")` returns that as an error.
    #[cfg(feature = "cpu")]
    #[must_use]
    fn cpu() -> Device;

    /// The first real GPU; if there is none, a software one.
    ///
    /// # Errors
    /// If there is no GPU driver, or anygrad was built without the feature `wgpu`.
    fn gpu() -> Result<Device>;

    /// The device of this name: `cpu`, `gpu`, `gpu:1` (as [`Devices::list`] counts), `best` (as [`Devices::best`]).
    ///
    /// # Errors
    /// If there is none of that name; the message lists those there are.
    fn open(name: &str) -> Result<Device>;

    /// All devices that can be opened.
    #[must_use]
    fn list() -> Vec<DeviceInfo>;
}

impl Devices for Device {
    fn best() -> Device {
        match open(Wanted::Best).or_else(|error| {
            eprintln!("anygrad: ANYGRAD_DEVICE: {error}");
            best_there_is()
        }) {
            Ok(device) => device,
            Err(error) => panic!("{error}"),
        }
    }

    #[cfg(feature = "cpu")]
    fn cpu() -> Device {
        match open_cpu() {
            Ok(device) => device,
            Err(error) => panic!("{error}"),
        }
    }

    fn gpu() -> Result<Device> {
        open(Wanted::Gpu(None))
    }

    fn open(name: &str) -> Result<Device> {
        open(parse(name)?)
    }

    fn list() -> Vec<DeviceInfo> {
        let cpu =
            DeviceInfo { name: "cpu".into(), description: "all cores of this machine".into(), is_software: false };
        let cpu = cfg!(feature = "cpu").then_some(cpu);
        cpu.into_iter().chain(gpus()).collect()
    }
}

/// What a device's name asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Best,
    Cpu,
    Gpu(Option<usize>),
}

fn parse(name: &str) -> Result<Wanted> {
    match name.trim().to_ascii_lowercase().as_str() {
        "best" => Ok(Wanted::Best),
        "cpu" => Ok(Wanted::Cpu),
        "gpu" => Ok(Wanted::Gpu(None)),
        other => match other.strip_prefix("gpu:").map(str::parse) {
            Some(Ok(number)) => Ok(Wanted::Gpu(Some(number))),
            _ => Err(unknown(name, "there is no such device; names are cpu, gpu, gpu:N and best")),
        },
    }
}

fn open(wanted: Wanted) -> Result<Device> {
    match wanted {
        Wanted::Cpu => open_cpu(),
        Wanted::Gpu(number) => open_gpu(number),
        Wanted::Best => match std::env::var("ANYGRAD_DEVICE") {
            Ok(name) if !name.trim().is_empty() => match parse(&name)? {
                Wanted::Best => best_there_is(),
                named => open(named),
            },
            _ => best_there_is(),
        },
    }
}

fn best_there_is() -> Result<Device> {
    if gpus().iter().any(|gpu| !gpu.is_software)
        && let Ok(device) = open_gpu(None)
    {
        return Ok(device);
    }
    if cfg!(feature = "cpu") { open_cpu() } else { open_gpu(None) }
}

/// An error with the list of what there is.
fn unknown(name: &str, reason: &str) -> Error {
    let list: Vec<String> = Device::list().iter().map(|d| format!("{} ({})", d.name, d.description)).collect();
    let there =
        if list.is_empty() { "none; build anygrad with the feature `cpu` or `wgpu`".into() } else { list.join(", ") };
    Error::Device { name: name.into(), reason: format!("{reason}; available: {there}") }
}

/// Devices that were opened, by name.
static OPEN: Mutex<Vec<(String, Device)>> = Mutex::new(Vec::new());

/// The device opened under this name before, if it still works; else a new one.
fn once(name: &str, new: impl FnOnce() -> Result<Device>) -> Result<Device> {
    let mut opened = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    // A device that was lost cannot even hold one number.
    opened.retain(|(n, device)| n != name || Tensor::try_from_slice(&[0.0f32], &[1], device).is_ok());
    if let Some((_, device)) = opened.iter().find(|(n, _)| n == name) {
        return Ok(device.clone());
    }
    let device = new()?;
    opened.push((name.into(), device.clone()));
    Ok(device)
}

#[cfg(feature = "cpu")]
fn open_cpu() -> Result<Device> {
    once("cpu", || Ok(Device::new(std::sync::Arc::new(anygrad_cpu::Cpu::new()?))))
}

#[cfg(not(feature = "cpu"))]
fn open_cpu() -> Result<Device> {
    Err(unknown("cpu", "anygrad was built without the feature `cpu`"))
}

#[cfg(feature = "wgpu")]
fn gpus() -> Vec<DeviceInfo> {
    let describe = |(number, gpu): (usize, anygrad_wgpu::AdapterInfo)| DeviceInfo {
        name: format!("gpu:{number}"),
        description: format!("{}, {}", gpu.name, gpu.backend),
        is_software: gpu.kind == anygrad_wgpu::Kind::Software,
    };
    anygrad_wgpu::Gpu::list().into_iter().enumerate().map(describe).collect()
}

#[cfg(not(feature = "wgpu"))]
fn gpus() -> Vec<DeviceInfo> {
    Vec::new()
}

/// Opens a GPU by its number; without one the first, which is the most capable kind.
#[cfg(feature = "wgpu")]
fn open_gpu(number: Option<usize>) -> Result<Device> {
    let count = gpus().len();
    if number.unwrap_or(0) >= count {
        let name = number.map_or("gpu".to_string(), |n| format!("gpu:{n}"));
        let reason = if count == 0 {
            "no GPU driver was found; install one (Debian: mesa-vulkan-drivers and libvulkan1, or the vendor's) or use cpu"
        } else {
            "there is no GPU of that number"
        };
        return Err(unknown(&name, reason));
    }
    let name = format!("gpu:{}", number.unwrap_or(0));
    once(&name, || Ok(Device::new(std::sync::Arc::new(anygrad_wgpu::Gpu::open(&name)?))))
}

#[cfg(not(feature = "wgpu"))]
fn open_gpu(_number: Option<usize>) -> Result<Device> {
    Err(unknown("gpu", "anygrad was built without the feature `wgpu`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_wrong_ones_list_what_there_is() {
        assert_eq!(parse("CPU ").expect("cpu"), Wanted::Cpu);
        assert_eq!(parse("gpu").expect("gpu"), Wanted::Gpu(None));
        assert_eq!(parse("gpu:12").expect("gpu:12"), Wanted::Gpu(Some(12)));
        assert_eq!(parse("best").expect("best"), Wanted::Best);
        for name in ["", "cuda", "gpu:", "gpu:-1", "gpu1", "gpu:99999999999999999999"] {
            let message = parse(name).expect_err(name).to_string();
            assert!(message.contains("available:"), "{message}");
        }
    }
}
