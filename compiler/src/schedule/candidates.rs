//! The foldings of each engine that are worth a choice: for every dimension but one, the number of folds; for that one,
//! the fewest lanes that keep within the interval.

use crate::dataflow::Folding;
use systole_hdl::engine::{Engine, JoinEngine, MatrixSpec, PassEngine, VectorSpec};

/// A folding with what it costs, memory aside: multipliers, then lanes.
pub(super) type Candidate = ((u64, u64), Folding);

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

/// Numbers of pixels of a row that can be computed at once, ascending: its divisors.
pub(super) fn pixel_choices(row: usize) -> impl Iterator<Item = usize> {
    (1..=row).filter(move |&pixels| row.is_multiple_of(pixels))
}

/// An engine that computes several pixels of a row at once and can take several a beat.
pub(super) trait PixelParallel: Copy {
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
pub(super) fn most_beat_pixels<E: PixelParallel>(spec: E, pixels: usize) -> E {
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
pub(super) fn matrix_candidates(spec: &MatrixSpec, interval: u64) -> Vec<Candidate> {
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

pub(super) fn matrix_folding(spec: &MatrixSpec) -> Folding {
    let MatrixSpec { pe, simd, tap_lanes, pixel_lanes, beat_pixels, .. } = *spec;
    Folding::Matrix { pe, simd, taps: tap_lanes, pixels: pixel_lanes, beat_pixels }
}

/// For each number of pixels at once and of tap folds within the interval, the fewest lanes that do.
pub(super) fn vector_candidates(spec: &VectorSpec, interval: u64) -> Vec<Candidate> {
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

pub(super) fn vector_folding(spec: &VectorSpec) -> Folding {
    let VectorSpec { lanes, tap_lanes, pixel_lanes, beat_pixels, .. } = *spec;
    Folding::Vector { lanes, taps: tap_lanes, pixels: pixel_lanes, beat_pixels }
}

/// Elements a beat that an engine without multipliers of its own can have, ascending: elementwise ones those of a
/// pixel or of several whole ones.
pub(super) fn lane_choices(engine: &Engine) -> Vec<usize> {
    let whole_pixels = |pixels: usize, channels: usize| {
        let several = (2..=pixels).filter(move |&count| pixels.is_multiple_of(count));
        (1..=channels).chain(several.map(move |count| count * channels)).collect()
    };
    match engine {
        Engine::Concat(concat) => concat.turns.lane_choices(),
        Engine::Pass(pass) => whole_pixels(pass.pixels, pass.channels),
        Engine::Join(join) => whole_pixels(join.pixels, join.channels),
        _ => (1..=engine.ports().iter().map(|port| port.channels).max().unwrap_or(1)).collect(),
    }
}

/// The fewest elements a beat that take at most the interval.
pub(super) fn lane_candidates(engine: &Engine, interval: u64) -> Vec<Candidate> {
    let choices = lane_choices(engine);
    let fits = |&lanes: &usize| folded(engine, Folding::Lanes { lanes }).cycles() <= interval;
    // Cycles fall with the lanes: the first that fits is found by halving.
    let first = choices.partition_point(|lanes| !fits(lanes));
    choices.get(first).map(|&lanes| ((0, lanes as u64), Folding::Lanes { lanes })).into_iter().collect()
}
