//! Random TFLite networks: layers on images with skip paths, and what follows an image.

use systole_arith::formula::Activation;
use systole_arith::join::TfliteJoin;
use systole_compiler::graph::{ElementType, Format, Graph, Node, Tensor, TensorId};
use systole_compiler::ops::arg_max::ArgMax;
use systole_compiler::ops::arithmetic::Arithmetic;
use systole_compiler::ops::average_pool_2d::AveragePool2d;
use systole_compiler::ops::concatenation::Concatenation;
use systole_compiler::ops::conv_2d::Conv2d;
use systole_compiler::ops::depthwise_conv_2d::DepthwiseConv2d;
use systole_compiler::ops::fully_connected::FullyConnected;
use systole_compiler::ops::image::{Padding, Sliding};
use systole_compiler::ops::max_pool_2d::MaxPool2d;
use systole_compiler::ops::mean::Mean;
use systole_compiler::ops::pad::Pad;
use systole_compiler::ops::random::{activation, constant, layer_constants, Random};
use systole_compiler::ops::reshape::Reshape;
use systole_compiler::ops::softmax::Softmax;
use systole_compiler::ops::unary::Unary;
use systole_compiler::ops::Op;

/// Scales of activations are `2^e` times a mantissa, `e` from here ...
const LEAST_EXPONENT: i64 = -7;
/// ... to below here: what every operator takes.
const MOST_EXPONENT: i64 = -2;

/// An int8 image of the network: `[1, rows, columns, channels]`.
#[derive(Clone, Copy)]
struct Image {
    id: TensorId,
    shape: [usize; 3],
    scale: f32,
    zero_point: i64,
}

impl Image {
    fn side(&self) -> [usize; 2] {
        [self.shape[0], self.shape[1]]
    }

    fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A network under construction.
struct Network {
    random: Random,
    /// In front of every node's name, so that networks can stand side by side.
    prefix: String,
    tensors: Vec<Tensor>,
    nodes: Vec<Node>,
}

/// The network of a seed: 2 to about 8 nodes in front of what ends it.
pub fn network(prefix: &str, seed: u64) -> Graph {
    let mut network =
        Network { random: Random::new(seed), prefix: prefix.into(), tensors: Vec::new(), nodes: Vec::new() };
    let any = [network.random.size(1, 7), network.random.size(1, 7)];
    // Images, rows, columns and single pixels.
    let [rows, columns] = network.random.pick(&[any, any, any, any, [1, any[1]], [any[0], 1], [1, 1]]);
    let channels = network.random.size(1, 5);
    let mut last = network.image("input", [rows, columns, channels]);
    let input = last.id;
    let wanted = network.random.size(2, 8);
    while network.nodes.len() < wanted {
        last = network.block(last);
    }
    let output = network.end(last);
    let Network { prefix, tensors, nodes, .. } = network;
    Graph::new(prefix, Format::Tflite, tensors, nodes, vec![input], vec![output])
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"))
}

/// Depthwise and pointwise layers with skip paths around them, twice, and a classifier behind a mean: always the same.
pub fn residual_depthwise(prefix: &str) -> Graph {
    let mut network = Network { random: Random::new(3), prefix: prefix.into(), tensors: Vec::new(), nodes: Vec::new() };
    let input = network.image("input", [9, 8, 3]);
    let mut last = network.same(input, 6, None);
    for stride in [1, 2] {
        let branch = network.same_depthwise(last, 1);
        let branch = network.same(branch, 6, None);
        last = network.join_of(TfliteJoin::Add, last, branch);
        last = network.same_depthwise(last, stride);
    }
    last = network.mean_of(last, (true, true));
    let output = network.classify(last);
    let Network { prefix, tensors, nodes, .. } = network;
    Graph::new(prefix, Format::Tflite, tensors, nodes, vec![input.id], vec![output]).expect("always the same")
}

impl Network {
    fn tensor(&mut self, tensor: Tensor) -> TensorId {
        self.tensors.push(tensor);
        TensorId(self.tensors.len() as u32 - 1)
    }

