//! Interrupts; the only test of its process, because a request concerns all runs of one.

use std::path::PathBuf;

use anygrad_core::nn::Linear;
use anygrad_core::testing::device;
use anygrad_core::{Device, Tensor};
use anygrad_trainers::data::Resident;
use anygrad_trainers::events::{Event, Flow};
use anygrad_trainers::interrupt;
use anygrad_trainers::supervised::{Checkpoints, Fit, Reason, Supervised};

fn run(directory: PathBuf, device: &Device, interrupted: bool) -> (Fit, Vec<u8>) {
    device.seed(1).expect("seeded");
    let net = Linear::new(2, 1, device);
    let x = Tensor::from_vec((0..40).map(|i| i as f32 / 20.0).collect(), &[20, 2], device);
    let data = Resident::new(x.clone(), x.slice(1, ..1)).expect("rows");
    let trainer = Supervised::new(&net, Tensor::mse_loss).batch(2).epochs(2).quiet();
    let mut trainer = trainer.checkpoints(Checkpoints::new(directory)).listen(move |event: &Event<'_>| {
        if interrupted && matches!(event, Event::Step(record) if record.step == 6) {
            // What the signal's handler does.
            interrupt::request();
        }
        Ok(Flow::Continue)
    });
    trainer.config.report_every = 1;
    let report = trainer.fit_alone(&data).expect("trained");
    drop(trainer);
    (report, net.weight.get().to_bytes().expect("numbers"))
}

#[test]
fn an_interrupt_finishes_the_step_and_saves() {
    let directory = |name: &str| std::env::temp_dir().join(format!("anygrad-{name}-{}", std::process::id()));
    let (whole, cut) = (directory("uninterrupted"), directory("interrupted"));
    let (report, weights) = run(whole.clone(), &device(), false);
    assert_eq!((report.reason, report.steps), (Reason::Done, 20));
    let (first, _) = run(cut.clone(), &device(), true);
    assert_eq!((first.reason, first.steps, first.history.len()), (Reason::Interrupted, 7, 0));
    assert!(!interrupt::requested(), "forgotten when the run has ended");
    let (second, same) = run(cut.clone(), &device(), false);
    assert_eq!((second.reason, second.steps, &second.history), (Reason::Done, 20, &report.history));
    assert_eq!(same, weights);
    for directory in [whole, cut] {
        std::fs::remove_dir_all(directory).expect("removed");
    }
}
