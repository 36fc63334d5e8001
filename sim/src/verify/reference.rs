//! What verification needs of a software reference.

use std::collections::BTreeMap;
use systole_bundle::Array;

/// Values of a network's tensors for one sample, by name; each row-major, channels innermost.
pub type TensorValues = BTreeMap<String, Vec<i64>>;

/// How the host's output tensor can be compared with an expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostOutput {
    /// Element by element, exactly: the operations behind the accelerator reproduce the runtime's.
    Exact,
    /// As integers: each float stands for the integer that the exact affine tail maps to it.
    Affine,
    /// Not at all, for the reason given (a float softmax): only the accelerator's own output is.
    Incomparable(String),
}

/// The software reference: evaluates the integer network and its border operations.
pub trait Reference {
    /// What the input's border operations make of the host's array `[N, host shape]`: for each of
    /// the N samples the elements of the accelerator's input tensor.
    ///
    /// # Errors
    /// If an operation cannot be applied.
    fn accept(&self, host: &Array) -> Result<Vec<Vec<i64>>, ReferenceError>;

    /// Values of every tensor that travels on a stream, the input included, for each sample of
    /// `inputs` (elements of the accelerator's input tensor).
    ///
    /// # Errors
    /// If the network cannot be evaluated.
    fn run(&self, inputs: &[Vec<i64>]) -> Result<Vec<TensorValues>, ReferenceError>;

    /// What the output's border operations make of the accelerator's output elements, one list a
    /// sample: the host's array `[N, host shape]`.
    ///
    /// # Errors
    /// If an operation cannot be applied.
    fn deliver(&self, outputs: &[Vec<i64>]) -> Result<Array, ReferenceError>;

    /// How the host's output compares with an expectation.
    fn host_output(&self) -> HostOutput;

    /// Where the accelerator's output has the element that stands at position `element` of the host's array, in front
    /// of anything that mixes elements.
    fn stream_place(&self, element: usize) -> usize {
        element
    }

    /// The integer at position `element` of the accelerator's output that the exact affine tail `y = a*q + b` maps
    /// nearest to `value`; none if there is no such tail or `(value - b) / a` is 2^-6 or more away from an integer.
    fn integer_behind(&self, element: usize, value: f32) -> Option<i64>;
}

/// Why the reference gives no values; the text names the node or operation.
#[derive(Debug, thiserror::Error)]
#[error("software reference: {0}")]
pub struct ReferenceError(pub String);
