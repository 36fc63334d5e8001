//! TFLite's PAD and PADV2 on int8: rows, columns and channels of one value around an image. PAD adds
//! the zero point, PADV2 a constant of the input's quantization.
//!
//! Channels are added by a product: every one of the input times 1, the others the constant as their bias.

use super::conv_2d::expect_few_weights;
use super::image::{image_of, result_value};
use super::node_view::NodeView;
use super::random::{activation, constant, network, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Graph, Node, TensorId};
use crate::passes::lowering::Lowering;
use crate::quant::{self, weight_type, Dense, QuantOp};
use ndarray::{Array2, ArrayD};
use systole_arith::formula::{FixedPoint, OutputStage, TieRule};
use systole_arith::rounding::QuantizedMultiplier;
use systole_arith::{Formula, IntType, Window};

/// The operator: how much is added is operand 1, with what operand 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pad;

/// The operands, checked.
struct Parts {
    /// A window of one tap whose padding is what is added.
    window: Window,
    /// Channels of the input.
    channels: usize,
    /// Channels added in front and behind.
    added: [usize; 2],
    /// Stored value of what is added.
    value: i64,
    /// Stored value that stands for 0.
    zero_point: i64,
}

impl Pad {
    /// Checks operands and result.
    ///
    /// # Errors
    /// If types, shapes or quantization do not fit, or other dimensions than rows and columns grow.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        self.parts(view).map(drop)
    }

    /// The result `[1, H', W', C]`, straight from the definition.
    ///
    /// # Errors
    /// If the operand does not fit.
    pub fn evaluate(&self, view: &NodeView, values: &[Option<&ConstantData>]) -> Result<ConstantData, CompileError> {
        let Parts { window, channels, added, value, .. } = self.parts(view)?;
        let input = view.int_value(values, 0)?;
        let rows = window.input[0] + window.pad_before[0] + window.pad_after[0];
        let columns = window.input[1] + window.pad_before[1] + window.pad_after[1];
        let outputs = added[0] + channels + added[1];
        let mut result = vec![value; rows * columns * outputs];
        for (index, &element) in input.iter().enumerate() {
            let (channel, column) = (index % channels, index / channels % window.input[1]);
            let row = index / channels / window.input[1];
            let pixel = (row + window.pad_before[0]) * columns + column + window.pad_before[1];
            result[pixel * outputs + added[0] + channel] = element;
        }
        result_value(view, result)
    }

    /// Becomes a padding, and a dense node behind it where channels are added.
    ///
    /// # Errors
    /// If the input is no integer tensor of the accelerator, or there are too many channels.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let parts = self.parts(&view)?;
        let Parts { window, channels, value, .. } = parts;
        let [rows, columns] = window.input;
        let input = lowering.image_operand(node, 0, [rows, columns, channels])?;
        let pad = QuantOp::Pad(quant::Pad { window, value });
        if parts.added == [0, 0] {
            return lowering.define_image(node, pad, vec![input]);
        }
        let product = parts.widening(&view)?;
        let mut wide = input;
        if !window.is_pointwise() {
            let [rows, columns] = window.output();
            let int8 = IntType::Signed(8);
            let name = format!("{}_pixels", view.output()?.name);
            wide = lowering.add_tensor(name, vec![rows, columns, channels], int8, int8.range(), None)?;
            lowering.add_node(&format!("{}_pixels", node.name), pad, vec![input], wide);
        }
        lowering.define_image(node, QuantOp::Dense(product), vec![wide])
    }

    fn parts(&self, view: &NodeView) -> Result<Parts, CompileError> {
        view.at_most(3)?;
        let (input, output) = (view.input(0, "input")?, view.output()?);
        view.expect_type(input, "input", ElementType::Int8)?;
        view.expect_type(output, "output", ElementType::Int8)?;
        view.expect_equal_quantization(input, output)?;
        let (_, zero_point) = view.per_tensor(input, "input")?;
        let (rows, columns, channels) = match *input.shape.as_slice() {
            [1, columns, channels] => (1, columns, channels),
            _ => image_of(view, input, "input").map(|[rows, columns, channels]| (rows, columns, channels))?,
        };
        let amounts = view.constant_integers(1, "paddings")?;
        let amounts: Option<Vec<usize>> = amounts.iter().map(|&amount| usize::try_from(amount).ok()).collect();
        let [pad_before, pad_after, added] = match amounts.as_deref() {
            Some(&[0, 0, above, below, left, right, before, after]) if input.shape.len() == 4 => {
                [[above, left], [below, right], [before, after]]
            }
            Some(&[0, 0, left, right, before, after]) if input.shape.len() == 3 => {
                [[0, left], [0, right], [before, after]]
            }
            _ => {
                return Err(view.error(
                    format!("it pads {:?} by {:?} (before and after each dimension)", input.shape, amounts),
                    "pad rows, columns and channels by 0 or more each, and not the batch",
                ))
            }
        };
        let window = Window { pad_before, pad_after, ..Window::pointwise([rows, columns]) };
        window.validate().map_err(|error| view.error(error.to_string(), "export the model again"))?;
        let outputs = channels.saturating_add(added[0]).saturating_add(added[1]);
        let [rows, columns] = window.output();
        let expected = if input.shape.len() == 3 { vec![1, columns, outputs] } else { vec![1, rows, columns, outputs] };
        if output.shape != expected {
            return Err(view.error(
                format!("output `{}` has shape {:?}, the operands give {expected:?}", output.name, output.shape),
                "export the model again",
            ));
        }
        Ok(Parts { window, channels, added, value: self.value(view, zero_point)?, zero_point })
    }

    /// Stored value of the added pixels.
    fn value(&self, view: &NodeView, zero_point: i64) -> Result<i64, CompileError> {
        let Some(constant) = view.optional(2) else { return Ok(zero_point) };
        view.expect_type(constant, "value", ElementType::Int8)?;
        view.expect_equal_quantization(view.input(0, "input")?, constant)?;
        match view.constant_integers(2, "value")?.as_slice() {
            [value] => Ok(*value),
            values => Err(view.error(format!("it pads with {} values", values.len()), "pad with one value")),
        }
    }

    /// A network that pads an image of 1 to 5 rows and columns by 0 to 3 on each side, and sometimes its channels.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let (scale, zero_point) = (random.scale(-8, 2), random.within(-128, 127));
        let shape = [1, random.size(1, 5), random.size(1, 5), random.size(1, 5)];
        let mut amounts: Vec<i64> = [0, 0].into_iter().chain((0..4).map(|_| random.within(0, 3))).collect();
        let most = random.pick(&[0, 0, 2]);
        amounts.extend((0..2).map(|_| random.within(0, most)));
        if random.size(0, 3) == 0 {
            amounts[2..6].fill(0);
        }
        let grown = |axis: usize| shape[axis] + (amounts[2 * axis] + amounts[2 * axis + 1]) as usize;
        let output = [1, grown(1), grown(2), grown(3)];
        let paddings = ArrayD::from_shape_fn(ndarray::IxDyn(&[4, 2]), |at| amounts[at[0] * 2 + at[1]]);
        let mut value = constant("value", ElementType::Int8, random.integers(&[1], -128, 127), vec![scale]);
        if let Some(quantization) = value.quantization.as_mut() {
            quantization.zero_points = vec![zero_point];
        }
        let tensors = vec![
            activation("input", &shape, scale, zero_point),
            constant("paddings", ElementType::Int32, paddings, vec![]),
            value,
            activation("output", &output, scale, zero_point),
        ];
        let mut tensors = tensors;
        if shape[1] == 1 && amounts[2..4] == [0, 0] && random.pick(&[true, false]) {
            // A sequence.
            tensors[0].shape.remove(1);
            tensors[3].shape.remove(1);
            let paddings = ArrayD::from_shape_fn(ndarray::IxDyn(&[3, 2]), |at| match at[0] {
                0 => 0,
                row => amounts[row * 2 + 2 + at[1]],
            });
            tensors[1] = constant("paddings", ElementType::Int32, paddings, vec![]);
        }
        let value = random.pick(&[Some(TensorId(2)), None]);
        network(tensors, super::Op::Pad(Pad), vec![Some(TensorId(0)), Some(TensorId(1)), value], &[0], 3)
    }
}

