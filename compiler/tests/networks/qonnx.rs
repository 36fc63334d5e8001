//! Random QONNX networks on dyadic numbers, where float32 is exact.

use super::onnx_builder::{int, sizes, text, Model};
use systole_arith::Window;
use systole_compiler::frontend::onnx::proto::AttributeProto;
use systole_compiler::ops::random::Random;

const ROUNDINGS: [&str; 7] = ["ROUND", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN"];
const QONNX: &str = "qonnx.custom_op.general";

/// A network under construction: the name of the last tensor, and how many names were given.
struct Network {
    model: Model,
    random: Random,
    prefix: String,
    last: String,
    names: usize,
}

/// Channels, rows and columns of an image.
type Shape = [usize; 3];

/// What a layer on an image does, a quantizer behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    Conv,
    Depthwise,
    MaxPool,
    AveragePool,
    BatchNormalization,
    Elementwise,
    Residual,
    Concat,
    Trunc,
}

/// Every layer on images.
pub const LAYERS: [Layer; 9] = [
    Layer::Conv,
    Layer::Depthwise,
    Layer::MaxPool,
    Layer::AveragePool,
    Layer::BatchNormalization,
    Layer::Elementwise,
    Layer::Residual,
    Layer::Concat,
    Layer::Trunc,
];

