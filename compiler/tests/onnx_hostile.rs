//! Hostile attributes and damaged bytes of quantized convolutional networks: a diagnostic that names
//! the node, in little time and memory, never anything else.

mod onnx_builder;

use onnx_builder::{int, value_info, Model};
use std::time::{Duration, Instant};
use systole_compiler::frontend::onnx::proto::AttributeProto;
use systole_compiler::frontend::{compile_front, FrontOptions};
use systole_compiler::CompileError;

const INT8: i32 = 3;

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: Some(name.into()), ints: values.to_vec(), r#type: Some(7), ..AttributeProto::default() }
}

/// `x [1, 4, 6, 6] -> QuantizeLinear -> QLinearConv 8 x 3 x 3 -> MaxPool -> DequantizeLinear -> y`.
fn network() -> Model {
    let mut model = Model::new();
    model.input("x", &[1, 4, 6, 6]);
    model.output("y", &[]);
    model.graph().output[0].r#type = None;
    model.scalar("scale", 0.25);
    model.constant("zero", &[], INT8, vec![3]);
    model.constant("w", &[8, 4, 3, 3], INT8, (0..8 * 4 * 9).map(|i| (i * 37 % 251) as u8).collect());
    model.node("quantize", "QuantizeLinear", &["x", "scale", "zero"], &["q"]);
    let operands = ["q", "scale", "zero", "w", "scale", "zero", "scale", "zero"];
    model.node("conv", "QLinearConv", &operands, &["c"]).attribute = vec![ints("pads", &[1, 1, 1, 1])];
    model.node("pool", "MaxPool", &["c"], &["p"]).attribute = vec![ints("kernel_shape", &[2, 2])];
    model.node("dequantize", "DequantizeLinear", &["p", "scale", "zero"], &["y"]);
    model
}

