//! Latency and initiation interval as the simulated hardware shows them.

mod common;

use common::Bundle;
use systole_sim::figures::{measure, Interval};
use systole_sim::run::Rule;

#[test]
fn figures_are_measured_by_their_definitions() {
    let bundle = Bundle::tiny([0, 1, 2]);
    let input = bundle.packed(&bundle.samples(2));
    let figures = measure(&mut bundle.start(), &input, &bundle.manifest.predicted).unwrap();
    // Four beats in a row, two registers on their way.
    assert_eq!((figures.latency, figures.interval), (Some(5), Interval::new(4, 1)));
    assert_eq!(figures.violations, []);
}

#[test]
fn a_design_that_hangs_has_no_figures() {
    let bundle = Bundle::tiny([9, 1, 2]);
    let input = bundle.packed(&bundle.samples(2));
    let figures = measure(&mut bundle.start(), &input, &bundle.manifest.predicted).unwrap();
    assert_eq!((figures.latency, figures.interval), (Some(5), None));
    assert_eq!(figures.violations[0].rule, Rule::Hang);
}

#[test]
fn figures_need_a_sample_and_a_period_of_reasonable_length() {
    let mut bundle = Bundle::tiny([0, 1, 2]);
    let input = bundle.packed(&bundle.samples(1));
    assert!(measure(&mut bundle.start(), &[], &bundle.manifest.predicted).is_err());
    bundle.manifest.predicted.period_samples = u64::MAX;
    let error = measure(&mut bundle.start(), &input, &bundle.manifest.predicted).unwrap_err();
    assert!(error.to_string().contains("predicted.period_samples"), "{error}");
}
