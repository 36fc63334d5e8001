//! TFLite's CONCATENATION on int8 along the channels, columns or rows. All operands and the result have
//! one quantization: the runtimes refuse others when they load a model.

use super::node_view::{sample_shape, NodeView};
use super::random::{activation, network, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Graph, Node, TensorId};
use crate::passes::lowering::Lowering;
use crate::quant::QuantOp;
use ndarray::{concatenate, Axis};

/// The operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concatenation {
    /// Dimension along which tensors are put behind each other; negative from the last one.
    pub axis: i32,
}

impl Concatenation {
    /// Checks operands and result.
    ///
    /// # Errors
    /// If types, shapes or quantization do not fit, or it joins samples.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        self.axis(view).map(drop)
    }

    /// The dimension along which, counted from the batch, once everything is checked.
    fn axis(&self, view: &NodeView) -> Result<usize, CompileError> {
        let output = view.output()?;
        view.expect_type(output, "output", ElementType::Int8)?;
        let rank = output.shape.len();
        let axis = if self.axis < 0 { self.axis.saturating_add(rank as i32) } else { self.axis };
        let Some(axis) = usize::try_from(axis).ok().filter(|axis| (1..rank).contains(axis)) else {
            return Err(view.error(
                format!("it concatenates {:?} along dimension {}", output.shape, self.axis),
                "concatenate along channels, columns or rows, not along the batch (dimension 0)",
            ));
        };
        if view.inputs.is_empty() {
            return Err(view.error("it has no operands", "export the model again"));
        }
        let mut total = 0usize;
        for position in 0..view.inputs.len() {
            let input = view.input(position, "input")?;
            view.expect_type(input, "input", ElementType::Int8)?;
            if input.constant.is_some() {
                return Err(view.error(
                    format!("operand `{}` is a constant", input.name),
                    "only tensors computed at run time are concatenated",
                ));
            }
            view.expect_equal_quantization(input, output)?;
            let others = |shape: &[usize]| -> Vec<usize> {
                shape.iter().enumerate().filter(|(at, _)| *at != axis).map(|(_, &dim)| dim).collect()
            };
            match input.shape.get(axis) {
                Some(size) if input.shape.len() == rank && others(&input.shape) == others(&output.shape) => {
                    total = total.saturating_add(*size);
                }
                _ => {
                    return Err(view.error(
                        format!("operand `{}` has shape {:?}, the result {:?}", input.name, input.shape, output.shape),
                        "export the model again",
                    ))
                }
            }
        }
        match output.shape.get(axis) == Some(&total) {
            true => Ok(axis),
            false => Err(view.error(
                format!("operands of {total} along dimension {axis} make a result of shape {:?}", output.shape),
                "export the model again",
            )),
        }
    }

    /// The operands behind each other.
    ///
    /// # Errors
    /// If they do not fit.
    pub fn evaluate(&self, view: &NodeView, values: &[Option<&ConstantData>]) -> Result<ConstantData, CompileError> {
        let axis = Axis(self.axis(view)?);
        let operands: Vec<_> = (0..view.inputs.len())
            .map(|position| view.int_value(values, position).map(|values| values.view()))
            .collect::<Result<_, _>>()?;
        concatenate(axis, &operands)
            .map(ConstantData::Int)
            .map_err(|error| view.error(error.to_string(), "export the model again"))
    }

    /// Becomes a concatenation of channels or of pixels, or nothing with a single operand.
    ///
    /// # Errors
    /// If an operand is no integer tensor of the accelerator.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let axis = self.axis(&view)?;
        if view.inputs.len() == 1 {
            return lowering.pass_through(node);
        }
        let (mut inputs, mut shapes) = (Vec::new(), Vec::new());
        for position in 0..view.inputs.len() {
            let shape = sample_shape(&view.input(position, "input")?.shape);
            inputs.push(lowering.shaped_operand(node, position, &shape)?);
            shapes.push(shape);
        }
        lowering.define_image(node, QuantOp::behind_each_other(&shapes, axis - 1), inputs)
    }

    /// A network that concatenates 1 to 4 images along any of their dimensions.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let (scale, zero_point) = (random.scale(-8, 2), random.within(-128, 127));
        let (axis, count) = (random.size(1, 3), random.size(1, 4));
        let mut shape = [1, random.size(1, 4), random.size(1, 4), random.size(1, 5)];
        let mut tensors = Vec::new();
        let mut total = 0;
        for index in 0..count {
            shape[axis] = random.size(1, 5);
            tensors.push(activation(&format!("input{index}"), &shape, scale, zero_point));
            total += shape[axis];
        }
        shape[axis] = total;
        tensors.push(activation("output", &shape, scale, zero_point));
        let ids: Vec<u32> = (0..count as u32).collect();
        let operands = ids.iter().map(|&id| Some(TensorId(id))).collect();
        let op = Concatenation { axis: random.pick(&[axis as i32, axis as i32 - 4]) };
        network(tensors, super::Op::Concatenation(op), operands, &ids, count as u32)
    }
}
