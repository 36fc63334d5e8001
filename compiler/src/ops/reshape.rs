//! TFLite's RESHAPE, SQUEEZE and EXPAND_DIMS: the same elements in the same order. So is the end of a dilated
//! convolution, BATCH_TO_SPACE_ND, once the convolution has its dilation itself.
//!
//! The file states the result's shape, so operands and attributes that repeat it are only compared in
//! the number of elements.

use super::node_view::{sample_shape, NodeView};
use super::random::{activation, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, Format, Graph, Node, TensorId};
use crate::passes::lowering::{Lowering, Value};
use crate::profile::Profile;
use ndarray::IxDyn;
use systole_arith::BorderOp;

/// The operator; its shape is the result's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reshape {
    /// To any shape.
    Reshape,
    /// Without some dimensions of 1.
    Squeeze,
    /// With a further dimension of 1.
    ExpandDims,
    /// The result of a convolution whose dilation was written as interleaved images.
    BatchToSpace,
}

impl Reshape {
    /// Name in the file format's specification.
    pub fn name(self) -> &'static str {
        match self {
            Reshape::Reshape => "RESHAPE",
            Reshape::Squeeze => "SQUEEZE",
            Reshape::ExpandDims => "EXPAND_DIMS",
            Reshape::BatchToSpace => "BATCH_TO_SPACE_ND",
        }
    }

    /// Checks operands and result.
    ///
    /// # Errors
    /// If element types, quantization or numbers of elements differ.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        view.at_most(2)?;
        let (input, output) = (view.input(0, "input")?, view.output()?);
        view.expect_equal_counts(input, output)?;
        if input.element != output.element {
            return Err(view.error(
                format!("it turns {} into {}", input.element.name(), output.element.name()),
                "export the model again",
            ));
        }
        if input.quantization != output.quantization && output.quantization.is_some() && input.quantization.is_some() {
            return Err(view.error(
                format!("`{}` and `{}` have different scales or zero points", input.name, output.name),
                format!("export the model again: {} computes nothing", self.name()),
            ));
        }
        Ok(())
    }

    /// The elements under the result's shape.
    ///
    /// # Errors
    /// If the numbers of elements differ.
    pub fn evaluate(&self, view: &NodeView, values: &[Option<&ConstantData>]) -> Result<ConstantData, CompileError> {
        let shape = IxDyn(&view.output()?.shape);
        let misfit = || view.error("the values do not fit the result's shape", "export the model again");
        match values.first().copied().flatten() {
            Some(ConstantData::Int(values)) => {
                values.to_shape(shape).map(|view| ConstantData::Int(view.to_owned())).map_err(|_| misfit())
            }
            Some(ConstantData::Float(values)) => {
                values.to_shape(shape).map(|view| ConstantData::Float(view.to_owned())).map_err(|_| misfit())
            }
            None => Err(misfit()),
        }
    }

    /// On the host it joins the border's operations; between layers it is a node where pixels
    /// change, and nothing where only dimensions of 1 do.
    ///
    /// # Errors
    /// If the operand has no value.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let output = view.output()?;
        if (*self, lowering.profile) == (Reshape::BatchToSpace, Profile::Tflm) {
            return Err(view.error(
                "TensorFlow Lite Micro takes the batch of interleaved images for 1, or refuses it",
                "use another profile, or export the convolution with dilation factors of its own",
            ));
        }
        let shape = sample_shape(&output.shape);
        let value = match lowering.operand(node, 0)? {
            Value::Host { input, mut operations, .. } => {
                operations.push(BorderOp::Reshape { shape: shape.clone() });
                Value::Host { input, shape, operations }
            }
            Value::Tail { tensor, mut operations, .. } => {
                operations.push(BorderOp::Reshape { shape: shape.clone() });
                Value::Tail { tensor, shape, operations }
            }
            Value::Integer { tensor, scale, zero_point } => {
                let channels = lowering.tensor(&node.name, tensor)?.channels();
                let tensor = match shape.last().copied().unwrap_or(1) == channels {
                    true => tensor,
                    false => lowering.reshape(&node.name, tensor, shape)?,
                };
                Value::Integer { tensor, scale, zero_point }
            }
            Value::Real(_) | Value::Float(_) => {
                return Err(CompileError::node(
                    &node.name,
                    "its operand is not quantized",
                    "quantize the model to int8",
                ))
            }
        };
        lowering.define(node, value)
    }

    /// A network of one such operator on up to 24 elements.
    ///
    /// # Errors
    /// None for any seed.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let dims = [random.size(1, 2), random.size(1, 3), random.size(1, 4)];
        let to = match random.size(0, 2) {
            0 => vec![1, dims.iter().product()],
            1 => vec![1, dims[2], dims[0] * dims[1]],
            _ => vec![1, dims[1], dims[2], dims[0]],
        };
        let from: Vec<usize> = [1].into_iter().chain(dims).collect();
        let (scale, zero_point) = (random.scale(-8, 2), random.within(-128, 127));
        let tensors = vec![activation("input", &from, scale, zero_point), activation("output", &to, scale, zero_point)];
        let node = Node {
            name: "view".into(),
            op: super::Op::Reshape(random.pick(&[Reshape::Reshape, Reshape::Squeeze, Reshape::ExpandDims])),
            inputs: vec![Some(TensorId(0))],
            outputs: vec![TensorId(1)],
        };
        Graph::new("random".into(), Format::Tflite, tensors, vec![node], vec![TensorId(0)], vec![TensorId(1)])
    }
}
