//! Damaged, hostile and unusual TFLite files: a network or a diagnostic, never anything else.

mod common;
mod tflite_builder;

use common::root;
use std::time::{Duration, Instant};
use systole_compiler::frontend::{compile_front, FrontOptions};
use systole_compiler::ops::random::Random;
use systole_compiler::{CompileError, QuantGraph};
use tflite_builder::*;

fn compiled(bytes: &[u8]) -> Result<QuantGraph, CompileError> {
    compile_front(bytes, &FrontOptions { name: "model".into(), ..FrontOptions::default() })
}

/// The diagnostic of a model that must be refused; it names what it speaks of and a remedy.
fn refused(model: &Model) -> String {
    match compiled(&model.bytes()) {
        Ok(quant) => panic!("accepted: {quant}"),
        Err(CompileError::Internal { pass, cause }) => panic!("internal error after {pass}: {cause}"),
        Err(error) => error.to_string(),
    }
}

fn expect(model: &Model, parts: &[&str]) {
    let message = refused(model);
    for part in parts {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
}

#[test]
fn a_good_model_is_compiled_and_computes_what_its_formula_says() {
    let quant = compiled(&Model::layer().bytes()).unwrap();
    assert_eq!(quant.verify(), Ok(()));
    let sample = ndarray::arr1(&[5i64, 1, -4, 3]).into_dyn();
    let values = quant.interpret(&[sample]).unwrap();
    // x - 3 = [2, -2, -7, 0]; accumulators -29, -13, 2949; times 0.5 * 0.25 / 4, minus 5, RELU.
    assert_eq!(values[1].iter().copied().collect::<Vec<i64>>(), [-5, -5, 87]);
}

#[test]
fn a_network_is_shown_in_one_line_a_tensor_and_a_node() {
    let quant = compiled(&Model::layer().bytes()).unwrap();
    let expected = "\
quantized network `model`, profile tflm
  tensor %0 `x` [4] int8 in [-128, 127] from type, scale 0.5, zero point 3
  tensor %1 `y` [3] int8 in [-5, 127] from values, scale 4, zero point -5
  input  %0 <- host `x` [4] int8
";
    let shown = quant.to_string();
    assert!(shown.starts_with(expected), "{shown}");
    assert_eq!(shown.lines().count(), 6, "{shown}");
    assert!(shown.contains("  node   %1 <- %0 dense `fully_connected_0`: [3, 4] int8 weights, input zero point 3"));
    assert!(shown.ends_with("  output %1 -> host `y` [3] int8\n"), "{shown}");
}

/// `count` RESHAPEs between `[1, 4, 3]` and `[1, 12]` behind a layer with 12 outputs.
fn reshapes(count: i32) -> Model {
    let mut model = Model::layer();
    model.tensors[1].shape = vec![12, 4];
    model.buffers[1] = vec![1; 48];
    model.tensors[3].shape = vec![1, 12];
    model.operators[0].inputs = vec![0, 1];
    for index in 0..count {
        let shape: &[i32] = if index % 2 == 0 { &[1, 4, 3] } else { &[1, 12] };
        model.tensors.push(tensor("", shape, INT8, 0, 4.0, -5));
        model.operators.push(plain(RESHAPE, &[3 + index], 4 + index));
    }
    model.outputs = vec![3 + count];
    model
}

#[test]
fn thousands_of_operators_take_no_longer_than_they_should() {
    let start = Instant::now();
    let quant = compiled(&reshapes(10_000).bytes()).unwrap();
    assert_eq!((quant.nodes.node_count(), quant.outputs[0].host_shape.as_slice()), (1, [12].as_slice()));
    expect(&reshapes(17_000), &["more than 16384 tables"]);
    let mut wide = Model::layer();
    let outputs = 70_000;
    wide.tensors[1].shape = vec![outputs, 4];
    wide.buffers[1] = vec![1; 4 * outputs as usize];
    wide.tensors[3].shape = vec![1, outputs];
    wide.operators[0].inputs = vec![0, 1];
    expect(&wide, &["fully_connected_0", "70000 outputs"]);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn every_strict_prefix_of_a_model_is_refused() {
    let bytes = Model::layer().bytes();
    assert!(compiled(&bytes).is_ok());
    for length in 0..bytes.len() {
        assert!(compiled(&bytes[..length]).is_err(), "{length} of {} bytes were accepted", bytes.len());
    }
}

#[test]
fn every_strict_prefix_of_stored_models_is_refused() {
    let mut files = 0;
    for family in ["fully_connected", "softmax", "reshape", "networks", "borders"] {
        let folder = root().join("tests/vectors").join(family);
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "tflite")).take(4) {
            let bytes = std::fs::read(path).unwrap();
            for length in 0..bytes.len() {
                let accepted = compiled(&bytes[..length]).is_ok();
                assert!(!accepted, "{}: {length} of {} bytes were accepted", path.display(), bytes.len());
            }
            files += 1;
        }
    }
    assert!(files >= 16, "{files} files");
}

