//! Damaged, hostile and unusual ONNX files: a graph or a diagnostic, never anything else.

mod onnx_builder;

use onnx_builder::{int, value_info, Model};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use systole_compiler::frontend::onnx::import;
use systole_compiler::frontend::onnx::proto::*;
use systole_compiler::frontend::{compile_front, FrontOptions};
use systole_compiler::graph::ConstantData;
use systole_compiler::passes::fold_constants;
use systole_compiler::passes::lowering::InputType;
use systole_compiler::{CompileError, Graph};

const REAL_MODELS: [&str; 3] = ["TFC_1W1A", "TFC_2W2A", "qkeras_jettagging"];

fn folded(bytes: &[u8]) -> Result<Graph, CompileError> {
    let mut graph = import(bytes, "model")?;
    fold_constants::run(&mut graph)?;
    Ok(graph)
}

fn message(model: &Model) -> String {
    match folded(&model.bytes()) {
        Ok(graph) => panic!("accepted with {} nodes", graph.nodes.node_count()),
        Err(error) => error.to_string(),
    }
}

fn real_model(name: &str) -> Option<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/models/");
    let bytes = std::fs::read(format!("{path}{name}.onnx")).ok();
    if bytes.is_none() {
        println!("SKIPPED {name}: there is no folder ../shared/models");
    }
    bytes
}

/// xorshift64.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn a_complete_model_is_read_and_folded() {
    let graph = folded(&Model::layer().bytes()).unwrap();
    let names: Vec<&str> = graph.nodes.node_weights().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["input_quant", "product", "bias", "relu", "output_quant"]);
    let weights = graph.tensors.iter().find(|t| t.name == "wq").unwrap();
    let quantization = weights.quantization.as_ref().unwrap();
    assert_eq!(
        (quantization.scales.as_slice(), quantization.zero_points.as_slice()),
        ([0.25].as_slice(), [0].as_slice())
    );
    let Some(ConstantData::Int(values)) = &weights.constant else { panic!("{weights:?}") };
    assert_eq!(values.iter().copied().collect::<Vec<i64>>(), [2, -1, 3, 0, -4, 4]);
}

#[test]
fn every_strict_prefix_of_a_model_is_refused() {
    let bytes = Model::layer().bytes();
    for length in 0..bytes.len() {
        assert!(folded(&bytes[..length]).is_err(), "{length} of {} bytes were accepted", bytes.len());
    }
}