    /// An image of a quantization of its own.
    fn image(&mut self, name: &str, shape: [usize; 3]) -> Image {
        let scale = self.random.scale(LEAST_EXPONENT, MOST_EXPONENT);
        let zero_point = self.random.within(-128, 127);
        self.image_of(name, shape, scale, zero_point)
    }

    fn image_of(&mut self, name: &str, shape: [usize; 3], scale: f32, zero_point: i64) -> Image {
        let [rows, columns, channels] = shape;
        let id = self.tensor(activation(name, &[1, rows, columns, channels], scale, zero_point));
        Image { id, shape, scale, zero_point }
    }

    /// The name of the next node.
    fn name(&self, stem: &str) -> String {
        format!("{}_{stem}{}", self.prefix, self.nodes.len())
    }

    fn node(&mut self, name: String, op: Op, inputs: Vec<Option<TensorId>>, output: TensorId) {
        self.nodes.push(Node { name, op, inputs, outputs: vec![output] });
    }

    /// A node whose result is an image.
    fn push_image(&mut self, name: String, op: Op, inputs: Vec<Option<TensorId>>, output: Image) -> Image {
        self.node(name, op, inputs, output.id);
        output
    }

    /// One layer or one join with what it joins.
    fn block(&mut self, from: Image) -> Image {
        match self.random.within(0, 15) {
            0..=3 => self.convolution(from),
            4..=5 => self.depthwise(from),
            6 => self.pool(from),
            7 => self.pad(from),
            8..=9 => self.function(from),
            10 => self.with_constant(from),
            11 => self.mean(from),
            12..=13 => self.residual(from),
            _ => self.inception(from),
        }
    }

    /// A layer with weights whose result has this quantization, or one of its own.
    fn layer(
        &mut self,
        stem: &str,
        op: Op,
        from: Image,
        (weights, axis): (&[usize], usize),
        side: [usize; 2],
        quantization: Option<(f32, i64)>,
    ) -> Image {
        let name = self.name(stem);
        let outputs = weights[axis];
        let shape = [side[0], side[1], outputs];
        let output = match quantization {
            Some((scale, zero_point)) => self.image_of(&name, shape, scale, zero_point),
            None => self.image(&name, shape),
        };
        let products = weights.iter().product::<usize>() / outputs;
        // Results of about half the type's width.
        let spread = from.scale * (products as f32).sqrt() * 64.0 * self.random.scale(-1, 2);
        let [weights, bias] =
            layer_constants(&mut self.random, &format!("{name}_"), weights, axis, output.scale / spread);
        let (weights, bias) = (self.tensor(weights), self.tensor(bias));
        let bias = self.random.pick(&[Some(bias), None]);
        self.push_image(name, op, vec![Some(from.id), Some(weights), bias], output)
    }

    fn convolution(&mut self, from: Image) -> Image {
        let (window, sliding) = self.random.window_on(from.side(), true).expect("a window on any image");
        let channels = from.shape[2];
        let divisors: Vec<usize> = (1..=channels).filter(|n| channels.is_multiple_of(*n)).collect();
        let groups = self.random.pick(&[&[1, 1, 1], &divisors[..]].concat());
        let outputs = groups * self.random.size(1, if groups == 1 { 7 } else { 2 });
        let op = Conv2d { sliding, activation: self.random.fused() };
        let weights = [outputs, window.kernel[0], window.kernel[1], channels / groups];
        self.layer("conv", Op::Conv2d(op), from, (&weights, 0), window.output(), None)
    }

    fn depthwise(&mut self, from: Image) -> Image {
        let (window, sliding) = self.random.window_on(from.side(), true).expect("a window on any image");
        let outputs = from.shape[2] * self.random.pick(&[1, 1, 2, 3]);
        let op = DepthwiseConv2d { sliding, activation: self.random.fused() };
        let weights = [1, window.kernel[0], window.kernel[1], outputs];
        self.layer("depthwise", Op::DepthwiseConv2d(op), from, (&weights, 3), window.output(), None)
    }

