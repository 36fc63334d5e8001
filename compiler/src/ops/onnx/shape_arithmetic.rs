//! Operators that exporters use to compute shapes and other constants: Shape, Gather, Concat,
//! Slice, Cast, ConstantOfShape, Sqrt, Neg. They are folded; on run-time tensors only a Cast between
//! real types is compiled.

use super::operands::{real_values, Operands};
use super::operator::Operator;
use super::quantized_join::concatenated_shape;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Tensor};
use crate::passes::lowering::Lowering;
use crate::profile::Profile;
use ndarray::{concatenate, ArrayD, Axis, IxDyn, Slice as Range};

/// An operator on constants.
#[derive(Clone, Debug, PartialEq)]
pub enum ShapeArithmetic {
    /// The operand's shape from dimension `start` to before `end`, as int64.
    Shape {
        /// First dimension.
        start: i64,
        /// End, all where absent.
        end: Option<i64>,
    },
    /// Slices of the first operand at the indices in the second.
    Gather {
        /// Dimension that the indices count along.
        axis: i64,
    },
    /// The operands one after another.
    Concat {
        /// Dimension along which.
        axis: i64,
    },
    /// Part of each dimension.
    Slice {
        /// Starts, ends and axes, where they are attributes (before version 10).
        bounds: Option<SliceBounds>,
    },
    /// Another element type.
    Cast {
        /// The type.
        to: ElementType,
    },
    /// One value in a given shape.
    ConstantOfShape {
        /// The value, in a tensor of one element.
        value: Tensor,
    },
    /// Square root.
    Sqrt,
    /// Negation.
    Neg,
}

/// Bounds of a Slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceBounds {
    /// First index of each sliced dimension.
    pub starts: Vec<i64>,
    /// End of each.
    pub ends: Vec<i64>,
    /// The dimensions; the first ones where absent.
    pub axes: Option<Vec<i64>>,
    /// Step of each; 1 where absent.
    pub steps: Option<Vec<i64>>,
}

impl ShapeArithmetic {
    /// Name of the operator.
    pub fn name(&self) -> &'static str {
        match self {
            ShapeArithmetic::Shape { .. } => "Shape",
            ShapeArithmetic::Gather { .. } => "Gather",
            ShapeArithmetic::Concat { .. } => "Concat",
            ShapeArithmetic::Slice { .. } => "Slice",
            ShapeArithmetic::Cast { .. } => "Cast",
            ShapeArithmetic::ConstantOfShape { .. } => "ConstantOfShape",
            ShapeArithmetic::Sqrt => "Sqrt",
            ShapeArithmetic::Neg => "Neg",
        }
    }
}

/// Each operator on integers and on real numbers: `$f` is generic over the element type.
macro_rules! on_values {
    ($operands:expr, $tensor:expr, $f:expr) => {{
        let tensor = $tensor;
        match (&tensor.constant, &tensor.quantization) {
            (Some(ConstantData::Int(values)), None) => Ok((ConstantData::Int($f(values)?), tensor.element)),
            _ => match real_values(tensor) {
                Some(values) => Ok((ConstantData::Float($f(&values)?), ElementType::Float32)),
                None => Err($operands.error(format!("`{}` is computed at run time", tensor.name), "make it constant")),
            },
        }
    }};
}

