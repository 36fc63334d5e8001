//! The order of image elements: in the file channels first, in the accelerator channels innermost.

mod common;
mod onnx_builder;

use ndarray::{ArrayD, IxDyn};
use onnx_builder::{int, value_info, Model};
use systole_arith::border::BorderValue;
use systole_compiler::frontend::onnx::proto::AttributeProto;
use systole_compiler::frontend::{compile_front, FrontOptions};
use systole_compiler::QuantGraph;

/// Element type codes of the file.
const FLOAT: i32 = 1;
const INT8: i32 = 3;

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: Some(name.into()), ints: values.to_vec(), r#type: Some(7), ..AttributeProto::default() }
}

fn int8(model: &mut Model, name: &str, dims: &[i64], values: impl Iterator<Item = i64>) {
    model.constant(name, dims, INT8, values.map(|v| v as i8 as u8).collect());
}

/// Input `x` of int8, a scale of 1 and a zero point of 0: products are exact integers.
fn model(x: &[i64], output: (&str, &[i64], i32)) -> Model {
    let mut model = Model::new();
    model.input("x", x);
    model.graph().input[0] = typed(value_info("x", x), INT8);
    let (name, dims, element) = output;
    let info = typed(value_info(name, dims), element);
    model.graph().output.push(info);
    model.scalar("one", 1.0);
    int8(&mut model, "zero", &[], [0].into_iter());
    model
}

fn typed(
    mut info: systole_compiler::frontend::onnx::proto::ValueInfoProto,
    element: i32,
) -> systole_compiler::frontend::onnx::proto::ValueInfoProto {
    if let Some(tensor) = info.r#type.as_mut().and_then(|t| t.tensor_type.as_mut()) {
        tensor.elem_type = Some(element);
    }
    info
}

fn compiled(model: &Model) -> Result<QuantGraph, String> {
    compile_front(&model.bytes(), &FrontOptions::default()).map_err(|error| error.to_string())
}

/// What the network makes of the numbers 0, 1, 2, ... modulo 5 in the file's order.
fn run(quant: &QuantGraph, shape: &[usize]) -> Vec<i64> {
    let count: usize = shape.iter().product();
    let input = ArrayD::from_shape_vec(IxDyn(shape), (0..count as i64).map(|v| v % 5).collect()).unwrap();
    let stored = quant.run_border_in(0, BorderValue::Int(input)).unwrap();
    let values = quant.interpret(&[stored]).unwrap();
    match quant.run_border_out(0, &values[quant.outputs[0].tensor.0 as usize]).unwrap() {
        BorderValue::Int(values) => values.into_iter().collect(),
        BorderValue::Float(values) => values.into_iter().map(|v| v as i64).collect(),
    }
}

/// `x -> MaxPool of one pixel -> y`: an image that nothing changes.
fn kept(model: &mut Model, from: &str, to: &str) {
    model.node("keep", "MaxPool", &[from], &[to]).attribute = vec![ints("kernel_shape", &[1, 1])];
}

#[test]
fn an_image_that_nothing_changes_leaves_as_it_came() {
    let mut image = model(&[1, 3, 2, 4], ("y", &[1, 3, 2, 4], INT8));
    kept(&mut image, "x", "y");
    let quant = compiled(&image).unwrap();
    assert_eq!(quant.tensor(quant.inputs[0].tensor).shape, [2, 4, 3]);
    assert_eq!(run(&quant, &[3, 2, 4]), (0..24).map(|v| v % 5).collect::<Vec<i64>>());
}

#[test]
fn a_sequence_is_held_channels_innermost_too() {
    let mut sequence = model(&[1, 3, 4], ("y", &[1, 3, 4], INT8));
    sequence.node("keep", "MaxPool", &["x"], &["y"]).attribute = vec![ints("kernel_shape", &[1])];
    let quant = compiled(&sequence).unwrap();
    assert_eq!(quant.tensor(quant.inputs[0].tensor).shape, [4, 3]);
    assert_eq!(run(&quant, &[3, 4]), (0..12).map(|v| v % 5).collect::<Vec<i64>>());
}

/// `Flatten` behind the image, then a product with weights that all differ.
#[test]
fn a_product_behind_a_flattened_image_permutes_its_weights() {
    let mut network = model(&[1, 3, 2, 2], ("y", &[1, 2], FLOAT));
    let weights: Vec<i64> = (0..24).map(|i| i * 7 % 11 - 5).collect();
    int8(&mut network, "w", &[12, 2], weights.iter().copied());
    kept(&mut network, "x", "image");
    network.node("flat", "Flatten", &["image"], &["row"]);
    network.node("product", "MatMulInteger", &["row", "w", "zero", "zero"], &["sums"]);
    network.node("real", "Cast", &["sums"], &["y"]).attribute = vec![int("to", 1)];
    let got = run(&compiled(&network).unwrap(), &[3, 2, 2]);
    let expected = (0..2).map(|m| (0..12).map(|i| (i % 5) * weights[(i * 2 + m) as usize]).sum()).collect::<Vec<i64>>();
    assert_eq!(got, expected);
}

#[test]
fn a_flattened_image_leaves_in_the_files_order() {
    let mut network = model(&[1, 3, 2, 2], ("y", &[1, 12], INT8));
    kept(&mut network, "x", "image");
    network.node("flat", "Flatten", &["image"], &["y"]);
    assert_eq!(run(&compiled(&network).unwrap(), &[3, 2, 2]), (0..12).map(|v| v % 5).collect::<Vec<i64>>());
}

#[test]
fn transpositions_between_channels_first_and_last_move_nothing() {
    let mut network = model(&[1, 2, 4, 3], ("y", &[1, 2, 4, 3], INT8));
    network.node("first", "Transpose", &["x"], &["image"]).attribute = vec![ints("perm", &[0, 3, 1, 2])];
    kept(&mut network, "image", "kept");
    network.node("last", "Transpose", &["kept"], &["y"]).attribute = vec![ints("perm", &[0, 2, 3, 1])];
    let quant = compiled(&network).unwrap();
    let inputs: Vec<String> = quant.inputs[0].operations.iter().map(|op| op.to_string()).collect();
    assert_eq!(run(&quant, &[2, 4, 3]), (0..24).map(|v| v % 5).collect::<Vec<i64>>());
    let outputs: Vec<String> = quant.outputs[0].operations.iter().map(|op| op.to_string()).collect();
    assert!(!inputs.iter().chain(&outputs).any(|op| op.contains("transpose")), "{inputs:?}, {outputs:?}");
}

#[test]
fn a_convolution_on_a_reordered_tensor_is_refused_with_a_remedy() {
    let mut network = model(&[1, 3, 2, 2], ("y", &[1, 2, 3, 2], INT8));
    kept(&mut network, "x", "image");
    network.ints("shape", &[1, 2, 3, 2]);
    network.node("view", "Reshape", &["image", "shape"], &["other"]);
    network.node("pool", "MaxPool", &["other"], &["y"]).attribute = vec![ints("kernel_shape", &[1, 1])];
    let error = compiled(&network).unwrap_err();
    assert!(
        error.contains("`pool`") && error.contains("in another order") && error.contains("borders only"),
        "{error}"
    );
}
