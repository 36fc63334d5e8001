//! Random quantized ONNX networks. The same draws give a file of QLinear operators and its twin, in which float
//! operators stand between DequantizeLinear and QuantizeLinear.

use super::onnx_builder::{int, sizes, Model};
use systole_arith::Window;
use systole_compiler::frontend::onnx::proto::{AttributeProto, OperatorSetIdProto};
use systole_compiler::ops::random::Random;

const MICROSOFT: &str = "com.microsoft";

/// How quantization is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// QLinear operators.
    QOperator,
    /// Quantizers around float operators.
    Qdq,
}

/// What a layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    Conv,
    MaxPool,
    AveragePool,
    GlobalAveragePool,
    Add,
    Mul,
    Concat,
    Sigmoid,
    LeakyRelu,
    Gemm,
    MatMul,
}

/// Layers that images of any shape can have.
pub const ON_IMAGES: [Layer; 9] = [
    Layer::Conv,
    Layer::MaxPool,
    Layer::AveragePool,
    Layer::GlobalAveragePool,
    Layer::Add,
    Layer::Mul,
    Layer::Concat,
    Layer::Sigmoid,
    Layer::LeakyRelu,
];

/// A quantized tensor: an image `[1, channels, rows, columns]`, or `[1, channels]` once flattened.
#[derive(Clone)]
struct Image {
    name: String,
    channels: usize,
    side: Option<[usize; 2]>,
    scale: f32,
    zero_point: i64,
}

struct Network {
    form: Form,
    random: Random,
    model: Model,
    prefix: String,
    nodes: usize,
    /// Whether activations are int8, else uint8.
    signed: bool,
}

/// A network of 2 to about 8 layers, flattened at its end or not.
pub fn network(prefix: &str, seed: u64, form: Form) -> Vec<u8> {
    let (mut network, mut last) = start(prefix, seed, form);
    for _ in 0..network.random.size(2, 6) {
        let layer = network.random.pick(&[&ON_IMAGES[..], &[Layer::Conv; 4]].concat());
        last = network.layer(layer, last);
    }
    if network.random.size(0, 1) == 0 {
        let layer = network.random.pick(&[Layer::Gemm, Layer::MatMul]);
        last = network.layer(layer, last);
    }
    network.finish(&last)
}

/// A network of one layer.
pub fn single(prefix: &str, layer: Layer, seed: u64, form: Form) -> Vec<u8> {
    let (mut network, input) = start(prefix, seed, form);
    let output = network.layer(layer, input);
    network.finish(&output)
}

fn start(prefix: &str, seed: u64, form: Form) -> (Network, Image) {
    let random = Random::new(seed);
    let mut network =
        Network { form, random, model: Model::new(), prefix: prefix.into(), nodes: 0, signed: seed.is_multiple_of(2) };
    let domain = OperatorSetIdProto { domain: Some(MICROSOFT.into()), version: Some(1) };
    network.model.0.opset_import.push(domain);
    let any = [network.random.size(1, 7), network.random.size(1, 7)];
    let side = network.random.pick(&[any, any, any, [1, any[1]], [any[0], 1], [1, 1]]);
    let channels = network.random.size(1, 6);
    let input = network.tensor("input", channels, Some(side));
    let shape = shape(&input);
    network.model.input("input", &shape);
    let element = network.element();
    typed(network.model.graph().input.last_mut(), element);
    (network, input)
}

fn shape(image: &Image) -> Vec<i64> {
    let side = image.side.iter().flatten().map(|&size| size as i64);
    [1, image.channels as i64].into_iter().chain(side).collect()
}

