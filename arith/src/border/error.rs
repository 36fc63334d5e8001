//! What can go wrong at the border.

use thiserror::Error;

/// Why a border operation cannot be executed. The caller adds the tensor's name.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum BorderError {
    /// Integers for real numbers or the reverse.
    #[error("{op}: takes {expected} values and was given {got} ones; check the array's type")]
    Kind {
        /// Operation.
        op: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What it was given.
        got: &'static str,
    },
    /// A number that has no integer.
    #[error("{op}: element {index} is not a number; remove NaN from the input")]
    NotANumber {
        /// Operation.
        op: &'static str,
        /// Element in row-major order.
        index: usize,
    },
    /// A constant that does not broadcast.
    #[error("{op}: a constant of shape {constant:?} does not fit a tensor of shape {tensor:?}; use a scalar or one value a channel")]
    Broadcast {
        /// Operation.
        op: &'static str,
        /// Shape of the constant.
        constant: Vec<usize>,
        /// Shape of the tensor.
        tensor: Vec<usize>,
    },
    /// A shape that does not fit.
    #[error("{op}: {wanted} does not fit a tensor of shape {tensor:?}; check the sample's shape")]
    Shape {
        /// Operation.
        op: &'static str,
        /// What was asked for.
        wanted: String,
        /// Shape of the tensor.
        tensor: Vec<usize>,
    },
    /// A parameter out of its range.
    #[error("{op}: {parameter} {value} is out of range; {remedy}")]
    Parameter {
        /// Operation.
        op: &'static str,
        /// Name of the parameter.
        parameter: &'static str,
        /// Its value.
        value: String,
        /// What would do.
        remedy: &'static str,
    },
}