    /// A convolution that keeps rows and columns.
    fn same(&mut self, from: Image, outputs: usize, quantization: Option<(f32, i64)>) -> Image {
        let kernel = [self.random.pick(&[1, 1, 3]), self.random.pick(&[1, 2, 3, 5])];
        let sliding = Sliding { padding: Padding::Same, stride: [1; 2], dilation: [1; 2] };
        let op = Conv2d { sliding, activation: self.random.fused() };
        let weights = [outputs, kernel[0], kernel[1], from.shape[2]];
        self.layer("conv", Op::Conv2d(op), from, (&weights, 0), from.side(), quantization)
    }

    /// A depthwise layer with one pixel for each stride of pixels.
    fn same_depthwise(&mut self, from: Image, stride: usize) -> Image {
        let sliding = Sliding { padding: Padding::Same, stride: [stride; 2], dilation: [1; 2] };
        let op = DepthwiseConv2d { sliding, activation: Activation::Relu };
        let weights = [1, 3, 3, from.shape[2]];
        let side = from.side().map(|size| size.div_ceil(stride));
        self.layer("depthwise", Op::DepthwiseConv2d(op), from, (&weights, 3), side, None)
    }

    fn pool(&mut self, from: Image) -> Image {
        let (window, sliding) = self.random.window_on(from.side(), false).expect("a window on any image");
        let (kernel, fused) = (window.kernel, self.random.fused());
        let op = match self.random.size(0, 1) {
            0 => Op::MaxPool2d(MaxPool2d { sliding, kernel, activation: fused }),
            _ => Op::AveragePool2d(AveragePool2d { sliding, kernel, activation: fused }),
        };
        let name = self.name("pool");
        let [rows, columns] = window.output();
        let output = self.image_of(&name, [rows, columns, from.shape[2]], from.scale, from.zero_point);
        self.push_image(name, op, vec![Some(from.id)], output)
    }

    /// Padding, most often with a convolution behind it, whose own it may become.
    fn pad(&mut self, from: Image) -> Image {
        let name = self.name("pad");
        let amounts: Vec<i64> = (0..4).map(|_| self.random.within(0, 2)).collect();
        let [rows, columns, channels] = from.shape;
        let grown = |size: usize, at: usize| size + (amounts[at] + amounts[at + 1]) as usize;
        let shape = [grown(rows, 0), grown(columns, 2), channels];
        let all: Vec<i64> = [0, 0].into_iter().chain(amounts.iter().copied()).chain([0, 0]).collect();
        let paddings = ndarray::ArrayD::from_shape_fn(ndarray::IxDyn(&[4, 2]), |at| all[at[0] * 2 + at[1]]);
        let paddings = self.tensor(constant(&format!("{name}_paddings"), ElementType::Int32, paddings, vec![]));
        let output = self.image_of(&name, shape, from.scale, from.zero_point);
        let padded = self.push_image(name, Op::Pad(Pad), vec![Some(from.id), Some(paddings)], output);
        match self.random.size(0, 3) {
            0 => padded,
            _ => self.convolution(padded),
        }
    }

    fn function(&mut self, from: Image) -> Image {
        let alpha = self.random.pick(&[0.01, 0.1, 0.3, 0.75]);
        let leaky = Unary::LeakyRelu { alpha };
        let op = self.random.pick(&[
            Unary::Relu,
            Unary::Relu6,
            leaky,
            Unary::Prelu,
            Unary::HardSwish,
            Unary::Logistic,
            Unary::Tanh,
        ]);
        let name = self.name("function");
        let output = match op {
            Unary::Logistic => self.image_of(&name, from.shape, 1.0 / 256.0, -128),
            Unary::Tanh => self.image_of(&name, from.shape, 1.0 / 128.0, 0),
            _ => {
                let scale = from.scale * self.random.scale(-1, 1);
                let zero_point = self.random.within(-128, 127);
                self.image_of(&name, from.shape, scale, zero_point)
            }
        };
        let mut inputs = vec![Some(from.id)];
        if op == Unary::Prelu {
            let slopes = self.random.integers(&[1, 1, from.shape[2]], -128, 127);
            inputs.push(Some(self.tensor(constant(&format!("{name}_slopes"), ElementType::Int8, slopes, vec![0.01]))));
        }
        self.push_image(name, Op::Unary(op), inputs, output)
    }

