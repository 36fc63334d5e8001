//! Verification passes what is right, fails and names what is not, and refuses what proves nothing.

mod common;

use common::Bundle;
use ndarray::{ArrayD, IxDyn};
use std::ops::ControlFlow;
use systole_bundle::Array;
use systole_sim::run::Rule;
use systole_sim::verify::{
    verify, HostOutput, Reference, ReferenceError, Report, Request, TensorValues, Vectors, VerifyError,
};

/// The tiny design in software: both stages add a constant modulo 256. On the host's side the output is
/// `0.5 * q - 3` where it is a float.
struct Adders {
    constants: [i64; 2],
    host_output: HostOutput,
}

impl Reference for Adders {
    fn accept(&self, host: &Array) -> Result<Vec<Vec<i64>>, ReferenceError> {
        match host {
            Array::Int(values, _) => Ok(values.outer_iter().map(|sample| sample.iter().copied().collect()).collect()),
            Array::Float(_) => Err(ReferenceError("integers only".into())),
        }
    }

    fn run(&self, inputs: &[Vec<i64>]) -> Result<Vec<TensorValues>, ReferenceError> {
        let add = |values: &[i64], constant: i64| values.iter().map(|v| (v + constant).rem_euclid(256)).collect();
        let values = inputs.iter().map(|input| {
            let a: Vec<i64> = add(input, self.constants[0]);
            let out: Vec<i64> = add(&a, self.constants[1]);
            TensorValues::from([("in".into(), input.clone()), ("a".into(), a), ("out".into(), out)])
        });
        Ok(values.collect())
    }

    fn deliver(&self, outputs: &[Vec<i64>]) -> Result<Array, ReferenceError> {
        Ok(host_array(outputs))
    }

    fn host_output(&self) -> HostOutput {
        self.host_output.clone()
    }

    fn integer_behind(&self, _element: usize, value: f32) -> Option<i64> {
        let q = (f64::from(value) + 3.0) / 0.5;
        ((q - q.round()).abs() < 1.0 / 64.0).then(|| q.round() as i64)
    }
}

fn adders(first: i64, second: i64) -> Adders {
    Adders { constants: [first, second], host_output: HostOutput::Exact }
}

fn host_array(samples: &[Vec<i64>]) -> Array {
    let values = ArrayD::from_shape_vec(IxDyn(&[samples.len(), 2, 3]), samples.concat()).unwrap();
    Array::Int(values, "uint8".into())
}

fn float_array(samples: &[Vec<i64>]) -> Array {
    let values = samples.concat().iter().map(|&q| 0.5 * q as f32 - 3.0).collect();
    Array::Float(ArrayD::from_shape_vec(IxDyn(&[samples.len(), 2, 3]), values).unwrap())
}

/// Input and right output of `count` samples of a design that adds `sum`.
fn samples(bundle: &Bundle, count: usize, sum: i64) -> (Vec<Vec<i64>>, Vec<Vec<i64>>) {
    let input: Vec<Vec<i64>> = bundle.samples(count).chunks(6).map(<[i64]>::to_vec).collect();
    let output = input.iter().map(|sample| sample.iter().map(|v| (v + sum) % 256).collect()).collect();
    (input, output)
}

fn attempt(bundle: &Bundle, reference: &dyn Reference, request: &Request) -> Result<Report, VerifyError> {
    verify(&bundle.build(), reference, request, &mut |_| ControlFlow::Continue(()))
}

fn with_vectors(input: Array, expect: Option<Array>, logits: Option<Array>) -> Request {
    Request { vectors: Some(Vectors { input, expect, logits }), ..Request::default() }
}

