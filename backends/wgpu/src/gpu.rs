//! An opened adapter as a [`Backend`].

use std::sync::Arc;

use anygrad_core::backend::{Backend, Buffer, Executable, Limits, Plan};
use anygrad_core::{DType, Error, Result};
use anygrad_kernels::Target;

use crate::adapter::{self, AdapterInfo};
use crate::errors::Guard;
use crate::executable::Compiled;
use crate::memory::{GpuMemory, Pool, Raw, size_class};
use crate::pipelines::Pipelines;
use crate::runs::Runs;
use crate::transfer::Transfer;

/// A device that wgpu reaches. Clones are the same device.
#[derive(Clone, Debug)]
pub struct Gpu {
    pub(crate) shared: Arc<Shared>,
}

/// What a device's buffers and programs share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) name: String,
    pub(crate) info: AdapterInfo,
    pub(crate) target: Target,
    pub(crate) limits: wgpu::Limits,
    pub(crate) guard: Arc<Guard>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) pipelines: Pipelines,
    pub(crate) transfer: Transfer,
    pub(crate) runs: Runs,
}

/// Bytes of freed buffers that are kept for reuse.
const KEPT: u64 = 1 << 30;

impl Gpu {
    /// Opens an adapter: `gpu` is the best one, `gpu:1` the second in [`Gpu::list`], anything else a part of a name.
    ///
    /// # Errors
    /// If there is no such adapter, or its driver gives no device.
    pub fn open(selector: &str) -> Result<Gpu> {
        let (number, info, adapter) = adapter::select(selector)?;
        let name = format!("gpu:{number} {}", info.name);
        let wanted = wgpu::Features::SHADER_F16
            | wgpu::Features::SUBGROUP
            | wgpu::Features::SHADER_INT64
            | wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
        let features = adapter.features() & wanted;
        let refuse = |reason: String| Error::Device { name: name.clone(), reason };
        let request = |features: wgpu::Features| {
            let description = wgpu::DeviceDescriptor {
                label: Some("anygrad"),
                required_features: features,
                required_limits: adapter.limits(),
                experimental_features: experimental(features),
                ..Default::default()
            };
            pollster::block_on(adapter.request_device(&description))
        };
        // Some drivers promise features that they do not give; computing needs none of them.
        let (device, queue) =
            request(features).or_else(|_| request(wgpu::Features::empty())).map_err(|e| refuse(e.to_string()))?;
        let target = adapter::target(info.kind, &adapter, &device);
        let limits = device.limits();
        let guard = Arc::new(Guard::new(&device, name.clone()));
        let shared = Shared {
            runs: Runs::new(device.clone(), queue.clone(), guard.clone()),
            guard,
            limits,
            target,
            name,
            info,
            pool: Pool::new(KEPT),
            pipelines: Pipelines::default(),
            transfer: Transfer::default(),
            device,
            queue,
        };
        Ok(Gpu { shared: Arc::new(shared) })
    }

    /// The adapters of this machine, in the order that [`Gpu::open`] counts them.
    #[must_use]
    pub fn list() -> Vec<AdapterInfo> {
        adapter::all().into_iter().map(|(info, _)| info).collect()
    }

    /// What hardware this is.
    #[must_use]
    pub fn info(&self) -> &AdapterInfo {
        &self.shared.info
    }

    /// What shaders for this device are generated for.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.shared.target
    }

    /// Compiles a plan with shaders generated for another target: how tests force a variant.
    ///
    /// # Errors
    /// As [`Backend::compile`].
    pub fn compile_for(&self, plan: Arc<Plan>, target: &Target) -> Result<Arc<dyn Executable>> {
        Ok(Arc::new(Compiled::new(self.shared.clone(), plan, target)?))
    }

    /// How many different shaders were compiled so far.
    #[must_use]
    pub fn pipelines(&self) -> usize {
        self.shared.pipelines.len()
    }

    /// Waits until all work is done.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn wait(&self) -> Result<()> {
        self.shared.wait()
    }

    /// Gives the device up, as a driver reset would: everything after this is an error.
    pub fn destroy(&self) {
        self.shared.device.destroy();
        let _ = self.shared.wait();
    }
}

