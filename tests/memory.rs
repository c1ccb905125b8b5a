//! Memory: a program says before its first run what it needs, needs no more than that, and as much at step 10,000 as at
//! step 3. The count is exact: every byte that this process asks its allocator for (the CPU device has no other memory).
#![cfg(feature = "cpu")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use anygrad::prelude::*;
use anygrad::program::Tensors;

/// Bytes that are held now, and the most there were.
static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[expect(unsafe_code, reason = "an allocator that counts; it hands everything on")]
// SAFETY: all calls are the system's allocator's with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(start, layout) }
    }
}

fn count(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::SeqCst) + bytes;
    MOST.fetch_max(held, Ordering::SeqCst);
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Module)]
struct Cnn {
    conv1: Conv2d,
    conv2: Conv2d,
    hidden: Linear,
    head: Linear,
}

/// Held bytes after step 3 and after step `steps`.
fn train<A: Clone + Tensors>(program: &mut Program<'_, A, Tensor>, data: &A, steps: usize) -> Result<(usize, usize)> {
    let mut early = 0;
    for step in 1..=steps {
        // The loss lives while the next step begins, as in any loop.
        let loss = program.run(data.clone())?;
        assert!(loss.item()?.is_finite());
        drop(loss);
        if step == 3 {
            early = HELD.load(Ordering::SeqCst);
        }
    }
    Ok((early, HELD.load(Ordering::SeqCst)))
}

// One test: the count is the whole process's.
#[test]
fn memory_is_said_before_the_first_run_and_never_grows() -> Result<()> {
    let device = Device::cpu();

    let sizes = [(4, 16), (16, 16), (16, 2)];
    let net: Vec<Linear> = sizes.map(|(from, to)| Linear::new(from, to, &device)).into();
    let parameters = net.parameters();
    let adam = Adam::new(parameters.clone(), 1e-3);
    let mut step = Program::training(&device, |(x, y): (Tensor, Tensor)| {
        let hidden = net[1].forward(&net[0].forward(&x).tanh()).tanh();
        let loss = net[2].forward(&hidden).mse_loss(&y);
        adam.update(&loss.gradients(&parameters));
        loss
    });
    let data = (Tensor::randn(&[8, 4], &device), Tensor::randn(&[8, 2], &device));
    let (early, late) = train(&mut step, &data, 10_000)?;
    // The count is the process's, the test harness' own threads included: less than a byte per step is not ours.
    assert!(late < early + 5_000, "{early} bytes held after step 3, {late} after step 10,000");
    drop(step);

    let net = Cnn {
        conv1: Conv2d::new(1, 32, 3, &device).padding(1),
        conv2: Conv2d::new(32, 64, 3, &device).padding(1),
        hidden: Linear::new(64 * 7 * 7, 128, &device),
        head: Linear::new(128, 10, &device),
    };
    let parameters = net.parameters();
    let adam = Adam::new(parameters.clone(), 1e-3);
    let mut step = Program::training(&device, |(x, y): (Tensor, Tensor)| {
        let x = net.conv1.forward(&x).relu().max_pool2d(2);
        let x = net.conv2.forward(&x).relu().max_pool2d(2);
        let loss = net.head.forward(&net.hidden.forward(&x.flatten(1)).relu()).cross_entropy(&y);
        adam.update(&loss.gradients(&parameters));
        loss
    });
    let data = (Tensor::zeros(&[64, 1, 28, 28], &device), Tensor::from_vec(vec![0i32; 64], &[64], &device));
    data.0.realize()?;
    let before = HELD.load(Ordering::SeqCst);
    let said = step.memory(&data)?;
    MOST.store(HELD.load(Ordering::SeqCst), Ordering::SeqCst);
    let (early, late) = train(&mut step, &data, 20)?;
    assert!(late < early + 5_000, "{early} bytes held after step 3, {late} after step 20");
    let most = MOST.load(Ordering::SeqCst);
    // Beyond the plan there are the threads' own scratch, packed products and the plan itself.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let allowed = said.peak() as usize / 10 * 11 + threads * (2 << 20);
    assert!(most - before <= allowed, "said {said}; held {before} bytes before and at most {most}");
    Ok(())
}
