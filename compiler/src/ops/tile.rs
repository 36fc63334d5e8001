//! TFLite's TILE and BROADCAST_TO on int8: a tensor several times along dimensions of size 1.

use super::image::result_value;
use super::node_view::{sample_shape, NodeView};
use super::random::{activation, constant, network, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Graph, Node, TensorId};
use crate::passes::lowering::{Lowering, Value};
use crate::profile::Profile;
use ndarray::{arr1, IxDyn};

/// The operator; copies along each dimension, or the shape of the result, are operand 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// Copies along each dimension.
    Tile,
    /// To a shape.
    BroadcastTo,
}

impl Tile {
    /// Name in the file format's specification.
    pub fn name(self) -> &'static str {
        match self {
            Tile::Tile => "TILE",
            Tile::BroadcastTo => "BROADCAST_TO",
        }
    }

    /// Shape of the result.
    pub fn shape(self, input: &[usize], numbers: &[i64]) -> Option<Vec<usize>> {
        let numbers =
            numbers.iter().map(|&n| usize::try_from(n).ok().filter(|&n| n > 0)).collect::<Option<Vec<_>>>()?;
        match self {
            Tile::Tile if numbers.len() == input.len() => {
                input.iter().zip(numbers).map(|(&dim, copies)| dim.checked_mul(copies)).collect()
            }
            Tile::Tile => None,
            Tile::BroadcastTo => Some(numbers),
        }
    }

    /// Checks operands and result.
    ///
    /// # Errors
    /// If types, shapes or quantization do not fit, or a dimension other than 1 is repeated.
    pub fn check(self, view: &NodeView) -> Result<(), CompileError> {
        view.at_most(2)?;
        let (input, output) = (view.input(0, "input")?, view.output()?);
        view.expect_type(input, "input", ElementType::Int8)?;
        view.expect_type(output, "output", ElementType::Int8)?;
        view.expect_equal_quantization(input, output)?;
        let numbers = view.constant_integers(1, "copies")?;
        if self.shape(&input.shape, &numbers).as_ref() != Some(&output.shape) {
            return Err(view.error(
                format!("it repeats {:?} by {numbers:?} to {:?}", input.shape, output.shape),
                "export the model again",
            ));
        }
        let missing = output.shape.len().saturating_sub(input.shape.len());
        let repeats = input.shape.iter().zip(output.shape.iter().skip(missing)).all(|(a, b)| a == b || *a == 1);
        match repeats && output.shape.len() >= input.shape.len() && output.shape.first() == Some(&1) {
            true => Ok(()),
            false => Err(view.error(
                format!("it repeats {:?} to {:?}", input.shape, output.shape),
                "repeat dimensions of size 1 behind the batch only, or use CONCATENATION of a tensor with itself",
            )),
        }
    }

    /// The repeated elements.
    ///
    /// # Errors
    /// If the operands do not fit.
    pub fn evaluate(self, view: &NodeView, values: &[Option<&ConstantData>]) -> Result<ConstantData, CompileError> {
        self.check(view)?;
        let shape = IxDyn(&view.output()?.shape);
        let repeated = view.int_value(values, 0)?.broadcast(shape).map(|values| values.iter().copied().collect());
        result_value(view, repeated.ok_or_else(|| view.error("its operand does not repeat", "export the model again"))?)
    }

    /// Becomes repetitions.
    ///
    /// # Errors
    /// If the input is no integer tensor of the accelerator.
    pub fn lower(self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        self.check(&view)?;
        if (self, lowering.profile) == (Tile::Tile, Profile::Tflm) {
            return Err(view.error(
                "TensorFlow Lite Micro has no such operator",
                "use BROADCAST_TO or RESIZE_NEAREST_NEIGHBOR, or another profile",
            ));
        }
        let [from, to] = [view.input(0, "input")?, view.output()?].map(|tensor| sample_shape(&tensor.shape));
        let (_, scale, zero_point) = lowering.integer_operand(node, 0)?;
        let input = lowering.shaped_operand(node, 0, &from)?;
        let tensor = lowering.broadcast(&node.name, input, &from, &to)?;
        lowering.define(node, Value::Integer { tensor, scale, zero_point })
    }

    /// A network that repeats a tensor of 2 to 4 dimensions along some of them.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(self, seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let (scale, zero_point) = (random.scale(-8, 2), random.within(-128, 127));
        let (mut from, mut to, mut copies) = (vec![1], vec![1], vec![1]);
        for _ in 0..random.size(1, 3) {
            let (size, repeated) = (random.size(1, 4), random.pick(&[true, false]));
            from.push(if repeated { 1 } else { size });
            to.push(size);
            copies.push(if repeated { size as i64 } else { 1 });
        }
        let numbers = match self {
            Tile::Tile => copies,
            Tile::BroadcastTo => to.iter().map(|&dim| dim as i64).collect(),
        };
        let tensors = vec![
            activation("input", &from, scale, zero_point),
            constant("copies", ElementType::Int32, arr1(&numbers).into_dyn(), vec![]),
            activation("output", &to, scale, zero_point),
        ];
        network(tensors, super::Op::Tile(self), vec![Some(TensorId(0)), Some(TensorId(1))], &[0], 2)
    }
}
