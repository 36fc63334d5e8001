//! The optimal folding of every stage for a goal.
//!
//! For a given interval the stages are independent: each takes its fewest multipliers. The total is
//! monotone in the interval, so a binary search finds the least interval under a budget. *Optimal*:
//! least interval, then fewest multipliers, then fewest memory bits.

use super::candidates::{
    folded, lane_candidates, lane_choices, matrix_candidates, most_beat_pixels, pixel_choices, vector_candidates,
    Candidate,
};
use crate::dataflow::Folding;
use systole_hdl::engine::{Engine, MatrixSpec, VectorSpec};

/// What the design is folded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Least interval with at most this many multipliers.
    MaxMultipliers(u64),
    /// Fewest multipliers with at most this interval in cycles a sample.
    TargetInterval(u64),
}

/// What folding needs to know of a stage.
#[derive(Clone, Debug)]
pub struct StageShape {
    /// Name, for errors.
    pub name: String,
    /// The engine; its folding is what is looked for.
    pub engine: Engine,
}

impl StageShape {
    /// The engine under a folding.
    pub fn folded(&self, folding: Folding) -> Engine {
        folded(&self.engine, folding)
    }

    /// Cycles a sample under a folding.
    pub fn cycles(&self, folding: Folding) -> u64 {
        self.folded(folding).cycles()
    }

    /// Bits of the memories that depend on the folding alone: weights with their idle lanes, and
    /// line or replay buffers.
    pub fn memory_bits(&self, folding: Folding) -> u64 {
        let engine = self.folded(folding);
        engine.weight_bits() + engine.buffer_bits()
    }

    /// Cycles a sample at full parallelism.
    pub fn fastest(&self) -> u64 {
        let widest = |folding: Folding| self.cycles(folding);
        match &self.engine {
            Engine::Matrix(engine) => {
                let spec = MatrixSpec { pe: engine.spec.outputs, simd: engine.spec.inputs, ..engine.spec };
                let spec = MatrixSpec { tap_lanes: spec.taps(), ..spec };
                pixel_choices(spec.row_pixels()).map(|pixels| most_beat_pixels(spec, pixels).cycles()).min()
            }
            Engine::Vector(engine) => {
                let spec =
                    VectorSpec { lanes: engine.spec.channels, tap_lanes: engine.spec.window.taps(), ..engine.spec };
                let cycles = |pixels: usize| most_beat_pixels(spec, pixels).line_buffer().cycles();
                pixel_choices(spec.window.output()[1]).map(cycles).min()
            }
            _ => lane_choices(&self.engine).last().map(|&lanes| widest(Folding::Lanes { lanes })),
        }
        .unwrap_or(1)
    }

    /// Cycles a sample at full parallelism of each pixel, one pixel after the other.
    fn fastest_by_pixels(&self) -> u64 {
        let ports = self.engine.ports().into_iter().map(|port| port.pixels as u64);
        ports.chain([self.engine.results().pixels as u64]).max().unwrap_or(1).max(self.fastest())
    }

    /// Cycles a sample with one of everything.
    fn slowest(&self) -> u64 {
        self.engine.cycles()
    }

    /// Fewest multipliers of any folding.
    fn fewest(&self) -> u64 {
        self.cheapest_within(u64::MAX / 4).map_or(0, |folding| self.folded(folding).multipliers())
    }

    /// The folding with the fewest multipliers, then the fewest lanes, then the fewest memory bits, that
    /// takes at most `interval` cycles a sample; none if even full parallelism takes longer.
    pub fn cheapest_within(&self, interval: u64) -> Option<Folding> {
        let candidates = self.candidates(interval);
        let least = candidates.iter().map(|&(cost, _)| cost).min()?;
        let equal = candidates.into_iter().filter(|&(cost, _)| cost == least).map(|(_, folding)| folding);
        // Which of them takes the least memory is asked only where there is a choice.
        let equal: Vec<Folding> = equal.collect();
        match equal.as_slice() {
            [only] => Some(*only),
            _ => equal.into_iter().min_by_key(|&folding| self.memory_bits(folding)),
        }
    }

