//! The choice among hardware forms: the cheapest that is exact.

use super::{affine_search, Counterexample, Linear, Lookup, Requantizer, Thresholds};
use crate::step::{Step, StepError};
use crate::table::Table;
use thiserror::Error;

/// Widest output for which comparing with every threshold is cheapest.
pub const MAX_THRESHOLD_BITS: u32 = 4;

/// Why no form was made.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SearchError {
    /// The step itself is malformed.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Not one pivot a channel.
    #[error("{given} pivots for {channels} channels; give one a channel")]
    Pivots {
        /// How many were given.
        given: usize,
        /// Channels of the step.
        channels: usize,
    },
    /// A form that was found is not exact, which is a defect of the search.
    #[error("no exact hardware form was found: {0}; report the model")]
    Certificate(#[from] Counterexample),
}

/// The raw accumulator of each channel from which on the formula's accumulator
/// `acc = stride * raw + offset` is not negative: `ceil(-offset / stride)`, for a positive stride.
pub fn pivots(stride: i64, offsets: &[i64]) -> Vec<i64> {
    offsets.iter().map(|&offset| num_integer::div_ceil(offset.saturating_neg(), stride.max(1))).collect()
}

impl Requantizer {
    /// The form of an identity formula: `q = stride * raw + offset`, the accumulator itself.
    pub fn linear(stride: i64, offsets: Vec<i64>) -> Self {
        Requantizer::Linear(Linear { stride, offsets })
    }

    /// The values of a table, which holds one function for all of `channels` channels or one for each.
    ///
    /// # Errors
    /// If it holds another number of functions, or functions of several lengths. The form is certified
    /// before it is returned.
    pub fn table(table: &Table, channels: usize) -> Result<Self, Counterexample> {
        let form = Requantizer::Table(Lookup::of(table, channels));
        form.certify_table(table)?;
        Ok(form)
    }

    /// The cheapest exact form of a step over raw accumulators: thresholds up to 4 output bits, else an
    /// affine function where one fits, else a binary search. `pivots` (see [`pivots`]) says where a
    /// second bias may take over.
    ///
    /// # Errors
    /// If the step is malformed or there is not one pivot a channel. Every form is certified before
    /// it is returned.
    pub fn search(step: &Step, pivots: &[i64]) -> Result<Requantizer, SearchError> {
        step.verify()?;
        let (given, channels) = (pivots.len(), step.channels.len());
        if given != channels {
            return Err(SearchError::Pivots { given, channels });
        }
        let form = if step.output.bits() <= MAX_THRESHOLD_BITS {
            Requantizer::Thresholds(Thresholds::of(step, step.levels()))
        } else {
            match affine_search::search(step, pivots) {
                Some(affine) => Requantizer::Affine(affine),
                None => Requantizer::binary_search(step),
            }
        };
        form.certify(step)?;
        Ok(form)
    }

    /// The binary search over a step's thresholds, which is always possible.
    pub fn binary_search(step: &Step) -> Self {
        Requantizer::Search(Thresholds::of(step, (step.levels() + 1).next_power_of_two() - 1))
    }
}
