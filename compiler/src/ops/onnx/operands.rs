//! Operands of an operator, with the checks that every operator needs.

use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Quantization, Tensor};
use ndarray::{ArrayD, Dimension, IxDyn};

/// Most elements of one computed tensor: bounds what a damaged shape can ask for.
const ELEMENT_LIMIT: usize = 1 << 28;

/// The operands of one node.
pub struct Operands<'a> {
    /// Name of the node, for diagnostics.
    pub node: &'a str,
    tensors: Vec<Option<&'a Tensor>>,
}

impl<'a> Operands<'a> {
    /// `tensors` by position, none where an optional operand is absent.
    pub fn new(node: &'a str, tensors: Vec<Option<&'a Tensor>>) -> Self {
        Operands { node, tensors }
    }

    /// An error on this node.
    pub fn error(&self, cause: impl Into<String>, remedy: impl Into<String>) -> CompileError {
        CompileError::node(self.node, cause, remedy)
    }

    /// All operands that are present.
    pub fn present(&self) -> impl Iterator<Item = &'a Tensor> + '_ {
        self.tensors.iter().filter_map(|t| *t)
    }

    /// Operand `position`, none where it is absent.
    pub fn optional(&self, position: usize) -> Option<&'a Tensor> {
        self.tensors.get(position).copied().flatten()
    }

    /// Operand `position`, which the operator calls `role`.
    ///
    /// # Errors
    /// If it is absent.
    pub fn required(&self, position: usize, role: &str) -> Result<&'a Tensor, CompileError> {
        self.optional(position)
            .ok_or_else(|| self.error(format!("operand {position} ({role}) is missing"), "export the model again"))
    }

    /// Real values of a constant operand.
    ///
    /// # Errors
    /// If it is absent, not constant, or not of a real type.
    pub fn floats(&self, position: usize, role: &str) -> Result<ArrayD<f32>, CompileError> {
        let tensor = self.required(position, role)?;
        real_values(tensor).ok_or_else(|| {
            let found = if tensor.constant.is_some() { "of an integer type" } else { "computed at run time" };
            self.error(
                format!("{role} (`{}`) is {found}", tensor.name),
                format!("make {role} a constant of type float"),
            )
        })
    }

    /// Integer values of a constant operand.
    ///
    /// # Errors
    /// If it is absent, not constant, or not of an integer type.
    pub fn integers(&self, position: usize, role: &str) -> Result<&'a ArrayD<i64>, CompileError> {
        let tensor = self.required(position, role)?;
        match (&tensor.constant, &tensor.quantization) {
            (Some(ConstantData::Int(values)), None) => Ok(values),
            (Some(_), _) => Err(self.error(
                format!("{role} (`{}`) is of a real type", tensor.name),
                format!("make {role} a constant of type int64"),
            )),
            (None, _) => Err(self.error(
                format!("{role} (`{}`) is computed at run time", tensor.name),
                format!("make {role} a constant; shapes must be static"),
            )),
        }
    }

    /// A list of integers, which may be a scalar.
    ///
    /// # Errors
    /// As [`Operands::integers`], and if there is more than one dimension.
    pub fn integer_list(&self, position: usize, role: &str) -> Result<Vec<i64>, CompileError> {
        let values = self.integers(position, role)?;
        match values.ndim() {
            0 | 1 => Ok(values.iter().copied().collect()),
            rank => Err(self.error(format!("{role} has {rank} dimensions"), format!("make {role} a list"))),
        }
    }

    /// A list of integers of an optional operand, none where it is absent.
    ///
    /// # Errors
    /// As [`Operands::integer_list`].
    pub fn optional_integer_list(&self, position: usize, role: &str) -> Result<Option<Vec<i64>>, CompileError> {
        match self.optional(position) {
            Some(_) => self.integer_list(position, role).map(Some),
            None => Ok(None),
        }
    }

    /// Values of a constant operand of any type as one number each.
    ///
    /// # Errors
    /// If it is absent or not constant.
    pub fn numbers(&self, position: usize, role: &str) -> Result<Vec<f64>, CompileError> {
        let tensor = self.required(position, role)?;
        match (&tensor.constant, &tensor.quantization) {
            (Some(ConstantData::Int(values)), None) => Ok(values.iter().map(|&v| v as f64).collect()),
            _ => Ok(self.floats(position, role)?.iter().map(|&v| f64::from(v)).collect()),
        }
    }

    /// The one value of a constant operand of any type.
    ///
    /// # Errors
    /// As [`Operands::numbers`], and if there are several values.
    pub fn number(&self, position: usize, role: &str) -> Result<f64, CompileError> {
        match self.numbers(position, role)?.as_slice() {
            [value] => Ok(*value),
            values => Err(self.error(
                format!("{role} (`{}`) has {} values", self.required(position, role)?.name, values.len()),
                format!("give one {role}"),
            )),
        }
    }

    /// A result tensor without values.
    ///
    /// # Errors
    /// If the shape has more elements than any network needs.
    pub fn result(&self, shape: Vec<usize>, element: ElementType) -> Result<Tensor, CompileError> {
        let count = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
        match count {
            Some(count) if count <= ELEMENT_LIMIT && shape.iter().all(|&dim| dim <= ELEMENT_LIMIT) => {
                Ok(Tensor { name: String::new(), shape, element, quantization: None, constant: None })
            }
            _ => Err(self.error(
                format!("the result's shape {shape:?} has more than {ELEMENT_LIMIT} elements"),
                "check the dimensions of the operands",
            )),
        }
    }

    /// Dimension `axis` of `rank`, counted from the end where negative.
    ///
    /// # Errors
    /// If there is no such dimension.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, CompileError> {
        let absolute = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        absolute.and_then(|a| usize::try_from(a).ok()).filter(|&a| a < rank).ok_or_else(|| {
            self.error(format!("there is no dimension {axis} in {rank} dimensions"), "export the model again")
        })
    }
}

/// Real values of a constant: a float constant itself, a quantized one as `(q - zero point) * scale`
/// with the product rounded to float as the QONNX executor rounds it. None where the tensor is not
/// constant or plain integers.
pub fn real_values(tensor: &Tensor) -> Option<ArrayD<f32>> {
    match (tensor.constant.as_ref()?, &tensor.quantization) {
        (ConstantData::Float(values), _) => Some(values.clone()),
        (ConstantData::Int(values), Some(quantization)) => Some(dequantize(values, quantization)),
        (ConstantData::Int(_), None) => None,
    }
}

fn dequantize(values: &ArrayD<i64>, quantization: &Quantization) -> ArrayD<f32> {
    let at = |list_length: usize, index: &IxDyn| match list_length {
        1 => 0,
        _ => index.as_array_view().get(quantization.axis).copied().unwrap_or(0).min(list_length.saturating_sub(1)),
    };
    ArrayD::from_shape_fn(values.raw_dim(), |index| {
        let channel = at(quantization.scales.len(), &index);
        let scale = quantization.scales.get(channel).copied().unwrap_or(1.0);
        let zero_point = quantization.zero_points.get(channel).copied().unwrap_or(0);
        (values[&index] - zero_point) as f32 * scale
    })
}

/// The shape that two shapes broadcast to, none where they do not fit.
pub fn broadcast_shape(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[usize], i: usize| if i + shape.len() < rank { 1 } else { shape[i + shape.len() - rank] };
    (0..rank)
        .map(|i| match (dim(a, i), dim(b, i)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}
