//! Whole matrix stages: hardware (typed evaluator) against plain arithmetic and the token model.

use ndarray::Array2;
use num_bigint::BigUint;
use std::sync::Arc;
use systole_arith::hardware::{Linear, Thresholds};
use systole_arith::{IntType, Requantizer, Window};
use systole_hdl::cells::Cells;
use systole_hdl::engine::{Engine, MatrixEngine, MatrixSpec, ProductKind};
use systole_hdl::requantize::RequantizeSpec;
use systole_hdl::stage::{InputStream, StageSpec};
use systole_hdl::stream::StreamEnd;
use systole_hdl::timing::{Give, Phase, Take, TokenModel};
use systole_hdl::typed::Evaluator;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn value(&mut self, ty: IntType) -> i64 {
        ty.decode(self.next())
    }
}

struct Case {
    spec: StageSpec,
    readers: usize,
    samples: Vec<Vec<i64>>,
}

impl Case {
    fn engine(&self) -> &MatrixEngine {
        match &self.spec.engine {
            Engine::Matrix(engine) => engine,
            other => panic!("{} is no matrix engine", other.name()),
        }
    }

    fn matrix(&self) -> &MatrixSpec {
        &self.engine().spec
    }

    fn in_lanes(&self) -> usize {
        self.spec.inputs[0].lanes
    }

    fn in_channels(&self) -> usize {
        self.spec.inputs[0].channels
    }
}

/// A window on a small image: odd sizes, kernels up to the image, strides beyond the kernel.
fn random_window(random: &mut Random) -> Window {
    loop {
        let mut pair = |least: usize, below: usize| [least + random.below(below), least + random.below(below)];
        let window = Window {
            input: pair(1, 7),
            kernel: pair(1, 4),
            stride: pair(1, 3),
            dilation: pair(1, 2),
            pad_before: pair(0, 3),
            pad_after: pair(0, 3),
        };
        let padded = random.below(3) > 0;
        let window = if padded { window } else { Window { pad_before: [0; 2], pad_after: [0; 2], ..window } };
        if window.validate().is_ok() {
            return window;
        }
    }
}

