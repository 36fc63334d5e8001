//! Each operator of quantized ONNX and QONNX images: 500 random cases, the integer network against the imported
//! operator's own evaluation, and schedules of them in the hardware's arithmetic and clock by clock.

mod common;
mod networks;

use common::hardware::{holds, schedule_at_least};
use networks::onnx::{Form, Layer};
use networks::{bits, evaluated, imported, lowered, onnx, qonnx, sample, stored};
use std::collections::BTreeMap;
use systole_compiler::ops::random::Random;
use systole_compiler::{Graph, Profile, QuantGraph};

const CASES: u64 = 500;
const SAMPLES: usize = 4;
const BUDGETS: [u64; 4] = [1, 5, 30, 300];
/// Every how many cases the hardware is evaluated clock by clock.
const CLOCKED: u64 = 8;

/// What the cases of an operator came to.
#[derive(Default)]
struct Account {
    reference: usize,
    hardware: usize,
    /// Integer operators that the cases became, each with its number.
    operators: BTreeMap<&'static str, usize>,
}

impl Account {
    /// Holds a case's integer network against what `expected` evaluates, and its schedule against the integer network.
    fn take(&mut self, at: &str, seed: u64, expected: (&Graph, Profile), quant: &QuantGraph) {
        assert_eq!(quant.verify(), Ok(()), "{at}\n{quant}");
        let random = &mut Random::new(!seed);
        let mut samples = Vec::new();
        for index in 0..SAMPLES {
            let inputs = sample(expected.0, random, index);
            let elements = stored(quant, &inputs);
            let values = quant.interpret(&elements).unwrap_or_else(|error| panic!("{at}: {error}"));
            let stream = &values[quant.outputs[0].tensor.0 as usize];
            let got = bits(&quant.run_border_out(0, stream).unwrap_or_else(|error| panic!("{at}: {error}")));
            let wanted = evaluated(expected.0, expected.1, &inputs);
            assert_eq!(got, wanted, "{at}, sample {index}\n{}\n{quant}", expected.0);
            self.reference += got.len();
            samples.push(elements);
        }
        quant.nodes.node_weights().for_each(|node| *self.operators.entry(node.op.name()).or_default() += 1);
        if quant.nodes.node_count() > 0 {
            let budget = BUDGETS[seed as usize % BUDGETS.len()];
            let design = schedule_at_least(quant, budget);
            let at = format!("{at}, budget {budget}");
            self.hardware += holds(&at, quant, &design, &samples, seed.is_multiple_of(CLOCKED));
        }
    }

    /// At least these integer operators occur, none of them rarely.
    fn close(self, name: &str, expected: &[&str]) {
        let Account { reference, hardware, operators } = self;
        println!("{name}: {reference} elements, {hardware} in hardware; {operators:?}");
        assert!(reference > 5_000 && hardware > 10_000, "{name}: {reference} and {hardware} elements");
        let found = |kind: &&str| operators.get(kind).is_some_and(|&count| count >= 20);
        assert!(expected.iter().all(found), "{name}: {expected:?} in {operators:?}");
    }
}

/// Both forms of an operator of ONNX, whose results the QLinear operators' evaluation gives.
fn quantized(layer: Layer, expected: &[&str]) {
    let mut account = Account::default();
    for seed in 0..CASES {
        let at = |form: Form| format!("{layer:?}, {form:?}, seed {seed}");
        let graph = |form: Form| {
            let bytes = onnx::single("n", layer, seed, form);
            imported("random", &bytes).unwrap_or_else(|error| panic!("{}: {error}", at(form)))
        };
        let operator = graph(Form::QOperator);
        // One form of each case in full, the other every third time.
        let first = if seed % 2 == 0 { Form::QOperator } else { Form::Qdq };
        let second = if seed % 2 == 0 { Form::Qdq } else { Form::QOperator };
        for form in [first, second].into_iter().take(1 + usize::from(seed % 3 == 0)) {
            let graph = graph(form);
            let quant = lowered(&graph, Profile::Ort).unwrap_or_else(|error| panic!("{}: {error}\n{graph}", at(form)));
            account.take(&at(form), seed, (&operator, Profile::Ort), &quant);
        }
    }
    account.close(&format!("{layer:?}"), expected);
}

/// A layer of QONNX, on numbers on which float32 is exact.
fn exact(layer: qonnx::Layer, expected: &[&str]) {
    let mut account = Account::default();
    for seed in 0..CASES {
        let at = format!("QONNX {layer:?}, seed {seed}");
        let graph = imported("random", &qonnx::single("n", layer, seed)).unwrap_or_else(|e| panic!("{at}: {e}"));
        let quant = lowered(&graph, Profile::Qonnx).unwrap_or_else(|error| panic!("{at}: {error}\n{graph}"));
        account.take(&at, seed, (&graph, Profile::Qonnx), &quant);
    }
    account.close(&format!("QONNX {layer:?}"), expected);
}

#[test]
fn quantized_convolutions_compute_what_the_operator_does() {
    quantized(Layer::Conv, &["conv", "depthwise"]);
}

#[test]
fn quantized_poolings_compute_what_the_operator_does() {
    quantized(Layer::MaxPool, &["pool"]);
    quantized(Layer::AveragePool, &["pool"]);
    quantized(Layer::GlobalAveragePool, &["pool"]);
}

#[test]
fn quantized_sums_and_products_of_tensors_compute_what_the_operator_does() {
    quantized(Layer::Add, &["join", "conv"]);
    quantized(Layer::Mul, &["join", "conv"]);
}

#[test]
fn quantized_concatenations_compute_what_the_operator_does() {
    quantized(Layer::Concat, &["concat", "map"]);
}

#[test]
fn quantized_functions_of_one_element_compute_what_the_operator_does() {
    quantized(Layer::Sigmoid, &["map"]);
    quantized(Layer::LeakyRelu, &["map"]);
}

#[test]
fn quantized_matrix_products_compute_what_the_operator_does() {
    quantized(Layer::Gemm, &["dense"]);
    quantized(Layer::MatMul, &["dense"]);
}

#[test]
fn convolutions_between_quantizers_compute_what_the_operators_do() {
    exact(qonnx::Layer::Conv, &["conv"]);
    exact(qonnx::Layer::Depthwise, &["depthwise"]);
}

#[test]
fn poolings_between_quantizers_compute_what_the_operators_do() {
    exact(qonnx::Layer::MaxPool, &["pool"]);
    exact(qonnx::Layer::AveragePool, &["pool"]);
}

#[test]
fn functions_of_each_element_between_quantizers_compute_what_the_operators_do() {
    exact(qonnx::Layer::BatchNormalization, &["map"]);
    exact(qonnx::Layer::Elementwise, &["map"]);
    exact(qonnx::Layer::Trunc, &["map"]);
}

#[test]
fn joins_between_quantizers_compute_what_the_operators_do() {
    exact(qonnx::Layer::Residual, &["join", "conv"]);
    exact(qonnx::Layer::Concat, &["concat", "conv"]);
}