/// wgpu's consent to unfinished features, if one of them is asked for.
fn experimental(features: wgpu::Features) -> wgpu::ExperimentalFeatures {
    if !features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
        return wgpu::ExperimentalFeatures::disabled();
    }
    #[expect(unsafe_code, reason = "wgpu marks experimental features as unsafe")]
    // SAFETY: only cooperative matrices are asked for; their kernels are generated for tiles from the adapter's own
    // list, on buffers whose tiles lie inside, and avoid the forms that naga 30 is known to translate wrongly.
    unsafe {
        wgpu::ExperimentalFeatures::enabled()
    }
}

impl Shared {
    /// A buffer for `bytes` bytes, from the pool if one fits; its contents are whatever they were.
    pub(crate) fn raw(&self, what: &str, bytes: usize) -> Result<Raw> {
        let size = size_class(bytes);
        let memory = |available: u64, limit: &str| Error::Memory {
            what: what.to_string(),
            needed: size,
            available,
            limit: format!("{limit} of {}", self.name),
        };
        if size > self.limits.max_buffer_size {
            return Err(memory(self.limits.max_buffer_size, "the largest buffer"));
        }
        if let Some(raw) = self.pool.take(size) {
            return Ok(raw);
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let make = || Raw::new(&self.device, what, size, usage);
        match self.guard.scoped(what, size, make) {
            // What the pool keeps may be what is missing.
            Err(Error::Memory { .. }) => {
                self.pool.clear();
                self.guard.scoped(what, size, make)
            }
            other => other,
        }
    }

    /// Waits for everything that was asked for.
    pub(crate) fn wait(&self) -> Result<()> {
        self.runs.flush()?;
        self.guard.scoped("waiting", 0, || {
            // `poll` itself only fails by timeout; a lost device shows in the guard.
            let _ = self.device.poll(wgpu::PollType::Wait { submission_index: None, timeout: None });
        })
    }
}

impl Backend for Gpu {
    fn name(&self) -> String {
        self.shared.name.clone()
    }

    fn limits(&self) -> Limits {
        let limits = &self.shared.limits;
        Limits {
            // Size classes round up.
            buffer_bytes: limits.max_buffer_size / 9 * 8,
            binding_bytes: limits.max_storage_buffer_binding_size,
            // Vectors of four f32 must not straddle stretches.
            alignment: (limits.min_storage_buffer_offset_alignment as usize).max(16),
            // One is left for scratch memory.
            bindings: limits.max_storage_buffers_per_shader_stage as usize - 1,
            // One usage per buffer and dispatch.
            apart: true,
            product_row: 0,
            memory_bytes: None,
            // Software drivers compile its kernels for seconds and run them at an eighth of a product's rate: there it only saves
            // memory.
            attention: if self.shared.target.software { [1 << 20; 2] } else { [16384, 2048] },
        }
    }

    fn supports(&self, dtype: DType) -> bool {
        match dtype {
            DType::F64 => false,
            DType::F16 => self.shared.target.f16,
            DType::F32 | DType::I32 | DType::U32 | DType::Bool => true,
        }
    }

    fn allocate(&self, bytes: usize) -> Result<Buffer> {
        let shared = &self.shared;
        let raw = shared.raw("a tensor", bytes)?;
        shared.clear(&raw)?;
        Ok(Buffer::new(Arc::new(GpuMemory { raw, bytes, pool: Arc::downgrade(&shared.pool) })))
    }

    fn write(&self, buffer: &Buffer, offset: usize, bytes: &[u8]) -> Result<()> {
        self.shared.write(buffer, offset, bytes)
    }

    fn read(&self, buffer: &Buffer, offset: usize, bytes: &mut [u8]) -> Result<()> {
        self.shared.read(buffer, offset, bytes)
    }

    fn compile(&self, plan: Arc<Plan>) -> Result<Arc<dyn Executable>> {
        self.compile_for(plan, &self.shared.target)
    }
}
