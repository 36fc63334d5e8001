//! `Step`: the canonical form of a requantization, a monotone step function of one accumulator.

mod derive;
mod error;
mod pull_back;

pub use error::{Disagreement, StepError};

use crate::int_type::{IntType, Range};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Widest output whose edges are enumerated.
pub const MAX_OUTPUT_BITS: u32 = 12;

/// Whether a channel's output rises or falls with its accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Output grows with the accumulator.
    Rising,
    /// Output shrinks with the accumulator (a negative scale).
    Falling,
}

impl Direction {
    /// +1 when rising, -1 when falling.
    pub fn sign(self) -> i64 {
        match self {
            Direction::Rising => 1,
            Direction::Falling => -1,
        }
    }
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
    /// Sense of every edge; rising where there is none.
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

impl StepChannel {
    /// The output at an accumulator of the domain; outside, that of the nearer end.
    pub fn evaluate(&self, increment: i64, acc: i64) -> i64 {
        let passed = self.edges.partition_point(|&edge| edge <= acc) as i64;
        self.start + self.direction.sign() * increment * passed
    }

    /// Output at the end of the domain.
    pub fn end(&self, increment: i64) -> i64 {
        self.start + self.direction.sign() * increment * self.edges.len() as i64
    }

    /// Least and greatest output.
    pub fn output_range(&self, increment: i64) -> Range {
        let end = self.end(increment);
        Range::new(self.start.min(end), self.start.max(end))
    }

    /// Accumulators that decide a comparison with another monotone function: the domain's ends, both
    /// sides of every edge, and -1 and 0 where they are reachable. Ascending, without repetition.
    pub fn decisive_points(&self) -> Vec<i64> {
        let ends = [self.domain.lo, -1, 0, self.domain.hi];
        let sides = self.edges.iter().flat_map(|&edge| [edge.saturating_sub(1), edge]);
        let mut points: Vec<i64> = ends.into_iter().chain(sides).filter(|&at| self.domain.contains(at)).collect();
        points.sort_unstable();
        points.dedup();
        points
    }
}

impl Step {
    /// The output of a channel at an accumulator of its domain.
    pub fn evaluate(&self, channel: usize, acc: i64) -> i64 {
        self.channels[channel].evaluate(self.increment, acc)
    }

    /// Least and greatest output of a channel.
    pub fn output_range(&self, channel: usize) -> Range {
        self.channels[channel].output_range(self.increment)
    }

    /// Least and greatest output of all channels; none without channels.
    pub fn output_hull(&self) -> Option<Range> {
        self.channels.iter().map(|channel| channel.output_range(self.increment)).reduce(Range::hull)
    }

    /// The hull of the channels' domains; none without channels.
    pub fn domain_hull(&self) -> Option<Range> {
        self.channels.iter().map(|channel| channel.domain).reduce(Range::hull)
    }

    /// The most edges that a channel has.
    pub fn levels(&self) -> usize {
        self.channels.iter().map(|channel| channel.edges.len()).max().unwrap_or(0)
    }

    /// Checks the form's guarantee, for steps that come from a file.
    ///
    /// # Errors
    /// If a domain is empty, edges are not ascending or leave the domain, or outputs leave the type.
    pub fn verify(&self) -> Result<(), StepError> {
        let element = self.output.checked_range().ok_or(StepError::Output { output: self.output })?;
        if self.increment != if self.output == IntType::Bipolar { 2 } else { 1 } {
            return Err(StepError::Increment { increment: self.increment, output: self.output });
        }
        for (channel, step) in self.channels.iter().enumerate() {
            let Range { lo, hi } = step.domain;
            if lo > hi {
                return Err(StepError::Domain { channel, lo, hi });
            }
            let inside = step.edges.iter().all(|&edge| lo < edge && edge <= hi);
            if !inside || !step.edges.is_sorted() {
                return Err(StepError::Edges { channel });
            }
            if step.edges.is_empty() && step.direction == Direction::Falling {
                return Err(StepError::Edges { channel });
            }
            // Checked before any multiplication: the type bounds the number of levels.
            let levels_fit = step.edges.len() < 1 << MAX_OUTPUT_BITS;
            if !levels_fit || !element.contains(step.start) || !self.output.contains(step.end(self.increment)) {
                return Err(StepError::Levels { channel, levels: step.edges.len(), output: self.output });
            }
        }
        Ok(())
    }

    /// Compares with another function at both sides of every edge, at both ends of each domain, and
    /// at -1 and 0. For a function that is monotone on the domain this decides equality: between two
    /// neighbouring checked points without an edge the step is constant, so a monotone function that
    /// equals it at both points equals it between them.
    ///
    /// # Errors
    /// The first difference.
    pub fn agrees_with(&self, other: impl Fn(usize, i64) -> i64) -> Result<(), Disagreement> {
        for (channel, step) in self.channels.iter().enumerate() {
            for acc in step.decisive_points() {
                let (expected, got) = (step.evaluate(self.increment, acc), other(channel, acc));
                if expected != got {
                    return Err(Disagreement { channel, acc, expected, got });
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edges: usize = self.channels.iter().map(|channel| channel.edges.len()).sum();
        write!(f, "step, {} channels, {edges} edges", self.channels.len())?;
        if let Some(domain) = self.domain_hull() {
            write!(f, " over {domain}")?;
        }
        write!(f, " -> {}", self.output)
    }
}
