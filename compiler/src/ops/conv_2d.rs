//! TFLite's CONV_2D on int8: `y[p, m] = requantize(sum over taps t and channels c of
//! (x[p, t, c] - zx) * w[m, t, c] + b[m])`, taps in the padding adding nothing.
//!
//! Grouped where the input has more channels than the weights: group g of the outputs reads the
//! g-th part of the channels. The fused activation is part of the requantization's clamp.

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

/// Most weights of a layer once groups are written as zeros in one matrix: 128 MiB.
const WEIGHT_LIMIT: usize = 1 << 24;

/// Attributes of the operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv2d {
    /// How the window slides.
    pub sliding: Sliding,
    /// Fused activation.
    pub activation: Activation,
}

/// The operands, checked.
struct Parts<'g> {
    /// Weights `[M, rows, columns, C / groups]`.
    layer: Layer<'g>,
    window: Window,
    /// C.
    channels: usize,
    groups: usize,
}

impl Conv2d {
    /// Checks operands and result.
    ///
    /// # Errors
    /// If a type, shape or quantization does not fit.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        self.parts(view).map(drop)
    }

    /// The result `[1, H', W', M]`, straight from the definition.
    ///
    /// # Errors
    /// If the operands do not fit.
    pub fn evaluate(
        &self,
        view: &NodeView,
        values: &[Option<&ConstantData>],
        profile: Profile,
    ) -> Result<ConstantData, CompileError> {
        let Parts { layer, window, groups, .. } = self.parts(view)?;
        let formula = layer.formula(view, operator(groups), self.activation, profile)?;
        let input = image_value(view, values)?;
        let (outputs, of_group) = (layer.outputs(), layer.weights.shape()[3]);
        let [rows, columns] = window.output();
        let mut result = Vec::with_capacity(rows * columns * outputs);
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            for output in 0..outputs {
                let first = output / (outputs / groups) * of_group;
                let mut acc = layer.bias[output];
                for (ky, y) in taps(&window, 0, row) {
                    for (kx, x) in taps(&window, 1, column) {
                        let (Some(y), Some(x)) = (y, x) else { continue };
                        for channel in 0..of_group {
                            let weight = layer.weights[[output, ky, kx, channel]];
                            acc += (input[[0, y, x, first + channel]] - layer.input_zero_point) * weight;
                        }
                    }
                }
                result.push(formula.evaluate(output, acc));
            }
        }
        result_value(view, result)
    }

    /// Becomes a convolution, a dense node where the window is one pixel at every pixel, or a depthwise
    /// node where every channel is a group with one output.
    ///
    /// # Errors
    /// If the input is no integer tensor of the accelerator, an accumulator can leave the runtime's
    /// 32 bits, or the weights of all groups are too many.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let Parts { layer, window, channels, groups } = self.parts(&view)?;
        let formula = layer.formula(&view, operator(groups), self.activation, lowering.profile)?;
        let (taps, outputs) = (window.taps(), layer.outputs());
        let alone = channels > 1 && groups == channels && groups == outputs;
        let width = if alone { taps } else { taps * channels };
        expect_few_weights(&view, outputs, width)?;
        let of_group = channels / groups;
        let mut weights = Array2::zeros((outputs, width));
        for (index, &weight) in layer.weights.iter().enumerate() {
            let (tap, channel) = (index / of_group % taps, index % of_group);
            let output = index / (of_group * taps);
            let group = output / (outputs / groups);
            let column = if alone { tap } else { tap * channels + group * of_group + channel };
            weights[[output, column]] = weight;
        }
        let product = layer.product(weights, formula);
        let [rows, columns] = window.input;
        let input = lowering.image_operand(node, 0, [rows, columns, channels])?;
        check_accumulators(&view, &product, lowering.tensor(&node.name, input)?.range)?;
        let (window, input) = lowering.without_padding(window, input, product.input_zero_point);
        let op = match (alone, window.is_pointwise()) {
            (true, _) => QuantOp::Depthwise(Depthwise { window, product }),
            (false, true) => QuantOp::Dense(product),
            (false, false) => QuantOp::Conv(Conv { window, groups, product }),
        };
        lowering.define_image(node, op, vec![input])
    }

    fn parts<'g>(&self, view: &NodeView<'g>) -> Result<Parts<'g>, CompileError> {
        let layer = Layer::read(view, &["outputs", "rows", "columns", "channels"], 0)?;
        let [rows, columns, channels] = image_of(view, layer.input, "input")?;
        let (outputs, kernel, of_group) = match *layer.weights.shape() {
            [outputs, rows, columns, of_group] => (outputs, [rows, columns], of_group),
            _ => return Err(view.error("its weights have no four dimensions", "export the model again")),
        };
        let window = self.sliding.window(view, [rows, columns], kernel)?;
        let groups = channels / of_group.max(1);
        if !channels.is_multiple_of(of_group) || groups == 0 || !outputs.is_multiple_of(groups) {
            return Err(view.error(
                format!("weights {:?} do not divide {channels} input channels into groups", layer.weights.shape()),
                "make input channels a multiple of the weights' and outputs a multiple of the groups",
            ));
        }
        expect_image(view, layer.output, window.output(), outputs)?;
        Ok(Parts { layer, window, channels, groups })
    }

    /// A network of one such layer on an image of 1 to 7 rows and columns.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let groups = random.pick(&[1, 1, 1, 2, 3]);
        let (of_group, of_outputs) = (random.size(1, 5), random.size(1, 4));
        let (window, sliding) = random.window(7, true)?;
        let kernel = window.kernel;
        let op = Conv2d { sliding, activation: random.fused() };
        let weights = [groups * of_outputs, kernel[0], kernel[1], of_group];
        image_layer(random, super::Op::Conv2d(op), &window, groups * of_group, &weights, 0)
    }
}

/// The runtimes have another kernel for several groups.
fn operator(groups: usize) -> TfliteOperator {
    match groups {
        1 => TfliteOperator::Conv2d,
        _ => TfliteOperator::GroupedConv2d,
    }
}

/// Fails where a layer's matrix `[outputs, width]` would take too much memory.
///
/// # Errors
/// As said.
pub(super) fn expect_few_weights(view: &NodeView, outputs: usize, width: usize) -> Result<(), CompileError> {
    match outputs.checked_mul(width).is_some_and(|n| n <= WEIGHT_LIMIT) {
        true => Ok(()),
        false => Err(view.error(
            format!("{outputs} outputs of {width} weights each, those of other groups included, are too many"),
            format!("use at most {WEIGHT_LIMIT} weights, or split the layer into one a group"),
        )),
    }
}
