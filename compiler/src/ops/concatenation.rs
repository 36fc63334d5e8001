//! TFLite's CONCATENATION on int8 along the channels. All operands and the result have one
//! quantization: the runtimes refuse others when they load a model.

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
    /// If types, shapes or quantization do not fit, or the axis is another than the channels'.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        let output = view.output()?;
        view.expect_type(output, "output", ElementType::Int8)?;
        let rank = output.shape.len();
        let axis = if self.axis < 0 { self.axis.saturating_add(rank as i32) } else { self.axis };
        if rank < 2 || usize::try_from(axis) != Ok(rank - 1) {
            return Err(view.error(
                format!("it concatenates {:?} along dimension {}", output.shape, self.axis),
                "concatenate along the channels (the last dimension)",
            ));
        }
        if view.inputs.is_empty() {
            return Err(view.error("it has no operands", "export the model again"));
        }
        let mut channels = 0usize;
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
            match (input.shape.split_last(), output.shape.split_last()) {
                (Some((last, leading)), Some((_, expected))) if leading == expected => {
                    channels = channels.saturating_add(*last);
                }
                _ => {
                    return Err(view.error(
                        format!("operand `{}` has shape {:?}, the result {:?}", input.name, input.shape, output.shape),
                        "export the model again",
                    ))
                }
            }
        }
        match output.shape.last() == Some(&channels) {
            true => Ok(()),
            false => Err(view.error(
                format!("operands of {channels} channels make a result of shape {:?}", output.shape),
                "export the model again",
            )),
        }
    }

    /// The operands behind each other.
    ///
    /// # Errors
    /// If they do not fit.
    pub fn evaluate(&self, view: &NodeView, values: &[Option<&ConstantData>]) -> Result<ConstantData, CompileError> {
        self.check(view)?;
        let operands: Vec<_> = (0..view.inputs.len())
            .map(|position| view.int_value(values, position).map(|values| values.view()))
            .collect::<Result<_, _>>()?;
        let axis = Axis(view.output()?.shape.len() - 1);
        concatenate(axis, &operands)
            .map(ConstantData::Int)
            .map_err(|error| view.error(error.to_string(), "export the model again"))
    }

    /// Becomes a concatenation, or nothing with a single operand.
    ///
    /// # Errors
    /// If an operand is no integer tensor of the accelerator.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        self.check(&view)?;
        if view.inputs.len() == 1 {
            return lowering.pass_through(node);
        }
        let mut inputs = Vec::with_capacity(view.inputs.len());
        for position in 0..view.inputs.len() {
            let shape = sample_shape(&view.input(position, "input")?.shape);
            inputs.push(lowering.shaped_operand(node, position, &shape)?);
        }
        lowering.define_image(node, QuantOp::Concat, inputs)
    }

    /// A network that concatenates 1 to 4 images.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let (scale, zero_point) = (random.scale(-8, 2), random.within(-128, 127));
        let (rows, columns, count) = (random.size(1, 4), random.size(1, 4), random.size(1, 4));
        let mut tensors = Vec::new();
        let mut total = 0;
        for index in 0..count {
            let channels = random.size(1, 5);
            tensors.push(activation(&format!("input{index}"), &[1, rows, columns, channels], scale, zero_point));
            total += channels;
        }
        tensors.push(activation("output", &[1, rows, columns, total], scale, zero_point));
        let ids: Vec<u32> = (0..count as u32).collect();
        let operands = ids.iter().map(|&id| Some(TensorId(id))).collect();
        let op = Concatenation { axis: random.pick(&[3, -1]) };
        network(tensors, super::Op::Concatenation(op), operands, &ids, count as u32)
    }
}
