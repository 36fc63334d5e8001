//! Each TFLite operator: lowering to integers against the operator's own evaluation.

mod common;

use common::run;
use ndarray::{ArrayD, Axis, IxDyn};
use systole_arith::border::BorderValue;
use systole_bundle::Array;
use systole_compiler::frontend::FrontOptions;
use systole_compiler::graph::{ConstantData, ElementType};
use systole_compiler::ops::dequantize::Dequantize;
use systole_compiler::ops::fully_connected::FullyConnected;
use systole_compiler::ops::quantize::Quantize;
use systole_compiler::ops::random::Random;
use systole_compiler::ops::reshape::Reshape;
use systole_compiler::ops::softmax::Softmax;
use systole_compiler::passes::{derive_exact_maps, lower_to_integers};
use systole_compiler::{CompileError, Graph, Profile, QuantGraph};

const PROFILES: [Profile; 4] = [Profile::Tflm, Profile::LitertRef, Profile::LitertOpt, Profile::Xnnpack];
const CASES: u64 = 60;
const SAMPLES: usize = 4;

fn lowered(graph: &Graph, profile: Profile) -> Result<QuantGraph, CompileError> {
    let options = FrontOptions { profile: Some(profile), ..FrontOptions::default() };
    let mut quant = lower_to_integers::run(graph, &options)?;
    derive_exact_maps::run(&mut quant)?;
    Ok(quant)
}

/// Samples of the only input, `[N, ...]` without the batch dimension, with both extremes.
fn samples(graph: &Graph, random: &mut Random) -> Array {
    let tensor = graph.tensor(graph.inputs[0]);
    let shape: Vec<usize> = [SAMPLES].into_iter().chain(tensor.shape[1..].iter().copied()).collect();
    if tensor.element == ElementType::Float32 {
        return Array::Float(random.integers(&shape, -4000, 4000).mapv(|v| v as f32 / 16.0));
    }
    let mut values = random.integers(&shape, -128, 127);
    values.index_axis_mut(Axis(0), 0).fill(-128);
    values.index_axis_mut(Axis(0), 1).fill(127);
    Array::Int(values, "int8".into())
}

fn batched(array: &Array, index: usize) -> ConstantData {
    match array {
        Array::Int(values, _) => ConstantData::Int(values.index_axis(Axis(0), index).insert_axis(Axis(0)).to_owned()),
        Array::Float(values) => ConstantData::Float(values.index_axis(Axis(0), index).insert_axis(Axis(0)).to_owned()),
    }
}

fn flat_bits(value: &ConstantData) -> Vec<i64> {
    match value {
        ConstantData::Int(values) => values.iter().copied().collect(),
        ConstantData::Float(values) => values.iter().map(|v| i64::from(v.to_bits())).collect(),
    }
}

/// Lowers random cases of an operator under every profile and compares every sample; gives the
/// number of elements compared.
fn holds(operator: &str, case: impl Fn(u64) -> Result<Graph, CompileError>) -> usize {
    let mut compared = 0;
    for seed in 0..CASES {
        let graph = case(seed).unwrap();
        assert_eq!(graph.verify(), Ok(()), "{operator}, seed {seed}");
        for profile in PROFILES {
            let quant = match lowered(&graph, profile) {
                Ok(quant) => quant,
                Err(error) => panic!("{operator}, seed {seed}, {profile}: {error}\n{graph}"),
            };
            assert_eq!(quant.verify(), Ok(()), "{operator}, seed {seed}, {profile}\n{quant}");
            let inputs = samples(&graph, &mut Random::new(seed ^ 0xabcd));
            let reference = run(&quant, &inputs).unwrap();
            for (index, got) in reference.host.iter().enumerate() {
                let values = graph.interpret(profile, &[batched(&inputs, index)]).unwrap();
                let expected = flat_bits(&values[&graph.outputs[0]]);
                let got = flat_bits(&match got {
                    BorderValue::Int(values) => ConstantData::Int(values.clone()),
                    BorderValue::Float(values) => ConstantData::Float(values.clone()),
                });
                assert_eq!(got, expected, "{operator}, seed {seed}, {profile}, sample {index}\n{quant}");
                compared += expected.len();
            }
        }
    }
    println!("{operator}: {compared} elements");
    compared
}

