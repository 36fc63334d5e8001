//! Each TFLite operator on images: 500 random cases under every profile, the integer network against the
//! operator's own evaluation, which is written from its definition.

use ndarray::{ArrayD, Axis};
use systole_arith::border::BorderValue;
use systole_arith::join::TfliteJoin;
use systole_compiler::frontend::FrontOptions;
use systole_compiler::graph::ConstantData;
use systole_compiler::ops::arg_max::ArgMax;
use systole_compiler::ops::arithmetic::Arithmetic;
use systole_compiler::ops::average_pool_2d::AveragePool2d;
use systole_compiler::ops::concatenation::Concatenation;
use systole_compiler::ops::conv_2d::Conv2d;
use systole_compiler::ops::depthwise_conv_2d::DepthwiseConv2d;
use systole_compiler::ops::max_pool_2d::MaxPool2d;
use systole_compiler::ops::mean::Mean;
use systole_compiler::ops::pad::Pad;
use systole_compiler::ops::random::Random;
use systole_compiler::ops::reduce_max::ReduceMax;
use systole_compiler::ops::resize_nearest::ResizeNearest;
use systole_compiler::ops::tile::Tile;
use systole_compiler::ops::unary::Unary;
use systole_compiler::passes::lowering::ArgMaxPlace;
use systole_compiler::passes::{derive_exact_maps, lower_to_integers};
use systole_compiler::{CompileError, Graph, Profile, QuantGraph};

const PROFILES: [Profile; 4] = [Profile::Tflm, Profile::LitertRef, Profile::LitertOpt, Profile::Xnnpack];
const CASES: u64 = 500;
const SAMPLES: usize = 4;

fn lowered(graph: &Graph, profile: Profile) -> Result<QuantGraph, CompileError> {
    lowered_with(graph, profile, &FrontOptions::default())
}

fn lowered_with(graph: &Graph, profile: Profile, options: &FrontOptions) -> Result<QuantGraph, CompileError> {
    let options = FrontOptions { profile: Some(profile), ..options.clone() };
    let mut quant = lower_to_integers::run(graph, &options)?;
    derive_exact_maps::run(&mut quant)?;
    Ok(quant)
}

/// Values of every input for one sample, batch dimension included; the first samples hold extremes.
fn sample(graph: &Graph, random: &mut Random, index: usize) -> Vec<ArrayD<i64>> {
    let value = |&id| {
        let shape = &graph.tensor(id).shape;
        match index {
            0 => random.integers(shape, -128, -128),
            1 => random.integers(shape, 127, 127),
            _ => random.integers(shape, -128, 127),
        }
    };
    graph.inputs.iter().map(value).collect()
}

/// The host's value of the only output for one sample.
fn reference(quant: &QuantGraph, inputs: &[ArrayD<i64>]) -> Vec<i64> {
    let enter = |(position, value): (usize, &ArrayD<i64>)| {
        quant.run_border_in(position, BorderValue::Int(value.index_axis(Axis(0), 0).to_owned())).unwrap()
    };
    let inputs: Vec<_> = inputs.iter().enumerate().map(enter).collect();
    let values = quant.interpret(&inputs).unwrap();
    match quant.run_border_out(0, &values[quant.outputs[0].tensor.0 as usize]).unwrap() {
        BorderValue::Int(values) => values.iter().copied().collect(),
        BorderValue::Float(values) => panic!("floats: {values}"),
    }
}

/// [`holds_under`] every profile.
fn holds(operator: &str, case: impl Fn(u64) -> Result<Graph, CompileError>) -> Vec<(&'static str, usize)> {
    holds_under(|_| PROFILES.to_vec(), operator, case)
}

/// [`holds_with`] the default options.
fn holds_under(
    profiles: impl Fn(u64) -> Vec<Profile>,
    operator: &str,
    case: impl Fn(u64) -> Result<Graph, CompileError>,
) -> Vec<(&'static str, usize)> {
    holds_with(&FrontOptions::default(), profiles, operator, case)
}

/// Lowers random cases, each under the profiles that belong to its seed, and compares every sample; gives
/// the names of the integer operators that the cases became, each with its number.
fn holds_with(
    options: &FrontOptions,
    profiles: impl Fn(u64) -> Vec<Profile>,
    operator: &str,
    case: impl Fn(u64) -> Result<Graph, CompileError>,
) -> Vec<(&'static str, usize)> {
    let (mut compared, mut names) = (0, Vec::new());
    for seed in 0..CASES {
        let graph = case(seed).unwrap_or_else(|error| panic!("{operator}, seed {seed}: {error}"));
        assert_eq!(graph.verify(), Ok(()), "{operator}, seed {seed}");
        for profile in profiles(seed) {
            let at = format!("{operator}, seed {seed}, {profile}");
            let quant = lowered_with(&graph, profile, options).unwrap_or_else(|error| panic!("{at}: {error}\n{graph}"));
            assert_eq!(quant.verify(), Ok(()), "{at}\n{quant}");
            names.extend(quant.nodes.node_weights().map(|node| node.op.name()));
            let random = &mut Random::new(seed ^ 0xabcd);
            for index in 0..SAMPLES {
                let inputs = sample(&graph, random, index);
                let fed: Vec<_> = inputs.iter().cloned().map(ConstantData::Int).collect();
                let values = graph.interpret(profile, &fed).unwrap();
                let ConstantData::Int(expected) = &values[&graph.outputs[0]] else { panic!("{at}: floats") };
                let got = reference(&quant, &inputs);
                let expected: Vec<i64> = expected.iter().copied().collect();
                assert_eq!(got, expected, "{at}, sample {index}\n{graph}\n{quant}");
                compared += got.len();
            }
        }
    }
    names.sort();
    let counts: Vec<(&str, usize)> = names.chunk_by(|a, b| a == b).map(|same| (same[0], same.len())).collect();
    println!("{operator}: {compared} elements; {counts:?}");
    assert!(compared > 4000, "{operator}: {compared} elements");
    counts
}