impl Operator for ShapeArithmetic {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        match self {
            ShapeArithmetic::Shape { .. } | ShapeArithmetic::ConstantOfShape { .. } => {
                let mut results = self.evaluate(operands)?;
                results.iter_mut().for_each(|tensor| tensor.constant = None);
                Ok(results)
            }
            ShapeArithmetic::Cast { to } => {
                Ok(vec![operands.result(operands.required(0, "input")?.shape.clone(), *to)?])
            }
            ShapeArithmetic::Sqrt | ShapeArithmetic::Neg => {
                let data = operands.required(0, "input")?;
                Ok(vec![operands.result(data.shape.clone(), data.element)?])
            }
            ShapeArithmetic::Gather { axis } => {
                let (data, indices) = (operands.required(0, "data")?, operands.required(1, "indices")?);
                let axis = operands.axis(*axis, data.shape.len())?;
                let (outer, rest) = data.shape.split_at(axis);
                let shape = outer.iter().chain(&indices.shape).chain(rest.iter().skip(1)).copied().collect();
                Ok(vec![operands.result(shape, data.element)?])
            }
            ShapeArithmetic::Concat { axis } => {
                let first = operands.required(0, "input")?;
                let axis = operands.axis(*axis, first.shape.len())?;
                let tensors: Vec<&Tensor> = operands.present().collect();
                let shape = concatenated_shape(&tensors, axis).ok_or_else(|| {
                    operands.error("the operands' shapes do not fit each other", "make the other dimensions equal")
                })?;
                Ok(vec![operands.result(shape, first.element)?])
            }
            ShapeArithmetic::Slice { bounds } => {
                let data = operands.required(0, "data")?;
                let mut shape = data.shape.clone();
                for (axis, range) in ranges(operands, bounds.as_ref(), &data.shape)? {
                    if let Some(dim) = shape.get_mut(axis) {
                        *dim = range_length(range);
                    }
                }
                Ok(vec![operands.result(shape, data.element)?])
            }
        }
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let (constant, element) = match self {
            ShapeArithmetic::Shape { start, end } => {
                let shape = &operands.required(0, "data")?.shape;
                let rank = shape.len() as i64;
                let bound = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank) as usize;
                let (start, end) = (bound(*start), end.map_or(shape.len(), bound));
                let part = shape.get(start..end.max(start)).unwrap_or_default();
                let values = ndarray::Array1::from_iter(part.iter().map(|&dim| dim as i64)).into_dyn();
                (ConstantData::Int(values), ElementType::Int64)
            }
            ShapeArithmetic::ConstantOfShape { value } => {
                let shape = operands.integer_list(0, "shape")?;
                let shape: Option<Vec<usize>> = shape.iter().map(|&dim| usize::try_from(dim).ok()).collect();
                let shape =
                    shape.ok_or_else(|| operands.error("the shape has a negative dimension", "give a static shape"))?;
                let result = operands.result(shape, value.element)?;
                let filled = match &value.constant {
                    Some(ConstantData::Int(v)) => {
                        ConstantData::Int(ArrayD::from_elem(IxDyn(&result.shape), v.first().copied().unwrap_or(0)))
                    }
                    Some(ConstantData::Float(v)) => {
                        ConstantData::Float(ArrayD::from_elem(IxDyn(&result.shape), v.first().copied().unwrap_or(0.0)))
                    }
                    None => return Err(operands.error("the value is missing", "export the model again")),
                };
                (filled, value.element)
            }
            ShapeArithmetic::Gather { axis } => {
                let indices = operands.integers(1, "indices")?;
                on_values!(operands, operands.required(0, "data")?, |v| gather(operands, v, indices, *axis))?
            }
            ShapeArithmetic::Concat { axis } => concat(operands, *axis)?,
            ShapeArithmetic::Slice { bounds } => {
                let data = operands.required(0, "data")?;
                let ranges = ranges(operands, bounds.as_ref(), &data.shape)?;
                on_values!(operands, data, |v| sliced(v, &ranges))?
            }
            ShapeArithmetic::Cast { to } => cast(operands, operands.required(0, "input")?, *to)?,
            ShapeArithmetic::Sqrt => {
                (ConstantData::Float(operands.floats(0, "input")?.mapv(f32::sqrt)), ElementType::Float32)
            }
            ShapeArithmetic::Neg => {
                let data = operands.required(0, "input")?;
                match (&data.constant, &data.quantization) {
                    (Some(ConstantData::Int(v)), None) => (ConstantData::Int(v.mapv(i64::wrapping_neg)), data.element),
                    _ => (ConstantData::Float(operands.floats(0, "input")?.mapv(|v| -v)), ElementType::Float32),
                }
            }
        };
        let shape = match &constant {
            ConstantData::Int(values) => values.shape().to_vec(),
            ConstantData::Float(values) => values.shape().to_vec(),
        };
        Ok(vec![Tensor { constant: Some(constant), ..operands.result(shape, element)? }])
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        match self {
            ShapeArithmetic::Cast { to } => lowering.lower_cast(node, *to),
            ShapeArithmetic::Concat { axis } => {
                let operands = lowering.operands(node);
                let axis = operands.axis(*axis, operands.required(0, "input")?.shape.len())?;
                if lowering.profile == Profile::Qonnx {
                    return lowering.concatenate(node, axis);
                }
                let mut parts = Vec::with_capacity(node.inputs.len());
                for place in 0..node.inputs.len() {
                    parts.push((place, lowering.dequantized_operand(node, place)?));
                }
                let pending = lowering.float_concat(node, axis, &parts)?;
                lowering.define_float(node, pending)
            }
            _ => Err(CompileError::node(
                &node.name,
                format!("{} of a tensor that is computed at run time", self.name()),
                "it is compiled on constants only; export the model with static shapes",
            )),
        }
    }
}

