//! Whole matrix stages: hardware (typed evaluator) against plain arithmetic and the token model.

mod common;

use common::{lint, random_divisor, random_stream, random_window, Bench, Random};
use ndarray::Array2;
use std::sync::Arc;
use systole_arith::hardware::{Linear, Thresholds};
use systole_arith::{IntType, Requantizer, Window};
use systole_hdl::cells::Cells;
use systole_hdl::engine::{Engine, MatrixEngine, MatrixSpec, ProductKind};
use systole_hdl::requantize::RequantizeSpec;
use systole_hdl::stage::{InputStream, StageSpec};

/// Several output pixels at once, and perhaps several input pixels a beat.
fn in_parallel(random: &mut Random, matrix: MatrixSpec) -> MatrixSpec {
    let pixel_lanes = random_divisor(random, matrix.row_pixels());
    let pe = if pixel_lanes > 1 { matrix.outputs } else { matrix.pe };
    let matrix = MatrixSpec { pixel_lanes, pe, ..matrix };
    let together = MatrixSpec { simd: matrix.inputs, ..matrix };
    let stride = matrix.window.map_or(1, |window| window.stride[1]);
    let beats = (2..=pixel_lanes * stride).map(|beat_pixels| MatrixSpec { beat_pixels, ..together });
    let choices: Vec<MatrixSpec> = beats.filter(MatrixSpec::pixels_fit).chain([matrix]).collect();
    random.pick(&choices)
}

fn random_case(random: &mut Random, samples: usize, windowed: bool, parallel: bool) -> Bench {
    let types = [
        (IntType::Signed(8), IntType::Signed(8)),
        (IntType::Unsigned(4), IntType::Signed(4)),
        (IntType::Signed(2), IntType::Signed(2)),
        (IntType::Bipolar, IntType::Bipolar),
        (IntType::Bipolar, IntType::Signed(3)),
        (IntType::Unsigned(3), IntType::Bipolar),
    ];
    let (input, weight) = types[random.below(types.len())];
    let window = windowed.then(|| random_window(random));
    let window = window.map(|window| match input {
        // Padding reads a stored value, and the sign alone has no zero.
        IntType::Bipolar if window.reads_padding() => Window::pointwise(window.input),
        _ => window,
    });
    let (inputs, outputs) = (1 + random.below(if windowed { 6 } else { 24 }), 1 + random.below(12));
    let pixels = window.map_or(1 + random.below(3), |window| window.output_pixels());
    let (pe, simd) = (1 + random.below(outputs), 1 + random.below(inputs));
    let taps = window.map_or(1, |window| window.taps());
    let weights = Array2::from_shape_fn((outputs, taps * inputs), |_| random.value(weight));
    let cells =
        Cells { lanes_per_hop: 1 + random.below(4), logic_lanes_per_hop: 1 + random.below(5), ..Cells::default() };
    let padding = if input == IntType::Bipolar { 1 } else { random.value(input) };
    let tap_lanes = 1 + random.below(taps);
    let matrix = MatrixSpec {
        pixels,
        window,
        padding,
        tap_lanes,
        pixel_lanes: 1,
        beat_pixels: 1,
        inputs,
        outputs,
        pe,
        simd,
        input,
        weight,
        accumulator_bits: 20,
        cells,
    };
    let matrix = if matrix.idle_lanes_are_silent() { matrix } else { MatrixSpec { tap_lanes: 1, simd: 1, ..matrix } };
    let matrix = if parallel { in_parallel(random, matrix) } else { matrix };
    let results = matrix.results();
    let lanes = (results.channels.div_ceil(results.groups() * matrix.folds())).max(1 + random.below(results.pe));
    let (form, output) = match random.below(2) {
        0 => (Requantizer::Linear(Linear { stride: 1, offsets: vec![0; outputs] }), IntType::Signed(20)),
        _ => {
            let channel = |random: &mut Random| {
                let mut edges: Vec<i64> = (0..3).map(|_| random.below(60) as i64 - 30).collect();
                edges.sort_unstable();
                edges
            };
            let form = Thresholds {
                increment: 1,
                base: vec![-1; outputs],
                falling: (0..outputs).map(|_| random.below(3) == 0).collect(),
                thresholds: (0..outputs).map(|_| channel(random)).collect(),
            };
            (Requantizer::Thresholds(form), IntType::Signed(3))
        }
    };
    let input_pixels = matrix.input_pixels();
    let samples: Vec<Vec<i64>> =
        (0..samples).map(|_| (0..input_pixels * inputs).map(|_| random.value(input)).collect()).collect();
    let expected = samples.iter().map(|sample| expected(&matrix, &weights, &form, sample)).collect();
    let form = form.select(&(0..results.channels).map(|at| at % outputs).collect::<Vec<_>>());
    let engine = Engine::Matrix(MatrixEngine { name: "stage".into(), spec: matrix, weights: Arc::new(weights) });
    let spec = StageSpec {
        name: "stage".into(),
        comments: vec!["A stage under test.".into()],
        inputs: vec![random_stream(random, engine.ports()[0])],
        requantize: RequantizeSpec {
            name: "stage_requantize".into(),
            lanes,
            channels: results.channels,
            raw_bits: 20,
            form,
            output,
            cells,
        },
        fifo_depths: vec![],
        engine,
    };
    let least = spec.beats_per_group().unwrap().into_iter().max().unwrap() as usize;
    let readers = 1 + random.below(2);
    let spec = StageSpec { fifo_depths: (0..readers).map(|_| least + random.below(12)).collect(), ..spec };
    Bench { spec, inputs: vec![(input, samples)], expected }
}

