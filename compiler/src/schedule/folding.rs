//! The optimal folding of every stage for a goal.
//!
//! For a given interval the stages are independent: each takes its fewest multipliers. The total is
//! monotone in the interval, so a binary search finds the least interval under a budget. *Optimal*:
//! least interval, then fewest multipliers, then fewest memory bits.

use crate::dataflow::Folding;
use systole_hdl::engine::{ConcatEngine, Engine, JoinEngine, MatrixSpec, PassEngine, VectorSpec};

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
            Engine::Pass(_) | Engine::Join(_) | Engine::Concat(_) | Engine::Reduce(_) => {
                lane_candidates(&self.engine, interval)
            }
        }
    }
}

/// An engine under a folding of its kind.
pub fn folded(engine: &Engine, folding: Folding) -> Engine {
    let mut engine = engine.clone();
    match (&mut engine, folding) {
        (Engine::Matrix(engine), Folding::Matrix { pe, simd, taps, pixels, beat_pixels }) => {
            (engine.spec.pe, engine.spec.simd, engine.spec.tap_lanes) = (pe, simd, taps);
            (engine.spec.pixel_lanes, engine.spec.beat_pixels) = (pixels, beat_pixels);
        }
        (Engine::Vector(engine), Folding::Vector { lanes, taps, pixels, beat_pixels }) => {
            (engine.spec.lanes, engine.spec.tap_lanes) = (lanes, taps);
            (engine.spec.pixel_lanes, engine.spec.beat_pixels) = (pixels, beat_pixels);
        }
        (Engine::Pass(PassEngine { pixels, channels, lanes: all, .. }), Folding::Lanes { lanes })
        | (Engine::Join(JoinEngine { pixels, channels, lanes: all, .. }), Folding::Lanes { lanes }) => {
            // Several whole pixels a beat are one pixel of as many times the channels.
            let joined = lanes.div_ceil(*channels);
            (*pixels, *channels, *all) = (*pixels / joined, *channels * joined, lanes);
        }
        (Engine::Concat(engine), Folding::Lanes { lanes }) => engine.lanes = lanes,
        (Engine::Reduce(engine), Folding::Lanes { lanes }) => engine.lanes = lanes,
        _ => {}
    }
    engine
}

/// The least divisor of `whole` that is not below `part`.
fn divisor_from(whole: usize, part: usize) -> usize {
    (part..=whole).find(|&divisor| whole.is_multiple_of(divisor)).unwrap_or(whole)
}

/// Numbers of pixels of a row that can be computed at once, ascending: its divisors.
fn pixel_choices(row: usize) -> impl Iterator<Item = usize> {
    (1..=row).filter(move |&pixels| row.is_multiple_of(pixels))
}

/// An engine that computes several pixels of a row at once and can take several a beat.
trait PixelParallel: Copy {
    /// Itself with `pixels` output pixels at once and `beat_pixels` input pixels a beat.
    fn with_pixels(self, pixels: usize, beat_pixels: usize) -> Self;
    /// Whether its streams allow that.
    fn pixels_fit(&self) -> bool;
    /// Input pixels by which its windows move at each step; more than those a beat never holds.
    fn moves_by(&self) -> usize;
}

impl PixelParallel for MatrixSpec {
    fn with_pixels(self, pixels: usize, beat_pixels: usize) -> Self {
        MatrixSpec { pixel_lanes: pixels, beat_pixels, ..self }
    }

    fn pixels_fit(&self) -> bool {
        MatrixSpec::pixels_fit(self)
    }

    fn moves_by(&self) -> usize {
        self.pixel_lanes * self.window.map_or(1, |window| window.stride[1])
    }
}

impl PixelParallel for VectorSpec {
    fn with_pixels(self, pixels: usize, beat_pixels: usize) -> Self {
        VectorSpec { pixel_lanes: pixels, beat_pixels, ..self }
    }

    fn pixels_fit(&self) -> bool {
        VectorSpec::pixels_fit(self)
    }

    fn moves_by(&self) -> usize {
        self.pixel_lanes * self.window.stride[1]
    }
}

/// The engine with so many pixels at once and the most input pixels a beat.
fn most_beat_pixels<E: PixelParallel>(spec: E, pixels: usize) -> E {
    let spec = spec.with_pixels(pixels, 1);
    let choices = (1..=spec.moves_by()).rev().map(|beat| spec.with_pixels(pixels, beat));
    choices.into_iter().find(PixelParallel::pixels_fit).unwrap_or(spec)
}