fn random_case(random: &mut Random, samples: usize, windowed: bool) -> Case {
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
    let lanes = (matrix.outputs.div_ceil(matrix.groups() * matrix.folds())).max(1 + random.below(pe));
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
    let engine = Engine::Matrix(MatrixEngine { name: "stage".into(), spec: matrix, weights: Arc::new(weights) });
    let spec = StageSpec {
        name: "stage".into(),
        comments: vec!["A stage under test.".into()],
        inputs: vec![InputStream { channels: inputs, lanes: 1 + random.below(inputs) }],
        requantize: RequantizeSpec {
            name: "stage_requantize".into(),
            lanes,
            channels: outputs,
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
    let samples = (0..samples).map(|_| (0..input_pixels * inputs).map(|_| random.value(input)).collect()).collect();
    Case { spec, readers, samples }
}

/// Beats of a stream: `lanes` elements each, a pixel never straddled, idle lanes 0.
fn beats(elements: &[i64], channels: usize, lanes: usize, ty: IntType) -> Vec<BigUint> {
    let beat = |group: &[i64]| {
        group
            .iter()
            .rev()
            .fold(BigUint::default(), |word, &value| (word << ty.bits()) | BigUint::from(ty.encode(value)))
    };
    elements.chunks(channels).flat_map(|pixel| pixel.chunks(lanes).map(beat)).collect()
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

fn expected(case: &Case) -> Vec<BigUint> {
    let (engine, matrix) = (case.engine(), case.matrix());
    let mut outputs = Vec::new();
    for sample in &case.samples {
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
            for (channel, weights) in engine.weights.rows().into_iter().enumerate() {
                let raw = match matrix.product_kind() {
                    ProductKind::Xnor => x.iter().zip(weights).filter(|(x, w)| x == w).count() as i64,
                    _ => x.iter().zip(weights).map(|(x, w)| x * w).sum(),
                };
                outputs.push(evaluate(&case.spec.requantize.form, channel, raw));
            }
        }
    }
    beats(&outputs, matrix.outputs, case.spec.out_lanes(), case.spec.requantize.output)
}

/// Edges of the output beats by the token model: source always valid, sink always ready.
fn predicted(case: &Case) -> (Vec<u64>, Vec<u64>) {
    let spec = &case.spec;
    let mut model = TokenModel::new();
    let offered = model.edge("offered", 0);
    let taken = model.edge("taken", 1_000_000);
    let source_beats = (case.matrix().input_pixels() * case.in_channels().div_ceil(case.in_lanes())) as u64;
    model.actor(
        "source",
        vec![Phase {
            repeat: source_beats,
            takes: vec![Take { edge: taken, need: 1, consume: 1 }],
            gives: vec![Give { edge: offered, count: 1, delay: 0, stride: 0 }],
            cycles: 1,
        }],
        1,
    );
    let actors = spec.add_to(&mut model, &[StreamEnd { data: offered, space: taken, space_delay: 1 }]).unwrap();
    let mut sinks = Vec::new();
    for output in &actors.outputs {
        let phase = Phase {
            repeat: (case.matrix().pixels * case.matrix().outputs.div_ceil(spec.out_lanes())) as u64,
            takes: vec![Take { edge: output.data, need: 1, consume: 1 }],
            gives: vec![Give { edge: output.space, count: 1, delay: output.space_delay, stride: 0 }],
            cycles: 1,
        };
        sinks.push(model.actor("sink", vec![phase], 1));
    }
    let sink = sinks[0];
    let mut run = model.start();
    run.record(actors.input);
    run.record(sink);
    for _ in &case.samples {
        run.sample().unwrap();
    }
    (run.firings(actors.input).to_vec(), run.firings(sink).to_vec())
}

/// Runs the hardware. `stall` gives, for a cycle, whether a stream is held: the source, or a sink.
fn simulate(case: &Case, stall: &mut dyn FnMut() -> bool) -> (Vec<u64>, Vec<u64>, Vec<BigUint>) {
    let (spec, matrix) = (&case.spec, case.matrix());
    let module = spec.module().unwrap();
    let mut hardware = Evaluator::new(&module);
    let input: Vec<BigUint> = case
        .samples
        .iter()
        .flat_map(|sample| beats(sample, case.in_channels(), case.in_lanes(), matrix.input))
        .collect();
    let wanted = case.samples.len() * matrix.pixels * matrix.outputs.div_ceil(spec.out_lanes());
    let port = |reader: usize, name: &str| match reader {
        0 => format!("out_{name}"),
        _ => format!("out_{reader}_{name}"),
    };
    let (mut taken, mut given) = (Vec::new(), Vec::new());
    let mut outputs = vec![Vec::new(); case.readers];
    hardware.set("areset", 1u64);
    hardware.set("in_valid", 0u64);
    hardware.set("in_data", 0u64);
    for reader in 0..case.readers {
        hardware.set(&port(reader, "ready"), 0u64);
    }
    hardware.clock();
    hardware.set("areset", 0u64);
    let mut offering = false;
    let one = BigUint::from(1u8);
    for edge in 1..200_000u64 {
        offering = taken.len() < input.len() && (offering || !stall());
        hardware.set("in_valid", u64::from(offering));
        if offering {
            hardware.set("in_data", input[taken.len()].clone());
        }
        let taking: Vec<bool> = (0..case.readers).map(|_| !stall()).collect();
        for (reader, &takes) in taking.iter().enumerate() {
            hardware.set(&port(reader, "ready"), u64::from(takes));
        }
        hardware.eval();
        if offering && hardware.get("in_ready") == one {
            taken.push(edge);
            offering = false;
        }
        for (reader, &takes) in taking.iter().enumerate() {
            if takes && hardware.get(&port(reader, "valid")) == one {
                if reader == 0 {
                    given.push(edge);
                }
                outputs[reader].push(hardware.get(&port(reader, "data")));
            }
        }
        hardware.clock();
        if taken.len() == input.len() && outputs.iter().all(|beats| beats.len() == wanted) {
            assert!(outputs.iter().all(|beats| *beats == outputs[0]), "readers differ");
            return (taken, given, outputs.swap_remove(0));
        }
    }
    panic!("hang: {} of {wanted} beats of {matrix:?}", outputs[0].len());
}

fn exact_on_every_edge(seed: u64, windowed: bool) {
    let case = random_case(&mut Random(seed), 4, windowed);
    let name = format!("seed {seed}: {:?} lanes {} in {}", case.matrix(), case.spec.out_lanes(), case.in_lanes());
    let (taken, given, outputs) = simulate(&case, &mut || false);
    assert_eq!(outputs, expected(&case), "{name}");
    let (input_edges, output_edges) = predicted(&case);
    assert_eq!(taken, input_edges, "input edges, {name}");
    assert_eq!(given, output_edges, "output edges, {name}");
}

#[test]
fn a_stage_computes_its_matrix_product_and_moves_every_beat_on_the_predicted_edge() {
    (0..150).for_each(|seed| exact_on_every_edge(seed, false));
}

#[test]
fn a_stage_with_a_window_computes_its_convolution_and_moves_every_beat_on_the_predicted_edge() {
    (0..600).for_each(|seed| exact_on_every_edge(seed, true));
}

#[test]
fn a_stalled_stage_loses_doubles_and_swaps_nothing() {
    for seed in 1000..1120 {
        let mut random = Random(seed);
        let case = random_case(&mut random, 3, seed % 2 == 0);
        let odds = 2 + random.below(6);
        let (_, _, outputs) = simulate(&case, &mut || random.below(odds) > 0);
        assert_eq!(outputs, expected(&case), "seed {seed}: {:?}", case.matrix());
    }
}
