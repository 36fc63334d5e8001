//! Seeded random numbers and tensors for the operators' random cases.

use super::image::{Padding, Sliding};
use super::{NodeView, Op};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Format, Graph, Node, Quantization, Tensor, TensorId};
use ndarray::{ArrayD, IxDyn};
use systole_arith::formula::Activation;
use systole_arith::Window;

/// A small seeded generator (SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014): the same seed gives the same case on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An integer in `lo..=hi`.
    pub fn within(&mut self, lo: i64, hi: i64) -> i64 {
        let span = (i128::from(hi) - i128::from(lo) + 1).max(1) as u128;
        (i128::from(lo) + (u128::from(self.bits()) % span) as i128) as i64
    }

    /// A size in `lo..=hi`.
    pub fn size(&mut self, lo: usize, hi: usize) -> usize {
        self.within(lo as i64, hi as i64) as usize
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.size(0, choices.len() - 1)].clone()
    }

    /// A positive scale `2^e` with `e` in `lo..hi`, any mantissa.
    pub fn scale(&mut self, lo: i64, hi: i64) -> f32 {
        let mantissa = 1.0 + self.within(0, (1 << 23) - 1) as f64 / f64::from(1 << 23);
        (mantissa * 2f64.powi(self.within(lo, hi - 1) as i32)) as f32
    }

    /// Integers in `lo..=hi` under a shape.
    pub fn integers(&mut self, shape: &[usize], lo: i64, hi: i64) -> ArrayD<i64> {
        ArrayD::from_shape_fn(IxDyn(shape), |_| self.within(lo, hi))
    }
}

/// An int8 activation with one scale and zero point.
pub fn activation(name: &str, shape: &[usize], scale: f32, zero_point: i64) -> Tensor {
    Tensor {
        name: name.into(),
        shape: shape.to_vec(),
        element: ElementType::Int8,
        quantization: Some(Quantization { scales: vec![scale], zero_points: vec![zero_point], axis: 0 }),
        constant: None,
    }
}

/// An integer constant.
pub fn constant(name: &str, element: ElementType, values: ArrayD<i64>, scales: Vec<f32>) -> Tensor {
    let zero_points = vec![0; scales.len()];
    Tensor {
        name: name.into(),
        shape: values.shape().to_vec(),
        element,
        quantization: (!scales.is_empty()).then_some(Quantization { scales, zero_points, axis: 0 }),
        constant: Some(ConstantData::Int(values)),
    }
}

impl Random {
    /// A window on an image of 1 to `most` rows and columns, 1-pixel images among them.
    ///
    /// # Errors
    /// None, or the window's checks are wrong.
    pub fn window(&mut self, most: usize, dilated: bool) -> Result<(Window, Sliding), CompileError> {
        let mut side = || {
            let any = self.size(1, most);
            self.pick(&[1, any, any, any])
        };
        let input = [side(), side()];
        self.window_on(input, dilated)
    }

    /// A window on an image of `input` rows and columns, with kernels as large as the image and strides larger
    /// than the kernel among them.
    ///
    /// # Errors
    /// None, or the window's checks are wrong.
    pub fn window_on(&mut self, input: [usize; 2], dilated: bool) -> Result<(Window, Sliding), CompileError> {
        let padding = self.pick(&[Padding::Same, Padding::Valid]);
        let (mut kernel, mut stride, mut dilation) = ([1; 2], [1; 2], [1; 2]);
        for axis in 0..2 {
            let most_taps = if padding == Padding::Same { input[axis] + 2 } else { input[axis] };
            let any = self.size(1, most_taps);
            kernel[axis] = self.pick(&[1, most_taps, input[axis], any]);
            stride[axis] = self.pick(&[1, 1, 2, kernel[axis] + 1]);
            let farthest = if kernel[axis] > 1 { (most_taps - 1) / (kernel[axis] - 1) } else { 3 };
            dilation[axis] = self.pick(&[1, 1, farthest.max(1)]);
        }
        if !dilated {
            dilation = [1; 2];
        }
        let sliding = Sliding { padding, stride, dilation };
        let view = NodeView { name: "random", inputs: vec![], outputs: vec![] };
        Ok((sliding.window(&view, input, kernel)?, sliding))
    }

    /// A fused activation.
    pub fn fused(&mut self) -> Activation {
        self.pick(&[Activation::None, Activation::Relu, Activation::Relu6, Activation::ReluN1To1])
    }
}

/// `{prefix}weights` of a shape whose dimension `axis` counts outputs, with one scale or one an output, all near
/// `scale`, and `{prefix}bias`.
pub fn layer_constants(random: &mut Random, prefix: &str, shape: &[usize], axis: usize, scale: f32) -> [Tensor; 2] {
    let outputs = shape[axis];
    let count = random.pick(&[1, outputs]);
    let scales = (0..count).map(|_| scale * random.scale(-1, 1)).collect();
    let limit = random.pick(&[1, 3, 127]);
    let bias_limit = random.pick(&[0, 1 << 10, 1 << 16]);
    let values = random.integers(shape, -limit, limit);
    let mut weights = constant(&format!("{prefix}weights"), ElementType::Int8, values, scales);
    if let Some(quantization) = weights.quantization.as_mut().filter(|q| q.scales.len() > 1) {
        quantization.axis = axis;
    }
    let bias = random.integers(&[outputs], -bias_limit, bias_limit);
    [weights, constant(&format!("{prefix}bias"), ElementType::Int32, bias, vec![])]
}

/// A network of one layer with weights of the shape `weights`, whose dimension `axis` counts outputs, on an
/// image of `channels`: any zero points, scales and bias.
///
/// # Errors
/// None, or the graph's checks are wrong.
pub fn image_layer(
    random: &mut Random,
    op: Op,
    window: &Window,
    channels: usize,
    weights: &[usize; 4],
    axis: usize,
) -> Result<Graph, CompileError> {
    let ([rows, columns], outputs) = (window.output(), weights[axis]);
    let input_scale = random.scale(-8, 2);
    let weight_scale = random.scale(-12, 0);
    let products = weights.iter().product::<usize>() / outputs;
    // Outputs of about half the type's width.
    let output_scale = input_scale * weight_scale * (products as f32).sqrt() * 64.0 * random.scale(-1, 2);
    let [kernel, bias] = layer_constants(random, "", weights, axis, weight_scale);
    let input_shape = [1, window.input[0], window.input[1], channels];
    let tensors = vec![
        activation("input", &input_shape, input_scale, random.within(-128, 127)),
        kernel,
        bias,
        activation("output", &[1, rows, columns, outputs], output_scale, random.within(-128, 127)),
    ];
    let bias = random.pick(&[Some(TensorId(2)), None]);
    network(tensors, op, vec![Some(TensorId(0)), Some(TensorId(1)), bias], &[0], 3)
}

/// A network of one node, which gives tensor `output`; `inputs` are the network's.
///
/// # Errors
/// None, or the graph's checks are wrong.
pub fn network(
    tensors: Vec<Tensor>,
    op: Op,
    operands: Vec<Option<TensorId>>,
    inputs: &[u32],
    output: u32,
) -> Result<Graph, CompileError> {
    let node = Node { name: "node".into(), op, inputs: operands, outputs: vec![TensorId(output)] };
    let inputs = inputs.iter().map(|&id| TensorId(id)).collect();
    Graph::new("random".into(), Format::Tflite, tensors, vec![node], inputs, vec![TensorId(output)])
}
