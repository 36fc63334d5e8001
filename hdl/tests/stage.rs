//! Whole matrix stages: hardware (typed evaluator) against plain arithmetic and the token model.

use ndarray::Array2;
use num_bigint::BigUint;
use std::sync::Arc;
use systole_arith::hardware::{Linear, Thresholds};
use systole_arith::{IntType, Requantizer};
use systole_hdl::cells::Cells;
use systole_hdl::engine::{MatrixSpec, ProductKind};
use systole_hdl::requantize::RequantizeSpec;
use systole_hdl::stage::MatrixStageSpec;
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
    spec: MatrixStageSpec,
    samples: Vec<Vec<i64>>,
}

fn random_case(random: &mut Random, samples: usize) -> Case {
    let types = [
        (IntType::Signed(8), IntType::Signed(8)),
        (IntType::Unsigned(4), IntType::Signed(4)),
        (IntType::Signed(2), IntType::Signed(2)),
        (IntType::Bipolar, IntType::Bipolar),
        (IntType::Bipolar, IntType::Signed(3)),
        (IntType::Unsigned(3), IntType::Bipolar),
    ];
    let (input, weight) = types[random.below(types.len())];
    let (pixels, inputs, outputs) = (1 + random.below(3), 1 + random.below(24), 1 + random.below(12));
    let (pe, simd) = (1 + random.below(outputs), 1 + random.below(inputs));
    let weights = Array2::from_shape_fn((outputs, inputs), |_| random.value(weight));
    let cells =
        Cells { lanes_per_hop: 1 + random.below(4), logic_lanes_per_hop: 1 + random.below(5), ..Cells::default() };
    let matrix = MatrixSpec { pixels, inputs, outputs, pe, simd, input, weight, accumulator_bits: 18, cells };
    let lanes = (matrix.outputs.div_ceil(matrix.groups() * matrix.folds())).max(1 + random.below(pe));
    let (form, output) = match random.below(2) {
        0 => (Requantizer::Linear(Linear { stride: 1, offsets: vec![0; outputs] }), IntType::Signed(18)),
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
    let spec = MatrixStageSpec {
        name: "stage".into(),
        comments: vec!["A stage under test.".into()],
        in_channels: inputs,
        in_lanes: 1 + random.below(inputs),
        requantize: RequantizeSpec {
            name: "stage_requantize".into(),
            lanes,
            channels: outputs,
            raw_bits: 18,
            form,
            output,
            cells,
        },
        weights: Arc::new(weights),
        fifo_depth: 0,
        matrix,
    };
    let least = spec.beats_per_group().unwrap().into_iter().max().unwrap() as usize;
    let spec = MatrixStageSpec { fifo_depth: least + random.below(12), ..spec };
    let samples = (0..samples).map(|_| (0..pixels * inputs).map(|_| random.value(input)).collect()).collect();
    Case { spec, samples }
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
    let (spec, matrix) = (&case.spec, &case.spec.matrix);
    let mut outputs = Vec::new();
    for pixel in case.samples.iter().flat_map(|sample| sample.chunks(matrix.inputs)) {
        for (channel, weights) in spec.weights.rows().into_iter().enumerate() {
            let raw = match matrix.product_kind() {
                ProductKind::Xnor => pixel.iter().zip(weights).filter(|(x, w)| x == w).count() as i64,
                _ => pixel.iter().zip(weights).map(|(x, w)| x * w).sum(),
            };
            outputs.push(evaluate(&spec.requantize.form, channel, raw));
        }
    }
    beats(&outputs, matrix.outputs, spec.out_lanes(), spec.requantize.output)
}

/// Edges of the output beats by the token model: source always valid, sink always ready.
fn predicted(case: &Case) -> (Vec<u64>, Vec<u64>) {
    let spec = &case.spec;
    let mut model = TokenModel::new();
    let offered = model.edge("offered", 0);
    let taken = model.edge("taken", 1_000_000);
    let source_beats = (spec.matrix.pixels * spec.matrix.inputs.div_ceil(spec.in_lanes)) as u64;
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
    let actors = spec.add_to(&mut model, StreamEnd { data: offered, space: taken, space_delay: 1 }).unwrap();
    let sink = model.actor(
        "sink",
        vec![Phase {
            repeat: (spec.matrix.pixels * spec.matrix.outputs.div_ceil(spec.out_lanes())) as u64,
            takes: vec![Take { edge: actors.output.data, need: 1, consume: 1 }],
            gives: vec![Give { edge: actors.output.space, count: 1, delay: actors.output.space_delay, stride: 0 }],
            cycles: 1,
        }],
        1,
    );
    let mut run = model.start();
    run.record(actors.input);
    run.record(sink);
    for _ in &case.samples {
        run.sample().unwrap();
    }
    (run.firings(actors.input).to_vec(), run.firings(sink).to_vec())
}

/// Runs the hardware. `stall` gives, for a cycle, whether source and sink are held.
fn simulate(case: &Case, stall: &mut dyn FnMut(u64) -> (bool, bool)) -> (Vec<u64>, Vec<u64>, Vec<BigUint>) {
    let spec = &case.spec;
    let matrix = &spec.matrix;
    let module = spec.module().unwrap();
    let mut hardware = Evaluator::new(&module);
    let input: Vec<BigUint> =
        case.samples.iter().flat_map(|sample| beats(sample, matrix.inputs, spec.in_lanes, matrix.input)).collect();
    let wanted = case.samples.len() * matrix.pixels * matrix.outputs.div_ceil(spec.out_lanes());
    let (mut taken, mut given, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
    hardware.set("areset", 1u64);
    hardware.set("in_valid", 0u64);
    hardware.set("in_data", 0u64);
    hardware.set("out_ready", 0u64);
    hardware.clock();
    hardware.set("areset", 0u64);
    let mut offering = false;
    for edge in 1..200_000u64 {
        let (hold_source, hold_sink) = stall(edge);
        offering = taken.len() < input.len() && (offering || !hold_source);
        hardware.set("in_valid", u64::from(offering));
        if offering {
            hardware.set("in_data", input[taken.len()].clone());
        }
        hardware.set("out_ready", u64::from(!hold_sink));
        hardware.eval();
        if offering && hardware.get("in_ready") == BigUint::from(1u8) {
            taken.push(edge);
            offering = false;
        }
        if !hold_sink && hardware.get("out_valid") == BigUint::from(1u8) {
            given.push(edge);
            outputs.push(hardware.get("out_data"));
        }
        hardware.clock();
        if outputs.len() == wanted {
            return (taken, given, outputs);
        }
    }
    panic!("hang: {} of {wanted} beats of {:?}", outputs.len(), case.spec.matrix);
}

#[test]
fn a_stage_computes_its_matrix_product_and_moves_every_beat_on_the_predicted_edge() {
    for seed in 0..150 {
        let case = random_case(&mut Random(seed), 4);
        let (taken, given, outputs) = simulate(&case, &mut |_| (false, false));
        let name =
            format!("seed {seed}: {:?} lanes {} in {}", case.spec.matrix, case.spec.out_lanes(), case.spec.in_lanes);
        assert_eq!(outputs, expected(&case), "{name}");
        let (input_edges, output_edges) = predicted(&case);
        assert_eq!(taken, input_edges, "input edges, {name}");
        assert_eq!(given, output_edges, "output edges, {name}");
    }
}

#[test]
fn a_stalled_stage_loses_doubles_and_swaps_nothing() {
    for seed in 1000..1080 {
        let mut random = Random(seed);
        let case = random_case(&mut random, 3);
        let odds = 2 + random.below(6);
        let (_, _, outputs) = simulate(&case, &mut |_| (random.below(odds) > 0, random.below(odds) > 0));
        assert_eq!(outputs, expected(&case), "seed {seed}: {:?}", case.spec.matrix);
    }
}
