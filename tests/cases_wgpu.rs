//! The GPU against the reference: every row of the table of cases, and random graphs.
//!
//! Without any adapter the tests print why they do nothing; with ANYGRAD_REQUIRE_GPU=1 that is a failure.
#![cfg(feature = "wgpu")]

use anygrad::cases::random::random_graph;
use anygrad::cases::{Case, all, all_in, check, check_all, check_turn};
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

/// The last row of each operation (the names' first words): all of them in a second type would take minutes to compile.
fn one_of_each(cases: Vec<Case>) -> Vec<Case> {
    let operation = |case: &Case| case.name.split([' ', ',']).next().unwrap_or_default().to_string();
    let mut last = std::collections::BTreeMap::new();
    cases.into_iter().for_each(|case| drop(last.insert(operation(&case), case)));
    last.into_values().collect()
}

#[test]
fn one_row_of_each_operation_has_the_reference_values_and_gradients_in_f16() {
    let Some(device) = gpu() else { return };
    if !device.supports(DType::F16) {
        eprintln!("skipped: {} has no f16", device.name());
        return;
    }
    let turn = std::cell::Cell::new(0);
    let next = |case: &Case| check_turn(&device, case, turn.replace(turn.get() + 1));
    check_all(&one_of_each(all_in(DType::F16)), next).unwrap_or_else(|failures| panic!("{failures}"));
}

#[test]
fn random_graphs_have_the_reference_values() {
    let Some(device) = gpu() else { return };
    let cases: Vec<Case> = (0..40).map(random_graph).collect();
    check_all(&cases, |case| check(&device, case)).unwrap_or_else(|failures| panic!("{failures}"));
}
