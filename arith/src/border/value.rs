//! What border operations take and give.

use super::BorderError;
use ndarray::ArrayD;

/// One sample's tensor on the host, without its batch dimension.
#[derive(Clone, Debug, PartialEq)]
pub enum BorderValue {
    /// Real numbers.
    Float(ArrayD<f32>),
    /// Integers, of whatever width.
    Int(ArrayD<i64>),
}

impl BorderValue {
    /// The dimensions.
    pub fn shape(&self) -> &[usize] {
        match self {
            BorderValue::Float(array) => array.shape(),
            BorderValue::Int(array) => array.shape(),
        }
    }

    /// The real numbers, for the operation `op`.
    ///
    /// # Errors
    /// If the value holds integers.
    pub fn float(self, op: &'static str) -> Result<ArrayD<f32>, BorderError> {
        match self {
            BorderValue::Float(array) => Ok(array),
            BorderValue::Int(_) => Err(BorderError::Kind { op, expected: "float32", got: "integer" }),
        }
    }

    /// The integers, for the operation `op`.
    ///
    /// # Errors
    /// If the value holds real numbers.
    pub fn int(self, op: &'static str) -> Result<ArrayD<i64>, BorderError> {
        match self {
            BorderValue::Int(array) => Ok(array),
            BorderValue::Float(_) => Err(BorderError::Kind { op, expected: "integer", got: "float32" }),
        }
    }
}
