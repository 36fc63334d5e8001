//! `Step`: the canonical form of a requantization, a monotone step function of one accumulator.

use crate::int_type::{IntType, Range};
use serde::{Deserialize, Serialize};

/// Whether a channel's output rises or falls with its accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Output grows with the accumulator.
    Rising,
    /// Output shrinks with the accumulator (a negative scale).
    Falling,
}

/// One output channel's step function over its reachable accumulators.
///
/// `q(acc) = start ± increment * #{k : edges[k] <= acc}`: plus when rising, minus when falling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepChannel {
    /// Accumulators that the channel can reach; the function says nothing outside.
    pub domain: Range,
    /// Output at `domain.lo`.
    pub start: i64,
    /// Sense of every edge.
    pub direction: Direction,
    /// First accumulator of each further level, ascending (equal entries: a jump of several
    /// levels), each in `domain.lo + 1 ..= domain.hi`.
    pub edges: Vec<i64>,
}

/// A requantization in canonical form: one [`StepChannel`] an output channel.
///
/// Two steps over the same domains are the same function iff they are equal, which makes equality
/// of a formula and a hardware form decidable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Type of the output.
    pub output: IntType,
    /// Distance of neighbouring levels: 2 for a bipolar output, else 1.
    pub increment: i64,
    /// One function a channel.
    pub channels: Vec<StepChannel>,
}
