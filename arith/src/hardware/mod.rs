//! Hardware forms of a [`Step`], each exact by certificate over the reachable accumulators.

mod affine;
mod affine_search;
mod bounds;
mod certify;
mod line;
mod linear;
mod lookup;
mod search;
mod select;
mod thresholds;

pub use affine::{Affine, Correction, ShiftRounding};
pub use affine_search::{MAX_CORRECTIONS, MAX_SHIFT};
pub use certify::Counterexample;
pub use linear::Linear;
pub use lookup::Lookup;
pub use search::{pivots, SearchError, MAX_THRESHOLD_BITS};
pub use thresholds::Thresholds;

use crate::step::Step;
use crate::table::Table;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How hardware computes a stage's outputs from its raw accumulators, exactly.
///
/// *Raw* accumulators are what the multiply-accumulate core holds: the sum of stored inputs times
/// stored weights, without zero points and bias (for XNOR stages the count of agreeing bits).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "snake_case")]
pub enum Requantizer {
    /// `q = stride * raw + offset[c]`: the accumulator itself leaves the chip.
    Linear(Linear),
    /// Compare with every threshold: outputs of at most 4 bits.
    Thresholds(Thresholds),
    /// Multiply, add, shift, clamp, with an optional short list of corrections.
    Affine(Affine),
    /// Pipelined binary search over a channel's thresholds: always possible. The number of
    /// thresholds a channel is `2^k - 1`, so that k comparisons find the level.
    Search(Thresholds),
    /// A table of values: any function of a raw number in a small range, monotone or not.
    Table(Lookup),
}

impl Requantizer {
    /// Output channels.
    pub fn channels(&self) -> usize {
        match self {
            Requantizer::Linear(linear) => linear.offsets.len(),
            Requantizer::Thresholds(thresholds) | Requantizer::Search(thresholds) => thresholds.base.len(),
            Requantizer::Affine(affine) => affine.multipliers.len(),
            Requantizer::Table(table) => table.channels,
        }
    }

    /// The form's name.
    pub fn name(&self) -> &'static str {
        match self {
            Requantizer::Linear(_) => "linear",
            Requantizer::Thresholds(_) => "thresholds",
            Requantizer::Affine(_) => "affine",
            Requantizer::Search(_) => "search",
            Requantizer::Table(_) => "table",
        }
    }

    /// The output of a raw accumulator of the channel's domain. `channel` must be below
    /// [`Requantizer::channels`]; a form from a file must pass [`Requantizer::certify`] first.
    pub fn evaluate(&self, channel: usize, raw: i64) -> i64 {
        match self {
            Requantizer::Linear(linear) => linear.evaluate(channel, raw),
            Requantizer::Thresholds(thresholds) | Requantizer::Search(thresholds) => thresholds.evaluate(channel, raw),
            Requantizer::Affine(affine) => affine.evaluate(channel, raw),
            Requantizer::Table(table) => table.evaluate(channel, raw),
        }
    }

    /// Proves that the form equals a step on all of its domains.
    ///
    /// Each form is, between a few known places, a monotone function of the raw accumulator: the affine one
    /// on either side of the pivot (a product with a constant, sums with constants, a shift and a
    /// clamp all keep or reverse order) except at its corrected accumulators; the others everywhere.
    /// The check evaluates both sides of every edge, both ends of the domain, -1 and 0, both sides
    /// of the pivot, and each corrected accumulator with its two neighbours. Between two neighbouring
    /// checked points without anything between them the step is constant and the form monotone, so
    /// equality at both points is equality between them. A table follows no order: it is compared at every
    /// accumulator of each domain.
    ///
    /// # Errors
    /// The first difference, or what is malformed.
    pub fn certify(&self, step: &Step) -> Result<(), Counterexample> {
        certify::certify(self, step)
    }

    /// Proves that the form equals a table on all of its operands, in every channel.
    ///
    /// # Errors
    /// The first difference, or what is malformed.
    pub fn certify_table(&self, table: &Table) -> Result<(), Counterexample> {
        certify::certify_table(self, table)
    }
}

impl fmt::Display for Requantizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Requantizer::Linear(linear) => write!(f, "linear, stride {}", linear.stride),
            Requantizer::Thresholds(thresholds) => write!(f, "thresholds, {} a channel", thresholds.count()),
            Requantizer::Search(thresholds) => write!(f, "binary search, {} a channel", thresholds.count()),
            Requantizer::Affine(affine) => affine.fmt(f),
            Requantizer::Table(table) => {
                let whose = if table.is_shared() { "for all channels" } else { "a channel" };
                write!(f, "table, {} entries {whose}", table.entries())
            }
        }
    }
}