/// The engine with the fewest input pixels a beat, `least` or more.
fn beat_pixels_from<E: PixelParallel>(spec: E, pixels: usize, least: u64) -> Option<E> {
    let spec = spec.with_pixels(pixels, 1);
    let most = spec.moves_by();
    let least = usize::try_from(least).unwrap_or(usize::MAX);
    (least..=most).map(|beat| spec.with_pixels(pixels, beat)).find(PixelParallel::pixels_fit)
}

/// For each number of pixels at once, of output groups and of tap folds within the interval, the fewest lanes that do.
fn matrix_candidates(spec: &MatrixSpec, interval: u64) -> Vec<Candidate> {
    let (outputs, inputs, taps) = (spec.outputs, spec.inputs, spec.taps());
    let mut found: Vec<Candidate> = Vec::new();
    let mut least = u64::MAX;
    for pixels in pixel_choices(spec.row_pixels()) {
        let steps = spec.with_pixels(pixels, 1).steps();
        let cycles = usize::try_from(interval / steps as u64).unwrap_or(usize::MAX);
        // Even without idle lanes so many products take more multipliers than another folding does.
        let products = (pixels * outputs * inputs * taps) as u64;
        if cycles == 0 || (pixels > 1 && products.div_ceil(cycles as u64) > least) {
            continue;
        }
        // The line buffer takes a beat a cycle: a word of a pixel, or several pixels of one word.
        let words_in = match spec.line_buffer() {
            Some(lines) => usize::try_from(interval / lines.window.input_pixels() as u64).unwrap_or(usize::MAX),
            None if pixels == 1 => usize::MAX,
            None => usize::try_from(interval / spec.pixels as u64).unwrap_or(usize::MAX),
        };
        // Pixels computed at once leave at once, with all their channels.
        let most_groups = if pixels == 1 { cycles.min(outputs) } else { 1 };
        let mut before = 0;
        for groups in 1..=most_groups {
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
                let words = (folds / taps.div_ceil(tap_lanes)).min(inputs).min(words_in.max(1));
                let mut folded = MatrixSpec { pe, simd: inputs.div_ceil(words), tap_lanes, ..*spec };
                if !folded.idle_lanes_are_silent() {
                    folded.tap_lanes = divisor_from(taps, tap_lanes);
                    folded.simd = divisor_from(inputs, folded.simd);
                }
                let beat = if words_in > 0 { 1 } else { (spec.input_pixels() as u64).div_ceil(interval) };
                let Some(folded) = beat_pixels_from(folded, pixels, beat) else { continue };
                least = least.min(folded.multipliers());
                found.push(((folded.multipliers(), 0), matrix_folding(&folded)));
            }
        }
    }
    found
}

fn matrix_folding(spec: &MatrixSpec) -> Folding {
    let MatrixSpec { pe, simd, tap_lanes, pixel_lanes, beat_pixels, .. } = *spec;
    Folding::Matrix { pe, simd, taps: tap_lanes, pixels: pixel_lanes, beat_pixels }
}

/// For each number of pixels at once and of tap folds within the interval, the fewest lanes that do.
fn vector_candidates(spec: &VectorSpec, interval: u64) -> Vec<Candidate> {
    let taps = spec.window.taps();
    let inputs = spec.window.input_pixels() as u64;
    let words_in = usize::try_from(interval / inputs).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for pixels in pixel_choices(spec.window.output()[1]) {
        let steps = spec.with_pixels(pixels, 1).line_buffer().steps_per_sample();
        let cycles = usize::try_from(interval / steps as u64).unwrap_or(usize::MAX);
        for tap_folds in 1..=cycles.min(taps) {
            let mut folded = VectorSpec { tap_lanes: taps.div_ceil(tap_folds), ..*spec };
            if !folded.idle_taps_are_silent() {
                folded.tap_lanes = divisor_from(taps, folded.tap_lanes);
            }
            // Pixels computed at once leave at once, with all their channels.
            let most_words = if pixels == 1 { words_in.max(1) } else { 1 };
            let words = (cycles / taps.div_ceil(folded.tap_lanes)).min(spec.channels).min(most_words);
            if words == 0 {
                continue;
            }
            folded.lanes = spec.channels.div_ceil(words);
            let beat = if words_in > 0 { 1 } else { inputs.div_ceil(interval) };
            let Some(folded) = beat_pixels_from(folded, pixels, beat) else { continue };
            let lanes = (folded.lanes * folded.tap_lanes * pixels) as u64;
            let candidate = ((folded.multipliers(), lanes), vector_folding(&folded));
            if found.last() != Some(&candidate) {
                found.push(candidate);
            }
        }
    }
    found
}

