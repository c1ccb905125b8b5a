//! Which adapters there are, in the order of preference, and how one of them is chosen by name or number.

use anygrad_core::{DType, Error, Result};
use anygrad_kernels::{Cooperative, Target};

/// What kind of hardware an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A GPU with its own memory.
    Discrete,
    /// A GPU that shares the CPU's memory.
    Integrated,
    /// A GPU lent by a virtual machine, or one that does not say what it is.
    Other,
    /// A driver that computes on the CPU.
    Software,
}

/// One adapter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AdapterInfo {
    /// What the driver calls the hardware.
    pub name: String,
    /// What kind of hardware it is.
    pub kind: Kind,
    /// The programming interface: `Vulkan`, `Metal`, `Dx12`.
    pub backend: String,
}

impl AdapterInfo {
    pub(crate) fn of(adapter: &wgpu::Adapter) -> AdapterInfo {
        let info = adapter.get_info();
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => Kind::Discrete,
            wgpu::DeviceType::IntegratedGpu => Kind::Integrated,
            wgpu::DeviceType::Cpu => Kind::Software,
            wgpu::DeviceType::VirtualGpu | wgpu::DeviceType::Other => Kind::Other,
        };
        AdapterInfo { name: info.name, kind, backend: format!("{:?}", info.backend) }
    }
}

/// All adapters that can compute, the most capable kind first; a driver's own order decides among equals.
pub(crate) fn all() -> Vec<(AdapterInfo, wgpu::Adapter)> {
    let mut description = wgpu::InstanceDescriptor::new_without_display_handle();
    description.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    // The default checks indirect dispatches, which nothing here uses; leaving it out opens devices faster.
    description.flags = wgpu::InstanceFlags::empty();
    let instance = wgpu::Instance::new(description);
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let mut adapters: Vec<_> = adapters.into_iter().map(|adapter| (AdapterInfo::of(&adapter), adapter)).collect();
    adapters.sort_by_key(|(info, _)| info.kind);
    adapters
}

/// The adapter that `selector` means: `gpu` (the first), `gpu:2`, or a part of a name; and its number.
pub(crate) fn select(selector: &str) -> Result<(usize, AdapterInfo, wgpu::Adapter)> {
    let adapters = all();
    let names: Vec<String> = adapters.iter().enumerate().map(|(i, (a, _))| format!("gpu:{i} {}", a.name)).collect();
    let refuse = |reason: String| Error::Device { name: selector.to_string(), reason };
    let there = if names.is_empty() {
        "no adapter was found: is a Vulkan, Metal or DX12 driver installed?".to_string()
    } else {
        format!("there is {}", names.join(", "))
    };
    let wanted = selector.trim().to_lowercase();
    let number = match wanted.as_str() {
        "" | "gpu" => Some(0),
        _ => match wanted.strip_prefix("gpu:") {
            Some(number) => {
                Some(number.parse::<usize>().map_err(|_| refuse(format!("'{number}' is not a number; {there}")))?)
            }
            None => adapters.iter().position(|(info, _)| info.name.to_lowercase().contains(&wanted)),
        },
    };
    let number = number.ok_or_else(|| refuse(format!("no adapter has that name; {there}")))?;
    match adapters.into_iter().nth(number) {
        Some((info, adapter)) => Ok((number, info, adapter)),
        None => Err(refuse(there)),
    }
}

/// What shaders for an opened device may use.
pub(crate) fn target(kind: Kind, adapter: &wgpu::Adapter, device: &wgpu::Device) -> Target {
    let (limits, features) = (device.limits(), device.features());
    let side = limits.max_compute_workgroup_size_x;
    let element = |kind: wgpu::CooperativeScalarType| match kind {
        wgpu::CooperativeScalarType::F16 => Some(DType::F16),
        wgpu::CooperativeScalarType::F32 => Some(DType::F32),
        _ => None,
    };
    let mut cooperative = Vec::new();
    let info = adapter.get_info();
    // A workgroup is cut into subgroups by their size, which must therefore be known.
    if features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
        && info.subgroup_min_size == info.subgroup_max_size
    {
        for p in adapter.cooperative_matrix_properties() {
            if let (Some(factors), Some(sum)) = (element(p.ab_type), element(p.cr_type))
                && p.m_size == p.n_size
                && p.n_size == p.k_size
                && !p.saturating_accumulation
            {
                cooperative.push(Cooperative { size: p.m_size, factors, sum });
            }
        }
    }
    Target {
        invocations: limits.max_compute_invocations_per_workgroup.min(side),
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        workgroups: limits.max_compute_workgroups_per_dimension,
        bindings: limits.max_storage_buffers_per_shader_stage,
        f16: features.contains(wgpu::Features::SHADER_F16),
        software: kind == Kind::Software,
        subgroup: info.subgroup_min_size,
        broadcasts: features.contains(wgpu::Features::SUBGROUP) && info.subgroup_min_size == info.subgroup_max_size,
        words: kind == Kind::Software && features.contains(wgpu::Features::SHADER_INT64),
        cooperative,
    }
}
