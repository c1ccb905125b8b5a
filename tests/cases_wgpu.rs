//! The GPU against the reference: every row of the table of cases, and random graphs.
//!
//! Without any adapter the tests print why they do nothing; with ANYGRAD_REQUIRE_GPU=1 that is a failure.
#![cfg(feature = "wgpu")]

use anygrad::cases::random::random_graph;
use anygrad::cases::{Case, all, check, check_all, check_turn};
use anygrad::prelude::*;

/// The GPU, or `None` after saying why there is none.
fn gpu() -> Option<Device> {
    match Device::gpu() {
        Ok(device) => Some(device),
        Err(error) if std::env::var("ANYGRAD_REQUIRE_GPU").is_ok_and(|v| v == "1") => panic!("{error}"),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

#[test]
fn every_row_has_the_reference_values_and_gradients() {
    let Some(device) = gpu() else { return };
    let turn = std::cell::Cell::new(0);
    let next = |case: &Case| check_turn(&device, case, turn.replace(turn.get() + 1));
    check_all(&all(), next).unwrap_or_else(|failures| panic!("{failures}"));
}

#[test]
fn random_graphs_have_the_reference_values() {
    let Some(device) = gpu() else { return };
    let cases: Vec<Case> = (0..40).map(random_graph).collect();
    check_all(&cases, |case| check(&device, case)).unwrap_or_else(|failures| panic!("{failures}"));
}
