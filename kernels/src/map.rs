//! Kernels without a core and without reductions: one invocation per point.
//!
//! `out[i] = f(inputs at i)`. No workgroup memory. Memory-bound: all values of a point stay in registers, so a fused
//! chain reads each input once and writes each output once.

use std::fmt::Write;

use crate::body::Body;
use crate::buffers::{Buffers, Job};
use crate::library;
use crate::shader::{Refusal, Shader};
use crate::target::Target;

/// Invocations per workgroup: a few subgroups of every known device.
const SIZE: u64 = 256;

/// The one dispatch of a map.
pub(crate) fn lower(job: &Job, target: &Target, shared: &[usize]) -> Result<Shader, Refusal> {
    let kernel = &job.kernel;
    let body = Body::new(kernel);
    let mut buffers = Buffers::new(job, shared);
    let epilogue = body.epilogue(&mut buffers);
    let points = kernel.outer_len() as u64;
    let size = SIZE.min(u64::from(target.invocations)).min(points.next_power_of_two());
    let workgroups = fold(target, points.div_ceil(size))?;
    let mut text = String::new();
    let _ = writeln!(text, "const POINTS = {points}u;\nconst SIZE = {size}u;\nconst ROW = {}u;", workgroups[0]);
    text.push_str(include_str!("../wgsl/map.wgsl"));
    text.push_str(&epilogue);
    finish(text, buffers, target, workgroups, 0, "map".to_string())
}

/// The grid for `groups` workgroups, or the reason that there is none.
pub(crate) fn fold(target: &Target, groups: u64) -> Result<[u32; 3], Refusal> {
    target.fold(groups).ok_or_else(|| Refusal::TooLarge(format!("{groups} workgroups are over the device's limit")))
}

/// Puts declarations, text and library together.
pub(crate) fn finish(
    text: String,
    buffers: Buffers<'_>,
    target: &Target,
    workgroups: [u32; 3],
    workgroup_bytes: u32,
    variant: String,
) -> Result<Shader, Refusal> {
    let (declarations, bindings) = buffers.finish(target)?;
    if workgroup_bytes > target.workgroup_bytes {
        return Err(Refusal::TooLarge(format!(
            "{variant} needs {workgroup_bytes} bytes of workgroup memory and the device has {}",
            target.workgroup_bytes
        )));
    }
    let extension = if text.contains("coop_mat") { "enable wgpu_cooperative_matrix;\n" } else { "" };
    let text = library::link(&format!("{extension}{declarations}{text}"));
    Ok(Shader { text, bindings, workgroups, workgroup_bytes, variant })
}