    /// Sum, difference or product of two images of one shape.
    fn join(&mut self, left: Image, right: Image) -> Image {
        let operation = self.random.pick(&[TfliteJoin::Add, TfliteJoin::Add, TfliteJoin::Sub, TfliteJoin::Mul]);
        self.join_of(operation, left, right)
    }

    fn join_of(&mut self, operation: TfliteJoin, left: Image, right: Image) -> Image {
        let name = self.name("join");
        let scale = match operation {
            // Products must fit the 16-bit lanes of an optimized kernel.
            TfliteJoin::Mul => left.scale * right.scale * 256.0 * self.random.scale(-1, 2),
            _ => left.scale.max(right.scale) * self.random.scale(-1, 2),
        };
        let zero_point = self.random.within(-128, 127);
        let output = self.image_of(&name, left.shape, scale, zero_point);
        let op = Arithmetic { operation, activation: self.random.fused() };
        self.push_image(name, Op::Arithmetic(op), vec![Some(left.id), Some(right.id)], output)
    }

    /// A join of an image and a constant.
    fn with_constant(&mut self, from: Image) -> Image {
        let operation = self.random.pick(&[TfliteJoin::Add, TfliteJoin::Sub, TfliteJoin::Mul]);
        let name = self.name("constant");
        let shape = self.random.pick(&[vec![], vec![from.shape[2]]]);
        let other = self.random.scale(LEAST_EXPONENT, MOST_EXPONENT);
        let values = self.random.integers(&shape, -128, 127);
        let fixed = self.tensor(constant(&format!("{name}_values"), ElementType::Int8, values, vec![other]));
        let scale = match operation {
            TfliteJoin::Mul => from.scale * other * 256.0,
            _ => from.scale.max(other),
        };
        let zero_point = self.random.within(-128, 127);
        let output = self.image_of(&name, from.shape, scale, zero_point);
        let op = Arithmetic { operation, activation: self.random.fused() };
        let inputs = self.random.pick(&[[from.id, fixed], [fixed, from.id]]);
        self.push_image(name, Op::Arithmetic(op), inputs.map(Some).to_vec(), output)
    }

    fn mean(&mut self, from: Image) -> Image {
        let reduced = self.random.pick(&[(true, true), (true, true), (true, false), (false, true)]);
        self.mean_of(from, reduced)
    }

    /// The mean over rows, columns or both.
    fn mean_of(&mut self, from: Image, (rows, columns): (bool, bool)) -> Image {
        let name = self.name("mean");
        let axes: Vec<i64> = [(rows, 1), (columns, 2)].iter().filter(|(on, _)| *on).map(|&(_, axis)| axis).collect();
        let side = |on: bool, size: usize| if on { 1 } else { size };
        let shape = [side(rows, from.shape[0]), side(columns, from.shape[1]), from.shape[2]];
        let axes = ndarray::arr1(&axes).into_dyn();
        let axes = self.tensor(constant(&format!("{name}_axes"), ElementType::Int32, axes, vec![]));
        let output = match self.random.size(0, 1) {
            0 => self.image_of(&name, shape, from.scale, from.zero_point),
            _ => self.image(&name, shape),
        };
        self.push_image(name, Op::Mean(Mean { keep_dims: true }), vec![Some(from.id), Some(axes)], output)
    }

