//! Kernels as WGSL: a [`Kernel`] and the limits of a device in, shader texts out.
//!
//! Pure text generation; nothing here knows wgpu. A kernel becomes one dispatch, or a few with scratch memory between
//! them (long reductions of few points, products cut along k, sorts, scans). The shaders are the files under
//! `kernels/wgsl`, plain WGSL; to these come generated `const` lines and functions (loaders, `epilogue`), for the order
//! of declarations in WGSL is free. The text is the key of the pipeline cache: equal kernels give equal texts.
//!
//! Flow: `generate` chooses a family; each family (`map`, `reduce`, `product`, `attention`, `scatter`, `sort`) asks `body` for the
//! instructions' statements and `buffers` for declarations; `library` adds the scalar functions that are used.

mod attention;
mod body;
mod buffers;
mod conv;
mod index;
mod library;
mod map;
mod matmul;
mod product;
mod reduce;
mod registers;
mod scatter;
mod shader;
mod sort;
mod split;
mod target;
mod words;

#[cfg(test)]
mod tests;

use anygrad_core::DType;
use anygrad_core::kernel::{Core, Kernel};

use buffers::{Buffers, Job};
use product::{Choice, Variant};
pub use shader::{Bound, Lowered, Place, Refusal, Shader};
pub use target::{Cooperative, Target};

/// The shaders of a kernel on a target.
///
/// # Errors
/// If the target has no such element type, or a size is over its limits.
pub fn generate(kernel: &Kernel, target: &Target) -> Result<Lowered, Refusal> {
    generate_shared(kernel, target, &[])
}

/// The shaders of a kernel, when the inputs `shared` lie in buffers that it also writes (elsewhere): WebGPU wants
/// such buffers bound as read-write by all.
///
/// # Errors
/// As [`generate`].
pub fn generate_shared(kernel: &Kernel, target: &Target, shared: &[usize]) -> Result<Lowered, Refusal> {
    let mut lowered = Lowered::default();
    if kernel.outer_len() == 0 || kernel.outputs.is_empty() {
        return Ok(lowered);
    }
    check(kernel)?;
    let inputs = (0..kernel.inputs.len()).map(Place::Input).collect();
    let outputs = (0..kernel.outputs.len()).map(Place::Output).collect();
    let job = Job { kernel: kernel.clone(), inputs, outputs };
    lower(job, target, shared, &mut lowered)?;
    Ok(lowered)
}

/// Indices are u32 and loop counters must not wrap.
fn check(kernel: &Kernel) -> Result<(), Refusal> {
    let points = kernel.outer_len() as u64 * kernel.inner_len().max(1) as u64;
    let longest = kernel.inputs.iter().chain(kernel.outputs.iter().map(|o| &o.slice)).map(|s| s.len as u64).max();
    if kernel.outer_len() as u64 >= 1 << 31 || longest.unwrap_or(0) >= 1 << 31 || points >= 1 << 62 {
        return Err(Refusal::TooLarge(format!("a kernel over {points} points needs indices beyond 31 bits")));
    }
    if kernel.core != Core::Map && !kernel.inner.is_empty() {
        let instead = "give the product a kernel of its own (`Limits::product_row` is 0)".to_string();
        return Err(Refusal::Unsupported("a product whose rows are reduced in its kernel".to_string(), instead));
    }
    if kernel.inputs.iter().map(|s| s.dtype).chain(kernel.dtypes()).any(|d| d == DType::F64) {
        return Err(Refusal::Unsupported("f64".to_string(), "use the CPU".to_string()));
    }
    Ok(())
}

/// Appends a job's dispatches.
fn lower(job: Job, target: &Target, shared: &[usize], lowered: &mut Lowered) -> Result<(), Refusal> {
    let kernel = &job.kernel;
    match &kernel.core {
        Core::Map => map(job, target, shared, lowered),
        Core::Matmul(p) => {
            let (m, n) = (p.m as u64, p.n as u64);
            let batch = p.batch.iter().product::<usize>() as u64;
            let factors = kernel.inputs[p.a.input].dtype;
            let choice = product::choose(m, n, p.k as u64, batch, factors, target);
            if choice.variant == Variant::Thin {
                let kernel = matmul::as_reduction(kernel, p);
                return lower(Job { kernel, ..job }, target, shared, lowered);
            }
            let p = p.clone();
            products(job, choice, target, shared, lowered, &|buffers, v| matmul::product(&p, v, buffers))
        }
        Core::Conv(p) => {
            let (m, n, depth, batch) = conv::sizes(p);
            let choice = product::choose(m, n, depth, batch, kernel.inputs[p.a].dtype, target);
            let p = p.clone();
            products(job, choice, target, shared, lowered, &|buffers, v| conv::product(&p, v, buffers))
        }
        Core::Attention(p) => attention::lower(&job, p, target, shared, lowered),
        Core::Scatter(p) => scatter::lower(&job, p, target, shared, lowered),
        Core::CumulativeSum { input } => scatter::cumulative_sum(&job, *input, target, shared, lowered),
        Core::Argsort { input, descending } => {
            let length = kernel.outer[1] as u64;
            let key = |buffers: &mut Buffers<'_>| sort::input_key(*input, length, *descending, buffers);
            let rows = sort::Rows { rows: kernel.outer[0] as u64, length, key: &key, epilogue: true };
            sort::lower(&job, &rows, target, shared, lowered).map(|_| ())
        }
    }
}

/// Maps and reductions.
fn map(mut job: Job, target: &Target, shared: &[usize], lowered: &mut Lowered) -> Result<(), Refusal> {
    if job.kernel.inner.is_empty() {
        lowered.passes.push(map::lower(&job, target, shared)?);
        return Ok(());
    }
    if let Some(split) = split::split(&job.kernel, target) {
        let first = lowered.scratch.len();
        let outputs: Vec<Place> = (0..split.parts.outputs.len()).map(|o| Place::Scratch(first + o)).collect();
        lowered.scratch.extend(split.parts.outputs.iter().map(|o| o.slice.len * o.slice.dtype.size()));
        let parts = Job { kernel: split.parts, inputs: job.inputs.clone(), outputs: outputs.clone() };
        lowered.passes.push(reduce::lower(&parts, target, shared)?);
        job.kernel = split.rest;
        job.inputs.extend(outputs);
    }
    lowered.passes.push(reduce::lower(&job, target, shared)?);
    Ok(())
}

/// Products: directly, or by way of scratch where sums are cut.
fn products(
    mut job: Job,
    choice: Choice,
    target: &Target,
    shared: &[usize],
    lowered: &mut Lowered,
    product: &dyn Fn(&mut Buffers<'_>, Variant) -> product::Product,
) -> Result<(), Refusal> {
    let scratch = (choice.splits > 1).then_some(Place::Scratch(lowered.scratch.len()));
    let mut buffers = Buffers::new(&job, shared);
    let built = product(&mut buffers, choice.variant);
    lowered.passes.push(product::lower(&job, buffers, &built, choice, scratch, target)?);
    if let Some(place) = scratch {
        lowered.scratch.push(job.kernel.outer_len() * choice.splits as usize * 4);
        job.kernel = matmul::from_scratch(&job.kernel, choice.splits as usize);
        job.inputs.push(place);
        return map(job, target, shared, lowered);
    }
    Ok(())
}