#[test]
fn prefixes_of_real_models_are_refused() {
    for name in ["ad01_int8", "kws_ref_model", "pretrainedResnet_quant"] {
        let path = root().join(format!("../shared/models/{name}.tflite"));
        let Ok(bytes) = std::fs::read(&path) else {
            println!("SKIPPED: {} is absent", path.display());
            continue;
        };
        let mut random = Random::new(7);
        let cuts = (0..300).map(|_| random.size(0, bytes.len() - 1)).chain(bytes.len() - 40..bytes.len());
        for length in cuts {
            match compiled(&bytes[..length]) {
                Err(CompileError::Damaged { .. }) => {}
                other => panic!("{name}, {length} bytes: {other:?}"),
            }
        }
    }
}

#[test]
fn byte_flips_give_a_verified_network_or_a_diagnostic_in_time() {
    let mut files = vec![Model::layer().bytes()];
    let stored = ["networks/net_classifier_30_14_10", "borders/quantize_dequantize_4x3_01", "reshape/reshape_between"];
    files.extend(stored.iter().map(|f| std::fs::read(root().join(format!("tests/vectors/{f}.tflite"))).unwrap()));
    let (mut accepted, mut refused) = (0, 0);
    for (file, bytes) in files.iter().enumerate() {
        for seed in 0..1500 {
            let mut random = Random::new(file as u64 * 10_000 + seed);
            let mut flipped = bytes.clone();
            for _ in 0..random.size(1, 8) {
                let at = random.size(0, flipped.len() - 1);
                flipped[at] ^= 1 << random.size(0, 7);
            }
            let start = Instant::now();
            match compiled(&flipped) {
                Ok(quant) => {
                    assert_eq!(quant.verify(), Ok(()), "file {file}, seed {seed}");
                    accepted += 1;
                }
                Err(CompileError::Internal { pass, cause }) => panic!("file {file}, seed {seed}: {pass}: {cause}"),
                Err(_) => refused += 1,
            }
            assert!(start.elapsed() < Duration::from_secs(2), "file {file}, seed {seed}: {:?}", start.elapsed());
        }
    }
    assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused");
}

#[test]
fn byte_flips_of_real_models_give_a_verified_network_or_a_diagnostic_in_time() {
    for name in ["ad01_int8", "kws_ref_model", "pretrainedResnet_quant"] {
        let path = root().join(format!("../shared/models/{name}.tflite"));
        let Ok(bytes) = std::fs::read(&path) else {
            println!("SKIPPED: {} is absent", path.display());
            continue;
        };
        let (mut accepted, mut slowest) = (0, Duration::ZERO);
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let mut flipped = bytes.clone();
            // Most bytes are weights; the structure lies at both ends.
            let end = random.pick(&[bytes.len(), 4000.min(bytes.len())]);
            let start = random.pick(&[0, end - end / 20]);
            for _ in 0..random.size(1, 8) {
                flipped[random.size(start, end - 1)] ^= 1 << random.size(0, 7);
            }
            let begin = Instant::now();
            match compiled(&flipped) {
                Ok(quant) => {
                    assert_eq!(quant.verify(), Ok(()), "{name}, seed {seed}");
                    accepted += 1;
                }
                Err(CompileError::Internal { pass, cause }) => panic!("{name}, seed {seed}: {pass}: {cause}"),
                Err(_) => {}
            }
            slowest = slowest.max(begin.elapsed());
        }
        println!("{name}: {accepted} of 200 accepted, slowest {slowest:?}");
        assert!(slowest < Duration::from_secs(2), "{name}: {slowest:?}");
    }
}

#[test]
fn random_bytes_behind_the_identifier_are_refused() {
    for seed in 0..2000 {
        let mut random = Random::new(seed);
        let mut bytes: Vec<u8> = (0..random.size(8, 400)).map(|_| random.pick(&[0, 0, 1, 4, 8, 255])).collect();
        bytes[4..8].copy_from_slice(b"TFL3");
        assert!(compiled(&bytes).is_err(), "seed {seed}");
    }
}