    /// A skip path around layers that keep the shape.
    fn residual(&mut self, from: Image) -> Image {
        let mut branch = from;
        let layers = self.random.size(0, 2);
        for layer in 0..layers {
            let outputs = if layer + 1 == layers { from.shape[2] } else { self.random.size(1, 6) };
            branch = self.same(branch, outputs, None);
        }
        if self.random.size(0, 3) == 0 {
            branch = self.function(branch);
        }
        let (left, right) = self.random.pick(&[(from, branch), (branch, from)]);
        self.join(left, right)
    }

    /// Branches of one quantization, put behind each other.
    fn inception(&mut self, from: Image) -> Image {
        let quantization = (self.random.scale(LEAST_EXPONENT, MOST_EXPONENT), self.random.within(-128, 127));
        let count = self.random.size(2, 3);
        let mut branches: Vec<Image> = (0..count)
            .map(|_| {
                let outputs = self.random.size(1, 4);
                self.same(from, outputs, Some(quantization))
            })
            .collect();
        if self.random.size(0, 3) == 0 {
            branches[0] = self.same_pool(branches[0]);
        }
        let name = self.name("concat");
        let channels = branches.iter().map(|branch| branch.shape[2]).sum();
        let output = self.image_of(&name, [from.shape[0], from.shape[1], channels], quantization.0, quantization.1);
        let inputs = branches.iter().map(|branch| Some(branch.id)).collect();
        self.push_image(name, Op::Concatenation(Concatenation { axis: 3 }), inputs, output)
    }

    /// A maximum that keeps rows and columns.
    fn same_pool(&mut self, from: Image) -> Image {
        let sliding = Sliding { padding: Padding::Same, stride: [1; 2], dilation: [1; 2] };
        let kernel = [3, 3];
        let op = MaxPool2d { sliding, kernel, activation: Activation::None };
        let name = self.name("pool");
        let output = self.image_of(&name, from.shape, from.scale, from.zero_point);
        self.push_image(name, Op::MaxPool2d(op), vec![Some(from.id)], output)
    }

    /// Leaves the image as it is, or classifies it.
    fn end(&mut self, last: Image) -> TensorId {
        if self.random.size(0, 2) > 0 {
            return last.id;
        }
        self.classify(last)
    }

    /// A matrix product of all elements, and what often follows it.
    fn classify(&mut self, last: Image) -> TensorId {
        let elements = last.elements();
        let name = self.name("flat");
        let flat = self.tensor(activation(&name, &[1, elements], last.scale, last.zero_point));
        self.node(name, Op::Reshape(Reshape::Reshape), vec![Some(last.id)], flat);
        let flat = Image { id: flat, shape: [1, 1, elements], ..last };
        let outputs = self.random.size(2, 8);
        let op = FullyConnected { activation: self.random.fused(), keep_num_dims: false };
        let logits = self.layer("dense", Op::FullyConnected(op), flat, (&[outputs, elements], 0), [1, 1], None);
        self.tensors[logits.id.0 as usize].shape = vec![1, outputs];
        match self.random.size(0, 2) {
            0 => {
                let name = self.name("softmax");
                let output = self.tensor(activation(&name, &[1, outputs], 1.0 / 256.0, -128));
                self.node(name, Op::Softmax(Softmax { beta: 1.0 }), vec![Some(logits.id)], output);
                output
            }
            1 => {
                let name = self.name("greatest");
                let axis = constant(&format!("{name}_axis"), ElementType::Int32, ndarray::arr0(-1).into_dyn(), vec![]);
                let output = Tensor {
                    name: name.clone(),
                    shape: vec![1],
                    element: ElementType::Int32,
                    quantization: None,
                    constant: None,
                };
                let (axis, output) = (self.tensor(axis), self.tensor(output));
                self.node(name, Op::ArgMax(ArgMax), vec![Some(logits.id), Some(axis)], output);
                output
            }
            _ => logits.id,
        }
    }
}
