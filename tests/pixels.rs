//! Designs that take several pixels a cycle, in Verilator: values, figures and the rules of streams, with and without stalls.

mod support;

use serde_json::Value;
use std::path::Path;
use support::{repository, run_in, status, stderr, stdout, text};

/// Runs the command line; gives the JSON that it prints, or panics with what it says.
fn json(folder: &Path, arguments: &[&str]) -> Value {
    let output = run_in(folder, arguments);
    assert_eq!(status(&output), 0, "{arguments:?}: {}{}", stderr(&output), stdout(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

/// Compiles a stored network for an interval below its pixels and verifies it against the runtime's answers.
fn exact_below_a_cycle_a_pixel(network: &str, interval: u64) {
    let folder = tempfile::tempdir().unwrap();
    let vectors = repository().join("tests/vectors/image_networks");
    let (model, expected) = (vectors.join(format!("{network}.tflite")), vectors.join(format!("{network}.npz")));
    let interval_text = interval.to_string();
    let arguments = ["compile", text(&model), "-o", "bundle", "--target-ii", &interval_text, "--json"];
    let compiled = json(folder.path(), &arguments);
    let stages = compiled["stages"].as_array().unwrap();
    let cycles = |stage: &Value| stage["cycles"].as_u64().unwrap();
    assert!(stages.iter().all(|stage| cycles(stage) <= interval), "{compiled}");
    assert!(compiled["initiation_interval"].as_u64().is_some_and(|found| found <= interval), "{compiled}");
    let pixels = stages.iter().map(|stage| stage["folding"]["pixels"].as_u64().unwrap());
    assert!(pixels.max() > Some(1), "{compiled}");
    let manifest = std::fs::read_to_string(folder.path().join("bundle/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert!(manifest["streams"][0]["beats"].as_u64().unwrap() <= interval, "{}", manifest["streams"][0]);

    let verify = ["verify", "bundle", "--vectors", text(&expected), "--expect-key", "output_tflm", "--json"];
    let verified = json(folder.path(), &verify);
    assert_eq!(verified["mismatches"], 0, "{verified}");
    assert_eq!(verified["initiation_interval_predicted"], verified["initiation_interval_measured"], "{verified}");
    assert_eq!(verified["latency_predicted"], verified["latency_measured"], "{verified}");
    for seed in ["1", "2", "3"] {
        let stalled = json(folder.path(), &[&verify[..], &["--stall-seed", seed]].concat());
        assert_eq!(stalled["mismatches"], 0, "stall seed {seed}: {stalled}");
    }
}

#[test]
fn a_network_of_convolutions_and_a_pool_takes_several_pixels_a_cycle() {
    exact_below_a_cycle_a_pixel("image_plain_1", 14);
}

#[test]
fn a_residual_network_takes_several_pixels_a_cycle() {
    exact_below_a_cycle_a_pixel("image_residual_0", 14);
}
