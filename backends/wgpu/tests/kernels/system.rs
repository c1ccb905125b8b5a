//! The backend itself: several steps over slabs, shared buffers, caches, and every way to fail as an `Err`.

use anygrad_core::backend::{Backend, Binding, Buffer, Plan, Slot, Step};
use anygrad_core::kernel::{Core, Inst, Kernel, Slice};
use anygrad_core::scalar::{Binary, Unary};
use anygrad_core::view::View;
use anygrad_core::{DType, Error};
use anygrad_wgpu::Gpu;

use crate::bench::*;

fn stretch(slot: Slot, offset: usize, n: usize) -> Binding {
    Binding { slot, offset, bytes: n * 4 }
}

fn step(kernel: Kernel, bindings: Vec<Binding>) -> Step {
    Step { kernel, bindings, label: "test".to_string() }
}

fn unary(n: usize, op: Unary) -> Kernel {
    map(n, &[DType::F32], vec![load(0, &[n]), Inst::Unary(op, 0)], DType::F32)
}

fn add(n: usize) -> Kernel {
    let body = vec![load(0, &[n]), load(1, &[n]), Inst::Binary(Binary::Add, 0, 1)];
    map(n, &[DType::F32, DType::F32], body, DType::F32)
}

#[test]
fn steps_follow_each_other_over_slabs() {
    if gpu().is_none() {
        return;
    }
    let gpu = &Gpu::open("gpu").unwrap();
    let n = 1000;
    let (x, slab, slab2, out) = (Slot::External(0), Slot::Slab(0), Slot::Slab(1), Slot::External(1));
    let plan = Plan {
        steps: vec![
            step(unary(n, Unary::Neg), vec![stretch(x, 0, n), stretch(slab, 0, n)]),
            step(unary(n, Unary::Abs), vec![stretch(slab, 0, n), stretch(slab2, 4096, n)]),
            step(add(n), vec![stretch(slab, 0, n), stretch(slab2, 4096, n), stretch(out, 0, n)]),
            step(unary(n, Unary::Neg), vec![stretch(out, 0, n), stretch(slab, 0, n)]),
        ],
        externals: 2,
        slabs: vec![n * 4, n * 4 + 4096],
    };
    let program = gpu.compile(plan.into()).unwrap();
    assert!(gpu.pipelines() == 3, "equal kernels share a pipeline");
    assert!(!program.explain(0).is_empty());
    for round in 0..6 {
        let values = noise(n, round);
        let (input, output) = (upload(gpu, &values), gpu.allocate(n * 4).unwrap());
        for _ in 0..3 {
            program.run(&[input.clone(), output.clone()]).unwrap();
        }
        let want: Vec<f64> = values.iter().map(|x| (-x) + x.abs()).collect();
        assert_eq!(download(gpu, &output), want);
    }
}

#[test]
fn one_buffer_may_be_read_and_written_at_different_places() {
    let Some(gpu) = gpu() else { return };
    let n = 256;
    let e = Slot::External;
    // In the plan itself.
    let kernel = add(n);
    let bindings = vec![stretch(e(0), 0, n), stretch(e(0), 1024, n), stretch(e(0), 2048, n)];
    let plan = Plan { steps: vec![step(kernel.clone(), bindings)], externals: 1, slabs: vec![] };
    let buffer = upload(gpu, &noise(3 * n, 1));
    gpu.compile(plan.into()).unwrap().run(std::slice::from_ref(&buffer)).unwrap();
    let got = download(gpu, &buffer);
    for i in 0..n {
        assert!((got[2 * n + i] - (got[i] + got[n + i])).abs() < 1e-6);
    }
    // Only when it runs: three external slots, and two of them are the same buffer.
    let bindings = vec![stretch(e(0), 0, n), stretch(e(1), 1024, n), stretch(e(2), 2048, n)];
    let plan = Plan { steps: vec![step(kernel, bindings)], externals: 3, slabs: vec![] };
    let program = gpu.compile(plan.into()).unwrap();
    let (other, x) = (upload(gpu, &vec![0.0; 3 * n]), noise(3 * n, 1));
    program.run(&[buffer.clone(), buffer.clone(), other.clone()]).unwrap();
    program.run(&[buffer.clone(), buffer.clone(), buffer.clone()]).unwrap();
    program.run(&[other.clone(), buffer.clone(), buffer.clone()]).unwrap();
    let (got, rest) = (download(gpu, &buffer), download(gpu, &other));
    for i in 0..n {
        assert!((got[2 * n + i] - x[n + i]).abs() < 1e-6, "the last run added 0");
        assert!((rest[2 * n + i] - (x[i] + x[n + i])).abs() < 1e-6);
    }
}