#[test]
fn all_unsupported_operators_are_named_at_once() {
    let mut model = Model::layer();
    model.tensors.push(tensor("z", &[1, 3], INT8, 0, 4.0, -5));
    model.operators.push(plain(42, &[3], 4));
    model.operators.push(plain(37, &[3], 4));
    expect(&model, &["2 of the model's operators", "div_1", "DIV", "reciprocal", "batch_to_space_nd", "dilation"]);
    model.operators[0].options.1[0] = byte(4);
    expect(&model, &["3 of the model's operators", "fully_connected_0", "TANH", "RELU6", "div_1"]);
    model.operators[1].code = 500;
    expect(&model, &["operator number 500"]);
}

#[test]
fn wrong_shapes_are_refused_by_the_nodes_name_with_the_numbers() {
    let change = |edit: &dyn Fn(&mut Model)| {
        let mut model = Model::layer();
        edit(&mut model);
        model
    };
    let node = "fully_connected_0";
    expect(&change(&|m| m.tensors[0].shape = vec![1, 5]), &[node, "[1, 5]", "4"]);
    expect(&change(&|m| m.tensors[3].shape = vec![1, 4]), &[node, "[1, 4]", "[1, 3]"]);
    expect(&change(&|m| m.tensors[1].shape = vec![4, 4]), &[node, "`w`", "12 bytes"]);
    expect(&change(&|m| m.tensors[2].shape = vec![4]), &[node, "`b`", "12 bytes"]);
    expect(&change(&|m| m.tensors[0].shape = vec![1, i32::MAX, i32::MAX, i32::MAX]), &[node, "`x`", "too many"]);
    expect(&change(&|m| m.tensors[0].shape = vec![1, i32::MAX]), &[node, "`x`", "2147483647"]);
    expect(&change(&|m| m.tensors[0].shape = vec![1, i32::MIN]), &[node, "`x`", "dynamic", "-2147483648"]);
    expect(&change(&|m| m.tensors[0].shape = vec![-1, 4]), &[node, "`x`", "dynamic", "static shapes"]);
    expect(&change(&|m| m.tensors[0].shape = vec![0, 4]), &[node, "`x`", "without elements"]);
    expect(&change(&|m| m.tensors[0].signature = vec![-1, -1]), &["`x`", "dimension 1"]);
    expect(&change(&|m| m.tensors[0].shape = vec![2, 4]), &["`x`", "batch of 2"]);
    assert!(compiled(&change(&|m| m.tensors[0].signature = vec![-1, 4]).bytes()).is_ok());
}

#[test]
fn scales_and_zero_points_out_of_range_are_refused_by_name() {
    for bad in [0.0, -0.5, f32::NAN, f32::INFINITY] {
        for index in [0, 1, 3] {
            let mut model = Model::layer();
            model.tensors[index].scales = vec![bad];
            expect(&model, &["fully_connected_0", &format!("`{}`", model.tensors[index].name), "scale"]);
        }
    }
    let mut model = Model::layer();
    model.tensors[0].zero_points = vec![128];
    expect(&model, &["fully_connected_0", "`x`", "zero point 128"]);
    let mut model = Model::layer();
    model.tensors[1].zero_points = vec![1];
    expect(&model, &["fully_connected_0", "`w`", "symmetrically"]);
    let mut model = Model::layer();
    (model.tensors[1].scales, model.tensors[1].zero_points) = (vec![0.5; 2], vec![0; 2]);
    expect(&model, &["fully_connected_0", "`w`", "2 scales"]);
    let mut model = Model::layer();
    (model.tensors[1].scales, model.tensors[1].zero_points) = (vec![0.5; 4], vec![0; 4]);
    model.tensors[1].dimension = 1;
    expect(&model, &["fully_connected_0", "`w`", "dimension 1"]);
    let mut model = Model::layer();
    (model.tensors[1].scales, model.tensors[1].zero_points) = (vec![0.5; 3], vec![0; 2]);
    expect(&model, &["fully_connected_0", "`w`", "3 scales and 2 zero points"]);
}

