//! Random QONNX networks on dyadic numbers, where float32 is exact: the imported network, evaluated
//! operator by operator, and the integer network with its borders must agree on every element.

mod onnx_builder;

use ndarray::{ArrayD, Axis, IxDyn};
use onnx_builder::{int, text, Model};
use proptest::prelude::*;
use systole_arith::border::BorderValue;
use systole_compiler::frontend::{compile_front, import, FrontOptions};
use systole_compiler::graph::ConstantData;
use systole_compiler::ops::random::Random;
use systole_compiler::passes::fold_constants;
use systole_compiler::Profile;

const ROUNDINGS: [&str; 7] = ["ROUND", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN"];
const QONNX: &str = "qonnx.custom_op.general";

/// A network under construction: the name of the last tensor, and how many names were given.
struct Network {
    model: Model,
    random: Random,
    last: String,
    names: usize,
}

impl Network {
    fn name(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{stem}{}", self.names)
    }

    fn scalar(&mut self, value: f32) -> String {
        let name = self.name("c");
        self.model.scalar(&name, value);
        name
    }

    /// A dyadic number `k / 8`, not 0.
    fn eighths(&mut self, limit: i64) -> f32 {
        let k = self.random.within(1, limit) * self.random.pick(&[-1, 1]);
        k as f32 / 8.0
    }

    fn vector(&mut self, length: usize, limit: i64) -> String {
        let values: Vec<f32> = (0..length).map(|_| self.eighths(limit)).collect();
        let name = self.name("v");
        self.model.floats(&name, &[length as i64], &values);
        name
    }

    fn node(&mut self, op: &str, others: &[&str]) {
        let (name, output) = (self.name(op), self.name("t"));
        let last = self.last.clone();
        let inputs: Vec<&str> = [last.as_str()].into_iter().chain(others.iter().copied()).collect();
        self.model.node(&name, op, &inputs, &[&output]);
        self.last = output;
    }

    /// A Quant of `from` with a power of two as scale.
    fn quant(&mut self, from: &str, bits: i64, signed: bool, zero: f32) -> String {
        let power = self.random.within(-3, 0);
        let scale = self.scalar(2f32.powi(power as i32));
        let (zero, width) = (self.scalar(zero), self.scalar(bits as f32));
        let (name, output) = (self.name("Quant"), self.name("q"));
        let rounding = self.random.pick(&ROUNDINGS);
        let narrow = self.random.within(0, 1);
        let node = self.model.node(&name, "Quant", &[from, &scale, &zero, &width], &[&output]);
        node.domain = Some(QONNX.into());
        node.attribute = vec![int("signed", i64::from(signed)), int("narrow", narrow), text("rounding_mode", rounding)];
        output
    }

    /// Closes the last tensor by one of the quantizers.
    fn close(&mut self) {
        let last = self.last.clone();
        match self.random.within(0, 5) {
            0 => self.node("Sign", &[]),
            1 => {
                let scale = self.scalar(0.5);
                let (name, output) = (self.name("BipolarQuant"), self.name("b"));
                let node = self.model.node(&name, "BipolarQuant", &[&last, &scale], &[&output]);
                node.domain = Some(QONNX.into());
                self.last = output;
            }
            kind => {
                let bits = self.random.within(2, 5);
                let zero = if kind == 2 { self.random.within(-2, 2) as f32 } else { 0.0 };
                let signed = self.random.within(0, 1) == 1;
                self.last = self.quant(&last, bits, signed, zero);
            }
        }
    }

    /// A product with quantized weights, then operators on its result.
    fn layer(&mut self, inputs: usize, outputs: usize) {
        let values: Vec<f32> = (0..inputs * outputs).map(|_| self.eighths(20)).collect();
        let weights = self.name("w");
        self.model.floats(&weights, &[inputs as i64, outputs as i64], &values);
        let bits = self.random.within(2, 4);
        let quantized = self.quant(&weights, bits, true, 0.0);
        self.node("MatMul", &[&quantized]);
        for _ in 0..self.random.size(0, 4) {
            match self.random.within(0, 5) {
                0 => {
                    let bias = self.vector(outputs, 40);
                    self.node("Add", &[&bias]);
                }
                1 => {
                    let bias = self.scalar(0.375);
                    self.node("Sub", &[&bias]);
                }
                2 => {
                    let factor = self.random.pick(&[-2.0, -0.5, 0.5, 2.0]);
                    let factor = self.scalar(factor);
                    let op = self.random.pick(&["Mul", "Div"]);
                    self.node(op, &[&factor]);
                }
                3 => {
                    let factors: Vec<f32> = (0..outputs).map(|_| self.random.pick(&[-1.0, 0.5, 2.0])).collect();
                    let name = self.name("v");
                    self.model.floats(&name, &[1, outputs as i64], &factors);
                    self.node("Mul", &[&name]);
                }
                4 => self.node("Relu", &[]),
                _ => self.node("Identity", &[]),
            }
        }
    }
}

/// The bytes of a network of 1 to 3 layers and its number of inputs.
fn network(seed: u64) -> (Vec<u8>, usize) {
    let mut random = Random::new(seed);
    let inputs = random.size(1, 9);
    let mut network = Network { model: Model::new(), random, last: "x".into(), names: 0 };
    network.model.input("x", &[1, inputs as i64]);
    network.close();
    let layers = network.random.size(1, 3);
    let mut width = inputs;
    for layer in 1..=layers {
        let outputs = network.random.size(1, 7);
        network.layer(width, outputs);
        width = outputs;
        if layer < layers || network.random.within(0, 1) == 1 {
            network.close();
        }
    }
    let last = network.last.clone();
    network.model.output(&last, &[1, width as i64]);
    (network.model.bytes(), inputs)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn integers_and_the_imported_network_agree(seed in any::<u64>()) {
        let (bytes, inputs) = network(seed);
        let options = FrontOptions { name: "random".into(), profile: Some(Profile::Qonnx), ..FrontOptions::default() };
        let quant = compile_front(&bytes, &options).map_err(|e| TestCaseError::fail(format!("seed {seed}: {e}")))?;
        let mut graph = import(&bytes, &options).unwrap();
        fold_constants::run(&mut graph).unwrap();
        let mut random = Random::new(!seed);
        for sample in 0..12 {
            let host = ArrayD::from_shape_fn(IxDyn(&[1, inputs]), |_| random.within(-40, 40) as f32 / 8.0);
            let values = graph.interpret(Profile::Qonnx, &[ConstantData::Float(host.clone())]).unwrap();
            let Some(ConstantData::Float(expected)) = values.get(&graph.outputs[0]) else { panic!("no output") };
            let stored = quant.run_border_in(0, BorderValue::Float(host.index_axis_move(Axis(0), 0))).unwrap();
            let integers = quant.interpret(&[stored]).unwrap();
            let stream = &integers[quant.outputs[0].tensor.0 as usize];
            let BorderValue::Float(got) = quant.run_border_out(0, stream).unwrap() else { panic!("no floats") };
            let pairs: Vec<(f32, f32)> = got.iter().copied().zip(expected.iter().copied()).collect();
            prop_assert_eq!(got.len(), expected.len());
            prop_assert!(pairs.iter().all(|(a, b)| a == b), "seed {} sample {}: {:?}\n{}", seed, sample, pairs, quant);
        }
    }
}