#[test]
fn runs_that_wait_for_a_busy_device_keep_their_order() {
    let Some(gpu) = gpu() else { return };
    // total += x, on so many numbers that the device is still busy when the next runs come.
    let n = 1 << 18;
    let mut kernel = add(n);
    kernel.outputs[0].aliases = Some(1);
    let (x, total) = (stretch(Slot::External(0), 0, n), stretch(Slot::External(1), 0, n));
    let plan = Plan { steps: vec![step(kernel, vec![x, total, total])], externals: 2, slabs: vec![] };
    let program = gpu.compile(plan.into()).unwrap();
    let ends = |buffer: &Buffer, want: f64| {
        let mut bytes = [0; 4];
        for offset in [0, 4 * n - 4] {
            gpu.read(buffer, offset, &mut bytes).unwrap();
            assert_eq!(f64::from(f32::from_le_bytes(bytes)), want);
        }
    };
    let (x, total) = (upload(gpu, &vec![1.0; n]), gpu.allocate(4 * n).unwrap());
    let mut want = 0.0;
    for round in 1..=12 {
        // What is written between runs is seen by those after it and by none before it.
        let ones = encode(DType::F32, &vec![f64::from(round); n]);
        gpu.write(&x, 0, &ones).unwrap();
        for _ in 0..round * 3 {
            program.run(&[x.clone(), total.clone()]).unwrap();
        }
        program.run_times(&[x.clone(), total.clone()], 2).unwrap();
        want += f64::from(round * (round * 3 + 2));
        if round % 3 == 0 {
            ends(&total, want);
        }
        // A buffer that nobody holds goes to the next that asks, who gets zeros.
        let other = gpu.allocate(4 * n).unwrap();
        program.run(&[x.clone(), other.clone()]).unwrap();
        drop(other);
        ends(&gpu.allocate(4 * n).unwrap(), 0.0);
    }
    for _ in 0..40 {
        program.run(&[x.clone(), total.clone()]).unwrap();
    }
    gpu.wait().unwrap();
    ends(&total, want + 40.0 * 12.0);
}

#[test]
fn new_buffers_are_zero_even_when_memory_is_reused() {
    let Some(gpu) = gpu() else { return };
    for _ in 0..3 {
        let buffer = gpu.allocate(4096).unwrap();
        assert!(download(gpu, &buffer).iter().all(|&x| x == 0.0));
        gpu.write(&buffer, 0, &encode(DType::F32, &vec![1.0; 1024])).unwrap();
    }
}

#[test]
fn large_transfers_and_parts() {
    let Some(gpu) = gpu() else { return };
    let n = (40 << 20) / 4;
    let bytes: Vec<u8> = (0..n as u32).flat_map(u32::to_le_bytes).collect();
    let buffer = gpu.allocate(bytes.len()).unwrap();
    gpu.write(&buffer, 0, &bytes).unwrap();
    let mut back = vec![0; bytes.len()];
    gpu.read(&buffer, 0, &mut back).unwrap();
    assert!(back == bytes);
    let mut part = [0; 8];
    gpu.read(&buffer, 400, &mut part).unwrap();
    assert_eq!(part, bytes[400..408]);
    gpu.write(&buffer, 404, &[9; 4]).unwrap();
    gpu.read(&buffer, 400, &mut part).unwrap();
    assert_eq!(part[4..], [9; 4]);
}

#[test]
fn empty_kernels_and_programs_do_nothing() {
    let Some(gpu) = gpu() else { return };
    gpu.compile(Plan { steps: vec![], externals: 0, slabs: vec![] }.into()).unwrap().run(&[]).unwrap();
    let buffer = gpu.allocate(0).unwrap();
    let bindings = vec![stretch(Slot::External(0), 0, 0), stretch(Slot::External(1), 0, 0)];
    let plan = Plan { steps: vec![step(unary(0, Unary::Neg), bindings)], externals: 2, slabs: vec![] };
    gpu.compile(plan.into()).unwrap().run(&[buffer.clone(), gpu.allocate(0).unwrap()]).unwrap();
    gpu.read(&buffer, 0, &mut []).unwrap();
}