impl Network {
    fn name(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{}_{stem}{}", self.prefix, self.names)
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

    /// A quantizer that keeps a 0 for padding, or any.
    fn close_for(&mut self, padding: bool) -> bool {
        if padding {
            let (last, bits) = (self.last.clone(), self.random.within(2, 8));
            let signed = self.random.within(0, 1) == 1;
            self.last = self.quant(&last, bits, signed, 0.0);
        } else {
            self.close();
        }
        padding
    }

    /// A constant `[1, C, 1, 1]` of numbers drawn by `draw`.
    fn channels(&mut self, dims: &[i64], count: usize, draw: impl Fn(&mut Random) -> f32) -> String {
        let values: Vec<f32> = (0..count).map(|_| draw(&mut self.random)).collect();
        let name = self.name("v");
        self.model.floats(&name, dims, &values);
        name
    }

    /// Quantized weights of a convolution.
    fn kernel(&mut self, dims: [usize; 4]) -> String {
        let values: Vec<f32> = (0..dims.iter().product::<usize>()).map(|_| self.eighths(20)).collect();
        let name = self.name("w");
        self.model.floats(&name, &dims.map(|dim| dim as i64), &values);
        if self.random.within(0, 3) == 0 {
            let (scale, node, output) = (self.scalar(0.25), self.name("BipolarQuant"), self.name("b"));
            self.model.node(&node, "BipolarQuant", &[&name, &scale], &[&output]).domain = Some(QONNX.into());
            return output;
        }
        let bits = self.random.pick(&[2, 2, 3, 4, 8]);
        self.quant(&name, bits, true, 0.0)
    }

    /// A convolution; `same` keeps rows and columns. Padding only where the input has a 0.
    fn conv(
        &mut self,
        [channels, rows, columns]: Shape,
        groups: usize,
        outputs: usize,
        same: bool,
        padding: bool,
    ) -> Shape {
        let side = [rows, columns];
        let odd = |random: &mut Random, size: usize| if padding && size > 1 { random.pick(&[1, 3]) } else { 1 };
        let window = match same {
            true => {
                let kernel = side.map(|size| odd(&mut self.random, size));
                let pad = kernel.map(|taps| taps / 2);
                Window { input: side, kernel, stride: [1; 2], dilation: [1; 2], pad_before: pad, pad_after: pad }
            }
            false => loop {
                let (window, _) = self.random.window_on(side, true).expect("a window on any image");
                if padding || window.pad_before == [0; 2] && window.pad_after == [0; 2] {
                    break window;
                }
            },
        };
        let weights = self.kernel([outputs, channels / groups, window.kernel[0], window.kernel[1]]);
        self.node("Conv", &[&weights]);
        let attributes = vec![
            int("group", groups as i64),
            sizes("kernel_shape", &window.kernel),
            sizes("strides", &window.stride),
            sizes("dilations", &window.dilation),
            sizes("pads", &[window.pad_before, window.pad_after].concat()),
        ];
        self.model.graph().node.last_mut().expect("just added").attribute = attributes;
        let [rows, columns] = window.output();
        [outputs, rows, columns]
    }

    /// Functions of each element behind a layer.
    fn elementwise(&mut self, channels: usize) {
        let dims = [1, channels as i64, 1, 1];
        for _ in 0..self.random.size(1, 3) {
            match self.random.within(0, 3) {
                0 => {
                    let bias = self.channels(&dims, channels, |random| random.within(-40, 40) as f32 / 8.0);
                    let op = self.random.pick(&["Add", "Sub"]);
                    self.node(op, &[&bias]);
                }
                1 => {
                    let factors = self.channels(&dims, channels, |random| random.pick(&[-1.0, 0.5, 2.0]));
                    self.node("Mul", &[&factors]);
                }
                2 => self.node("Relu", &[]),
                _ => {
                    let factor = self.scalar(0.5);
                    self.node("Div", &[&factor]);
                }
            }
        }
    }

    fn normalize(&mut self, channels: usize) {
        let dims = [channels as i64];
        let gamma = self.channels(&dims, channels, |random| random.pick(&[-2.0, -0.5, 0.5, 1.0]));
        let beta = self.channels(&dims, channels, |random| random.within(-16, 16) as f32 / 8.0);
        let mean = self.channels(&dims, channels, |random| random.within(-16, 16) as f32 / 8.0);
        // Variances whose roots are powers of two.
        let variance = self.channels(&dims, channels, |random| random.pick(&[0.25, 1.0, 4.0]));
        self.node("BatchNormalization", &[&gamma, &beta, &mean, &variance]);
        let epsilon =
            AttributeProto { name: Some("epsilon".into()), f: Some(0.0), r#type: Some(1), ..Default::default() };
        self.model.graph().node.last_mut().expect("just added").attribute = vec![epsilon];
    }

    fn pool(&mut self, op: &str, [channels, rows, columns]: Shape) -> Shape {
        let side = [rows, columns];
        let window = match op {
            "MaxPool" => loop {
                let (window, _) = self.random.window_on(side, false).expect("a window on any image");
                let alone = |axis: usize| window.pad_before[axis].max(window.pad_after[axis]) >= window.kernel[axis];
                if !alone(0) && !alone(1) {
                    break window;
                }
            },
            // Divisors that are powers of two.
            _ => {
                let kernel = side.map(|size| if size > 1 { self.random.pick(&[1, 2]) } else { 1 });
                let stride = [self.random.size(1, 3), self.random.size(1, 3)];
                Window { input: side, kernel, stride, dilation: [1; 2], pad_before: [0; 2], pad_after: [0; 2] }
            }
        };
        self.node(op, &[]);
        self.model.graph().node.last_mut().expect("just added").attribute = vec![
            sizes("kernel_shape", &window.kernel),
            sizes("strides", &window.stride),
            sizes("pads", &[window.pad_before, window.pad_after].concat()),
        ];
        let [rows, columns] = window.output();
        [channels, rows, columns]
    }

    /// A layer with its quantizer; whether the input has a 0, and whether the output shall have one.
    fn on_image(&mut self, layer: Layer, shape: Shape, zero: bool) -> (Shape, bool) {
        let channels = shape[0];
        let from = self.last.clone();
        let after = match layer {
            Layer::Conv => {
                let outputs = self.random.size(1, 6);
                self.conv(shape, 1, outputs, false, zero)
            }
            Layer::Depthwise => {
                let outputs = channels * self.random.pick(&[1, 1, 2]);
                self.conv(shape, channels, outputs, false, zero)
            }
            Layer::MaxPool => {
                let after = self.pool("MaxPool", shape);
                return (after, zero);
            }
            Layer::AveragePool => self.pool("AveragePool", shape),
            Layer::BatchNormalization => {
                self.normalize(channels);
                shape
            }
            Layer::Elementwise => shape,
            Layer::Residual => {
                self.conv(shape, 1, channels, true, zero);
                self.close_for(true);
                self.node("Add", &[&from]);
                shape
            }
            Layer::Concat => {
                let outputs = self.random.size(1, 4);
                self.conv(shape, 1, outputs, true, zero);
                // Operands of one quantizer.
                let (bits, scale) = (self.random.within(2, 6), self.random.pick(&[0.25, 0.5]));
                let branch = self.last.clone();
                let other = self.quant_of_scale(&from, bits, scale);
                self.last = self.quant_of_scale(&branch, bits, scale);
                self.node("Concat", &[&other]);
                self.model.graph().node.last_mut().expect("just added").attribute = vec![int("axis", 1)];
                [channels + outputs, shape[1], shape[2]]
            }
            Layer::Trunc => {
                let last = self.last.clone();
                self.last = self.quant_of_scale(&last, 8, 0.125);
                let parts = [0.125, 0.0, 8.0, 5.0].map(|value| self.scalar(value));
                let parts = parts.each_ref().map(String::as_str);
                self.node("Trunc", &parts);
                let node = self.model.graph().node.last_mut().expect("just added");
                node.domain = Some(QONNX.into());
                node.attribute = vec![text("rounding_mode", "FLOOR")];
                shape
            }
        };
        // A sum of two tensors takes one factor for all channels.
        let plain = matches!(layer, Layer::Residual | Layer::Concat | Layer::Trunc);
        if !plain && (layer == Layer::Elementwise || self.random.within(0, 2) == 0) {
            self.elementwise(after[0]);
        }
        let padding = self.random.within(0, 1) == 1;
        (after, self.close_for(padding))
    }

    /// A signed Quant of a given scale.
    fn quant_of_scale(&mut self, from: &str, bits: i64, scale: f32) -> String {
        let parts = [scale, 0.0, bits as f32].map(|value| self.scalar(value));
        let (name, output) = (self.name("Quant"), self.name("q"));
        let node = self.model.node(&name, "Quant", &[from, &parts[0], &parts[1], &parts[2]], &[&output]);
        node.domain = Some(QONNX.into());
        node.attribute = vec![int("signed", 1), int("narrow", 0), text("rounding_mode", "ROUND")];
        output
    }

    fn finish(mut self, shape: &[usize]) -> Vec<u8> {
        let last = self.last.clone();
        let shape: Vec<i64> = [1].into_iter().chain(shape.iter().map(|&size| size as i64)).collect();
        self.model.output(&last, &shape);
        self.model.bytes()
    }
}

/// The image that a network starts with, quantized.
fn image(prefix: &str, seed: u64) -> (Network, Shape, bool) {
    let mut network = start(prefix, seed);
    let any = [network.random.size(1, 7), network.random.size(1, 7)];
    let [rows, columns] = network.random.pick(&[any, any, any, [1, any[1]], [any[0], 1], [1, 1]]);
    let channels = network.random.size(1, 5);
    network.model.input("x", &[1, channels as i64, rows as i64, columns as i64]);
    let padding = network.random.within(0, 1) == 1;
    let zero = network.close_for(padding);
    (network, [channels, rows, columns], zero)
}

/// The bytes of a network of 2 to 6 layers on an image, a matrix product behind them or not.
pub fn images(prefix: &str, seed: u64) -> Vec<u8> {
    let (mut network, mut shape, mut zero) = image(prefix, seed);
    for _ in 0..network.random.size(2, 6) {
        let layer = network.random.pick(&[&LAYERS[..], &[Layer::Conv; 3]].concat());
        (shape, zero) = network.on_image(layer, shape, zero);
    }
    if network.random.within(0, 1) == 0 {
        return network.finish(&shape);
    }
    let (inputs, outputs) = (shape.iter().product(), network.random.size(1, 7));
    network.node("Flatten", &[]);
    network.layer(inputs, outputs);
    network.finish(&[outputs])
}

/// The bytes of a network of one layer on an image.
pub fn single(prefix: &str, layer: Layer, seed: u64) -> Vec<u8> {
    let (mut network, shape, zero) = image(prefix, seed);
    let (shape, _) = network.on_image(layer, shape, zero);
    network.finish(&shape)
}

fn start(prefix: &str, seed: u64) -> Network {
    Network { model: Model::new(), random: Random::new(seed), prefix: prefix.into(), last: "x".into(), names: 0 }
}

/// The bytes of a network of 1 to 3 matrix products.
pub fn dense(prefix: &str, seed: u64) -> Vec<u8> {
    let mut network = start(prefix, seed);
    let inputs = network.random.size(1, 9);
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
    network.model.bytes()
}
