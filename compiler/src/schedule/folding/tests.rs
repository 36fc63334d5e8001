//! Foldings against every folding of the space, tried one by one.

use super::super::candidates::{matrix_folding, vector_folding, PixelParallel};
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
    let error = fold(&[matrix(Some(window(4, 3, 1)), 0, 5, 7)], Goal::TargetInterval(3), &[]).unwrap_err();
    assert!(error.to_string().contains("stage `m5c7` takes 4"), "{error}");
}
