//! Operators that keep the elements and their order and only change the shape: Reshape, Flatten,
//! Squeeze and Unsqueeze (ONNX operator specification, all versions).

use super::operands::{real_values, Operands};
use super::operator::Operator;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Quantization, Tensor};
use crate::passes::lowering::Lowering;
use ndarray::IxDyn;

/// A change of shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// To a given shape, in which -1 is computed and 0 copies the operand's dimension.
    Reshape {
        /// Whether 0 means a dimension of size 0 instead.
        allow_zero: bool,
        /// The shape, where it is an attribute (versions 1 to 4) and not the second operand.
        target: Option<Vec<i64>>,
    },
    /// To two dimensions: those before `axis` and the others.
    Flatten {
        /// First dimension of the second group.
        axis: i64,
    },
    /// Without dimensions of size 1.
    Squeeze {
        /// Those to remove, where they are an attribute (before version 13).
        axes: Option<Vec<i64>>,
    },
    /// With additional dimensions of size 1.
    Unsqueeze {
        /// Their places in the result, where they are an attribute (before version 13).
        axes: Option<Vec<i64>>,
    },
}

impl View {
    /// Name of the operator.
    pub fn name(&self) -> &'static str {
        match self {
            View::Reshape { .. } => "Reshape",
            View::Flatten { .. } => "Flatten",
            View::Squeeze { .. } => "Squeeze",
            View::Unsqueeze { .. } => "Unsqueeze",
        }
    }

    fn shape(&self, operands: &Operands, from: &[usize]) -> Result<Vec<usize>, CompileError> {
        match self {
            View::Reshape { allow_zero, target } => {
                let target = match target {
                    Some(target) => target.clone(),
                    None => operands.integer_list(1, "shape")?,
                };
                reshaped(operands, from, &target, *allow_zero)
            }
            View::Flatten { axis } => {
                // Flatten allows axis == rank, which is no dimension.
                let axis = if *axis == from.len() as i64 { from.len() } else { operands.axis(*axis, from.len())? };
                let (outer, inner) = from.split_at(axis);
                Ok(vec![outer.iter().product(), inner.iter().product()])
            }
            View::Squeeze { axes } => {
                let axes = match axes {
                    Some(axes) => Some(axes.clone()),
                    None => operands.optional_integer_list(1, "axes")?,
                };
                squeezed(operands, from, axes.as_deref())
            }
            View::Unsqueeze { axes } => {
                let axes = match axes {
                    Some(axes) => axes.clone(),
                    None => operands.integer_list(1, "axes")?,
                };
                unsqueezed(operands, from, &axes)
            }
        }
    }
}

fn reshaped(operands: &Operands, from: &[usize], target: &[i64], allow_zero: bool) -> Result<Vec<usize>, CompileError> {
    let misfit = || {
        operands.error(
            format!("shape {from:?} does not reshape to {target:?}"),
            "give a shape with the same number of elements",
        )
    };
    let count: usize = from.iter().product();
    let mut shape = Vec::with_capacity(target.len().min(16));
    let mut computed = None;
    let mut known = 1usize;
    for (i, &dim) in target.iter().enumerate() {
        let size = match dim {
            -1 if computed.is_none() => {
                computed = Some(i);
                1
            }
            0 if !allow_zero => *from.get(i).ok_or_else(misfit)?,
            _ => usize::try_from(dim).map_err(|_| misfit())?,
        };
        known = known.checked_mul(size).ok_or_else(misfit)?;
        shape.push(size);
    }
    if let Some(slot) = computed.and_then(|i| shape.get_mut(i)) {
        if known == 0 || !count.is_multiple_of(known) {
            return Err(misfit());
        }
        *slot = count / known;
    } else if known != count {
        return Err(misfit());
    }
    Ok(shape)
}

fn squeezed(operands: &Operands, from: &[usize], axes: Option<&[i64]>) -> Result<Vec<usize>, CompileError> {
    let mut remove = vec![false; from.len()];
    match axes {
        None => remove.iter_mut().zip(from).for_each(|(r, &dim)| *r = dim == 1),
        Some(axes) => {
            for &axis in axes {
                let axis = operands.axis(axis, from.len())?;
                match (from.get(axis), remove.get_mut(axis)) {
                    (Some(1), Some(slot)) => *slot = true,
                    _ => {
                        return Err(operands.error(
                            format!("dimension {axis} of shape {from:?} is not 1 and cannot be removed"),
                            "squeeze dimensions of size 1 only",
                        ))
                    }
                }
            }
        }
    }
    Ok(from.iter().zip(remove).filter(|(_, removed)| !removed).map(|(&dim, _)| dim).collect())
}

fn unsqueezed(operands: &Operands, from: &[usize], axes: &[i64]) -> Result<Vec<usize>, CompileError> {
    let rank = from.len() + axes.len();
    if rank > 64 {
        return Err(operands.error(format!("the result would have {rank} dimensions"), "use fewer dimensions"));
    }
    let mut added = vec![false; rank];
    for &axis in axes {
        let axis = operands.axis(axis, rank)?;
        match added.get_mut(axis) {
            Some(slot) if !*slot => *slot = true,
            _ => return Err(operands.error(format!("dimension {axis} is added twice"), "export the model again")),
        }
    }
    let mut old = from.iter();
    Ok(added.iter().map(|&new| if new { 1 } else { old.next().copied().unwrap_or(1) }).collect())
}

/// Where the dimension of per-channel scales goes when `from` is viewed as `to`; none where it is
/// split or merged.
fn moved_axis(from: &[usize], to: &[usize], axis: usize) -> Option<usize> {
    let size = *from.get(axis)?;
    let outer: usize = from.get(..axis)?.iter().product();
    let mut before = 1usize;
    for (i, &dim) in to.iter().enumerate() {
        if before == outer && dim == size {
            return Some(i);
        }
        before *= dim;
    }
    None
}

impl Operator for View {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let data = operands.required(0, "data")?;
        Ok(vec![operands.result(self.shape(operands, &data.shape)?, data.element)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let data = operands.required(0, "data")?;
        let mut result = operands.result(self.shape(operands, &data.shape)?, data.element)?;
        let dim = IxDyn(&result.shape);
        let misfit = || operands.error("the shapes hold different numbers of elements", "export the model again");
        let axis = match &data.quantization {
            Some(q) if q.scales.len() > 1 => moved_axis(&data.shape, &result.shape, q.axis),
            _ => Some(0),
        };
        match (&data.constant, axis) {
            (Some(ConstantData::Int(values)), Some(axis)) => {
                let values = values.clone().into_shape_with_order(dim).map_err(|_| misfit())?;
                result.constant = Some(ConstantData::Int(values));
                result.quantization = data.quantization.clone().map(|q| Quantization { axis, ..q });
            }
            _ => {
                let values = real_values(data).ok_or_else(|| operands.error("data is not constant", "fold it"))?;
                let values = values.into_shape_with_order(dim).map_err(|_| misfit())?;
                result.constant = Some(ConstantData::Float(values));
                result.element = ElementType::Float32;
            }
        }
        Ok(vec![result])
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        lowering.lower_view(node)
    }
}
