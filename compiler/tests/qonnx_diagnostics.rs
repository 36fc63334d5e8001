//! What cannot be lowered is refused with the node, the numbers and a remedy.

mod onnx_builder;

use onnx_builder::{int, value_info, Model};
use std::collections::HashMap;
use systole_arith::IntType;
use systole_compiler::frontend::{compile_front, FrontOptions};
use systole_compiler::passes::lowering::InputType;

fn refusal(model: &Model, input_types: &[(&str, InputType)]) -> String {
    let input_types: HashMap<String, InputType> = input_types.iter().map(|(n, t)| (n.to_string(), *t)).collect();
    match compile_front(
        &model.bytes(),
        &FrontOptions { name: "m".into(), profile: None, input_types, ..FrontOptions::default() },
    ) {
        Ok(graph) => panic!("accepted:\n{graph}"),
        Err(error) => error.to_string(),
    }
}

fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
}

/// The builder's layer with its last quantizer taken away: the last tensor is `r`.
fn open_layer() -> Model {
    let mut model = Model::layer();
    model.graph().node.pop();
    model.graph().output[0] = value_info("r", &[1, 2]);
    model
}

#[test]
fn the_layer_itself_compiles_closed_and_open() {
    for model in [Model::layer(), open_layer()] {
        assert!(compile_front(&model.bytes(), &FrontOptions::default()).is_ok());
    }
}

#[test]
fn a_sum_with_an_unquantized_result_is_refused() {
    let mut model = open_layer();
    model.graph().node.pop();
    model.node("skip", "Add", &["s", "p"], &["r"]);
    says(&refusal(&model, &[]), &["`skip`", "`product`", "put a Quant or BipolarQuant in front"]);
}

#[test]
fn a_second_quantizer_of_another_scale_is_a_table() {
    let mut model = Model::layer();
    model.scalar("other", 0.5);
    model.graph().output[0] = value_info("z", &[1, 2]);
    model.quant("again", "y", "z");
    assert!(
        compile_front(&model.bytes(), &FrontOptions::default()).is_ok(),
        "the same quantizer twice changes nothing"
    );
    model.graph().node.last_mut().unwrap().input[1] = "other".into();
    let graph = compile_front(&model.bytes(), &FrontOptions::default()).unwrap();
    let ops: Vec<&str> = graph.order().unwrap().into_iter().map(|index| graph.nodes[index].op.name()).collect();
    assert_eq!(ops, ["dense", "map"]);
}

#[test]
fn an_input_type_beside_an_input_quantizer_is_refused() {
    let fixed = InputType::Fixed { bits: 8, integer_bits: 3 };
    says(&refusal(&Model::layer(), &[("x", fixed)]), &["`input_quant`", "leave out --input-type x"]);
    says(&refusal(&Model::layer(), &[("z", fixed)]), &["`z`", "the inputs are x"]);
}

#[test]
fn absurd_input_types_are_refused() {
    let mut model = Model::layer();
    model.graph().node[2].input[0] = "x".into();
    for chosen in [
        InputType::Fixed { bits: 0, integer_bits: 0 },
        InputType::Fixed { bits: 33, integer_bits: 6 },
        InputType::Fixed { bits: 8, integer_bits: i32::MAX },
        InputType::Integer(IntType::Signed(40)),
    ] {
        says(&refusal(&model, &[("x", chosen)]), &["`x`", "use 1 to 32 bits"]);
    }
}

