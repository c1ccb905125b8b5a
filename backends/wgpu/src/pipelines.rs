//! Shader texts to pipelines, once per text.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anygrad_core::Result;
use anygrad_kernels::Shader;

use crate::errors::{Guard, lock};

/// A compiled shader.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) layout: wgpu::BindGroupLayout,
}

/// A pipeline that is there, or is being made by who holds the lock.
type Entry = Arc<Mutex<Option<Arc<Pipeline>>>>;

/// All pipelines of a device.
#[derive(Debug, Default)]
pub(crate) struct Pipelines {
    by_text: Mutex<HashMap<String, Entry>>,
    layouts: Mutex<HashMap<Vec<bool>, (wgpu::BindGroupLayout, wgpu::PipelineLayout)>>,
}

impl Pipelines {
    /// The pipeline of a shader; several threads may ask at once.
    pub(crate) fn get(&self, device: &wgpu::Device, guard: &Guard, shader: &Shader) -> Result<Arc<Pipeline>> {
        let entry = lock(&self.by_text).entry(shader.text.clone()).or_default().clone();
        let mut entry = lock(&entry);
        if let Some(pipeline) = &*entry {
            return Ok(pipeline.clone());
        }
        let what = format!("compiling {}", shader.variant);
        let pipeline = Arc::new(guard.scoped(&what, 0, || self.build(device, shader))?);
        *entry = Some(pipeline.clone());
        Ok(pipeline)
    }

    /// How many different pipelines there are.
    pub(crate) fn len(&self) -> usize {
        lock(&self.by_text).values().filter(|entry| lock(entry).is_some()).count()
    }

    fn build(&self, device: &wgpu::Device, shader: &Shader) -> Pipeline {
        let writes: Vec<bool> = shader.bindings.iter().map(|b| b.writes).collect();
        let (layout, pipeline_layout) =
            lock(&self.layouts).entry(writes).or_insert_with_key(|w| layouts(device, w)).clone();
        let module = module(device, &shader.text);
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&shader.variant),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Every shader writes its workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        Pipeline { pipeline, layout }
    }
}

fn layouts(device: &wgpu::Device, writes: &[bool]) -> (wgpu::BindGroupLayout, wgpu::PipelineLayout) {
    let entries: Vec<wgpu::BindGroupLayoutEntry> = writes
        .iter()
        .enumerate()
        .map(|(binding, &writes)| wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: !writes },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        })
        .collect();
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
    let pipeline = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    (layout, pipeline)
}

/// A module without the checks that generated text does not need: forced loop bounds cost up to nine times the run
/// time of a matrix product on lavapipe, for they keep loops from being unrolled.
fn module(device: &wgpu::Device, text: &str) -> wgpu::ShaderModule {
    let description = wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(std::borrow::Cow::Borrowed(text)),
    };
    if std::env::var_os("ANYGRAD_CHECKED_SHADERS").is_some_and(|v| v != "0") {
        return device.create_shader_module(description);
    }
    let mut checks = wgpu::ShaderRuntimeChecks::unchecked();
    checks.bounds_checks = true;
    #[expect(unsafe_code, reason = "wgpu marks modules with fewer checks as unsafe")]
    // SAFETY: the text comes from `anygrad-kernels` only. Each of its loops counts a variable up or down to a bound
    // that does not change, so all end; divisors are constants over 0 or made nonzero by `select`; there are no rays
    // and no meshes. Bounds checks stay on.
    unsafe {
        device.create_shader_module_trusted(description, checks)
    }
}
