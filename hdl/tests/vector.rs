//! Vector stages (depthwise convolution, pooling, padding): hardware in the typed evaluator against plain
//! arithmetic and, beat by beat, against the token model.

mod common;

use common::{random_divisor, random_stream, random_window, Bench, Random};
use ndarray::Array2;
use std::sync::Arc;
use systole_arith::hardware::Linear;
use systole_arith::{IntType, Requantizer};
use systole_hdl::cells::Cells;
use systole_hdl::engine::{Engine, Reduction, VectorEngine, VectorOp, VectorSpec};
use systole_hdl::requantize::RequantizeSpec;
use systole_hdl::stage::{InputStream, StageSpec};

/// Several windows at once, and perhaps several input pixels a beat.
fn in_parallel(random: &mut Random, spec: VectorSpec) -> VectorSpec {
    let pixel_lanes = random_divisor(random, spec.window.output()[1]);
    let lanes = if pixel_lanes > 1 { spec.channels } else { spec.lanes };
    let spec = VectorSpec { pixel_lanes, lanes, ..spec };
    let beats = (2..=pixel_lanes * spec.window.stride[1]).map(|beat_pixels| VectorSpec {
        beat_pixels,
        lanes: spec.channels,
        ..spec
    });
    let choices: Vec<VectorSpec> = beats.filter(VectorSpec::pixels_fit).chain([spec]).collect();
    random.pick(&choices)
}

fn random_case(random: &mut Random, samples: usize, parallel: bool) -> Bench {
    let input = random.pick(&[IntType::Signed(8), IntType::Unsigned(4), IntType::Signed(3)]);
    let weight = random.pick(&[IntType::Signed(8), IntType::Signed(2), IntType::Signed(4), IntType::Bipolar]);
    let op =
        random.pick(&[VectorOp::Multiply(weight), VectorOp::Reduce(Reduction::Sum), VectorOp::Reduce(Reduction::Max)]);
    let window = random_window(random);
    let channels = 1 + random.below(9);
    let lanes = 1 + random.below(channels);
    let taps = window.taps();
    let padding = match op {
        VectorOp::Reduce(Reduction::Max) => input.range().lo,
        _ => random.value(input),
    };
    let cells = Cells::default();
    let bits = match op {
        VectorOp::Multiply(_) => 22,
        VectorOp::Reduce(reduction) => reduction.bits(input.range(), taps),
    };
    let spec = VectorSpec {
        window,
        padding,
        channels,
        lanes,
        tap_lanes: 1 + random.below(taps),
        pixel_lanes: 1,
        beat_pixels: 1,
        input,
        op,
        accumulator_bits: bits,
        cells,
    };
    let spec = if spec.idle_taps_are_silent() { spec } else { VectorSpec { tap_lanes: 1, ..spec } };
    let spec = if parallel { in_parallel(random, spec) } else { spec };
    let results = spec.results();
    let weights = Array2::from_shape_fn((channels, taps), |_| random.value(weight));
    let samples: Vec<Vec<i64>> =
        (0..samples).map(|_| (0..window.input_pixels() * channels).map(|_| random.value(input)).collect()).collect();
    let compute = |sample: &Vec<i64>| -> Vec<i64> {
        let mut output = Vec::new();
        for pixel in 0..window.output_pixels() {
            for channel in 0..channels {
                let taps = (0..taps).map(|tap| {
                    let x = window.source(pixel, tap).map_or(padding, |from| sample[from * channels + channel]);
                    (x, weights[[channel, tap]])
                });
                output.push(match op {
                    VectorOp::Multiply(_) => taps.map(|(x, w)| x * w).sum(),
                    VectorOp::Reduce(Reduction::Sum) => taps.map(|(x, _)| x).sum(),
                    VectorOp::Reduce(Reduction::Max) => taps.map(|(x, _)| x).max().unwrap(),
                });
            }
        }
        output
    };
    let expected = samples.iter().map(compute).collect();
    let multiplies = matches!(op, VectorOp::Multiply(_));
    let engine = VectorEngine { name: "stage".into(), spec, weights: multiplies.then(|| Arc::new(weights)) };
    let requantize = RequantizeSpec {
        name: "stage_requantize".into(),
        lanes: 1 + random.below(results.pe),
        channels: results.channels,
        raw_bits: bits,
        form: Requantizer::Linear(Linear { stride: 1, offsets: vec![0; results.channels] }),
        output: IntType::Signed(bits),
        cells,
    };
    let mut spec = StageSpec {
        name: "stage".into(),
        comments: vec!["A stage under test.".into()],
        inputs: vec![random_stream(random, engine.port())],
        engine: Engine::Vector(engine),
        requantize,
        fifo_depths: vec![],
    };
    while !spec.keeps_up() {
        spec.requantize.lanes += 1;
    }
    let least = spec.beats_per_group().unwrap().into_iter().max().unwrap() as usize;
    spec.fifo_depths = (0..1 + random.below(2)).map(|_| least + random.below(12)).collect();
    Bench { spec, inputs: vec![(input, samples)], expected }
}

#[test]
fn a_vector_stage_computes_its_windows_and_moves_every_beat_on_the_predicted_edge() {
    for seed in 0..600 {
        random_case(&mut Random(seed), 4, seed % 2 == 0).exact_on_every_edge(&format!("seed {seed}"));
    }
}

#[test]
fn a_vector_stage_that_is_neither_starved_nor_held_up_takes_the_cycles_that_it_states() {
    for seed in 3000..4000 {
        let mut bench = random_case(&mut Random(seed), 6, seed % 4 > 0);
        let port = bench.spec.engine.ports()[0];
        bench.spec.inputs = vec![InputStream { channels: port.channels, lanes: port.lanes }];
        bench.spec.fifo_depths = vec![bench.expected[0].len() * 2 + 60];
        bench.without_bubbles(&format!("seed {seed}"));
    }
}

#[test]
fn a_stalled_vector_stage_loses_doubles_and_swaps_nothing() {
    for seed in 1000..1060 {
        let mut random = Random(seed);
        let bench = random_case(&mut random, 3, seed % 2 == 0);
        let odds = 2 + random.below(6);
        bench.exact_when_stalled(&format!("seed {seed}"), &mut || random.below(odds) > 0);
    }
}
