//! Why a batch does not fit an accelerator.

use systole_bundle::arith::border::BorderError;

/// A failure to bring a batch to an accelerator or back.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The manifest describes no accelerator that a session can feed.
    #[error("manifest: {reason}; compile the model again")]
    Manifest {
        /// What is wrong, with the numbers.
        reason: String,
    },
    /// The batch has another shape or element type than the network's input.
    #[error("input `{name}`: {found}; give {wanted}, the samples outermost")]
    Batch {
        /// Name of the input in the model file.
        name: String,
        /// What was given.
        found: String,
        /// Shape and type to give.
        wanted: String,
    },
    /// A border operation cannot be executed.
    #[error("sample {sample}, {operation}: {source}")]
    Operation {
        /// Sample, counted from 0.
        sample: usize,
        /// Host's tensor and operation.
        operation: String,
        /// Its error.
        source: BorderError,
    },
    /// An element lies outside what the accelerator's input can hold.
    #[error("sample {sample}, element {element} of tensor `{tensor}` is {value}, outside {range}; the network was compiled for inputs in that range")]
    Range {
        /// Sample, counted from 0.
        sample: usize,
        /// Element, row-major.
        element: usize,
        /// The accelerator's tensor.
        tensor: String,
        /// Its value.
        value: i64,
        /// Values that can occur.
        range: String,
    },
    /// The operations of a border give something other than the manifest says.
    #[error("border `{name}`: its operations give {found}, the manifest says {wanted}; compile the model again")]
    Result {
        /// Name of the host's tensor.
        name: String,
        /// What they give.
        found: String,
        /// What was expected.
        wanted: String,
    },
    /// The beats are not those of whole samples.
    #[error("{found} bytes of output for {samples} samples, which take {wanted}")]
    Beats {
        /// Bytes there are.
        found: usize,
        /// Samples expected.
        samples: usize,
        /// Bytes they take.
        wanted: usize,
    },
}
