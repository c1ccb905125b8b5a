//! The CPU against the reference: every row of the table of cases, and random graphs.
#![cfg(feature = "cpu")]

use anygrad::cases::random::random_graph;
use anygrad::cases::{Case, all, all_in, check, check_all};
use anygrad::prelude::*;

#[test]
fn every_row_has_the_reference_values_and_gradients() {
    let device = Device::cpu();
    check_all(&all(), |case| check(&device, case)).unwrap_or_else(|failures| panic!("{failures}"));
}

#[test]
fn every_row_has_the_reference_values_and_gradients_in_f64() {
    let device = Device::cpu();
    check_all(&all_in(DType::F64), |case| check(&device, case)).unwrap_or_else(|failures| panic!("{failures}"));
}

#[test]
fn every_row_has_the_reference_values_and_gradients_in_f16() {
    let device = Device::cpu();
    check_all(&all_in(DType::F16), |case| check(&device, case)).unwrap_or_else(|failures| panic!("{failures}"));
}

#[test]
fn random_graphs_have_the_reference_values() {
    let device = Device::cpu();
    let cases: Vec<Case> = (0..400).map(random_graph).collect();
    check_all(&cases, |case| check(&device, case)).unwrap_or_else(|failures| panic!("{failures}"));
}