#[test]
fn what_cannot_be_done_is_an_error() {
    let Some(gpu) = gpu() else { return };
    // Memory.
    let error = gpu.allocate(1 << 40).unwrap_err();
    assert!(matches!(error, Error::Memory { .. }), "{error}");
    let error = gpu.allocate(gpu.limits().buffer_bytes as usize / 8 * 9 + 4).unwrap_err();
    assert!(matches!(error, Error::Memory { .. }), "{error}");
    // Types.
    assert!(!gpu.supports(DType::F64) && gpu.supports(DType::Bool));
    let kernel = map(4, &[DType::F64], vec![load(0, &[4]), Inst::Unary(Unary::Neg, 0)], DType::F64);
    let bindings = vec![stretch(Slot::External(0), 0, 8), stretch(Slot::External(1), 0, 8)];
    let error =
        gpu.compile(Plan { steps: vec![step(kernel, bindings)], externals: 2, slabs: vec![] }.into()).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    // Transfers.
    let buffer = gpu.allocate(16).unwrap();
    assert!(gpu.write(&buffer, 8, &[0; 12]).is_err());
    assert!(gpu.write(&buffer, 2, &[0; 4]).is_err());
    assert!(gpu.read(&buffer, 0, &mut [0; 3]).is_err());
    // Programs.
    let bindings = vec![stretch(Slot::External(0), 0, 4), stretch(Slot::External(1), 0, 4)];
    let plan = Plan { steps: vec![step(unary(4, Unary::Neg), bindings)], externals: 2, slabs: vec![] };
    let program = gpu.compile(plan.into()).unwrap();
    assert!(program.run(std::slice::from_ref(&buffer)).is_err());
    // A stretch beyond the buffer, which only the driver sees.
    let bindings = vec![stretch(Slot::External(0), 4096, 4), stretch(Slot::External(1), 0, 4)];
    let plan = Plan { steps: vec![step(unary(4, Unary::Neg), bindings)], externals: 2, slabs: vec![] };
    let error = gpu.compile(plan.into()).unwrap().run(&[buffer.clone(), gpu.allocate(16).unwrap()]).unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "{error}");
    // The device is still fine.
    program.run(&[buffer.clone(), gpu.allocate(16).unwrap()]).unwrap();
    // More buffers than a shader can see.
    let many = gpu.limits().bindings + 2;
    let body: Vec<Inst> = (0..many)
        .map(|i| load(i, &[4]))
        .chain((0..many).map(|i| Inst::Binary(Binary::Add, i, many + i.saturating_sub(1) - usize::from(i == 0))))
        .collect();
    let inputs = vec![Slice { dtype: DType::F32, len: 4 }; many];
    let mut kernel = rows(&[4], &[], inputs, body, DType::F32);
    kernel.core = Core::Map;
    let bindings = (0..=many).map(|i| stretch(Slot::External(i), 0, 4)).collect();
    let error = gpu
        .compile(Plan { steps: vec![step(kernel, bindings)], externals: many + 1, slabs: vec![] }.into())
        .unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "{error}");
}

#[test]
fn adapters_are_listed_and_chosen() {
    let Some(gpu) = gpu() else { return };
    let list = Gpu::list();
    assert!(!list.is_empty() && gpu.name().contains(&list[0].name));
    assert!(Gpu::open(&list[0].name).is_ok());
    for name in ["gpu:99", "gpu:x", "no such thing"] {
        let error = Gpu::open(name).unwrap_err();
        assert!(matches!(error, Error::Device { .. }), "{error}");
        assert!(error.to_string().contains(&list[0].name), "says what there is: {error}");
    }
}

#[test]
fn a_lost_device_is_an_error_everywhere() {
    if gpu().is_none() {
        return;
    }
    let gpu = Gpu::open("gpu").unwrap();
    let buffer = gpu.allocate(16).unwrap();
    let bindings = vec![stretch(Slot::External(0), 0, 4), stretch(Slot::External(1), 0, 4)];
    let plan = Plan { steps: vec![step(unary(4, Unary::Neg), bindings)], externals: 2, slabs: vec![] };
    let program = gpu.compile(plan.clone().into()).unwrap();
    let other = gpu.allocate(16).unwrap();
    for _ in 0..5 {
        program.run(&[buffer.clone(), other.clone()]).unwrap();
    }
    gpu.destroy();
    let lost = |result: Result<(), Error>| assert!(matches!(result, Err(Error::DeviceLost { .. })), "{result:?}");
    lost(gpu.write(&buffer, 0, &[0; 4]));
    lost(gpu.read(&buffer, 0, &mut [0; 4]));
    lost(program.run(&[buffer.clone(), buffer.clone()]));
    lost(gpu.allocate(16).map(|_| ()));
    lost(gpu.wait());
}

#[test]
fn more_workgroups_than_one_axis_takes() {
    let Some(gpu) = gpu() else { return };
    // A small limit in place of 65535.
    let target = anygrad_kernels::Target { workgroups: 7, ..gpu.target().clone() };
    let n = 256 * 40 + 3;
    let mut kernel = unary(n, Unary::Neg);
    check_for(gpu, &target, &kernel, &[noise(n, 1)], EXACT);
    kernel.outputs[0].view = View::contiguous(&[n]).flip(&[0]);
    check_for(gpu, &target, &kernel, &[noise(n, 1)], EXACT);
}
