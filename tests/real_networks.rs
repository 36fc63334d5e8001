//! Networks that nobody here made, in `../shared/models`, against the answers of their runtimes.
//! Where that folder is absent these tests say so and check nothing.

mod support;

use serde_json::Value;
use std::path::PathBuf;
use support::{neighbouring_models, repository, run_in, status, stderr, stdout, text};

fn models() -> Option<PathBuf> {
    let folder = repository().join("../shared/models");
    if !folder.is_dir() {
        println!("skipped: {} is absent", folder.display());
        return None;
    }
    Some(folder)
}

/// A network of floats, which is refused.
const FLOAT: &str = "resnet8_float.onnx";

struct Case {
    model: &'static str,
    compile: &'static [&'static str],
    vectors: &'static [&'static str],
}

const JETS: Case = Case {
    model: "qkeras_jettagging.onnx",
    compile: &["--input-type", "global_in=fixed<16,6>"],
    vectors: &[
        "--input-key",
        "input_fixed16_6",
        "--expect-key",
        "output_fixed16_6",
        "--logits-key",
        "logits_fixed16_6",
    ],
};
const TFC_1W1A: Case = Case { model: "TFC_1W1A.onnx", compile: &[], vectors: &["--expect-key", "output"] };
const TFC_2W2A: Case = Case { model: "TFC_2W2A.onnx", compile: &[], vectors: &["--expect-key", "output"] };

/// Compiles and verifies; returns both JSON objects. `verify` must exit 0 with 64 samples and no
/// difference, and measure what was predicted.
fn verified(case: &Case, options: &[&str], checks: &[&[&str]]) -> Option<(Value, Vec<Value>)> {
    let folder = models()?;
    let scratch = tempfile::tempdir().unwrap();
    let model = folder.join(case.model);
    let compile = [&["compile", text(&model), "-o", "bundle", "--json"], case.compile, options].concat();
    let output = run_in(scratch.path(), &compile);
    assert_eq!(status(&output), 0, "{compile:?}: {}", stderr(&output));
    let compiled: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let vectors = model.with_extension("npz");
    let mut verdicts = Vec::new();
    for extra in checks {
        let verify = [&["verify", "bundle", "--json", "--vectors", text(&vectors)], case.vectors, *extra].concat();
        let output = run_in(scratch.path(), &verify);
        assert_eq!(status(&output), 0, "{compile:?} {verify:?}: {}{}", stdout(&output), stderr(&output));
        let verdict: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!((&verdict["samples"], &verdict["mismatches"]), (&64.into(), &0.into()), "{verdict}");
        assert_eq!(verdict["initiation_interval_measured"], compiled["initiation_interval"], "{verdict}");
        assert_eq!(verdict["latency_measured"], compiled["latency_cycles"], "{verdict}");
        verdicts.push(verdict);
    }
    Some((compiled, verdicts))
}

/// The bottleneck starts a fold in every cycle of the interval.
fn assert_no_bubbles(compiled: &Value) {
    let interval = compiled["initiation_interval"].as_u64().unwrap();
    let busy = compiled["stages"].as_array().unwrap().iter().filter_map(|stage| stage["busy_cycles"].as_u64()).max();
    assert_eq!(busy, Some(interval), "{compiled}");
}

#[test]
fn the_autoencoder_equals_all_four_tflite_runtimes() {
    for (profile, key) in [
        ("tflm", "output_tflm"),
        ("litert-ref", "output_litert_ref"),
        ("litert-opt", "output_litert_opt"),
        ("xnnpack", "output_xnnpack"),
    ] {
        let case = Case { model: "ad01_int8.tflite", compile: &[], vectors: &[] };
        verified(&case, &["--profile", profile], &[&["--expect-key", key]]);
    }
}

#[test]
fn the_autoencoder_reaches_the_goals_of_each_budget_without_a_bubble() {
    for (budget, goal) in [("16", 20_480), ("156", 1_792), ("512", 535)] {
        let case = Case { model: "ad01_int8.tflite", compile: &[], vectors: &["--expect-key", "output_tflm"] };
        let Some((compiled, _)) = verified(&case, &["--max-multipliers", budget], &[&[]]) else { return };
        assert!(compiled["initiation_interval"].as_u64().unwrap() <= goal, "{compiled}");
        assert_no_bubbles(&compiled);
    }
}

/// A network under all four TFLite profiles.
fn equals_all_four_runtimes(model: &'static str) {
    for (profile, output, logits) in [
        ("tflm", "output_tflm", "logits_tflm"),
        ("litert-ref", "output_litert_ref", "logits_litert_ref"),
        ("litert-opt", "output_litert_opt", "logits_litert_opt"),
        ("xnnpack", "output_xnnpack", "logits_xnnpack"),
    ] {
        let case = Case { model, compile: &["--max-multipliers", "512"], vectors: &[] };
        verified(&case, &["--profile", profile], &[&["--expect-key", output, "--logits-key", logits]]);
    }
}

#[test]
fn the_keyword_spotter_equals_all_four_tflite_runtimes() {
    equals_all_four_runtimes("kws_ref_model.tflite");
}

#[test]
fn the_residual_network_equals_all_four_tflite_runtimes() {
    equals_all_four_runtimes("pretrainedResnet_quant.tflite");
}

