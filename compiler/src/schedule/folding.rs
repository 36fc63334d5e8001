//! The optimal folding of every stage for a goal.
//!
//! For a given interval the stages are independent: each takes its fewest multipliers. The total is
//! monotone in the interval, so a binary search finds the least interval under a budget. *Optimal*:
//! least interval, then fewest multipliers, then fewest memory bits.

use systole_hdl::engine::MatrixSpec;

/// What the design is folded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Least interval with at most this many multipliers.
    MaxMultipliers(u64),
    /// Fewest multipliers with at most this interval in cycles a sample.
    TargetInterval(u64),
}

/// What folding needs to know of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageShape {
    /// Name, for errors.
    pub name: String,
    /// The engine; its PE and SIMD are what is looked for.
    pub matrix: MatrixSpec,
}

/// The folding of one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FoldingChoice {
    /// Output channels computed in parallel.
    pub pe: u64,
    /// Input channels multiplied in parallel.
    pub simd: u64,
}

impl FoldingChoice {
    /// Multiply-accumulate lanes.
    pub fn multipliers(self) -> u64 {
        self.pe * self.simd
    }
}

impl StageShape {
    /// The engine under a folding.
    fn folded(&self, folding: FoldingChoice) -> MatrixSpec {
        MatrixSpec { pe: folding.pe as usize, simd: folding.simd as usize, ..self.matrix }
    }

    /// Output pixels a sample.
    fn pixels(&self) -> u64 {
        self.matrix.pixels as u64
    }

    /// Cycles a sample under a folding.
    pub fn cycles(&self, folding: FoldingChoice) -> u64 {
        self.pixels() * self.folded(folding).cycles_per_pixel()
    }

    /// Bits of the memories that depend on the folding alone: weights with their idle lanes, and
    /// the replay buffer.
    pub fn memory_bits(&self, folding: FoldingChoice) -> u64 {
        let matrix = self.folded(folding);
        matrix.weight_bits() + matrix.replay_bits()
    }

    /// The folding with the fewest multipliers, then the fewest memory bits, that takes at most
    /// `interval` cycles a sample; none if even full parallelism takes longer.
    pub fn cheapest_within(&self, interval: u64) -> Option<FoldingChoice> {
        let (outputs, inputs) = (self.matrix.outputs as u64, self.matrix.inputs as u64);
        let cycles = interval / self.pixels();
        let groups_most = cycles.min(outputs);
        let mut best: Option<(u64, u64, FoldingChoice)> = None;
        for groups in 1..=groups_most {
            let folds = (cycles / groups).min(inputs);
            let folding = FoldingChoice { pe: outputs.div_ceil(groups), simd: inputs.div_ceil(folds) };
            let cost = (folding.multipliers(), self.memory_bits(folding));
            if best.is_none_or(|(multipliers, bits, _)| cost < (multipliers, bits)) {
                best = Some((cost.0, cost.1, folding));
            }
        }
        best.map(|(_, _, folding)| folding)
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
pub fn fold(
    stages: &[StageShape],
    goal: Goal,
    border_beats: &[(String, u64)],
) -> Result<Vec<FoldingChoice>, ScheduleError> {
    let limits = stages.iter().map(|stage| (format!("stage `{}`", stage.name), stage.pixels()));
    let (limit, fastest) = limits
        .chain(border_beats.iter().cloned())
        .max_by_key(|&(_, cycles)| cycles)
        .unwrap_or_else(|| ("the design".to_string(), 1));
    let at = |interval: u64| -> Option<Vec<FoldingChoice>> {
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
            let minimum = stages.len() as u64;
            let total = |foldings: &[FoldingChoice]| foldings.iter().map(|f| f.multipliers()).sum::<u64>();
            let fits = |interval: u64| at(interval).is_some_and(|foldings| total(&foldings) <= budget);
            let slowest =
                stages.iter().map(|s| s.cycles(FoldingChoice { pe: 1, simd: 1 })).max().unwrap_or(1).max(fastest);
            let (mut low, mut high) = (fastest, slowest);
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
mod tests {
    use super::*;
    use systole_arith::IntType;
    use systole_hdl::cells::Cells;

    fn stage(pixels: u64, outputs: u64, inputs: u64) -> StageShape {
        let matrix = MatrixSpec {
            pixels: pixels as usize,
            inputs: inputs as usize,
            outputs: outputs as usize,
            pe: 1,
            simd: 1,
            input: IntType::Signed(8),
            weight: IntType::Signed(8),
            accumulator_bits: 20,
            cells: Cells::default(),
        };
        StageShape { name: format!("m{outputs}c{inputs}"), matrix }
    }

    /// Every folding of every stage, tried one by one.
    fn brute_force(stages: &[StageShape], budget: u64) -> Option<(u64, u64, u64)> {
        fn go(rest: &[StageShape], budget: u64, so_far: (u64, u64, u64), best: &mut Option<(u64, u64, u64)>) {
            let Some((stage, rest)) = rest.split_first() else {
                if best.is_none_or(|b| so_far < b) {
                    *best = Some(so_far);
                }
                return;
            };
            for pe in 1..=stage.matrix.outputs as u64 {
                for simd in 1..=stage.matrix.inputs as u64 {
                    let folding = FoldingChoice { pe, simd };
                    if folding.multipliers() <= budget {
                        let (interval, multipliers, bits) = so_far;
                        let next = (
                            interval.max(stage.cycles(folding)),
                            multipliers + folding.multipliers(),
                            bits + stage.memory_bits(folding),
                        );
                        go(rest, budget - folding.multipliers(), next, best);
                    }
                }
            }
        }
        let mut best = None;
        go(stages, budget, (1, 0, 0), &mut best);
        best
    }

    #[test]
    fn the_folding_is_what_a_brute_force_over_the_whole_space_finds() {
        let designs = [
            vec![stage(1, 5, 7)],
            vec![stage(1, 7, 5), stage(1, 3, 7)],
            vec![stage(2, 4, 6), stage(1, 5, 8), stage(3, 2, 5)],
            vec![stage(1, 1, 1), stage(1, 9, 4)],
        ];
        for stages in &designs {
            for budget in 1..=40 {
                let expected = brute_force(stages, budget);
                let found = fold(stages, Goal::MaxMultipliers(budget), &[]).ok().map(|foldings| {
                    let pairs = || stages.iter().zip(&foldings);
                    (
                        pairs().map(|(s, &f)| s.cycles(f)).max().unwrap(),
                        foldings.iter().map(|f| f.multipliers()).sum::<u64>(),
                        pairs().map(|(s, &f)| s.memory_bits(f)).sum::<u64>(),
                    )
                });
                assert_eq!(found, expected, "{stages:?} under {budget}");
            }
        }
    }

    #[test]
    fn a_budget_below_the_smallest_design_names_that_design() {
        let error = fold(&[stage(1, 5, 7), stage(1, 5, 5)], Goal::MaxMultipliers(1), &[]).unwrap_err();
        assert_eq!(error, ScheduleError::Budget { budget: 1, minimum: 2 });
    }

    #[test]
    fn an_interval_below_full_parallelism_names_what_sets_it() {
        let error = fold(&[stage(4, 5, 7)], Goal::TargetInterval(3), &[]).unwrap_err();
        assert!(error.to_string().contains("stage `m5c7` takes 4"), "{error}");
    }
}