#[test]
fn other_element_types_are_refused_with_the_remedy() {
    for (element, name) in [(UINT8, "uint8"), (INT16, "int16"), (FLOAT32, "float32")] {
        let mut model = Model::layer();
        model.tensors[0].element = element;
        expect(&model, &["fully_connected_0", "`x`", name, "int8"]);
    }
    let mut model = Model::layer();
    model.tensors[0].element = 17;
    expect(&model, &["fully_connected_0", "`x`", "int4"]);
}

#[test]
fn a_broken_structure_is_refused() {
    let change = |edit: &dyn Fn(&mut Model)| {
        let mut model = Model::layer();
        edit(&mut model);
        model
    };
    expect(&change(&|m| m.subgraphs = 2), &["2 subgraphs"]);
    expect(&change(&|m| m.subgraphs = 0), &["0 subgraphs"]);
    expect(&change(&|m| m.version = 2), &["version is 2"]);
    expect(&change(&|m| m.operators[0].inputs = vec![0, 9, 2]), &["fully_connected_0", "tensor 9"]);
    expect(&change(&|m| m.operators[0].inputs = vec![0, -2, 2]), &["fully_connected_0", "tensor -2"]);
    expect(&change(&|m| m.operators[0].inputs = vec![0]), &["fully_connected_0", "operand 1 (weights) is missing"]);
    expect(
        &change(&|m| m.operators[0].inputs = vec![-1, 1, 2]),
        &["fully_connected_0", "operand 0 (input) is missing"],
    );
    expect(&change(&|m| m.operators[0].outputs = vec![]), &["fully_connected_0", "0 results"]);
    expect(&change(&|m| m.operators[0].outputs = vec![1]), &["fully_connected_0"]);
    expect(&change(&|m| m.tensors[1].buffer = 7), &["fully_connected_0", "`w`", "buffer 7"]);
    expect(&change(&|m| m.inputs = vec![]), &["no input"]);
    expect(&change(&|m| m.outputs = vec![0]), &["`x`"]);
    expect(&change(&|m| m.outputs = vec![3, 3]), &["`y`", "twice"]);
    expect(&change(&|m| m.inputs = vec![1]), &["`w`", "constant"]);
}

#[test]
fn a_cycle_is_refused_by_a_nodes_name() {
    let mut model = Model::layer();
    model.tensors[0].shape = vec![1, 3];
    model.tensors[1].shape = vec![3, 3];
    model.buffers[1].truncate(9);
    model.tensors.push(tensor("z", &[1, 3], INT8, 0, 0.5, 3));
    model.operators = vec![fully_connected(&[4, 1, 2], 3, 0), fully_connected(&[3, 1, 2], 4, 0)];
    expect(&model, &["fully_connected_", "cycle"]);
}

#[test]
fn tensors_without_a_name_or_with_anothers_get_their_own() {
    let mut model = Model::layer();
    model.tensors.iter_mut().for_each(|tensor| tensor.name = "same".into());
    model.tensors[0].name.clear();
    let quant = compiled(&model.bytes()).unwrap();
    let names: Vec<&str> = quant.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["tensor_0", "same_3"]);
}

#[test]
fn accumulators_beyond_the_runtimes_32_bits_are_refused() {
    let mut model = Model::layer();
    model.buffers[2] = [i32::MAX, 0, 0].iter().flat_map(|b| b.to_le_bytes()).collect();
    expect(&model, &["fully_connected_0", "output 0", "32 bits"]);
}

#[test]
fn a_layer_behind_the_hosts_softmax_is_refused() {
    let mut model = Model::layer();
    model.tensors.push(tensor("p", &[1, 3], INT8, 0, 1.0 / 256.0, -128));
    model.tensors.push(tensor("w2", &[3, 3], INT8, 3, 0.5, 0));
    model.tensors.push(tensor("z", &[1, 3], INT8, 0, 0.5, 0));
    model.buffers.push(vec![1; 9]);
    let softmax = OperatorSpec { options: (9, vec![float(1.0)]), ..plain(SOFTMAX, &[3], 4) };
    model.operators.extend([softmax, fully_connected(&[4, 5], 6, 0)]);
    model.outputs = vec![6];
    expect(&model, &["fully_connected_2", "`p`", "behind the accelerator"]);
}

#[test]
fn a_profile_of_another_format_is_refused() {
    let options = FrontOptions { profile: Some(systole_compiler::Profile::Ort), ..FrontOptions::default() };
    let error = compile_front(&Model::layer().bytes(), &options).unwrap_err().to_string();
    assert!(error.contains("ort") && error.contains("tflm"), "{error}");
}