fn gather<T: Clone>(
    operands: &Operands,
    data: &ArrayD<T>,
    indices: &ArrayD<i64>,
    axis: i64,
) -> Result<ArrayD<T>, CompileError> {
    let axis = operands.axis(axis, data.ndim())?;
    let size = data.len_of(Axis(axis));
    let positions: Result<Vec<usize>, _> = indices.iter().map(|&i| operands.axis(i, size)).collect();
    let positions = positions.map_err(|_| {
        operands.error(format!("an index lies outside the {size} entries of dimension {axis}"), "check the indices")
    })?;
    let (outer, rest) = data.shape().split_at(axis);
    let shape: Vec<usize> = outer.iter().chain(indices.shape()).chain(rest.iter().skip(1)).copied().collect();
    operands.result(shape.clone(), ElementType::Int64)?;
    data.select(Axis(axis), &positions)
        .into_shape_with_order(IxDyn(&shape))
        .map_err(|e| operands.error(e.to_string(), "check the indices"))
}

fn concat(operands: &Operands, axis: i64) -> Result<(ConstantData, ElementType), CompileError> {
    let first = operands.required(0, "input")?;
    let axis = Axis(operands.axis(axis, first.shape.len())?);
    let misfit = |_| operands.error("the operands' shapes do not fit each other", "make the other dimensions equal");
    let integers: Option<Vec<_>> = operands
        .present()
        .map(|t| match (&t.constant, &t.quantization) {
            (Some(ConstantData::Int(values)), None) => Some(values.view()),
            _ => None,
        })
        .collect();
    if let Some(parts) = integers {
        return Ok((ConstantData::Int(concatenate(axis, &parts).map_err(misfit)?), first.element));
    }
    let reals: Option<Vec<ArrayD<f32>>> = operands.present().map(real_values).collect();
    let reals = reals.ok_or_else(|| operands.error("an operand is not constant", "make all of one real type"))?;
    let parts: Vec<_> = reals.iter().map(|v| v.view()).collect();
    Ok((ConstantData::Float(concatenate(axis, &parts).map_err(misfit)?), ElementType::Float32))
}