fn refusal(model: &Model) -> String {
    let start = Instant::now();
    let result = compile_front(&model.bytes(), &FrontOptions::default());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    match result {
        Ok(_) => panic!("accepted"),
        Err(error @ CompileError::Internal { .. }) => panic!("{error}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_network_itself_compiles() {
    let quant = compile_front(&network().bytes(), &FrontOptions::default()).unwrap();
    assert_eq!(quant.nodes.node_count(), 2);
}

#[test]
fn attributes_of_2_to_the_31_are_refused_by_node() {
    let huge = 1i64 << 31;
    for (node, attribute) in [
        (1, ints("strides", &[huge, 1])),
        (1, ints("dilations", &[1, huge])),
        (1, ints("pads", &[huge, 0, 0, 0])),
        (1, ints("pads", &[0, 0, 0, -huge])),
        (1, ints("kernel_shape", &[huge, 3])),
        (1, int("group", huge)),
        (1, int("group", 0)),
        (1, int("group", -4)),
        (1, ints("strides", &[0, 0])),
        (1, ints("dilations", &[i64::MAX, i64::MAX])),
        (2, ints("kernel_shape", &[huge, huge])),
        (2, ints("kernel_shape", &[])),
        (1, ints("pads", &[1 << 20, 1 << 20, 1 << 20, 1 << 20])),
    ] {
        let mut model = network();
        let node_proto = &mut model.graph().node[node];
        let name = node_proto.name.clone().unwrap();
        node_proto.attribute = vec![attribute.clone()];
        let text = refusal(&model);
        assert!(text.contains(&format!("`{name}`")), "{attribute:?}: {text}");
    }
}

#[test]
fn operands_that_do_not_fit_are_refused_by_node() {
    let scale =
        |model: &mut Model, value: f32| model.graph().initializer[0].raw_data = Some(value.to_le_bytes().into());
    for value in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let mut model = network();
        scale(&mut model, value);
        assert!(refusal(&model).contains("scale"), "{value}");
    }
    let mut few = network();
    few.floats("few", &[3], &[1.0, 1.0, 1.0]);
    few.graph().node[1].input[4] = "few".into();
    assert!(refusal(&few).contains("3 scales"));
    let mut wide = network();
    wide.graph().input[0] = value_info("x", &[1, 5, 6, 6]);
    assert!(refusal(&wide).contains("`conv`"));
    let mut missing = network();
    missing.graph().node[1].input.truncate(4);
    assert!(refusal(&missing).contains("missing"));
    let mut computed = network();
    computed.graph().node[1].input[3] = "q".into();
    assert!(refusal(&computed).contains("`conv`"));
}

#[test]
fn every_unsupported_operator_is_listed_with_what_would_help() {
    let mut model = network();
    model.graph().node[0].op_type = Some("DynamicQuantizeLinear".into());
    model.graph().node[1].op_type = Some("ConvTranspose".into());
    let Err(CompileError::Unsupported(list)) = compile_front(&model.bytes(), &FrontOptions::default()) else {
        panic!("no list")
    };
    let nodes: Vec<&str> = list.iter().map(|node| node.node.as_str()).collect();
    assert_eq!(nodes, ["quantize", "conv"]);
    assert!(list.iter().all(|node| node.reason.contains(';')), "{list:?}");
}

#[test]
fn flipped_bits_give_an_integer_network_or_a_diagnostic_in_time() {
    let mut state = 0xc0de_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let (bytes, mut accepted) = (network().bytes(), 0);
    for _ in 0..3000 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + next() % 6 {
            let place = next() as usize % damaged.len();
            damaged[place] ^= 1 << (next() % 8);
        }
        let start = Instant::now();
        match compile_front(&damaged, &FrontOptions::default()) {
            Ok(_) => accepted += 1,
            Err(error @ CompileError::Internal { .. }) => panic!("{error}"),
            Err(_) => {}
        }
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    assert!(accepted > 100, "only {accepted} of 3000 still hold a network");
}

#[test]
fn resizes_of_absurd_or_unequal_factors_are_refused_by_node() {
    let resized = |scales: &[f32], attributes: Vec<AttributeProto>| {
        let mut model = network();
        model.floats("scales", &[scales.len() as i64], scales);
        model.graph().node[2] = Default::default();
        let node = model.node("pool", "Resize", &["c", "", "scales"], &["p"]);
        node.attribute = attributes;
        let node = model.graph().node.pop().unwrap();
        model.graph().node[2] = node;
        model
    };
    let text = |name: &str, value: &str| AttributeProto {
        name: Some(name.into()),
        s: Some(value.as_bytes().to_vec()),
        r#type: Some(3),
        ..AttributeProto::default()
    };
    let floor = || vec![text("coordinate_transformation_mode", "asymmetric"), text("nearest_mode", "floor")];
    assert!(compile_front(&resized(&[1.0, 1.0, 2.0, 3.0], floor()).bytes(), &FrontOptions::default()).is_ok());
    for scales in [
        vec![1.0, 1.0, 0.0, 1.0],
        vec![1.0, 1.0, -2.0, 1.0],
        vec![1.0, 1.0, f32::NAN, 1.0],
        vec![1.0, 1.0, f32::INFINITY, 1.0],
        vec![1.0, 1.0, 1e30, 1.0],
        vec![1.0, 1.0, 65_000.0, 65_000.0],
        vec![1.0, 1.0, 1.5, 1.0],
        vec![1.0, 1.0, 0.5, 0.5],
        vec![2.0, 1.0, 1.0, 1.0],
        vec![1.0, 2.0, 1.0, 1.0],
        vec![2.0, 2.0],
        vec![],
    ] {
        let error = refusal(&resized(&scales, floor()));
        assert!(error.contains("pool"), "{scales:?}: {error}");
    }
    for (name, value) in
        [("mode", "cubic"), ("coordinate_transformation_mode", "align_corners"), ("nearest_mode", "ceil")]
    {
        let mut attributes = floor();
        attributes.retain(|attribute| attribute.name.as_deref() != Some(name));
        attributes.push(text(name, value));
        let error = refusal(&resized(&[1.0, 1.0, 2.0, 2.0], attributes));
        assert!(error.contains("pool"), "{name} {value}: {error}");
    }
}
