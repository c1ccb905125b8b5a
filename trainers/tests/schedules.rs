//! Every schedule against PyTorch's rates (goldens/schedules.py), and what happens at and behind the ends.

use std::collections::BTreeMap;

use anygrad_trainers::optim::schedule::{
    Constant, Cosine, Exponential, Linear, MultiStep, Noam, OneCycle, Plateau, PlateauConfig, Polynomial, Restarts,
    Schedule, Sequence, StepWise,
};

fn goldens() -> BTreeMap<String, Vec<f64>> {
    let mut all: serde_json::Value = serde_json::from_str(include_str!("goldens/schedules.json")).expect("goldens");
    all.as_object_mut().expect("a table").remove("torch");
    serde_json::from_value(all).expect("lists")
}

/// Both are f64; PyTorch multiplies rate by rate, so its roundings add up over the 60 steps.
fn close(name: &str, step: usize, found: f64, expected: f64) {
    let tolerance = 60.0 * 4.0 * f64::EPSILON * expected.abs().max(0.1);
    assert!((found - expected).abs() <= tolerance, "{name} at {step}: {found} instead of {expected}");
}

fn check(name: &str, schedule: &impl Schedule) {
    for (step, &expected) in goldens()[name].iter().enumerate() {
        close(name, step, schedule.rate(step as u64), expected);
    }
}

#[test]
fn functions_of_the_step_are_pytorchs() {
    let lr = 0.1;
    check("constant", &Constant(lr));
    check("step", &StepWise { lr, every: 7, factor: 0.5 });
    check("multi_step", &MultiStep { lr, milestones: vec![41, 5, 20], factor: 0.3 });
    check("exponential", &Exponential { lr, factor: 0.93 });
    check("linear", &Linear { start: 0.02, end: 0.08, steps: 25 });
    check("cosine", &Cosine { lr, lowest: 0.01, steps: 60, ..Cosine::default() });
    check("restarts", &Restarts { lr, lowest: 0.01, first: 8, growth: 2 });
    check("restarts_equal", &Restarts { lr, lowest: 0.0, first: 9, growth: 1 });
    check("one_cycle", &OneCycle { highest: lr, steps: 61, ..OneCycle::default() });
    let short = OneCycle { highest: lr, steps: 61, rise: 0.1, start_divisor: 10.0, end_divisor: 100.0 };
    check("one_cycle_short", &short);
    check("polynomial", &Polynomial { lr, end: 0.0, steps: 40, power: 2.0 });
    check("noam", &Noam { width: 64, warmup: 12, factor: 1.0 });
    check("sequence", &sequence());
}

fn sequence() -> Sequence {
    let restarts = Restarts { lr: 0.1, lowest: 0.0, first: 8, growth: 2 };
    Sequence::new(Linear { start: 0.01, end: 0.1, steps: 10 })
        .then(10, restarts)
        .then(30, Exponential { lr: 0.1, factor: 0.9 })
}

#[test]
fn the_plateau_is_pytorchs_also_when_saved_in_the_middle() {
    let falling =
        PlateauConfig { lr: 0.1, factor: 0.5, patience: 3, rest: 2, lowest: 0.004, ..PlateauConfig::default() };
    let rising = PlateauConfig { lr: 0.1, patience: 5, rising: true, ..PlateauConfig::default() };
    let goldens = goldens();
    for (name, config) in [("plateau", falling), ("plateau_rising", rising)] {
        let mut plateau = Plateau::new(config).expect("a plateau");
        for (step, (&value, &expected)) in goldens["values"].iter().zip(&goldens[name]).enumerate() {
            close(name, step, plateau.rate(step as u64), expected);
            plateau.observe(value);
            let mut other = Plateau::new(config).expect("a plateau");
            other.restore(&plateau.state()).expect("its own state");
            plateau = other;
        }
    }
    assert!(Plateau::new(PlateauConfig { factor: 1.0, ..falling }).is_err());
    assert!(Plateau::new(falling).expect("a plateau").restore(&[1.0]).is_err());
}

#[test]
fn a_sequence_keeps_the_state_of_its_parts() {
    let make = || {
        let config = PlateauConfig { lr: 0.1, patience: 0, ..PlateauConfig::default() };
        Sequence::new(Constant(0.5)).then(3, Plateau::new(config).expect("a plateau"))
    };
    let mut first = make();
    first.observe(1.0);
    first.observe(2.0);
    let mut second = make();
    second.restore(&first.state()).expect("its own state");
    assert_eq!((second.rate(2), second.rate(3)), (0.5, first.rate(3)));
    assert!(first.rate(3) < 0.1);
    for wrong in [&[][..], &[0.0], &[0.0, 9.0], &[0.0, 4.0, 1.0, 1.0, 1.0, 1.0, 1.0]] {
        assert!(make().restore(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn behind_the_end_all_stay_and_lengths_of_0_are_borne() {
    assert_eq!(Linear { start: 1.0, end: 0.5, steps: 10 }.rate(99), 0.5);
    assert_eq!(Polynomial { lr: 1.0, end: 0.25, steps: 10, power: 3.0 }.rate(99), 0.25);
    assert_eq!(Cosine { lr: 1.0, lowest: 0.1, warmup: 2, steps: 10 }.rate(99), 0.1);
    let cycle = OneCycle { highest: 1.0, steps: 10, ..OneCycle::default() };
    assert_eq!(cycle.rate(9), cycle.rate(99));
    let degenerate: [&dyn Schedule; 7] = [
        &Linear { start: 1.0, end: 0.5, steps: 0 },
        &Polynomial { lr: 1.0, end: 0.0, steps: 0, power: 1.0 },
        &Restarts { lr: 1.0, lowest: 0.0, first: 0, growth: 0 },
        &OneCycle { steps: 0, ..OneCycle::default() },
        &OneCycle { steps: 1, ..OneCycle::default() },
        &StepWise { lr: 1.0, every: 0, factor: 0.5 },
        &Noam { width: 0, warmup: 0, factor: 1.0 },
    ];
    for schedule in degenerate {
        assert!((0..5).all(|step| schedule.rate(step).is_finite()), "{schedule:?}");
    }
}