/// The sliced dimensions with their ranges, in ndarray's terms.
fn ranges(
    operands: &Operands,
    attributes: Option<&SliceBounds>,
    shape: &[usize],
) -> Result<Vec<(usize, Range)>, CompileError> {
    let bounds = match attributes {
        Some(bounds) => bounds.clone(),
        None => SliceBounds {
            starts: operands.integer_list(1, "starts")?,
            ends: operands.integer_list(2, "ends")?,
            axes: operands.optional_integer_list(3, "axes")?,
            steps: operands.optional_integer_list(4, "steps")?,
        },
    };
    let axes = bounds.axes.unwrap_or_else(|| (0..bounds.starts.len() as i64).collect());
    let steps = bounds.steps.unwrap_or_else(|| vec![1; bounds.starts.len()]);
    if bounds.ends.len() != bounds.starts.len() || axes.len() != bounds.starts.len() || steps.len() != axes.len() {
        return Err(operands.error("starts, ends, axes and steps have different lengths", "export the model again"));
    }
    let mut ranges = Vec::with_capacity(axes.len());
    for (((axis, start), end), step) in axes.into_iter().zip(bounds.starts).zip(bounds.ends).zip(steps) {
        let axis = operands.axis(axis, shape.len())?;
        let size = shape.get(axis).copied().unwrap_or(0) as i64;
        if step < 1 || ranges.iter().any(|(other, _)| *other == axis) {
            return Err(operands.error(
                format!("dimension {axis} is sliced twice or with step {step}"),
                "slice each dimension once, forwards",
            ));
        }
        let bound = |v: i64| (if v < 0 { v.saturating_add(size) } else { v }).clamp(0, size);
        let (start, end) = (bound(start), bound(end));
        ranges.push((axis, Range { start: start as isize, end: Some(end.max(start) as isize), step: step as isize }));
    }
    Ok(ranges)
}

fn range_length(range: Range) -> usize {
    let end = range.end.unwrap_or(range.start);
    usize::try_from(end - range.start).unwrap_or(0).div_ceil(range.step.unsigned_abs().max(1))
}

fn sliced<T: Clone>(data: &ArrayD<T>, ranges: &[(usize, Range)]) -> Result<ArrayD<T>, CompileError> {
    let mut view = data.view();
    for (axis, range) in ranges {
        view.slice_axis_inplace(Axis(*axis), *range);
    }
    Ok(view.as_standard_layout().into_owned())
}

fn cast(operands: &Operands, data: &Tensor, to: ElementType) -> Result<(ConstantData, ElementType), CompileError> {
    let fits = |v: i64| match to {
        ElementType::Int8 => i8::try_from(v).is_ok(),
        ElementType::Uint8 => u8::try_from(v).is_ok(),
        ElementType::Int16 => i16::try_from(v).is_ok(),
        ElementType::Int32 => i32::try_from(v).is_ok(),
        ElementType::Int64 | ElementType::Float32 | ElementType::Bool => true,
    };
    let misfit = |v: String| operands.error(format!("{v} does not fit {}", to.name()), "cast to a wider type");
    let constant = match (&data.constant, &data.quantization, to) {
        (Some(ConstantData::Int(values)), None, ElementType::Float32) => ConstantData::Float(values.mapv(|v| v as f32)),
        (Some(ConstantData::Int(values)), None, ElementType::Bool) => {
            ConstantData::Int(values.mapv(|v| i64::from(v != 0)))
        }
        (Some(ConstantData::Int(values)), None, _) => match values.iter().find(|&&v| !fits(v)) {
            Some(v) => return Err(misfit(v.to_string())),
            None => ConstantData::Int(values.clone()),
        },
        (_, _, ElementType::Float32) => ConstantData::Float(operands.floats(0, "input")?),
        (_, _, ElementType::Bool) => ConstantData::Int(operands.floats(0, "input")?.mapv(|v| i64::from(v != 0.0))),
        _ => {
            let values = operands.floats(0, "input")?;
            match values.iter().find(|v| v.is_nan() || v.abs() >= 2f32.powi(63) || !fits(v.trunc() as i64)) {
                Some(v) => return Err(misfit(v.to_string())),
                None => ConstantData::Int(values.mapv(|v| v.trunc() as i64)),
            }
        }
    };
    Ok((constant, to))
}