fn typed(info: Option<&mut systole_compiler::frontend::onnx::proto::ValueInfoProto>, element: i32) {
    let tensor = info.and_then(|info| info.r#type.as_mut()).and_then(|kind| kind.tensor_type.as_mut());
    tensor.expect("just added").elem_type = Some(element);
}

/// Values of an 8-bit type.
fn bytes(values: &[i64]) -> Vec<u8> {
    values.iter().map(|&value| value as u8).collect()
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: Some(name.into()), f: Some(value), r#type: Some(1), ..AttributeProto::default() }
}

impl Network {
    /// ONNX's number of the activations' type.
    fn element(&self) -> i32 {
        if self.signed {
            3
        } else {
            2
        }
    }

    fn bounds(&self) -> (i64, i64) {
        if self.signed {
            (-128, 127)
        } else {
            (0, 255)
        }
    }

    fn name(&mut self, stem: &str) -> String {
        self.nodes += 1;
        format!("{}_{stem}{}", self.prefix, self.nodes)
    }

    /// A tensor of a quantization of its own.
    fn tensor(&mut self, name: &str, channels: usize, side: Option<[usize; 2]>) -> Image {
        let (lo, hi) = self.bounds();
        let (scale, zero_point) = (self.random.scale(-7, -2), self.random.within(lo, hi));
        Image { name: name.into(), channels, side, scale, zero_point }
    }

    /// The names of a tensor's scale and zero point, written where they are new.
    fn parameters(&mut self, image: &Image) -> [String; 2] {
        let names = [format!("{}_scale", image.name), format!("{}_zero", image.name)];
        let known = self.model.graph().initializer.iter().any(|tensor| tensor.name.as_ref() == Some(&names[0]));
        if !known {
            let (element, zero) = (self.element(), bytes(&[image.zero_point]));
            self.model.scalar(&names[0], image.scale).constant(&names[1], &[], element, zero);
        }
        names
    }

    fn node(&mut self, op: &str, domain: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) {
        let name = format!("{output}_{op}");
        let node = self.model.node(&name, op, inputs, &[output]);
        node.domain = (!domain.is_empty()).then(|| domain.to_string());
        node.attribute = attributes;
    }

    /// A float tensor of a quantized one.
    fn dequantized(&mut self, image: &Image) -> String {
        let [scale, zero] = self.parameters(image);
        let real = self.name("real");
        self.node("DequantizeLinear", "", &[&image.name, &scale, &zero], &real, vec![]);
        real
    }

    /// Quantizes a float tensor to `image`.
    fn quantize(&mut self, real: &str, image: &Image) {
        let [scale, zero] = self.parameters(image);
        self.node("QuantizeLinear", "", &[real, &scale, &zero], &image.name, vec![]);
    }

    /// A node on quantized tensors: the QLinear operator `quantized`, which takes the operands each with scale and zero
    /// point and then those of the result, or the float operator `real`.
    fn on(
        &mut self,
        (quantized, real): (&str, &str),
        operands: &[&Image],
        output: &Image,
        attributes: Vec<AttributeProto>,
    ) {
        match self.form {
            Form::QOperator => {
                let mut inputs = Vec::new();
                for operand in operands {
                    let [scale, zero] = self.parameters(operand);
                    inputs.extend([operand.name.clone(), scale, zero]);
                }
                inputs.extend(self.parameters(output));
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                self.node(quantized, MICROSOFT, &inputs, &output.name, attributes);
            }
            Form::Qdq => {
                let inputs: Vec<String> = operands.iter().map(|operand| self.dequantized(operand)).collect();
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                let name = self.name("float");
                self.node(real, "", &inputs, &name, attributes);
                self.quantize(&name, output);
            }
        }
    }

    /// A node that keeps scale and zero point, of the standard domain in both forms.
    fn keeping(&mut self, op: &str, from: &Image, output: &Image, attributes: Vec<AttributeProto>) {
        match self.form {
            Form::QOperator => self.node(op, "", &[&from.name], &output.name, attributes),
            Form::Qdq => self.on((op, op), &[from], output, attributes),
        }
    }

    fn layer(&mut self, layer: Layer, from: Image) -> Image {
        match layer {
            Layer::Conv => self.conv(from, None),
            Layer::MaxPool | Layer::AveragePool => self.pool(layer, from),
            Layer::GlobalAveragePool => {
                let name = self.name("global");
                let output = self.tensor(&name, from.channels, from.side.map(|_| [1, 1]));
                let attributes = match self.form {
                    Form::QOperator => vec![int("channels_last", 0)],
                    Form::Qdq => vec![],
                };
                self.on(("QLinearGlobalAveragePool", "GlobalAveragePool"), &[&from], &output, attributes);
                output
            }
            Layer::Add => self.join(("QLinearAdd", "Add"), from),
            Layer::Mul => self.join(("QLinearMul", "Mul"), from),
            Layer::Concat => self.concat(from),
            Layer::Sigmoid => {
                let name = self.name("sigmoid");
                let (lo, _) = self.bounds();
                let output = Image { name, scale: 1.0 / 256.0, zero_point: lo, ..from.clone() };
                self.on(("QLinearSigmoid", "Sigmoid"), &[&from], &output, vec![]);
                output
            }
            Layer::LeakyRelu => {
                let name = self.name("leaky");
                let output = self.tensor(&name, from.channels, from.side);
                let alpha = self.random.pick(&[0.01, 0.1, 0.25, 0.7]);
                self.on(("QLinearLeakyRelu", "LeakyRelu"), &[&from], &output, vec![float("alpha", alpha)]);
                output
            }
            Layer::Gemm | Layer::MatMul => self.matrix(layer, from),
        }
    }

    /// Attributes of a window on the image, and the output's rows and columns.
    fn window(&mut self, side: [usize; 2], dilated: bool) -> (Vec<AttributeProto>, Window) {
        let (window, _) = self.random.window_on(side, dilated).expect("a window on any image");
        let pads = [window.pad_before, window.pad_after].concat();
        let mut attributes =
            vec![sizes("kernel_shape", &window.kernel), sizes("strides", &window.stride), sizes("pads", &pads)];
        if dilated {
            attributes.push(sizes("dilations", &window.dilation));
        }
        (attributes, window)
    }

    /// A convolution, with `outputs` channels of the same rows and columns where they are given.
    fn conv(&mut self, from: Image, outputs: Option<usize>) -> Image {
        let name = self.name("conv");
        let side = from.side.expect("an image");
        let (mut attributes, window) = match outputs {
            None => self.window(side, true),
            Some(_) => {
                let kernel = [self.random.pick(&[1, 3]), self.random.pick(&[1, 3, 5])];
                let pad = kernel.map(|taps| taps / 2);
                let window =
                    Window { input: side, kernel, stride: [1; 2], dilation: [1; 2], pad_before: pad, pad_after: pad };
                (vec![sizes("kernel_shape", &kernel), sizes("pads", &[pad, pad].concat())], window)
            }
        };
        let divisors: Vec<usize> = (1..=from.channels).filter(|n| from.channels.is_multiple_of(*n)).collect();
        let groups = if outputs.is_some() { 1 } else { self.random.pick(&[&[1, 1, 1], &divisors[..]].concat()) };
        let outputs = outputs.unwrap_or_else(|| groups * self.random.size(1, if groups == 1 { 7 } else { 2 }));
        attributes.push(int("group", groups as i64));
        let output = self.tensor(&name, outputs, Some(window.output()));
        let of_group = from.channels / groups;
        let dims = [outputs, of_group, window.kernel[0], window.kernel[1]];
        let weights = self.weights(&name, &dims, 0, &from, output.scale);
        self.product(("QLinearConv", "Conv"), &from, weights, output, attributes)
    }

    /// A matrix product of the flattened tensor.
    fn matrix(&mut self, layer: Layer, from: Image) -> Image {
        let mut from = from;
        if let Some([rows, columns]) = from.side {
            let name = self.name("flat");
            let flat = Image { name, channels: from.channels * rows * columns, side: None, ..from.clone() };
            self.keeping("Flatten", &from, &flat, vec![int("axis", 1)]);
            from = flat;
        }
        let name = self.name("matrix");
        let outputs = self.random.size(1, 8);
        let output = self.tensor(&name, outputs, None);
        match layer {
            Layer::Gemm => {
                let transpose = self.random.size(0, 1);
                let (dims, axis) = match transpose {
                    0 => ([from.channels, outputs], 1),
                    _ => ([outputs, from.channels], 0),
                };
                let weights = self.weights(&name, &dims, axis, &from, output.scale);
                let attributes = vec![int("transB", transpose as i64), float("alpha", 1.0)];
                self.product(("QGemm", "Gemm"), &from, weights, output, attributes)
            }
            _ => {
                let mut weights = self.weights(&name, &[from.channels, outputs], 1, &from, output.scale);
                weights.bias = None;
                self.product(("QLinearMatMul", "MatMul"), &from, weights, output, vec![])
            }
        }
    }

    /// Writes weights, int8 with one scale or one an output and zero points 0, or of the activations' type with any zero
    /// point; and a bias, perhaps.
    fn weights(&mut self, name: &str, dims: &[usize], axis: usize, from: &Image, output_scale: f32) -> Weights {
        let outputs = dims[axis];
        let products = dims.iter().product::<usize>() / outputs;
        // Results of about half the type's width.
        let scale = output_scale / (from.scale * (products as f32).sqrt() * 64.0 * self.random.scale(-1, 2));
        let per_channel = self.random.size(0, 1) == 1;
        let asymmetric = !per_channel && !self.signed && self.random.size(0, 1) == 1;
        let count = if per_channel { outputs } else { 1 };
        let scales: Vec<f32> = (0..count).map(|_| scale * self.random.scale(-1, 1)).collect();
        let (lo, hi) = if asymmetric { (0, 255) } else { (-127, 127) };
        let limit = self.random.pick(&[1, 3, 127]);
        let values = match asymmetric {
            true => self.random.integers(dims, lo, hi),
            false => self.random.integers(dims, -limit, limit),
        };
        let zero = if asymmetric { self.random.within(lo, hi) } else { 0 };
        let element = if asymmetric { 2 } else { 3 };
        let dims: Vec<i64> = dims.iter().map(|&dim| dim as i64).collect();
        let listed: &[i64] = if per_channel { &[outputs as i64] } else { &[] };
        let names = ["w", "w_scale", "w_zero", "b", "b_scale", "b_zero"].map(|what| format!("{name}_{what}"));
        let values: Vec<i64> = values.iter().copied().collect();
        let (values, zeros) = (bytes(&values), bytes(&vec![zero; count]));
        let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        self.model
            .constant(&names[0], &dims, element, values)
            .constant(&names[1], listed, 1, floats(&scales))
            .constant(&names[2], listed, element, zeros);
        let bias = (self.random.size(0, 3) > 0).then(|| {
            let limit = self.random.pick(&[1, 1 << 10, 1 << 15]);
            let bias: Vec<i64> = (0..outputs).map(|_| self.random.within(-limit, limit)).collect();
            let raw = bias.iter().flat_map(|&b| (b as i32).to_le_bytes()).collect();
            self.model.constant(&names[3], &[outputs as i64], 6, raw);
            if self.form == Form::Qdq {
                let steps: Vec<f32> = scales.iter().map(|scale| from.scale * scale).collect();
                let zeros = vec![0; 4 * count];
                self.model.constant(&names[4], listed, 1, floats(&steps)).constant(&names[5], listed, 6, zeros);
            }
            names[3].clone()
        });
        Weights { names: names.clone(), axis, bias }
    }

    fn product(
        &mut self,
        (quantized, real): (&str, &str),
        from: &Image,
        weights: Weights,
        output: Image,
        attributes: Vec<AttributeProto>,
    ) -> Image {
        let Weights { names, axis, bias } = weights;
        match self.form {
            Form::QOperator => {
                let [scale, zero] = self.parameters(from);
                let [output_scale, output_zero] = self.parameters(&output);
                let mut inputs = vec![&from.name, &scale, &zero, &names[0], &names[1], &names[2]];
                let absent = String::new();
                let is_gemm = quantized == "QGemm";
                if is_gemm {
                    inputs.push(bias.as_ref().unwrap_or(&absent));
                }
                inputs.extend([&output_scale, &output_zero]);
                inputs.extend(bias.as_ref().filter(|_| !is_gemm));
                let inputs: Vec<&str> = inputs.into_iter().map(String::as_str).collect();
                let domain = if is_gemm { MICROSOFT } else { "" };
                self.node(quantized, domain, &inputs, &output.name, attributes);
            }
            Form::Qdq => {
                let mut inputs = vec![self.dequantized(from)];
                for (place, axis) in [(0, axis), (3, 0)] {
                    if place == 3 && bias.is_none() {
                        continue;
                    }
                    let real = self.name("real");
                    let parts = [&*names[place], &*names[place + 1], &*names[place + 2]];
                    self.node("DequantizeLinear", "", &parts, &real, vec![int("axis", axis as i64)]);
                    inputs.push(real);
                }
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                let sum = self.name("float");
                self.node(real, "", &inputs, &sum, attributes);
                self.quantize(&sum, &output);
            }
        }
        output
    }

    fn pool(&mut self, layer: Layer, from: Image) -> Image {
        let name = self.name("pool");
        let (mut attributes, window) = loop {
            let drawn = self.window(from.side.expect("an image"), false);
            // Windows in the padding alone are refused.
            let Window { kernel, pad_before, pad_after, .. } = drawn.1;
            if (0..2).all(|axis| pad_before[axis].max(pad_after[axis]) < kernel[axis]) {
                break drawn;
            }
        };
        match layer {
            Layer::MaxPool => {
                let output = Image { name, side: Some(window.output()), ..from.clone() };
                self.keeping("MaxPool", &from, &output, attributes);
                output
            }
            _ => {
                let output = self.tensor(&name, from.channels, Some(window.output()));
                attributes.push(int("count_include_pad", self.random.within(0, 1)));
                self.on(("QLinearAveragePool", "AveragePool"), &[&from], &output, attributes);
                output
            }
        }
    }

    /// A skip path: the tensor with a convolution of it, or with itself.
    fn join(&mut self, names: (&str, &str), from: Image) -> Image {
        let branch = match self.random.size(0, 3) {
            0 => from.clone(),
            _ => self.conv(from.clone(), Some(from.channels)),
        };
        let name = self.name("join");
        let mut output = self.tensor(&name, from.channels, from.side);
        let reach = if names.1 == "Mul" { from.scale * branch.scale * 128.0 } else { from.scale.max(branch.scale) };
        output.scale = reach * self.random.scale(-1, 2);
        let operands = self.random.pick(&[[&from, &branch], [&branch, &from]]);
        self.on(names, &operands, &output, vec![]);
        output
    }

    fn concat(&mut self, from: Image) -> Image {
        let mut branches = Vec::new();
        for _ in 0..self.random.size(1, 2) {
            let outputs = self.random.size(1, 4);
            branches.push(self.conv(from.clone(), Some(outputs)));
        }
        let place = self.random.size(0, branches.len());
        branches.insert(place, from.clone());
        let name = self.name("concat");
        let output = self.tensor(&name, branches.iter().map(|branch| branch.channels).sum(), from.side);
        let axis = vec![int("axis", 1)];
        match self.form {
            Form::QOperator => {
                let mut inputs = self.parameters(&output).to_vec();
                for branch in &branches {
                    let [scale, zero] = self.parameters(branch);
                    inputs.extend([branch.name.clone(), scale, zero]);
                }
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                self.node("QLinearConcat", MICROSOFT, &inputs, &output.name, axis);
            }
            Form::Qdq => self.on(("", "Concat"), &branches.iter().collect::<Vec<_>>(), &output, axis),
        }
        output
    }

    fn finish(mut self, last: &Image) -> Vec<u8> {
        self.model.output(&last.name, &shape(last));
        let element = self.element();
        typed(self.model.graph().output.last_mut(), element);
        self.model.bytes()
    }
}

/// Names of a layer's constants.
struct Weights {
    names: [String; 6],
    axis: usize,
    bias: Option<String>,
}
