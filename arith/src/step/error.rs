//! What can be wrong with a step function.

use crate::formula::FormulaError;
use crate::int_type::IntType;
use thiserror::Error;

/// Why a [`Step`](crate::Step) cannot be made or is not one. The caller adds the node's name.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum StepError {
    /// The formula itself is broken.
    #[error(transparent)]
    Formula(#[from] FormulaError),
    /// Too many levels to enumerate.
    #[error("output of {bits} bits: step functions are certified up to {limit} bits; quantize the output to at most {limit} bits")]
    TooWide {
        /// Bits of the output type.
        bits: u32,
        /// The most that are enumerated.
        limit: u32,
    },
    /// An identity has no step function.
    #[error("the accumulator leaves unchanged: it needs no step function; use the linear form")]
    Identity,
    /// The wrong number of domains or offsets.
    #[error("{given} {what} for {channels} channels; give one a channel")]
    Count {
        /// What was given.
        what: &'static str,
        /// How many.
        given: usize,
        /// Output channels.
        channels: usize,
    },
    /// An empty domain.
    #[error(
        "channel {channel}: accumulators [{lo}, {hi}] are an empty or too wide interval; check the weights' range"
    )]
    Domain {
        /// Output channel.
        channel: usize,
        /// Least accumulator.
        lo: i64,
        /// Greatest accumulator.
        hi: i64,
    },
    /// The function is not monotone.
    #[error("channel {channel}: output {got} at accumulator {acc} breaks the order of the levels; report the model")]
    NotMonotone {
        /// Output channel.
        channel: usize,
        /// Accumulator.
        acc: i64,
        /// Output there.
        got: i64,
    },
    /// Edges out of order or domain.
    #[error("channel {channel}: edges are not ascending within the domain; compile the model again")]
    Edges {
        /// Output channel.
        channel: usize,
    },
    /// Levels that leave the output type.
    #[error("channel {channel}: {levels} levels leave {output}; compile the model again")]
    Levels {
        /// Output channel.
        channel: usize,
        /// Number of edges.
        levels: usize,
        /// Output type.
        output: IntType,
    },
    /// An increment that the output type does not have.
    #[error("levels {increment} apart do not fit {output}; compile the model again")]
    Increment {
        /// Distance of levels.
        increment: i64,
        /// Output type.
        output: IntType,
    },
    /// An output type of unsupported width.
    #[error("output type {output} is of no supported width; use at most 32 bits")]
    Output {
        /// Output type.
        output: IntType,
    },
    /// A stride that is not positive.
    #[error("stride {stride} is not positive; accumulators are stride * raw + offset with a stride of at least 1")]
    Stride {
        /// The stride.
        stride: i64,
    },
    /// Raw accumulators that the step says nothing about.
    #[error("channel {channel}: raw accumulators [{lo}, {hi}] leave the step's domain; derive it over a wider range")]
    RawDomain {
        /// Output channel.
        channel: usize,
        /// Least raw accumulator.
        lo: i64,
        /// Greatest raw accumulator.
        hi: i64,
    },
}

/// Where a function differs from a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("channel {channel}, accumulator {acc}: expected {expected}, got {got}")]
pub struct Disagreement {
    /// Output channel.
    pub channel: usize,
    /// Accumulator.
    pub acc: i64,
    /// The step's output.
    pub expected: i64,
    /// The other function's output.
    pub got: i64,
}