#[test]
fn prefixes_of_real_models_are_refused() {
    let mut state = 0x5eed;
    for name in REAL_MODELS {
        let Some(bytes) = real_model(name) else { continue };
        let random = (0..500).map(|_| next(&mut state) as usize % bytes.len());
        for length in random.collect::<Vec<_>>().into_iter().chain(bytes.len() - 40..bytes.len()) {
            assert!(folded(&bytes[..length]).is_err(), "{name}: {length} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn flipped_bits_give_an_integer_network_or_a_diagnostic_in_time() {
    let mut state = 0xf11b;
    let real = REAL_MODELS.iter().filter_map(|name| real_model(name).map(|bytes| (*name, bytes, 100)));
    let mut models: Vec<(&str, Vec<u8>, usize)> = real.collect();
    models.push(("layer", Model::layer().bytes(), 3000));
    let fixed = InputType::Fixed { bits: 16, integer_bits: 6 };
    for (name, bytes, rounds) in models {
        let jets = HashMap::from([("global_in".to_string(), fixed)]);
        let input_types = if name == "qkeras_jettagging" { jets } else { HashMap::new() };
        let options = FrontOptions { name: name.into(), profile: None, input_types, ..FrontOptions::default() };
        let (mut accepted, mut slowest) = (0, Duration::ZERO);
        for _ in 0..rounds {
            let mut damaged = bytes.clone();
            for _ in 0..1 + next(&mut state) % 8 {
                let place = next(&mut state) as usize % damaged.len();
                damaged[place] ^= 1 << (next(&mut state) % 8);
            }
            let start = Instant::now();
            match compile_front(&damaged, &options) {
                Ok(_) => accepted += 1,
                Err(error @ CompileError::Internal { .. }) => panic!("{name}: {error}"),
                Err(_) => {}
            }
            slowest = slowest.max(start.elapsed());
        }
        println!("{name}: {accepted} of {rounds} damaged files still hold a network, slowest {slowest:?}");
        assert!(slowest < Duration::from_secs(2), "{name}: {slowest:?}");
    }
}

#[test]
fn a_cycle_names_a_node_on_it() {
    let mut model = Model::layer();
    model.graph().node[3].input[0] = "r".into();
    let text = message(&model);
    assert!(text.contains("cycle") && (text.contains("`bias`") || text.contains("`relu`")), "{text}");
}

#[test]
fn a_missing_operand_is_named_with_its_node() {
    let mut model = Model::layer();
    model.graph().node[3].input[1] = "nowhere".into();
    let text = message(&model);
    assert!(text.contains("`bias`") && text.contains("`nowhere`"), "{text}");
}

#[test]
fn a_tensor_with_two_sources_is_refused() {
    let mut twice = Model::layer();
    twice.floats("w", &[1], &[1.0]);
    assert!(message(&twice).contains("`w` has two sources"));
    let mut produced = Model::layer();
    produced.graph().node[4].output[0] = "s".into();
    assert!(message(&produced).contains("`s` has two sources"));
}

#[test]
fn all_unsupported_operators_are_listed_at_once() {
    let mut model = Model::layer();
    model.graph().node[3].op_type = Some("ConvTranspose".into());
    model.graph().node[4].op_type = Some("Softplus".into());
    model.graph().node[2].domain = Some("com.example".into());
    model.0.ir_version = Some(6);
    let Err(CompileError::Unsupported(list)) = import(&model.bytes(), "m") else { panic!("not a list") };
    let nodes: Vec<&str> = list.iter().map(|u| u.node.as_str()).collect();
    assert_eq!(nodes, ["product", "bias", "relu"]);
    assert!(list[2].reason.contains("Softplus") && list[2].reason.contains("Relu"), "{}", list[2].reason);
}

#[test]
fn operators_on_computed_tensors_that_only_fold_are_listed_too() {
    let mut model = Model::layer();
    model.graph().node[4].op_type = Some("Sqrt".into());
    let text = message(&model);
    assert!(text.contains("`relu`") && text.contains("Sqrt") && text.contains("constants only"), "{text}");
}

#[test]
fn absurd_dimensions_are_refused_with_their_owner() {
    for (dims, part) in [(vec![1, 1i64 << 31], "2147483648"), (vec![1, -3], "-3"), (vec![4, 3], "batch dimension of 4")]
    {
        let mut model = Model::layer();
        model.graph().input[0] = value_info("x", &dims);
        let text = message(&model);
        assert!(text.contains("`x`") && text.contains(part), "{text}");
    }
    let mut model = Model::layer();
    model.graph().initializer[3].dims = vec![1 << 31, 2];
    assert!(message(&model).contains("`w`"));
}

#[test]
fn the_batch_may_be_a_symbol_and_nothing_else() {
    let mut model = Model::layer();
    let symbol = |name: &str| DimensionProto { dim_value: None, dim_param: Some(name.into()) };
    let shape = |model: &mut Model, at: usize, name: &str| {
        let tensor = model.graph().input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
        tensor.shape.as_mut().unwrap().dim[at] = symbol(name);
    };
    shape(&mut model, 0, "N");
    let graph = folded(&model.bytes()).unwrap();
    assert_eq!(graph.tensor(graph.inputs[0]).shape, [1, 3]);
    shape(&mut model, 1, "features");
    let text = message(&model);
    assert!(text.contains("`x`") && text.contains("`features`"), "{text}");
}

#[test]
fn a_shape_that_does_not_fit_names_the_node() {
    let mut product = Model::layer();
    product.graph().input[0] = value_info("x", &[1, 5]);
    let text = message(&product);
    assert!(text.contains("`product`") && text.contains("[1, 5]") && text.contains("[3, 2]"), "{text}");
    let mut output = Model::layer();
    output.graph().output[0] = value_info("y", &[1, 7]);
    let text = message(&output);
    assert!(text.contains("`output_quant`") && text.contains("[1, 2]") && text.contains("[1, 7]"), "{text}");
}

#[test]
fn versions_of_the_operators_must_be_there() {
    let mut none = Model::layer();
    none.0.opset_import.remove(0);
    assert!(message(&none).contains("opset_import"));
    let mut old = Model::layer();
    old.0.opset_import[0].version = Some(5);
    assert!(message(&old).contains("version 5") && message(&old).contains("version_converter"));
    let mut custom = Model::layer();
    custom.0.opset_import.truncate(1);
    assert!(message(&custom).contains("`qonnx.custom_op.general`"));
    // Exporters of that time left custom domains out.
    custom.0.ir_version = Some(6);
    assert!(folded(&custom.bytes()).is_ok());
}

#[test]
fn fields_of_newer_versions_are_skipped() {
    let mut bytes = Model::layer().bytes();
    bytes.extend([0xfa, 0x3f, 3, 1, 2, 3]); // field 1023, three bytes
    bytes.extend([0x88, 0x40, 7]); // field 1025, a number
    assert!(folded(&bytes).is_ok());
}

#[test]
fn constants_that_are_listed_as_inputs_stay_constants() {
    let mut model = Model::layer();
    model.input("w", &[3, 2]).input("scale", &[]);
    let graph = folded(&model.bytes()).unwrap();
    assert_eq!(graph.inputs.len(), 1);
}

#[test]
fn nodes_without_a_name_or_with_a_repeated_one_get_unique_names() {
    let mut model = Model::layer();
    for (index, name) in [(2, ""), (3, "relu"), (5, "relu")] {
        model.graph().node[index].name = Some(name.into());
    }
    let graph = folded(&model.bytes()).unwrap();
    let names: Vec<&str> = graph.nodes.node_weights().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["input_quant", "MatMul_2", "relu", "relu_2", "relu_3"]);
}

#[test]
fn shapes_computed_from_the_input_are_constant_after_import() {
    let mut model = Model::layer();
    model.graph().input[0] = value_info("x", &[1, 3, 1]);
    model.ints("minus", &[-1]).ints("first", &[0]);
    let nodes = std::mem::take(&mut model.graph().node);
    model.node("shape", "Shape", &["x"], &["dims"]);
    model.node("gather", "Gather", &["dims", "first"], &["batch"]);
    model.node("concat", "Concat", &["batch", "minus"], &["target"]).attribute = vec![int("axis", 0)];
    model.node("reshape", "Reshape", &["x", "target"], &["flat"]);
    model.graph().node.extend(nodes);
    model.graph().node[4].input[0] = "flat".into();
    let graph = import(&model.bytes(), "m").unwrap();
    assert!(graph.nodes.node_weights().all(|n| !["shape", "gather", "concat"].contains(&n.name.as_str())));
    let flat = graph.tensors.iter().find(|t| t.name == "flat").unwrap();
    assert_eq!(flat.shape, [1, 3]);
}

#[test]
fn folding_is_bounded_by_the_constants_in_the_file() {
    let mut model = Model::layer();
    model.ints("huge", &[1 << 14, 1 << 13]);
    model.node("fill", "ConstantOfShape", &["huge"], &["filled"]);
    model.node("mul", "Mul", &["filled", "filled"], &["square"]);
    let text = message(&model);
    assert!(text.contains("`fill`") && text.contains("134217728"), "{text}");
}

#[test]
fn quantizers_with_impossible_parameters_are_refused_by_name() {
    for (constant, value, part) in [
        ("scale", 0.0, "scale 0"),
        ("scale", f32::NAN, "scale NaN"),
        ("zero", 0.5, "0.5"),
        ("bits", 40.0, "40"),
        ("bits", 2.5, "2.5"),
    ] {
        let mut model = Model::layer();
        let tensor = model.graph().initializer.iter_mut().find(|t| t.name.as_deref() == Some(constant)).unwrap();
        tensor.raw_data = Some(value.to_le_bytes().to_vec());
        let text = message(&model);
        assert!(text.contains("`weight_quant`") && text.contains(part), "{text}");
    }
}