#[test]
fn lowered_fully_connected_layers_compute_what_the_operator_does() {
    assert!(holds("FULLY_CONNECTED", FullyConnected::random_case) > 1000);
}

#[test]
fn lowered_reshapes_compute_what_the_operator_does() {
    assert!(holds("RESHAPE", Reshape::random_case) > 1000);
}

#[test]
fn lowered_softmaxes_compute_what_the_operator_does() {
    assert!(holds("SOFTMAX", Softmax::random_case) > 1000);
}

#[test]
fn lowered_quantizers_compute_what_the_operator_does() {
    assert!(holds("QUANTIZE", Quantize::random_case) > 1000);
}

#[test]
fn lowered_dequantizers_compute_what_the_operator_does() {
    assert!(holds("DEQUANTIZE", Dequantize::random_case) > 1000);
}

/// One lowered layer with its exact map.
fn layer(seed: u64) -> QuantGraph {
    lowered(&FullyConnected::random_case(seed).unwrap(), Profile::Tflm).unwrap()
}

/// `verify` of a layer after a change that must not pass.
fn broken(edit: impl Fn(&mut QuantGraph)) -> String {
    let mut quant = layer(3);
    assert_eq!(quant.verify(), Ok(()));
    edit(&mut quant);
    quant.verify().expect_err("the change passes")
}

fn dense(quant: &mut QuantGraph) -> &mut systole_compiler::quant::Dense {
    let dense = quant.nodes.node_weights_mut().find_map(|node| node.op.product_mut());
    dense.expect("a dense node")
}

#[test]
fn verify_finds_every_broken_guarantee() {
    use systole_arith::{IntType, Range};
    use systole_compiler::quant::TensorId;
    assert!(broken(|q| q.tensors[1].name = q.tensors[0].name.clone()).contains("two have this name"));
    assert!(broken(|q| q.outputs[0].tensor = TensorId(99)).contains("tensor 99"));
    assert!(broken(|q| q.outputs.clear()).contains("0 outputs"));
    assert!(broken(|q| q.outputs[0].host_shape.push(2)).contains("host has shape"));
    assert!(broken(|q| q.tensors[0].range = Range::new(-200, 3)).contains("not within"));
    assert!(broken(|q| q.tensors[0].element = IntType::Signed(90)).contains("no type of a stream"));
    assert!(broken(|q| q.tensors[0].shape.push(0)).contains("elements"));
    assert!(broken(|q| q.tensors.push(q.tensors[0].clone())).contains("name"));
    assert!(broken(|q| dense(q).weight_type = IntType::Unsigned(1)).contains("weight"));
    assert!(broken(|q| dense(q).bias.push(0)).contains("biases"));
    assert!(broken(|q| dense(q).bias[0] += 1 << 14).contains("other accumulators"));
    assert!(broken(|q| dense(q).map = None).contains("not been derived"));
    assert!(broken(|q| q.tensors[0].range.hi -= 1).contains("other accumulators"));
    assert!(broken(|q| {
        let channel = dense(q).map.as_mut().unwrap().channels.iter_mut().find(|c| !c.edges.is_empty()).unwrap();
        let moved = channel.edges[0] - 1;
        channel.edges[0] = if moved > channel.domain.lo { moved } else { moved + 2 };
    })
    .contains("channel"));
    assert!(broken(|q| {
        q.nodes.clear_edges();
        let mut node = q.nodes.node_weights().next().unwrap().clone();
        node.name = "again".into();
        q.nodes.add_node(node);
    })
    .contains("2 sources"));
}

#[test]
fn inputs_outside_their_range_or_shape_are_refused() {
    let quant = layer(3);
    let shape = IxDyn(&quant.tensors[quant.inputs[0].tensor.0 as usize].shape);
    assert!(quant.interpret(&[ArrayD::from_elem(shape.clone(), 127)]).is_ok());
    assert!(quant.interpret(&[ArrayD::from_elem(shape.clone(), 128)]).unwrap_err().to_string().contains("128"));
    assert!(quant.interpret(&[ArrayD::from_elem(IxDyn(&[7, 7, 7]), 0)]).is_err());
    assert!(quant.interpret(&[]).unwrap_err().to_string().contains("0 arrays for 1 inputs"));
    let floats = BorderValue::Float(ArrayD::zeros(shape));
    assert!(quant.run_border_in(0, floats).unwrap_err().to_string().contains("int8"));
}