#[test]
fn a_product_of_an_unquantized_result_is_refused() {
    let mut model = open_layer();
    model.floats("w2", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    model.node("second", "MatMul", &["r", "w2"], &["t"]);
    model.graph().output[0] = value_info("t", &[1, 2]);
    says(&refusal(&model, &[]), &["`second`", "`product`", "put a Quant or BipolarQuant in front"]);
}

#[test]
fn weights_that_are_no_integers_are_refused_and_dyadic_ones_are_not() {
    let mut model = Model::layer();
    model.graph().node[2].input[1] = "w".into();
    assert!(compile_front(&model.bytes(), &FrontOptions::default()).is_ok(), "quarters are integers times 2^-2");
    model.graph().initializer[3].raw_data =
        Some([0.1f32, 0.2, 0.3, 0.4, 0.5, 0.6].iter().flat_map(|v| v.to_le_bytes()).collect());
    says(&refusal(&model, &[]), &["`product`", "`w`", "16 bits", "put a Quant node behind the weights"]);
}

#[test]
fn weight_scales_along_the_inputs_are_refused_unless_they_are_powers_of_two() {
    let mut model = Model::layer();
    model.floats("scales", &[3, 1], &[0.25, 0.5, 1.0]);
    model.graph().node[1].input[1] = "scales".into();
    assert!(compile_front(&model.bytes(), &FrontOptions::default()).is_ok());
    model.graph().initializer.last_mut().unwrap().raw_data =
        Some([0.25f32, 0.3, 1.0].iter().flat_map(|v| v.to_le_bytes()).collect());
    says(&refusal(&model, &[]), &["`product`", "scales along the outputs"]);
}

#[test]
fn operators_behind_the_hosts_are_refused() {
    let mut model = open_layer();
    model.node("softmax", "Softmax", &["r"], &["p1"]);
    model.quant("late", "p1", "z");
    model.graph().output[0] = value_info("z", &[1, 2]);
    says(&refusal(&model, &[]), &["`late`", "the host", "behind the last quantizer"]);
}

#[test]
fn a_transposition_at_the_input_is_the_hosts_and_one_that_moves_the_batch_is_refused() {
    let mut model = Model::layer();
    model.graph().output[0] = value_info("z", &[1, 1, 2]);
    model.ints("axes", &[1]);
    model.node("up", "Unsqueeze", &["y", "axes"], &["u"]);
    model.node("turn", "Transpose", &["u"], &["z"]).attribute = vec![ints("perm", &[1, 0, 2])];
    assert!(compile_front(&model.bytes(), &FrontOptions::default()).is_ok());
    let turned = |dims: &[i64], perm: &[i64]| {
        let mut model = Model::layer();
        model.graph().input[0] = value_info("x", dims);
        model.graph().output[0] = value_info("y", &[1, 2, 2]);
        model.node("turn", "Transpose", &["x"], &["turned"]).attribute = vec![ints("perm", perm)];
        model.graph().node[0].input[0] = "turned".into();
        model
    };
    let quant = compile_front(&turned(&[1, 3, 2], &[0, 2, 1]).bytes(), &FrontOptions::default()).unwrap();
    assert_eq!(quant.inputs[0].operations[0].to_string(), "transpose [1, 0]");
    let mut batch = Model::new();
    batch.input("x", &[1, 3, 2]).output("y", &[2, 3, 1]);
    batch.node("turn", "Transpose", &["x"], &["y"]).attribute = vec![ints("perm", &[2, 1, 0])];
    says(&refusal(&batch, &[]), &["`turn`", "moves the batch"]);
}

#[test]
fn impossible_constants_are_refused_by_node() {
    let mut zero = open_layer();
    zero.scalar("nothing", 0.0);
    zero.graph().node[4] = Model::new().node("div", "Div", &["s", "nothing"], &["r"]).clone();
    says(&refusal(&zero, &[]), &["`div`", "divides by 0"]);
    let mut infinite = open_layer();
    infinite.graph().initializer[4].raw_data =
        Some([f32::INFINITY, 1.0].iter().flat_map(|v| v.to_le_bytes()).collect());
    says(&refusal(&infinite, &[]), &["`bias`", "finite"]);
    let mut variance = open_layer();
    variance.floats("one", &[2], &[1.0, 1.0]).floats("bad", &[2], &[1.0, -2.0]);
    variance.graph().node[4] =
        Model::new().node("norm", "BatchNormalization", &["s", "one", "one", "one", "bad"], &["r"]).clone();
    says(&refusal(&variance, &[]), &["`norm`", "variance -2", "not positive"]);
}

#[test]
fn the_dimension_of_a_head_must_be_the_innermost() {
    let mut model = open_layer();
    model.graph().output[0] = value_info("z", &[1, 1, 2]);
    model.ints("axes", &[1]);
    model.node("up", "Unsqueeze", &["r", "axes"], &["u"]);
    model.node("soft", "Softmax", &["u"], &["z"]).attribute = vec![int("axis", 1)];
    says(&refusal(&model, &[]), &["`soft`", "innermost dimension"]);
}

#[test]
fn an_output_that_is_an_input_or_constant_is_refused() {
    let mut input = Model::layer();
    input.output("x", &[1, 3]);
    says(&refusal(&input, &[]), &["`x`"]);
    let mut constant = Model::layer();
    constant.output("w", &[3, 2]);
    says(&refusal(&constant, &[]), &["`w`", "does not depend on any input"]);
}

fn ints(name: &str, values: &[i64]) -> systole_compiler::frontend::onnx::proto::AttributeProto {
    let mut attribute = int(name, 0);
    (attribute.i, attribute.ints, attribute.r#type) = (None, values.to_vec(), Some(7));
    attribute
}
