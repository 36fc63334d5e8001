//! What can be wrong with an integer network or its data.

use std::path::PathBuf;
use systole_arith::step::StepError;

/// A diagnostic of [`QuantGraph`](super::QuantGraph).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum QuantError {
    /// A guarantee of the form does not hold.
    #[error("{subject}: {cause}; compile the model again")]
    Broken {
        /// The tensor, node or border.
        subject: String,
        /// What does not hold, with the numbers.
        cause: String,
    },
    /// An accumulator needs more bits than hardware has.
    #[error("the accumulator of output {channel} reaches {reach}, which takes more than {limit} bits; quantize inputs or weights to fewer bits, or split the layer")]
    Accumulator {
        /// Output channel.
        channel: usize,
        /// Greatest magnitude.
        reach: i128,
        /// Bits there are.
        limit: u32,
    },
    /// A requantization without an exact map.
    #[error(transparent)]
    Map(#[from] StepError),
    /// Data that is not what the network takes.
    #[error("{subject}: {cause}")]
    Data {
        /// The tensor or border.
        subject: String,
        /// What does not fit, with the numbers.
        cause: String,
    },
    /// A stored network cannot be read or written.
    #[error("{path}: {cause}")]
    Store {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        cause: String,
    },
    /// An array of a stored network cannot be read; the reader's words name the file.
    #[error("{0}; compile the model again")]
    Array(String),
}

impl QuantError {
    /// A broken guarantee.
    pub fn broken(subject: impl Into<String>, cause: impl Into<String>) -> Self {
        QuantError::Broken { subject: subject.into(), cause: cause.into() }
    }

    /// Data that does not fit.
    pub fn data(subject: impl Into<String>, cause: impl Into<String>) -> Self {
        QuantError::Data { subject: subject.into(), cause: cause.into() }
    }
}

impl From<QuantError> for String {
    fn from(error: QuantError) -> String {
        error.to_string()
    }
}
