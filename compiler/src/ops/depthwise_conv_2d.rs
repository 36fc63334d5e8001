//! TFLite's DEPTHWISE_CONV_2D on int8: `y[p, c * K + j] = requantize(sum over taps t of
//! (x[p, t, c] - zx) * w[t, c * K + j] + b[c * K + j])` with depth multiplier K, taps in the padding
//! adding nothing. The fused activation is part of the requantization's clamp.

use super::conv_2d::expect_few_weights;
use super::image::{expect_image, image_of, image_value, result_value, taps, Sliding};
use super::layer::{check_accumulators, Layer};
use super::node_view::NodeView;
use super::random::{image_layer, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, Graph, Node};
use crate::passes::lowering::Lowering;
use crate::profile::Profile;
use crate::quant::{Conv, Depthwise, QuantOp};
use ndarray::Array2;
use systole_arith::formula::{Activation, TfliteOperator};
use systole_arith::Window;

/// Attributes of the operator. The file's depth multiplier is not one: the runtimes take it from
/// the shapes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DepthwiseConv2d {
    /// How the window slides.
    pub sliding: Sliding,
    /// Fused activation.
    pub activation: Activation,
}

/// The operands, checked.
struct Parts<'g> {
    /// Weights `[1, rows, columns, C * K]`.
    layer: Layer<'g>,
    window: Window,
    /// C.
    channels: usize,
    /// K.
    multiplier: usize,
}

impl DepthwiseConv2d {
    /// Checks operands and result.
    ///
    /// # Errors
    /// If a type, shape or quantization does not fit.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        self.parts(view).map(drop)
    }

    /// The result `[1, H', W', C * K]`, straight from the definition.
    ///
    /// # Errors
    /// If the operands do not fit.
    pub fn evaluate(
        &self,
        view: &NodeView,
        values: &[Option<&ConstantData>],
        profile: Profile,
    ) -> Result<ConstantData, CompileError> {
        let Parts { layer, window, multiplier, .. } = self.parts(view)?;
        let formula = layer.formula(view, TfliteOperator::DepthwiseConv2d, self.activation, profile)?;
        let input = image_value(view, values)?;
        let [rows, columns] = window.output();
        let mut result = Vec::with_capacity(rows * columns * layer.outputs());
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            for output in 0..layer.outputs() {
                let mut acc = layer.bias[output];
                for (ky, y) in taps(&window, 0, row) {
                    for (kx, x) in taps(&window, 1, column) {
                        let (Some(y), Some(x)) = (y, x) else { continue };
                        let element = input[[0, y, x, output / multiplier]];
                        acc += (element - layer.input_zero_point) * layer.weights[[0, ky, kx, output]];
                    }
                }
                result.push(formula.evaluate(output, acc));
            }
        }
        result_value(view, result)
    }

    /// Becomes a depthwise node, or a convolution of C groups where there are several outputs a channel
    /// or only one channel.
    ///
    /// # Errors
    /// If the input is no integer tensor of the accelerator, or an accumulator can leave the runtime's
    /// 32 bits.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let Parts { layer, window, channels, multiplier } = self.parts(&view)?;
        let formula = layer.formula(&view, TfliteOperator::DepthwiseConv2d, self.activation, lowering.profile)?;
        let (taps, outputs) = (window.taps(), layer.outputs());
        let alone = multiplier == 1 && channels > 1;
        let width = if alone { taps } else { taps * channels };
        expect_few_weights(&view, outputs, width)?;
        let mut weights = Array2::zeros((outputs, width));
        for (index, &weight) in layer.weights.iter().enumerate() {
            let (tap, output) = (index / outputs, index % outputs);
            let column = if alone { tap } else { tap * channels + output / multiplier };
            weights[[output, column]] = weight;
        }
        let product = layer.product(weights, formula);
        let [rows, columns] = window.input;
        let input = lowering.image_operand(node, 0, [rows, columns, channels])?;
        check_accumulators(&view, &product, lowering.tensor(&node.name, input)?.range)?;
        let (window, input) = lowering.without_padding(window, input, product.input_zero_point);
        let op = match alone {
            true => QuantOp::Depthwise(Depthwise { window, product }),
            false if window.is_pointwise() => QuantOp::Dense(product),
            false => QuantOp::Conv(Conv { window, groups: channels, product }),
        };
        lowering.define_image(node, op, vec![input])
    }

    fn parts<'g>(&self, view: &NodeView<'g>) -> Result<Parts<'g>, CompileError> {
        let layer = Layer::read(view, &["1", "rows", "columns", "outputs"], 3)?;
        let [rows, columns, channels] = image_of(view, layer.input, "input")?;
        let (outputs, kernel) = match *layer.weights.shape() {
            [1, rows, columns, outputs] => (outputs, [rows, columns]),
            _ => {
                return Err(view.error(
                    format!("weights have shape {:?}", layer.weights.shape()),
                    "give them shape [1, rows, columns, outputs]",
                ))
            }
        };
        let window = self.sliding.window(view, [rows, columns], kernel)?;
        if !outputs.is_multiple_of(channels) {
            return Err(view.error(
                format!("{outputs} outputs are no multiple of {channels} input channels"),
                "give every channel equally many outputs (the depth multiplier)",
            ));
        }
        expect_image(view, layer.output, window.output(), outputs)?;
        Ok(Parts { layer, window, channels, multiplier: outputs / channels })
    }

    /// A network of one such layer on an image of 1 to 7 rows and columns, depth multiplier 1 to 3.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let (channels, multiplier) = (random.size(1, 7), random.pick(&[1, 1, 2, 3]));
        let (window, sliding) = random.window(7, true)?;
        let kernel = window.kernel;
        let op = DepthwiseConv2d { sliding, activation: random.fused() };
        let weights = [1, kernel[0], kernel[1], channels * multiplier];
        image_layer(random, super::Op::DepthwiseConv2d(op), &window, channels, &weights, 3)
    }
}