impl Parts {
    /// The product that gives an image more channels: the accumulator is the stored value minus the zero point,
    /// and multiplication by exactly 1 keeps it.
    fn widening(&self, view: &NodeView) -> Result<Dense, CompileError> {
        let Parts { channels, added: [before, after], value, zero_point, .. } = *self;
        let outputs = before + channels + after;
        expect_few_weights(view, outputs, channels)?;
        let mut weights = Array2::zeros((outputs, channels));
        let mut bias = vec![value - zero_point; outputs];
        for channel in 0..channels {
            weights[[before + channel, channel]] = 1;
            bias[before + channel] = 0;
        }
        let int8 = IntType::Signed(8);
        let failed = |cause: String| view.error(cause, "calibrate the model again");
        let one = QuantizedMultiplier::new(1.0).map_err(|error| failed(error.to_string()))?;
        let output = OutputStage::new(int8, zero_point, int8.range().lo, int8.range().hi)
            .map_err(|error| failed(error.to_string()))?;
        let formula =
            Formula::FixedPoint(FixedPoint { channels: outputs, multipliers: vec![one], ties: TieRule::Away, output });
        let weight_type = weight_type(weights.iter().copied(), int8);
        Ok(Dense { weights, weight_type, input_zero_point: zero_point, bias, formula, map: None })
    }
}