fn evaluate(form: &Requantizer, channel: usize, raw: i64) -> i64 {
    match form {
        Requantizer::Thresholds(form) => {
            let passed = form.thresholds[channel].iter().filter(|&&t| (raw >= t) != form.falling[channel]).count();
            form.base[channel] + form.increment * passed as i64
        }
        _ => raw,
    }
}

/// What the stage should give for a sample.
fn expected(matrix: &MatrixSpec, weights: &Array2<i64>, form: &Requantizer, sample: &[i64]) -> Vec<i64> {
    let mut outputs = Vec::new();
    for pixel in 0..matrix.pixels {
        let source = |tap: usize| match matrix.window {
            Some(window) => window.source(pixel, tap),
            None => Some(pixel),
        };
        let x: Vec<i64> = (0..matrix.taps() * matrix.inputs)
            .map(|at| match source(at / matrix.inputs) {
                Some(from) => sample[from * matrix.inputs + at % matrix.inputs],
                None => matrix.padding,
            })
            .collect();
        for (channel, weights) in weights.rows().into_iter().enumerate() {
            let raw = match matrix.product_kind() {
                ProductKind::Xnor => x.iter().zip(weights).filter(|(x, w)| x == w).count() as i64,
                _ => x.iter().zip(weights).map(|(x, w)| x * w).sum(),
            };
            outputs.push(evaluate(form, channel, raw));
        }
    }
    outputs
}

fn exact_on_every_edge(seed: u64, windowed: bool, parallel: bool) {
    random_case(&mut Random(seed), 4, windowed, parallel).exact_on_every_edge(&format!("seed {seed}"));
}

#[test]
fn a_stage_computes_its_matrix_product_and_moves_every_beat_on_the_predicted_edge() {
    (0..150).for_each(|seed| exact_on_every_edge(seed, false, false));
}

#[test]
fn a_stage_with_a_window_computes_its_convolution_and_moves_every_beat_on_the_predicted_edge() {
    (0..600).for_each(|seed| exact_on_every_edge(seed, true, false));
}

#[test]
fn a_stage_that_computes_several_pixels_at_once_moves_every_beat_on_the_predicted_edge() {
    (2000..2600).for_each(|seed| exact_on_every_edge(seed, seed % 5 > 0, true));
}

#[test]
fn a_stage_that_is_neither_starved_nor_held_up_takes_the_cycles_that_it_states() {
    for seed in 3000..4500 {
        let mut bench = random_case(&mut Random(seed), 6, seed % 5 > 0, seed % 4 > 0);
        let port = bench.spec.engine.ports()[0];
        bench.spec.inputs = vec![InputStream { channels: port.channels, lanes: port.lanes }];
        bench.spec.fifo_depths = vec![bench.expected[0].len() * 2 + 60];
        bench.without_bubbles(&format!("seed {seed}"));
    }
}

#[test]
fn the_verilog_of_stages_that_compute_several_pixels_at_once_is_lint_clean() {
    for seed in 2000..2006 {
        let bench = random_case(&mut Random(seed), 1, true, true);
        assert_eq!(lint(&bench.spec), "", "seed {seed}: {:?}", bench.spec.engine);
    }
}

#[test]
fn a_stalled_stage_loses_doubles_and_swaps_nothing() {
    for seed in 1000..1120 {
        let mut random = Random(seed);
        let bench = random_case(&mut random, 3, seed % 2 == 0, seed % 3 == 0);
        let odds = 2 + random.below(6);
        bench.exact_when_stalled(&format!("seed {seed}"), &mut || random.below(odds) > 0);
    }
}
