//! Constant operands of border operations.

use super::BorderError;
use crate::real::text;
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A float32 tensor that broadcasts against one sample as in NumPy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FloatConstant {
    /// Dimensions, without a batch dimension; empty for a scalar.
    shape: Vec<usize>,
    /// Row-major.
    #[serde(with = "text::singles")]
    values: Vec<f32>,
}

impl FloatConstant {
    /// The same number for every element.
    pub fn scalar(value: f32) -> Self {
        FloatConstant { shape: Vec::new(), values: vec![value] }
    }

    /// One number a channel, channels innermost.
    pub fn per_channel(values: Vec<f32>) -> Self {
        FloatConstant { shape: vec![values.len()], values }
    }

    /// A tensor of any shape; none if `values` does not have as many elements, or one is not finite.
    pub fn new(shape: Vec<usize>, values: Vec<f32>) -> Option<Self> {
        let elements = shape.iter().try_fold(1usize, |product, &length| product.checked_mul(length))?;
        (elements == values.len() && values.iter().all(|value| value.is_finite()))
            .then_some(FloatConstant { shape, values })
    }

    /// The numbers, row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Calls `visit` with the constant spread over a tensor's shape.
    pub(super) fn broadcast<T>(
        &self,
        op: &'static str,
        tensor: &[usize],
        visit: impl FnOnce(ArrayViewD<'_, f32>) -> T,
    ) -> Result<T, BorderError> {
        let misfit = || BorderError::Broadcast { op, constant: self.shape.clone(), tensor: tensor.to_vec() };
        let own = ArrayD::from_shape_vec(IxDyn(&self.shape), self.values.clone()).map_err(|_| misfit())?;
        own.broadcast(IxDyn(tensor)).map(visit).ok_or_else(misfit)
    }
}

impl fmt::Display for FloatConstant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.values.as_slice() {
            [single] => write!(f, "{single:?}"),
            _ => write!(f, "{:?}", self.shape),
        }
    }
}
