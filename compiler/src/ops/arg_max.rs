//! TFLite's ARG_MAX along the last dimension: the index of the first greatest element. The host executes it behind
//! the accelerator, or the accelerator on request.

use super::node_view::{sample_shape, NodeView};
use super::random::{activation, constant, network, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Graph, Node, Tensor, TensorId};
use crate::passes::layout::Layout;
use crate::passes::lowering::{ArgMaxPlace, Lowering, Value};
use ndarray::{arr0, ArrayD, Axis};
use num_rational::BigRational;
use num_traits::One;
use systole_arith::BorderOp;

/// The operator; its axis is operand 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgMax;

impl ArgMax {
    /// Checks operands and result.
    ///
    /// # Errors
    /// If types or shapes do not fit, or the axis is another than the last.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        view.at_most(2)?;
        let (input, output) = (view.input(0, "input")?, view.output()?);
        view.expect_type(input, "input", ElementType::Int8)?;
        if !matches!(output.element, ElementType::Int32 | ElementType::Int64) {
            return Err(view.error(
                format!("output `{}` is {}", output.name, output.element.name()),
                "let indices be int32 or int64",
            ));
        }
        let rank = input.shape.len() as i64;
        let axis = view.constant_integers(1, "axis")?;
        let last = matches!(axis.as_slice(), [axis] if *axis == -1 || *axis == rank - 1);
        if !last || rank < 2 {
            return Err(view.error(
                format!("it searches {:?} along dimension {axis:?}", input.shape),
                "search along the last dimension, behind the batch",
            ));
        }
        match input.shape.split_last() {
            Some((_, leading)) if output.shape == leading => Ok(()),
            _ => Err(view
                .error(format!("it turns shape {:?} into {:?}", input.shape, output.shape), "export the model again")),
        }
    }

    /// The indices.
    ///
    /// # Errors
    /// If the operand does not fit.
    pub fn evaluate(&self, view: &NodeView, values: &[Option<&ConstantData>]) -> Result<ConstantData, CompileError> {
        self.check(view)?;
        let input: &ArrayD<i64> = view.int_value(values, 0)?;
        let last = Axis(input.ndim().saturating_sub(1));
        let first_greatest = |row: ndarray::ArrayView1<i64>| {
            let greatest = row.iter().max();
            row.iter().position(|value| Some(value) == greatest).unwrap_or(0) as i64
        };
        Ok(ConstantData::Int(input.map_axis(last, first_greatest)))
    }

    /// Joins the host's operations behind the accelerator, or becomes a search in the accelerator.
    ///
    /// # Errors
    /// If the operand is real, or no integer tensor of the accelerator that searches it.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        self.check(&view)?;
        let from = sample_shape(&view.input(0, "input")?.shape);
        if lowering.arg_max == ArgMaxPlace::Hardware {
            let tensor = lowering.shaped_operand(node, 0, &from)?;
            let name = view.output()?.name.clone();
            let index = lowering.index_of(node, name, tensor, &Layout::in_order(&from).with_one_innermost())?;
            return lowering.define(node, Value::Integer { tensor: index, scale: BigRational::one(), zero_point: 0 });
        }
        let (tensor, shape, mut operations) = lowering.host_operand(node, 0)?;
        if shape != from {
            operations.push(BorderOp::Reshape { shape: from });
        }
        operations.push(BorderOp::ArgMax { keep_axis: false });
        let shape = sample_shape(&view.output()?.shape);
        lowering.define(node, Value::Tail { tensor, shape, operations })
    }

    /// A network of one such operator on 1 to 3 rows of 1 to 12 elements.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let (rows, classes) = (random.size(1, 3), random.size(1, 12));
        let shape = random.pick(&[vec![1, classes], vec![1, rows, classes]]);
        let axis = random.pick(&[-1, shape.len() as i64 - 1]);
        let output = Tensor {
            name: "output".into(),
            shape: shape[..shape.len() - 1].to_vec(),
            element: random.pick(&[ElementType::Int32, ElementType::Int64]),
            quantization: None,
            constant: None,
        };
        let tensors = vec![
            activation("input", &shape, random.scale(-8, 2), random.within(-128, 127)),
            constant("axis", ElementType::Int32, arr0(axis).into_dyn(), vec![]),
            output,
        ];
        network(tensors, super::Op::ArgMax(ArgMax), vec![Some(TensorId(0)), Some(TensorId(1))], &[0], 2)
    }
}