fn vector_folding(spec: &VectorSpec) -> Folding {
    let VectorSpec { lanes, tap_lanes, pixel_lanes, beat_pixels, .. } = *spec;
    Folding::Vector { lanes, taps: tap_lanes, pixels: pixel_lanes, beat_pixels }
}

/// Elements a beat that an engine without multipliers of its own can have, ascending: elementwise ones those of a
/// pixel or of several whole ones.
fn lane_choices(engine: &Engine) -> Vec<usize> {
    let whole_pixels = |pixels: usize, channels: usize| {
        let several = (2..=pixels).filter(move |&count| pixels.is_multiple_of(count));
        (1..=channels).chain(several.map(move |count| count * channels)).collect()
    };
    match engine {
        Engine::Concat(concat) => ConcatEngine::lane_choices(&concat.channels),
        Engine::Pass(pass) => whole_pixels(pass.pixels, pass.channels),
        Engine::Join(join) => whole_pixels(join.pixels, join.channels),
        _ => (1..=engine.ports().iter().map(|port| port.channels).max().unwrap_or(1)).collect(),
    }
}

/// The fewest elements a beat that take at most the interval.
fn lane_candidates(engine: &Engine, interval: u64) -> Vec<Candidate> {
    let choices = lane_choices(engine);
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
mod tests {
    use super::*;
    use std::collections::{BTreeSet, HashMap};
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
            pixel_lanes: 1,
            beat_pixels: 1,
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
            pixel_lanes: 1,
            beat_pixels: 1,
            input: IntType::Signed(8),
            op: VectorOp::Multiply(IntType::Signed(8)),
            accumulator_bits: 20,
            cells: Cells::default(),
        };
        let weights = Some(Arc::new(ndarray::Array2::zeros((channels, window.taps()))));
        let engine = Engine::Vector(VectorEngine { name: "d".into(), spec, weights });
        StageShape { name: format!("d{channels}"), engine }
    }

    /// Every folding of the space that its streams allow.
    fn all_foldings(stage: &StageShape) -> Vec<Folding> {
        let mut found = Vec::new();
        match &stage.engine {
            Engine::Matrix(engine) => {
                let spec = &engine.spec;
                let lanes =
                    |pe: usize| (1..=spec.inputs).flat_map(move |simd| (1..=spec.taps()).map(move |t| (pe, simd, t)));
                for (pe, simd, tap_lanes) in (1..=spec.outputs).flat_map(lanes) {
                    for pixel_lanes in 1..=spec.row_pixels() {
                        let spec = MatrixSpec { pe, simd, tap_lanes, pixel_lanes, ..*spec };
                        let beats = (1..=spec.moves_by()).map(|beat_pixels| MatrixSpec { beat_pixels, ..spec });
                        found.extend(beats.filter(MatrixSpec::pixels_fit).map(|spec| matrix_folding(&spec)));
                    }
                }
            }
            Engine::Vector(engine) => {
                let spec = &engine.spec;
                for lanes in 1..=spec.channels {
                    for (tap_lanes, pixel_lanes) in
                        (1..=spec.window.taps()).flat_map(|t| (1..=spec.window.output()[1]).map(move |q| (t, q)))
                    {
                        let spec = VectorSpec { lanes, tap_lanes, pixel_lanes, ..*spec };
                        let beats = (1..=spec.moves_by()).map(|beat_pixels| VectorSpec { beat_pixels, ..spec });
                        found.extend(beats.filter(VectorSpec::pixels_fit).map(|spec| vector_folding(&spec)));
                    }
                }
            }
            other => panic!("{} is not folded here", other.name()),
        }
        found
    }

    /// The same without its input pixels a beat, and those.
    fn apart(folding: Folding) -> (Folding, usize) {
        match folding {
            Folding::Matrix { pe, simd, taps, pixels, beat_pixels } => {
                (Folding::Matrix { pe, simd, taps, pixels, beat_pixels: 1 }, beat_pixels)
            }
            Folding::Vector { lanes, taps, pixels, beat_pixels } => {
                (Folding::Vector { lanes, taps, pixels, beat_pixels: 1 }, beat_pixels)
            }
            Folding::Lanes { .. } => (folding, 1),
        }
    }

    /// Fewest memory bits of the foldings within an interval that take `multipliers`, each with as few input pixels
    /// a beat as it can.
    fn fewest_bits(stage: &StageShape, interval: u64, multipliers: u64) -> u64 {
        let within = || all_foldings(stage).into_iter().filter(|&folding| stage.cycles(folding) <= interval);
        let mut least: HashMap<Folding, usize> = HashMap::new();
        for (folding, beat) in within().map(apart) {
            least.entry(folding).and_modify(|least| *least = beat.min(*least)).or_insert(beat);
        }
        let fewest = |&folding: &Folding| least[&apart(folding).0] == apart(folding).1;
        within()
            .filter(|folding| fewest(folding) && stage.folded(*folding).multipliers() == multipliers)
            .map(|folding| stage.memory_bits(folding))
            .min()
            .unwrap()
    }

    type Cost = (u64, u64);

    /// Every folding of every stage, tried one by one.
    fn brute_force(costs: &[Vec<Cost>], budget: u64) -> Option<Cost> {
        fn go(rest: &[Vec<Cost>], budget: u64, so_far: Cost, best: &mut Option<Cost>) {
            let Some((stage, rest)) = rest.split_first() else {
                if best.is_none_or(|b| so_far < b) {
                    *best = Some(so_far);
                }
                return;
            };
            for &(cycles, multipliers) in stage.iter().filter(|cost| cost.1 <= budget) {
                let next = (so_far.0.max(cycles), so_far.1 + multipliers);
                go(rest, budget - multipliers, next, best);
            }
        }
        let mut best = None;
        go(costs, budget, (1, 0), &mut best);
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
            vec![matrix(Some(window(6, 3, 1)), 0, 2, 1), depthwise(window(6, 3, 2), 2)],
            vec![matrix(Some(window(8, 3, 2)), 0, 3, 1), stage(16, 2, 3)],
        ];
        for stages in &designs {
            let cost = |stage: &StageShape, folding: Folding| {
                let engine = stage.folded(folding);
                (engine.cycles(), engine.multipliers())
            };
            let costs: Vec<Vec<Cost>> = stages
                .iter()
                .map(|stage| {
                    let all: BTreeSet<Cost> = all_foldings(stage).into_iter().map(|f| cost(stage, f)).collect();
                    all.into_iter().collect()
                })
                .collect();
            for budget in (1..=40).chain([64, 100, 200]) {
                let expected = brute_force(&costs, budget);
                let foldings = fold(stages, Goal::MaxMultipliers(budget), &[]).ok();
                let found = foldings.as_ref().map(|foldings| {
                    let each = stages.iter().zip(foldings).map(|(stage, &folding)| cost(stage, folding));
                    each.fold((1, 0), |sum: Cost, (c, m)| (sum.0.max(c), sum.1 + m))
                });
                let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
                assert_eq!(found, expected, "{names:?} under {budget}");
                let (Some(foldings), Some((interval, _))) = (foldings, found) else { continue };
                for (stage, &folding) in stages.iter().zip(&foldings) {
                    let fewest = fewest_bits(stage, interval, stage.folded(folding).multipliers());
                    assert_eq!(stage.memory_bits(folding), fewest, "{names:?} under {budget}: {folding}");
                }
            }
        }
    }

    #[test]
    fn a_budget_beyond_a_pixel_a_cycle_buys_several_pixels_a_cycle() {
        // 24 rows of 24 pixels, one channel, 9 taps: 5,184 products for each of 8 output channels.
        let stages = [matrix(Some(window(24, 3, 1)), 0, 8, 1)];
        let interval = |budget: u64| {
            let foldings = fold(&stages, Goal::MaxMultipliers(budget), &[]).unwrap();
            stages[0].cycles(foldings[0])
        };
        assert_eq!([72, 144, 288, 576, 100_000].map(interval), [576, 288, 144, 72, 24]);
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