/// Every integer operator that the cases must reach occurs.
fn names(counts: &[(&'static str, usize)], expected: &[&str]) {
    for kind in expected {
        assert!(counts.iter().any(|(name, count)| name == kind && *count >= 20), "{kind} is rare: {counts:?}");
    }
}

#[test]
fn lowered_convolutions_compute_what_the_operator_does() {
    names(&holds("CONV_2D", Conv2d::random_case), &["conv", "dense", "depthwise"]);
}

#[test]
fn lowered_depthwise_convolutions_compute_what_the_operator_does() {
    names(&holds("DEPTHWISE_CONV_2D", DepthwiseConv2d::random_case), &["conv", "dense", "depthwise"]);
}

#[test]
fn lowered_maximum_poolings_compute_what_the_operator_does() {
    names(&holds("MAX_POOL_2D", MaxPool2d::random_case), &["map", "pool"]);
}

#[test]
fn lowered_average_poolings_compute_what_the_operator_does() {
    names(&holds("AVERAGE_POOL_2D", AveragePool2d::random_case), &["pool"]);
}

#[test]
fn lowered_means_compute_what_the_operator_does() {
    names(&holds("MEAN", Mean::random_case), &["pool", "depthwise"]);
}

#[test]
fn lowered_paddings_compute_what_the_operator_does() {
    names(&holds("PAD", Pad::random_case), &["pad", "dense"]);
}

#[test]
fn lowered_concatenations_compute_what_the_operator_does() {
    names(&holds("CONCATENATION", Concatenation::random_case), &["concat", "splice"]);
}

#[test]
fn lowered_searches_for_the_greatest_element_compute_what_the_operator_does() {
    holds("ARG_MAX", ArgMax::random_case);
}

#[test]
fn searches_in_the_accelerator_compute_what_the_operator_does() {
    let options = FrontOptions { arg_max: ArgMaxPlace::Hardware, ..FrontOptions::default() };
    names(&holds_with(&options, |_| PROFILES.to_vec(), "ARG_MAX", ArgMax::random_case), &["arg_max"]);
}

#[test]
fn lowered_sums_differences_and_products_compute_what_the_operator_does() {
    for operation in [TfliteJoin::Add, TfliteJoin::Sub, TfliteJoin::Mul] {
        // Every exact map of two operands is derived over 65,536 pairs and derived again to verify it.
        let one = |seed: u64| PROFILES.iter().copied().skip(seed as usize % PROFILES.len()).take(1).collect();
        let counts = holds_under(one, &format!("{operation:?}"), |seed| Arithmetic::random_case(operation, seed));
        names(&counts, &["join", "map", "repeat"]);
    }
}

#[test]
fn lowered_enlargements_compute_what_the_operator_does() {
    names(&holds("RESIZE_NEAREST_NEIGHBOR", ResizeNearest::random_case), &["repeat"]);
}

#[test]
fn lowered_repetitions_compute_what_the_operator_does() {
    // TensorFlow Lite Micro has no TILE.
    let litert = |_| PROFILES[1..].to_vec();
    names(&holds_under(litert, "TILE", |seed| Tile::Tile.random_case(seed)), &["repeat"]);
    names(&holds("BROADCAST_TO", |seed| Tile::BroadcastTo.random_case(seed)), &["repeat"]);
    let refused = lowered(&Tile::Tile.random_case(0).unwrap(), Profile::Tflm).unwrap_err().to_string();
    assert!(refused.contains("node") && refused.contains("Micro"), "{refused}");
}

#[test]
fn lowered_maxima_over_rows_and_columns_compute_what_the_operator_does() {
    names(&holds("REDUCE_MAX", ReduceMax::random_case), &["pool"]);
}

#[test]
fn lowered_functions_of_one_element_compute_what_the_operator_does() {
    let slope = Unary::LeakyRelu { alpha: 0.0 };
    for function in [Unary::Relu, Unary::Relu6, slope, Unary::Prelu, Unary::HardSwish, Unary::Logistic, Unary::Tanh] {
        names(&holds(function.name(), |seed| function.random_case(seed)), &["map"]);
    }
    // TensorFlow Lite Micro has no such operator.
    let function = Unary::ReluN1To1;
    names(&holds_under(|_| PROFILES[1..].to_vec(), function.name(), |seed| function.random_case(seed)), &["map"]);
    let refused = lowered(&function.random_case(0).unwrap(), Profile::Tflm).unwrap_err().to_string();
    assert!(refused.contains("node") && refused.contains("tflm"), "{refused}");
}