#[test]
fn the_residual_network_equals_onnx_runtime() {
    const KEYS: &[&str] = &["--expect-key", "output_ort", "--logits-key", "logits_ort"];
    let case = Case { model: "resnet8_QOperator_QInt8.onnx", compile: &[], vectors: KEYS };
    let Some((compiled, _)) = verified(&case, &["--max-multipliers", "512"], &[&[]]) else { return };
    assert!(compiled["initiation_interval"].as_u64().unwrap() <= 24_576, "{compiled}");
    assert_no_bubbles(&compiled);
}

#[test]
fn convolutional_networks_reach_the_goals_of_each_budget_without_a_bubble() {
    const LOGITS: &[&str] = &["--expect-key", "output_tflm", "--logits-key", "logits_tflm"];
    for (budget, goal) in [("64", 48_000), ("156", 19_250), ("512", 5_500)] {
        let case = Case { model: "kws_ref_model.tflite", compile: &[], vectors: LOGITS };
        let Some((compiled, _)) = verified(&case, &["--max-multipliers", budget], &[&[]]) else { return };
        assert!(compiled["initiation_interval"].as_u64().unwrap() <= goal, "{compiled}");
        assert_no_bubbles(&compiled);
    }
    // Forty seconds of simulation at the small budget, which `cargo xtask test --full` adds.
    let budgets = [("156", 92_160), ("64", 221_184)];
    let few = if std::env::var_os("SYSTOLE_FULL").is_some() { budgets.len() } else { 1 };
    for (budget, goal) in &budgets[..few] {
        let case = Case { model: "pretrainedResnet_quant.tflite", compile: &[], vectors: LOGITS };
        let Some((compiled, _)) = verified(&case, &["--max-multipliers", budget], &[&[]]) else { return };
        assert!(compiled["initiation_interval"].as_u64().unwrap() <= *goal, "{compiled}");
        assert_no_bubbles(&compiled);
    }
}

#[test]
fn qonnx_networks_equal_their_executor_at_every_budget() {
    for case in [TFC_1W1A, TFC_2W2A, JETS] {
        for budget in ["16", "64", "156", "512"] {
            let Some((compiled, _)) = verified(&case, &["--max-multipliers", budget], &[&[]]) else { return };
            assert_no_bubbles(&compiled);
        }
    }
}

/// Runs a network with stall seeds 1 to `most`, or only to `few` unless everything is asked for: each must give
/// the right answers with at least a tenth of the cycles stalled.
fn stalled(case: &Case, few: usize, most: usize) {
    let last = if std::env::var_os("SYSTOLE_FULL").is_some() { most } else { few };
    let seeds: Vec<String> = (1..=last).map(|seed| seed.to_string()).collect();
    let checks: Vec<[&str; 2]> = seeds.iter().map(|seed| ["--stall-seed", seed.as_str()]).collect();
    let checks: Vec<&[&str]> = checks.iter().map(|check| check.as_slice()).collect();
    let Some((_, verdicts)) = verified(case, &[], &checks) else { return };
    for verdict in verdicts {
        let (stalled, cycles) = (verdict["stalled_cycles"].as_u64().unwrap(), verdict["cycles"].as_u64().unwrap());
        assert!(10 * stalled >= cycles, "{verdict}");
    }
}

#[test]
fn stalled_networks_give_the_same_answers() {
    const LOGITS: &[&str] = &["--expect-key", "output_tflm", "--logits-key", "logits_tflm"];
    stalled(&TFC_2W2A, 20, 20);
    stalled(&Case { model: "ad01_int8.tflite", compile: &[], vectors: &["--expect-key", "output_tflm"] }, 5, 20);
    let kws = Case { model: "kws_ref_model.tflite", compile: &["--max-multipliers", "512"], vectors: LOGITS };
    stalled(&kws, 3, 10);
}

#[test]
fn every_file_of_every_network_is_lint_clean() {
    let Some(folder) = models() else { return };
    let models = neighbouring_models();
    assert!(models.len() >= 8, "only {} models", models.len());
    let scratch = tempfile::tempdir().unwrap();
    let mut files = 0;
    for model in models.iter().filter(|model| !model.ends_with(FLOAT)) {
        let options = if model.ends_with(JETS.model) { JETS.compile } else { &[] };
        for budget in ["64", "512"] {
            let compile = [&["compile", text(model), "-o", "bundle", "--max-multipliers", budget], options].concat();
            let output = run_in(scratch.path(), &compile);
            assert_eq!(status(&output), 0, "{compile:?}: {}", stderr(&output));
            let rtl = scratch.path().join("bundle/rtl");
            let list = std::fs::read_to_string(rtl.join("files.f")).unwrap();
            let top = list.lines().next_back().and_then(|file| file.strip_suffix(".v")).expect("the top comes last");
            let mut verilator = std::process::Command::new("verilator");
            verilator.args(["--lint-only", "-Wall", "-f", "files.f", "--top-module", top]).current_dir(&rtl);
            let output = verilator.output().expect("verilator runs; `cargo xtask setup` installs it");
            let said = format!("{}{}", stdout(&output), stderr(&output));
            assert!(output.status.success() && said.is_empty(), "{compile:?}: {said}");
            files += list.lines().count();
        }
    }
    println!("{files} files, in {}", folder.display());
}

#[test]
fn a_float_input_without_a_quantizer_says_what_to_pass() {
    let Some(folder) = models() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let output = run_in(scratch.path(), &["compile", text(&folder.join(JETS.model)), "-o", "bundle"]);
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("--input-type global_in=fixed<W,I>"), "{}", stderr(&output));
    assert!(!scratch.path().join("bundle").exists());
}
