//! Operators behind the last product that the host executes: Softmax, ArgMax and TopK.

use super::operands::Operands;
use super::operator::Operator;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Tensor};
use crate::passes::lowering::{ArgMaxPlace, Lowering};
use ndarray::{ArrayD, Axis, IxDyn};

/// A host operator on the network's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// `exp(x - max) / sum` along a dimension.
    Softmax {
        /// The dimension.
        axis: i64,
        /// Whether all dimensions from `axis` on form one (before version 13).
        flatten: bool,
    },
    /// Index of the greatest element along a dimension, the first of equal ones.
    ArgMax {
        /// The dimension.
        axis: i64,
        /// Whether the dimension stays, with size 1.
        keep: bool,
    },
    /// The `k` greatest (or least) elements along a dimension, the most extreme first, and their
    /// indices; of equal elements the one with the lower index first.
    TopK {
        /// The dimension.
        axis: i64,
        /// How many, where it is an attribute (version 1) and not the second operand.
        k: Option<i64>,
        /// Whether the greatest, not the least.
        largest: bool,
    },
}

impl Head {
    /// Name of the operator.
    pub fn name(self) -> &'static str {
        match self {
            Head::Softmax { .. } => "Softmax",
            Head::ArgMax { .. } => "ArgMax",
            Head::TopK { .. } => "TopK",
        }
    }

    /// The dimension it works along.
    fn axis(self, operands: &Operands) -> Result<usize, CompileError> {
        let shape = &operands.required(0, "input")?.shape;
        let (Head::Softmax { axis, .. } | Head::ArgMax { axis, .. } | Head::TopK { axis, .. }) = self;
        operands.axis(axis, shape.len())
    }

    fn k(self, operands: &Operands) -> Result<usize, CompileError> {
        let size = operands.required(0, "input")?.shape.get(self.axis(operands)?).copied().unwrap_or(0);
        let k = match self {
            Head::TopK { k: Some(k), .. } => k,
            _ => match operands.integer_list(1, "K")?.as_slice() {
                [k] => *k,
                values => return Err(operands.error(format!("K has {} values", values.len()), "give one K")),
            },
        };
        usize::try_from(k).ok().filter(|k| (1..=size).contains(k)).ok_or_else(|| {
            operands.error(format!("K is {k} of {size} elements"), "take at least one and at most all elements")
        })
    }
}

impl Operator for Head {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let mut shape = operands.required(0, "input")?.shape.clone();
        let axis = self.axis(operands)?;
        match self {
            Head::Softmax { .. } => Ok(vec![operands.result(shape, ElementType::Float32)?]),
            Head::ArgMax { keep, .. } => {
                match (keep, shape.get_mut(axis)) {
                    (true, Some(dim)) => *dim = 1,
                    _ => {
                        shape.remove(axis);
                    }
                }
                Ok(vec![operands.result(shape, ElementType::Int64)?])
            }
            Head::TopK { .. } => {
                let k = self.k(operands)?;
                if let Some(dim) = shape.get_mut(axis) {
                    *dim = k;
                }
                Ok(vec![
                    operands.result(shape.clone(), ElementType::Float32)?,
                    operands.result(shape, ElementType::Int64)?,
                ])
            }
        }
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let mut results = self.infer(operands)?;
        let values = operands.floats(0, "input")?;
        let axis = self.axis(operands)?;
        let lanes = |length: usize| {
            let mut shape = values.shape().to_vec();
            if let Some(dim) = shape.get_mut(axis) {
                *dim = length;
            }
            IxDyn(&shape)
        };
        let constants = match self {
            Head::Softmax { .. } => {
                let mut result = values.clone();
                for mut lane in result.lanes_mut(Axis(axis)) {
                    let greatest = lane.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    lane.mapv_inplace(|v| (v - greatest).exp());
                    let sum: f32 = lane.sum();
                    lane.mapv_inplace(|v| v / sum);
                }
                vec![ConstantData::Float(result)]
            }
            Head::ArgMax { keep, .. } => {
                let mut result = ArrayD::zeros(lanes(1));
                for (lane, mut index) in values.lanes(Axis(axis)).into_iter().zip(result.lanes_mut(Axis(axis))) {
                    index.fill(descending(&lane.to_vec()).first().map_or(0, |&i| i as i64));
                }
                vec![ConstantData::Int(if *keep { result } else { result.remove_axis(Axis(axis)) })]
            }
            Head::TopK { .. } => {
                let k = self.k(operands)?;
                let sign = if matches!(self, Head::TopK { largest: false, .. }) { -1.0 } else { 1.0 };
                let (mut greatest, mut indices) = (ArrayD::zeros(lanes(k)), ArrayD::zeros(lanes(k)));
                let sources = values.lanes(Axis(axis));
                let targets = greatest.lanes_mut(Axis(axis)).into_iter().zip(indices.lanes_mut(Axis(axis)));
                for (lane, (mut value, mut index)) in sources.into_iter().zip(targets) {
                    let lane = lane.to_vec();
                    for ((i, v), n) in descending(&lane.iter().map(|v| v * sign).collect::<Vec<f32>>())
                        .into_iter()
                        .zip(value.iter_mut())
                        .zip(index.iter_mut())
                    {
                        *v = lane.get(i).copied().unwrap_or(0.0);
                        *n = i as i64;
                    }
                }
                vec![ConstantData::Float(greatest), ConstantData::Int(indices)]
            }
        };
        for (result, constant) in results.iter_mut().zip(constants) {
            result.constant = Some(constant);
        }
        Ok(results)
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let shape = &operands.required(0, "input")?.shape;
        let axis = self.axis(&operands)?;
        let k = match self {
            Head::TopK { .. } => self.k(&operands)?,
            _ => 1,
        };
        match self {
            Head::ArgMax { .. } if lowering.searches_integers(node, axis) => {
                return lowering.search_integers(node, 0, axis);
            }
            Head::TopK { largest: true, .. } if k == 1 && lowering.arg_max == ArgMaxPlace::Hardware => {
                return lower_first_of_top(node, lowering, axis);
            }
            _ => {}
        }
        let behind = shape.iter().skip(axis + 1);
        let flattens = matches!(self, Head::Softmax { flatten: true, .. });
        if !(behind.clone().all(|&dim| dim == 1) || flattens && axis == 1 && shape.len() == 2) {
            return Err(operands.error(
                format!("{} along dimension {axis} of shape {shape:?}", self.name()),
                "it is compiled along the innermost dimension",
            ));
        }
        lowering.lower_head(node, *self, k)
    }
}

/// TopK of one element in the accelerator, which gives its index alone.
fn lower_first_of_top(node: &Node, lowering: &mut Lowering, axis: usize) -> Result<(), CompileError> {
    if node.outputs.first().is_some_and(|&values| lowering.graph.is_read(values)) {
        return Err(CompileError::node(
            &node.name,
            "the greatest elements are read, not their indices alone",
            "use the indices alone, or --argmax host",
        ));
    }
    lowering.search_integers(node, 1, axis)
}

/// Indices from the greatest element to the least, equal ones in order.
fn descending(values: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values.get(b).partial_cmp(&values.get(a)).unwrap_or(std::cmp::Ordering::Equal));
    order
}
