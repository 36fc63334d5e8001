//! TFLite's PAD and PADV2 on int8: rows and columns of one value around an image. PAD adds the
//! zero point, PADV2 a constant of the input's quantization.

use super::image::{image_of, image_value, result_value};
use super::node_view::NodeView;
use super::random::{activation, constant, network, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Graph, Node, TensorId};
use crate::passes::lowering::Lowering;
use crate::quant::{self, QuantOp};
use ndarray::ArrayD;
use systole_arith::Window;

/// The operator: how much is added is operand 1, with what operand 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pad;

/// The operands, checked.
struct Parts {
    /// A window of one tap whose padding is what is added.
    window: Window,
    channels: usize,
    /// Stored value of the added pixels.
    value: i64,
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
        let Parts { window, channels, value } = self.parts(view)?;
        let input = image_value(view, values)?;
        let rows = window.input[0] + window.pad_before[0] + window.pad_after[0];
        let columns = window.input[1] + window.pad_before[1] + window.pad_after[1];
        let mut result = vec![value; rows * columns * channels];
        for ((_, row, column, channel), &element) in input.indexed_iter() {
            let pixel = (row + window.pad_before[0]) * columns + column + window.pad_before[1];
            result[pixel * channels + channel] = element;
        }
        result_value(view, result)
    }

    /// Becomes a padding.
    ///
    /// # Errors
    /// If the input is no integer tensor of the accelerator.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let Parts { window, channels, value } = self.parts(&view)?;
        let [rows, columns] = window.input;
        let input = lowering.image_operand(node, 0, [rows, columns, channels])?;
        lowering.define_image(node, QuantOp::Pad(quant::Pad { window, value }), vec![input])
    }

    fn parts(&self, view: &NodeView) -> Result<Parts, CompileError> {
        view.at_most(3)?;
        let (input, output) = (view.input(0, "input")?, view.output()?);
        view.expect_type(input, "input", ElementType::Int8)?;
        view.expect_type(output, "output", ElementType::Int8)?;
        view.expect_equal_quantization(input, output)?;
        let (_, zero_point) = view.per_tensor(input, "input")?;
        let [rows, columns, channels] = image_of(view, input, "input")?;
        let amounts = view.constant_integers(1, "paddings")?;
        let amounts: Option<Vec<usize>> = amounts.iter().map(|&amount| usize::try_from(amount).ok()).collect();
        let [pad_before, pad_after] = match amounts.as_deref() {
            Some(&[0, 0, above, below, left, right, 0, 0]) => [[above, left], [below, right]],
            _ => {
                return Err(view.error(
                    format!("it pads {:?} by {:?} (before and after each dimension)", input.shape, amounts),
                    "pad rows and columns only; channels can be added by the layer in front",
                ))
            }
        };
        let window = Window { pad_before, pad_after, ..Window::pointwise([rows, columns]) };
        window.validate().map_err(|error| view.error(error.to_string(), "export the model again"))?;
        super::image::expect_image(view, output, window.output(), channels)?;
        Ok(Parts { window, channels, value: self.value(view, zero_point)? })
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

    /// A network that pads an image of 1 to 5 rows and columns by 0 to 3 on each side.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let (scale, zero_point) = (random.scale(-8, 2), random.within(-128, 127));
        let shape = [1, random.size(1, 5), random.size(1, 5), random.size(1, 5)];
        let amounts: Vec<i64> = [0, 0].into_iter().chain((0..4).map(|_| random.within(0, 3))).chain([0, 0]).collect();
        let grown = |axis: usize| shape[axis] + (amounts[2 * axis] + amounts[2 * axis + 1]) as usize;
        let output = [1, grown(1), grown(2), shape[3]];
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
        let value = random.pick(&[Some(TensorId(2)), None]);
        network(tensors, super::Op::Pad(Pad), vec![Some(TensorId(0)), Some(TensorId(1)), value], &[0], 3)
    }
}
