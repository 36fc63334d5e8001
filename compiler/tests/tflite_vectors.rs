//! The software reference against the outputs of four TFLite runtimes.

mod common;

use common::{compare, root, run};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use systole_arith::border::BorderValue;
use systole_bundle::Array;
use systole_compiler::frontend::{compile_front, FrontOptions};
use systole_compiler::Profile;

fn front(profile: Profile) -> FrontOptions {
    FrontOptions { name: "vectors".into(), profile: Some(profile), ..FrontOptions::default() }
}

/// Elements compared, or what went wrong.
fn check(model: &Path, vectors: &Path, profile: Profile) -> Result<usize, String> {
    let bytes = std::fs::read(model).map_err(|error| error.to_string())?;
    let quant = compile_front(&bytes, &front(profile)).map_err(|error| error.to_string())?;
    let read = |key: &str| Array::read_npz(vectors, key).map_err(|error| error.to_string());
    let key = profile.name().replace('-', "_");
    let reference = run(&quant, &read("input")?)?;
    let mut total = compare(&reference.host, &read(&format!("output_{key}"))?);
    if let Ok(logits) = read(&format!("logits_{key}")) {
        let stream: Vec<_> = reference.stream.into_iter().map(BorderValue::Int).collect();
        let of_stream = compare(&stream, &logits);
        total.elements += of_stream.elements;
        total.mismatches += of_stream.mismatches;
    }
    match total.mismatches {
        0 => Ok(total.elements),
        differing => Err(format!("{differing} of {} elements differ", total.elements)),
    }
}

/// What is said of a resize whose pixels are not copied equally often, for which there is no hardware.
const UNEQUAL: &str = "each not equally often";
/// Stored cases of such resizes, four profiles each.
const UNEQUAL_CASES: usize = 10 * 4;

/// The list `key` of a case.
fn texts(case: &Value, key: &str) -> BTreeSet<String> {
    let list = case[key].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(String::from).collect()
}

#[test]
fn every_stored_tflite_case_is_reproduced_under_every_profile_without_a_differing_element() {
    let folder = root().join("tests/vectors");
    let index = std::fs::read_to_string(folder.join("index.json")).expect("the vectors are part of the repository");
    let index: Value = serde_json::from_str(&index).expect("the index is JSON");
    let cases = index["cases"].as_array().expect("cases");
    let mut compared: BTreeMap<(String, &str), usize> = BTreeMap::new();
    let (mut elements, mut refused, mut unequal) = (0, 0, 0);
    let mut failures = Vec::new();
    for case in cases {
        let model = case["model"].as_str().expect("a model");
        if !model.ends_with(".tflite") {
            continue;
        }
        let vectors = folder.join(case["vectors"].as_str().expect("vectors"));
        let (operators, profiles) = (texts(case, "operators"), texts(case, "profiles"));
        for profile in [Profile::Tflm, Profile::LitertRef, Profile::LitertOpt, Profile::Xnnpack] {
            let result = check(&folder.join(model), &vectors, profile);
            // A runtime that refuses the model has no results.
            if !profiles.contains(&profile.name().replace('-', "_")) {
                match result {
                    Err(cause) if cause.contains("node `") => refused += 1,
                    other => failures.push(format!("{model}, {profile}: not refused by a node's name, but {other:?}")),
                }
                continue;
            }
            if operators.contains("RESIZE_NEAREST_NEIGHBOR")
                && result.as_ref().is_err_and(|cause| cause.contains(UNEQUAL))
            {
                unequal += 1;
                continue;
            }
            match result {
                Ok(count) => elements += count,
                Err(cause) => failures.push(format!("{model}, {profile}: {cause}")),
            }
            for operator in &operators {
                *compared.entry((operator.clone(), profile.name())).or_default() += 1;
            }
        }
    }
    for ((operator, profile), count) in &compared {
        println!("{operator} {profile}: {count} cases");
    }
    println!("{elements} elements equal, {refused} refused, {unequal} resizes not by whole factors");
    assert_eq!(unequal, UNEQUAL_CASES, "resizes not by whole factors");
    assert!(failures.is_empty(), "{} comparisons fail:\n{}", failures.len(), failures.join("\n"));
    for operator in [
        "ADD",
        "AVERAGE_POOL_2D",
        "BROADCAST_TO",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "DEQUANTIZE",
        "FULLY_CONNECTED",
        "HARD_SWISH",
        "LEAKY_RELU",
        "LOGISTIC",
        "MAX_POOL_2D",
        "MEAN",
        "MUL",
        "PAD",
        "PADV2",
        "PRELU",
        "QUANTIZE",
        "REDUCE_MAX",
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "RESHAPE",
        "RESIZE_NEAREST_NEIGHBOR",
        "SOFTMAX",
        "SPACE_TO_BATCH_ND",
        "SUB",
        "TANH",
        "TILE",
    ] {
        let least = compared.iter().filter(|((name, _), _)| name == operator).map(|(_, count)| *count).min();
        assert!(least.is_some_and(|count| count >= 20), "{operator}: {least:?} cases a profile, 20 are wanted");
    }
}

#[test]
fn the_autoencoder_is_reproduced_under_every_profile_where_its_file_is_present() {
    let folder = root().join("../shared/models");
    let (model, vectors) = (folder.join("ad01_int8.tflite"), folder.join("ad01_int8.npz"));
    if !model.exists() {
        println!("SKIPPED: {} is absent", model.display());
        return;
    }
    for profile in [Profile::Tflm, Profile::LitertRef, Profile::LitertOpt, Profile::Xnnpack] {
        let result = check(&model, &vectors, profile);
        assert_eq!(result, Ok(64 * 640), "{profile}");
    }
}
