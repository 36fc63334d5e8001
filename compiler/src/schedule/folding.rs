//! The optimal folding of every stage for a goal.
//!
//! For a given interval the stages are independent: each takes its fewest multipliers. The total is
//! monotone in the interval, so a binary search finds the least interval under a budget. *Optimal*:
//! least interval, then fewest multipliers, then fewest memory bits.

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

/// A folding with what it costs, memory aside.
type Candidate = ((u64, u64), Folding);

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
        if let Engine::Concat(concat) = &self.engine {
            let most = concat.turns.lane_choices().into_iter().max().unwrap_or(1);
            return self.cycles(Folding::Lanes { lanes: most });
        }
        let ports = self.engine.ports().into_iter().map(|port| port.pixels as u64);
        ports.chain([self.engine.results().pixels as u64]).max().unwrap_or(1)
    }

    /// Cycles a sample with one of everything.
    fn slowest(&self) -> u64 {
        self.cycles(match self.engine {
            Engine::Matrix(_) => Folding::Matrix { pe: 1, simd: 1, taps: 1 },
            Engine::Vector(_) => Folding::Vector { lanes: 1, taps: 1 },
            _ => Folding::Lanes { lanes: 1 },
        })
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

/// An engine under a folding of its kind.
pub fn folded(engine: &Engine, folding: Folding) -> Engine {
    let mut engine = engine.clone();
    match (&mut engine, folding) {
        (Engine::Matrix(engine), Folding::Matrix { pe, simd, taps }) => {
            (engine.spec.pe, engine.spec.simd, engine.spec.tap_lanes) = (pe, simd, taps);
        }
        (Engine::Vector(engine), Folding::Vector { lanes, taps }) => {
            (engine.spec.lanes, engine.spec.tap_lanes) = (lanes, taps);
        }
        (Engine::Pass(engine), Folding::Lanes { lanes }) => engine.lanes = lanes,
        (Engine::Join(engine), Folding::Lanes { lanes }) => engine.lanes = lanes,
        (Engine::Concat(engine), Folding::Lanes { lanes }) => engine.lanes = lanes,
        (Engine::Reduce(engine), Folding::Lanes { lanes }) => engine.lanes = lanes,
        (Engine::Repeat(engine), Folding::Lanes { lanes }) => engine.lanes = lanes,
        (Engine::ArgMax(engine), Folding::Lanes { lanes }) => engine.lanes = lanes,
        _ => {}
    }
    engine
}

/// The least divisor of `whole` that is not below `part`.
fn divisor_from(whole: usize, part: usize) -> usize {
    (part..=whole).find(|&divisor| whole.is_multiple_of(divisor)).unwrap_or(whole)
}

/// For each number of output groups and of tap folds within the interval, the fewest lanes that do.
fn matrix_candidates(spec: &MatrixSpec, interval: u64) -> Vec<Candidate> {
    let (outputs, inputs, taps) = (spec.outputs, spec.inputs, spec.taps());
    let cycles = usize::try_from(interval / spec.pixels as u64).unwrap_or(usize::MAX);
    // The line buffer takes a word a cycle.
    let words_in = match spec.window {
        Some(window) => usize::try_from(interval / window.input_pixels() as u64).unwrap_or(usize::MAX),
        None => usize::MAX,
    };
    let mut found = Vec::new();
    let mut before = 0;
    for groups in 1..=cycles.min(outputs) {
        let pe = outputs.div_ceil(groups);
        if pe == before {
            continue;
        }
        before = pe;
        let folds = cycles / outputs.div_ceil(pe);
        let mut lanes_before = 0;
        for tap_folds in 1..=folds.min(taps) {
            let tap_lanes = taps.div_ceil(tap_folds);
            if tap_lanes == lanes_before {
                continue;
            }
            lanes_before = tap_lanes;
            let words = (folds / taps.div_ceil(tap_lanes)).min(inputs).min(words_in);
            if words == 0 {
                continue;
            }
            let mut folded = MatrixSpec { pe, simd: inputs.div_ceil(words), tap_lanes, ..*spec };
            if !folded.idle_lanes_are_silent() {
                folded.tap_lanes = divisor_from(taps, tap_lanes);
                folded.simd = divisor_from(inputs, folded.simd);
            }
            let folding = Folding::Matrix { pe, simd: folded.simd, taps: folded.tap_lanes };
            found.push(((folded.multipliers(), 0), folding));
        }
    }
    found
}

/// For each number of tap folds within the interval, the fewest lanes that do.
fn vector_candidates(spec: &VectorSpec, interval: u64) -> Vec<Candidate> {
    let taps = spec.window.taps();
    let cycles = usize::try_from(interval / spec.window.output_pixels() as u64).unwrap_or(usize::MAX);
    let words_in = usize::try_from(interval / spec.window.input_pixels() as u64).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for tap_folds in 1..=cycles.min(taps) {
        let mut folded = VectorSpec { tap_lanes: taps.div_ceil(tap_folds), ..*spec };
        if !folded.idle_taps_are_silent() {
            folded.tap_lanes = divisor_from(taps, folded.tap_lanes);
        }
        let words = (cycles / taps.div_ceil(folded.tap_lanes)).min(spec.channels).min(words_in);
        if words == 0 {
            continue;
        }
        folded.lanes = spec.channels.div_ceil(words);
        let lanes = (folded.lanes * folded.tap_lanes) as u64;
        let folding = Folding::Vector { lanes: folded.lanes, taps: folded.tap_lanes };
        if found.last() != Some(&((folded.multipliers(), lanes), folding)) {
            found.push(((folded.multipliers(), lanes), folding));
        }
    }
    found
}

/// The fewest elements a beat that take at most the interval.
fn lane_candidates(engine: &Engine, interval: u64) -> Vec<Candidate> {
    let most = engine.ports().iter().map(|port| port.channels).max().unwrap_or(1);
    let choices = match engine {
        Engine::Concat(concat) => concat.turns.lane_choices(),
        _ => (1..=most).collect(),
    };
    let fits = |&lanes: &usize| folded(engine, Folding::Lanes { lanes }).cycles() <= interval;
    // Cycles fall with the lanes: the first that fits is found by halving.
    let first = choices.partition_point(|lanes| !fits(lanes));
    choices.get(first).map(|&lanes| ((0, lanes as u64), Folding::Lanes { lanes })).into_iter().collect()
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
    use std::sync::Arc;
    use systole_arith::{IntType, Window};
    use systole_hdl::cells::Cells;
    use systole_hdl::engine::{MatrixEngine, VectorEngine, VectorOp};

    fn matrix(window: Option<Window>, pixels: usize, outputs: usize, inputs: usize) -> StageShape {
        let spec = MatrixSpec {
            pixels: window.map_or(pixels, |window| window.output_pixels()),
            window,
            padding: 0,
            tap_lanes: 1,
            inputs,
            outputs,
            pe: 1,
            simd: 1,
            input: IntType::Signed(8),
            weight: IntType::Signed(8),
            accumulator_bits: 20,
            cells: Cells::default(),
        };
        let weights = Arc::new(ndarray::Array2::zeros((outputs, spec.taps() * inputs)));
        let engine = Engine::Matrix(MatrixEngine { name: "m".into(), spec, weights });
        StageShape { name: format!("m{outputs}c{inputs}"), engine }
    }

    fn stage(pixels: usize, outputs: usize, inputs: usize) -> StageShape {
        matrix(None, pixels, outputs, inputs)
    }

    fn window(side: usize, kernel: usize, stride: usize) -> Window {
        let pad = kernel / 2;
        Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            pad_before: [pad; 2],
            pad_after: [pad; 2],
            ..Window::pointwise([side; 2])
        }
    }

    fn depthwise(window: Window, channels: usize) -> StageShape {
        let spec = VectorSpec {
            window,
            padding: 0,
            channels,
            lanes: 1,
            tap_lanes: 1,
            input: IntType::Signed(8),
            op: VectorOp::Multiply(IntType::Signed(8)),
            accumulator_bits: 20,
            cells: Cells::default(),
        };
        let weights = Some(Arc::new(ndarray::Array2::zeros((channels, window.taps()))));
        let engine = Engine::Vector(VectorEngine { name: "d".into(), spec, weights });
        StageShape { name: format!("d{channels}"), engine }
    }

    fn all_foldings(stage: &StageShape) -> Vec<Folding> {
        let mut found = Vec::new();
        match &stage.engine {
            Engine::Matrix(engine) => {
                for pe in 1..=engine.spec.outputs {
                    for simd in 1..=engine.spec.inputs {
                        found.extend((1..=engine.spec.taps()).map(|taps| Folding::Matrix { pe, simd, taps }));
                    }
                }
            }
            Engine::Vector(engine) => {
                for lanes in 1..=engine.spec.channels {
                    found.extend((1..=engine.spec.window.taps()).map(|taps| Folding::Vector { lanes, taps }));
                }
            }
            other => panic!("{} is not folded here", other.name()),
        }
        found
    }

    type Cost = (u64, u64, u64);

    /// Every folding of every stage, tried one by one.
    fn brute_force(costs: &[Vec<Cost>], budget: u64) -> Option<Cost> {
        fn go(rest: &[Vec<Cost>], budget: u64, so_far: Cost, best: &mut Option<Cost>) {
            let Some((stage, rest)) = rest.split_first() else {
                if best.is_none_or(|b| so_far < b) {
                    *best = Some(so_far);
                }
                return;
            };
            for &(cycles, multipliers, bits) in stage.iter().filter(|cost| cost.1 <= budget) {
                let next = (so_far.0.max(cycles), so_far.1 + multipliers, so_far.2 + bits);
                go(rest, budget - multipliers, next, best);
            }
        }
        let mut best = None;
        go(costs, budget, (1, 0, 0), &mut best);
        best
    }

    #[test]
    fn the_folding_is_what_a_brute_force_over_the_whole_space_finds() {
        let designs = [
            vec![stage(1, 5, 7)],
            vec![stage(1, 7, 5), stage(1, 3, 7)],
            vec![stage(2, 4, 6), stage(1, 5, 8), stage(3, 2, 5)],
            vec![stage(1, 1, 1), stage(1, 9, 4)],
            vec![matrix(Some(window(5, 3, 1)), 0, 4, 3), depthwise(window(5, 3, 2), 4)],
            vec![depthwise(window(3, 3, 1), 5), stage(9, 6, 5)],
        ];
        for stages in &designs {
            let cost = |stage: &StageShape, folding: Folding| {
                let engine = stage.folded(folding);
                (engine.cycles(), engine.multipliers(), engine.weight_bits() + engine.buffer_bits())
            };
            let costs: Vec<Vec<Cost>> = stages
                .iter()
                .map(|stage| all_foldings(stage).into_iter().map(|folding| cost(stage, folding)).collect())
                .collect();
            for budget in 1..=40 {
                let expected = brute_force(&costs, budget);
                let found = fold(stages, Goal::MaxMultipliers(budget), &[]).ok().map(|foldings| {
                    let each = stages.iter().zip(&foldings).map(|(stage, &folding)| cost(stage, folding));
                    each.fold((1, 0, 0), |sum: Cost, (c, m, b)| (sum.0.max(c), sum.1 + m, sum.2 + b))
                });
                let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
                assert_eq!(found, expected, "{names:?} under {budget}");
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