    /// Multipliers of the cheapest folding within `interval`.
    fn multipliers_within(&self, interval: u64) -> Option<u64> {
        self.candidates(interval).into_iter().map(|((multipliers, _), _)| multipliers).min()
    }

    fn candidates(&self, interval: u64) -> Vec<Candidate> {
        match &self.engine {
            Engine::Matrix(engine) => matrix_candidates(&engine.spec, interval),
            Engine::Vector(engine) => vector_candidates(&engine.spec, interval),
            Engine::Pass(_)
            | Engine::Join(_)
            | Engine::Concat(_)
            | Engine::Reduce(_)
            | Engine::Repeat(_)
            | Engine::ArgMax(_) => lane_candidates(&self.engine, interval),
        }
    }
}

/// Why a goal cannot be met. These are the user's: the numbers asked for are out of reach.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Fewer multipliers than stages.
    #[error("{budget} multipliers are too few: the smallest design has {minimum}; use `--max-multipliers {minimum}` or more")]
    Budget {
        /// What was asked for.
        budget: u64,
        /// What is needed.
        minimum: u64,
    },
    /// A shorter interval than full parallelism has.
    #[error("an interval of {interval} cycles a sample is out of reach: {limit} takes {minimum} at full parallelism; use `--target-ii {minimum}` or more")]
    Interval {
        /// What was asked for.
        interval: u64,
        /// The least interval.
        minimum: u64,
        /// The stage or stream that sets it.
        limit: String,
    },
}

/// Folds all stages for `goal`. `border_beats` are the beats a sample of streams whose lanes the
/// user fixed, with their names: no interval is shorter.
///
/// # Errors
/// If the goal is out of reach, with the least number that is not.
pub fn fold(stages: &[StageShape], goal: Goal, border_beats: &[(String, u64)]) -> Result<Vec<Folding>, ScheduleError> {
    let limits = stages.iter().map(|stage| (format!("stage `{}`", stage.name), stage.fastest()));
    let (limit, fastest) = limits
        .chain(border_beats.iter().cloned())
        .max_by_key(|&(_, cycles)| cycles)
        .unwrap_or_else(|| ("the design".to_string(), 1));
    let at = |interval: u64| -> Option<Vec<Folding>> {
        stages.iter().map(|stage| stage.cheapest_within(interval)).collect()
    };
    match goal {
        Goal::TargetInterval(interval) if interval < fastest => {
            Err(ScheduleError::Interval { interval, minimum: fastest, limit })
        }
        Goal::TargetInterval(interval) => {
            at(interval).ok_or(ScheduleError::Interval { interval, minimum: fastest, limit })
        }
        Goal::MaxMultipliers(budget) => {
            let minimum = stages.iter().map(StageShape::fewest).sum();
            let fits = |interval: u64| {
                let total = stages.iter().map(|stage| stage.multipliers_within(interval)).sum::<Option<u64>>();
                total.is_some_and(|total| total <= budget)
            };
            let slowest = stages.iter().map(StageShape::slowest).max().unwrap_or(1).max(fastest);
            // Hardware without multipliers costs no budget: it is not made faster than a pixel a cycle for itself.
            let multiplies = stages.iter().any(|stage| stage.engine.multipliers() > 0);
            let by_pixels = stages.iter().map(StageShape::fastest_by_pixels).max().unwrap_or(1);
            let fastest = if multiplies { fastest } else { fastest.max(by_pixels) };
            let (mut low, mut high) = (fastest, slowest.max(fastest));
            if !fits(high) {
                return Err(ScheduleError::Budget { budget, minimum });
            }
            while low < high {
                let middle = low + (high - low) / 2;
                match fits(middle) {
                    true => high = middle,
                    false => low = middle + 1,
                }
            }
            at(high).ok_or(ScheduleError::Budget { budget, minimum })
        }
    }
}

#[cfg(test)]
mod tests;