#[test]
fn a_right_design_passes_on_random_samples_with_every_figure_in_the_report() {
    let report = attempt(&Bundle::tiny([0, 3, 5]), &adders(3, 5), &Request::default()).unwrap();
    assert!(report.passed(), "{report}");
    let json = report.to_json();
    for (key, value) in [("samples", 16), ("elements", 96), ("mismatches", 0), ("stalled_cycles", 0)] {
        assert_eq!(json[key], value, "{key}");
    }
    assert_eq!(json["initiation_interval_predicted"], json["initiation_interval_measured"]);
    assert_eq!((&json["latency_predicted"], &json["latency_measured"]), (&5.into(), &5.into()));
    for key in ["cycles", "build_seconds", "sim_seconds", "cycles_per_second"] {
        assert!(json[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {}", json[key]);
    }
}

#[test]
fn a_right_design_passes_under_stalls_of_any_seed() {
    let bundle = Bundle::tiny([0, 3, 5]);
    for seed in 1..=20 {
        let request = Request { stall_seed: Some(seed), samples: Some(5), ..Request::default() };
        let report = attempt(&bundle, &adders(3, 5), &request).unwrap();
        assert!(report.passed() && report.stalled_cycles() * 10 >= report.cycles, "seed {seed}: {report}");
        assert_eq!(report.elements, 30, "seed {seed}: samples sent again are not counted again");
    }
}

#[test]
fn integer_and_float_expectations_are_compared_element_by_element() {
    let mut bundle = Bundle::tiny([0, 3, 5]);
    let (input, output) = samples(&bundle, 8, 8);
    let request = with_vectors(host_array(&input), Some(host_array(&output)), Some(float_array(&output)));
    let report = attempt(&bundle, &adders(3, 5), &request).unwrap();
    assert!(report.passed(), "{report}");
    assert_eq!(
        report.arrays.iter().map(|a| (a.name, a.elements)).collect::<Vec<_>>(),
        [("logits", 48), ("expectation", 48)]
    );

    bundle.manifest.output_border[0].host_type = "float32".into();
    bundle.write_manifest();
    let affine = Adders { host_output: HostOutput::Affine, ..adders(3, 5) };
    let request = with_vectors(host_array(&input), Some(float_array(&output)), Some(host_array(&output)));
    assert!(attempt(&bundle, &affine, &request).unwrap().passed());
}

#[test]
fn one_wrong_expected_element_fails_and_is_named() {
    let bundle = Bundle::tiny([0, 3, 5]);
    let (input, mut output) = samples(&bundle, 8, 8);
    let right = output[6][4];
    output[6][4] = (right + 1) % 256;
    let request = with_vectors(host_array(&input), Some(host_array(&output)), None);
    let report = attempt(&bundle, &adders(3, 5), &request).unwrap();
    assert!(!report.passed() && report.mismatches == 1, "{report}");
    let first = report.arrays[0].first.clone().unwrap();
    assert_eq!((first.sample, first.element, first.got), (6, 4, right.to_string()));
    assert!(attempt(&bundle, &adders(3, 5), &Request { samples: Some(6), ..request }).unwrap().passed());
}

#[test]
fn a_float_that_no_integer_explains_is_a_mismatch() {
    let mut bundle = Bundle::tiny([0, 3, 5]);
    bundle.manifest.output_border[0].host_type = "float32".into();
    bundle.write_manifest();
    let affine = Adders { host_output: HostOutput::Affine, ..adders(3, 5) };
    let (input, output) = samples(&bundle, 2, 8);
    for wrong in [0.01, 0.5, f32::NAN, f32::INFINITY] {
        let Array::Float(mut floats) = float_array(&output) else { unreachable!() };
        floats[[1, 0, 2]] += wrong;
        let request = with_vectors(host_array(&input), Some(Array::Float(floats)), None);
        let report = attempt(&bundle, &affine, &request).unwrap();
        assert!(!report.passed() && report.mismatches == 1, "{wrong}: {report}");
        let first = report.arrays[0].first.as_ref().unwrap();
        assert_eq!((first.sample, first.element), (1, 2), "{wrong}");
    }
}

#[test]
fn an_output_that_cannot_be_compared_is_said_to_be_so() {
    let bundle = Bundle::tiny([0, 3, 5]);
    let (input, output) = samples(&bundle, 2, 8);
    let softmax = Adders { host_output: HostOutput::Incomparable("float softmax".into()), ..adders(3, 5) };
    let request = with_vectors(host_array(&input), Some(host_array(&output)), None);
    let report = attempt(&bundle, &softmax, &request).unwrap();
    assert!(report.passed(), "{report}");
    assert_eq!(report.notes, ["the host's output was not compared with the expectation: float softmax"]);
}

#[test]
fn a_changed_constant_fails_and_names_the_stage_even_with_a_warm_cache() {
    for (settings, stage, expected_mismatches) in [([0, 4, 5], "stage_a", 192), ([0, 3, 6], "stage_b", 96)] {
        let bundle = Bundle::tiny([0, 3, 5]);
        assert!(attempt(&bundle, &adders(3, 5), &Request::default()).unwrap().passed());
        bundle.write_settings(&settings.map(|byte: u8| format!("{byte:02x}\n")).concat());
        assert!(bundle.build().cached);
        let report = attempt(&bundle, &adders(3, 5), &Request::default()).unwrap();
        assert!(!report.passed() && report.mismatches == expected_mismatches, "{report}");
        let first = report.first.as_ref().unwrap();
        assert_eq!((first.stage.as_deref(), first.sample, first.element), (Some(stage), 0, 0));
        assert_eq!(first.got, first.expected + 1);
        assert!(report.to_string().contains(&format!("first stage that differs: stage `{stage}`")), "{report}");
    }
}

#[test]
fn a_wrong_stage_fails_even_if_a_later_one_makes_up_for_it() {
    let report = attempt(&Bundle::tiny([0, 4, 4]), &adders(3, 5), &Request::default()).unwrap();
    assert!(!report.passed() && report.first_output.is_none(), "{report}");
    assert_eq!(report.first.unwrap().stage.as_deref(), Some("stage_a"));
}

#[test]
fn a_figure_that_differs_from_the_prediction_fails() {
    for (interval, latency) in [("5", 5), ("9/2", 5), ("4", 6), ("4", 4)] {
        let mut bundle = Bundle::tiny([0, 3, 5]);
        bundle.manifest.predicted.initiation_interval = interval.into();
        bundle.manifest.predicted.latency_cycles = latency;
        bundle.write_manifest();
        let report = attempt(&bundle, &adders(3, 5), &Request::default()).unwrap();
        assert!(!report.passed() && report.mismatches == 0, "{interval}, {latency}: {report}");
    }
}

#[test]
fn a_broken_rule_fails_although_every_element_is_right() {
    let report = attempt(&Bundle::tiny([6, 3, 5]), &adders(3, 5), &Request::default()).unwrap();
    assert!(!report.passed() && report.mismatches == 0, "{report}");
    assert_eq!(report.violations[0].rule, Rule::Last);
}

#[test]
fn a_hang_fails() {
    for stall_seed in [None, Some(1)] {
        let request = Request { stall_seed, ..Request::default() };
        let report = attempt(&Bundle::tiny([9, 3, 5]), &adders(3, 5), &request).unwrap();
        assert!(!report.passed(), "{report}");
        assert_eq!(report.violations[0].rule, Rule::Hang);
    }
}

#[test]
fn nothing_passes_by_being_empty_or_of_another_shape() {
    let bundle = Bundle::tiny([0, 3, 5]);
    let (input, output) = samples(&bundle, 4, 8);
    let (input, output) = (host_array(&input), host_array(&output));
    let retyped = |array: &Array| match array {
        Array::Int(values, _) => Array::Int(values.clone(), "int16".into()),
        Array::Float(_) => unreachable!(),
    };
    let reshaped = |array: &Array| match array {
        Array::Int(values, name) => {
            Array::Int(values.clone().into_shape_with_order(IxDyn(&[4, 6])).unwrap(), name.clone())
        }
        Array::Float(_) => unreachable!(),
    };
    let nothing = || host_array(&[]);
    let cases = [
        (Request { samples: Some(0), ..Request::default() }, "nothing to compare: 0 samples"),
        (with_vectors(nothing(), None, None), "nothing to compare: 0 samples"),
        (
            with_vectors(retyped(&input), None, None),
            "array `input`: elements of type int16, tensor `host_in` has uint8",
        ),
        (
            with_vectors(reshaped(&input), None, None),
            "array `input`: shape [4, 6], tensor `host_in` has [2, 3] a sample",
        ),
        (with_vectors(input.clone(), Some(retyped(&output)), None), "array `expectation`: elements of type int16"),
        (with_vectors(input.clone(), Some(reshaped(&output)), None), "array `expectation`: shape [4, 6]"),
        (with_vectors(input.clone(), Some(nothing()), None), "array `expectation`: 0 samples, 4 are wanted"),
        (with_vectors(input.clone(), None, Some(nothing())), "array `logits`: 0 samples, 4 are wanted"),
        (
            Request { samples: Some(5), ..with_vectors(input.clone(), None, None) },
            "array `input`: 4 samples, 5 are wanted; pass at most --samples 4",
        ),
    ];
    for (request, reason) in cases {
        let error = attempt(&bundle, &adders(3, 5), &request).unwrap_err();
        assert!(error.to_string().starts_with(reason), "{error}");
        assert_eq!(error.exit_status(), 2, "{error}");
    }
}

/// A reference whose values for the tensor `a` were changed by `0`.
struct Damaged(fn(&mut TensorValues));

impl Reference for Damaged {
    fn accept(&self, host: &Array) -> Result<Vec<Vec<i64>>, ReferenceError> {
        adders(3, 5).accept(host)
    }
    fn run(&self, inputs: &[Vec<i64>]) -> Result<Vec<TensorValues>, ReferenceError> {
        let mut values = adders(3, 5).run(inputs)?;
        values.iter_mut().for_each(self.0);
        Ok(values)
    }
    fn deliver(&self, outputs: &[Vec<i64>]) -> Result<Array, ReferenceError> {
        adders(3, 5).deliver(outputs)
    }
    fn host_output(&self) -> HostOutput {
        HostOutput::Exact
    }
    fn integer_behind(&self, element: usize, value: f32) -> Option<i64> {
        adders(3, 5).integer_behind(element, value)
    }
}

#[test]
fn a_reference_that_does_not_fit_the_streams_is_refused() {
    type Damage = fn(&mut TensorValues);
    let cases: [(Damage, &str); 3] = [
        (|values| drop(values.remove("a")), "tensor `a`: the reference has no such tensor"),
        (|values| values.get_mut("a").unwrap().truncate(5), "tensor `a`: 5 elements in the reference"),
        (|values| values.get_mut("a").unwrap()[0] = 256, "tensor `a`: value 256 of the reference is not uint8"),
    ];
    for (damage, reason) in cases {
        let error = attempt(&Bundle::tiny([0, 3, 5]), &Damaged(damage), &Request::default()).unwrap_err();
        assert!(error.to_string().starts_with(reason), "{error}");
        assert_eq!(error.exit_status(), 2);
    }
}

#[test]
fn the_caller_can_end_a_verification() {
    let bundle = Bundle::tiny([0, 3, 5]);
    let request = Request { samples: Some(20_000), ..Request::default() };
    let result = verify(&bundle.build(), &adders(3, 5), &request, &mut |_| ControlFlow::Break(()));
    assert!(matches!(result, Err(VerifyError::Cancelled)));
}
