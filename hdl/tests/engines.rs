//! Stages that work on their beats as they come (single streams, joins, concatenation, global reduction): hardware in
//! the typed evaluator against plain arithmetic and, beat by beat, against the token model.

mod common;

use common::{lint, Bench, Random};
use systole_arith::hardware::{Linear, Lookup};
use systole_arith::join::{Combine, OperandMap};
use systole_arith::{IntType, Range, Requantizer};
use systole_hdl::cells::Cells;
use systole_hdl::engine::{
    ArgMaxEngine, ConcatEngine, Engine, JoinEngine, JoinOperand, PassEngine, ReduceEngine, Reduction, RepeatEngine,
    Turns,
};
use systole_hdl::requantize::RequantizeSpec;
use systole_hdl::stage::{InputStream, StageSpec};

/// Samples a case.
const SAMPLES: usize = 3;

const TYPES: [IntType; 6] = [
    IntType::Signed(8),
    IntType::Unsigned(8),
    IntType::Signed(3),
    IntType::Unsigned(1),
    IntType::Bipolar,
    IntType::Unsigned(4),
];

fn random_cells(random: &mut Random) -> Cells {
    Cells {
        memory_read_latency: 1 + random.below(3) as u64,
        multiplier_latency: 1 + random.below(3) as u64,
        distributed_limit_bits: random.pick(&[128, 1024]),
        ..Cells::default()
    }
}

/// Samples of a stream.
fn samples(random: &mut Random, ty: IntType, pixels: usize, channels: usize) -> Vec<Vec<i64>> {
    (0..SAMPLES).map(|_| (0..pixels * channels).map(|_| random.value(ty)).collect()).collect()
}

/// A stage around `engine`, whose raw numbers (`[sample][pixel and channel]`) are `raw`: with a table of them where they
/// are few, else as they are.
fn bench(
    random: &mut Random,
    engine: Engine,
    cells: Cells,
    inputs: Vec<(IntType, Vec<Vec<i64>>)>,
    raw: Vec<Vec<i64>>,
) -> Bench {
    let results = engine.results();
    let channels = results.channels;
    let (form, output) = match random.below(2) {
        1 if results.bits <= 10 => {
            let output = random.pick(&[IntType::Signed(5), IntType::Bipolar]);
            let functions = if random.below(2) == 0 { 1 } else { channels };
            let lowest = -(1i64 << (results.bits - 1));
            let function = |random: &mut Random| (0..1u64 << results.bits).map(|_| random.value(output)).collect();
            let values = (0..functions).map(|_| function(random)).collect();
            (Requantizer::Table(Lookup { channels, lowest, values }), output)
        }
        _ => {
            let form = Linear { stride: 1, offsets: vec![0; channels] };
            (Requantizer::Linear(form), IntType::Signed(results.bits))
        }
    };
    let output_of = |sample: &Vec<i64>| -> Vec<i64> {
        sample.iter().enumerate().map(|(at, &raw)| form.evaluate(at % channels, raw)).collect()
    };
    let expected = raw.iter().map(output_of).collect();
    let lanes = loop {
        let lanes = 1 + random.below(channels);
        if results.keeps_up(lanes) {
            break lanes;
        }
    };
    let streams = engine.ports();
    let streams = streams.iter().map(|port| InputStream {
        channels: port.channels,
        lanes: if random.below(2) == 0 { port.lanes } else { 1 + random.below(port.channels) },
    });
    let mut spec = StageSpec {
        name: "stage".into(),
        comments: vec!["A stage under test.".into()],
        inputs: streams.collect(),
        requantize: RequantizeSpec {
            name: "stage_requantize".into(),
            lanes,
            channels,
            raw_bits: results.bits,
            form,
            output,
            cells,
        },
        fifo_depths: vec![],
        engine,
    };
    let least = spec.beats_per_group().unwrap().into_iter().max().unwrap() as usize;
    let readers = 1 + random.below(2);
    spec.fifo_depths = (0..readers).map(|_| least + random.below(9)).collect();
    Bench { spec, inputs, expected }
}

fn pass(random: &mut Random) -> Bench {
    let element = random.pick(&TYPES);
    let (pixels, channels) = (1 + random.below(4), 1 + random.below(12));
    let lanes = 1 + random.below(channels);
    let inputs = samples(random, element, pixels, channels);
    let engine = Engine::Pass(PassEngine { pixels, channels, lanes, element });
    bench(random, engine, Cells::default(), vec![(element, inputs.clone())], inputs)
}

/// What an operand contributes: nothing, a wire, a few digits, many, or a table.
fn random_map(random: &mut Random, range: Range) -> OperandMap {
    match random.below(3) {
        0 => OperandMap::table(range, |x| (x * x * 7 + 11 * x) % 1000 - 300),
        _ => OperandMap::Linear { factor: random.pick(&[0, 1, -1, 2, -4, 3, -5, 1237, 0x2_aaab, -77_777]) },
    }
}

fn join(random: &mut Random) -> Bench {
    let [a, b] = [0, 1].map(|_| random.pick(&TYPES));
    let combine = match random.below(3) {
        0 => {
            let zero = |random: &mut Random, ty: IntType| if random.below(2) == 0 { 0 } else { random.value(ty) };
            Combine::Product { left_zero: zero(random, a), right_zero: zero(random, b) }
        }
        _ => Combine::Sum { left: random_map(random, a.range()), right: random_map(random, b.range()) },
    };
    join_of(random, [a, b], combine)
}

fn join_of(random: &mut Random, [a, b]: [IntType; 2], combine: Combine) -> Bench {
    let cells = random_cells(random);
    let (pixels, channels) = (1 + random.below(4), 1 + random.below(12));
    let lanes = 1 + random.below(channels);
    let (left, right) = (samples(random, a, pixels, channels), samples(random, b, pixels, channels));
    let join = |(a, b): (&Vec<i64>, &Vec<i64>)| a.iter().zip(b).map(|(&a, &b)| combine.evaluate(a, b)).collect();
    let raw = left.iter().zip(&right).map(join).collect();
    let operand = |element: IntType| JoinOperand { element, range: element.range() };
    let engine = Engine::Join(JoinEngine {
        name: "stage".into(),
        pixels,
        channels,
        lanes,
        left: operand(a),
        right: operand(b),
        combine,
        cells,
    });
    bench(random, engine, cells, vec![(a, left), (b, right)], raw)
}

fn concat(random: &mut Random) -> Bench {
    let element = random.pick(&TYPES);
    let (rounds, streams) = (1 + random.below(4), 2 + random.below(3));
    let turns = match random.below(2) {
        0 => {
            let unit = 1 + random.below(3);
            Turns::Channels((0..streams).map(|_| unit * (1 + random.below(4))).collect())
        }
        _ => {
            let runs = (0..streams).map(|_| 1 + random.below(4)).collect();
            Turns::Pixels { channels: 1 + random.below(7), runs }
        }
    };
    let lanes = random.pick(&turns.lane_choices());
    let counts: Vec<usize> = turns.shapes().iter().map(|(channels, pixels)| channels * pixels).collect();
    let inputs: Vec<Vec<Vec<i64>>> = counts.iter().map(|&count| samples(random, element, rounds, count)).collect();
    let raw = (0..SAMPLES)
        .map(|sample| {
            let round = |round: usize| {
                let parts = inputs.iter().zip(&counts);
                parts.flat_map(move |(stream, &count)| stream[sample][round * count..][..count].iter().copied())
            };
            (0..rounds).flat_map(round).collect()
        })
        .collect();
    let engine = Engine::Concat(ConcatEngine { rounds, turns, lanes, element });
    bench(random, engine, Cells::default(), inputs.into_iter().map(|stream| (element, stream)).collect(), raw)
}

fn repeat(random: &mut Random) -> Bench {
    let image = [1 + random.below(3), 1 + random.below(4)];
    let factors = [1 + random.below(4), 1 + random.below(4)];
    let channels = 1 + random.below(9);
    let lanes = 1 + random.below(channels);
    repeat_of(random, image, factors, (channels, lanes))
}

fn repeat_of(random: &mut Random, image: [usize; 2], factors: [usize; 2], (channels, lanes): (usize, usize)) -> Bench {
    let element = random.pick(&TYPES);
    let cells = random_cells(random);
    let inputs = samples(random, element, image[0] * image[1], channels);
    let enlarged = |sample: &Vec<i64>| -> Vec<i64> {
        let mut result = Vec::new();
        for row in 0..image[0] * factors[0] {
            for column in 0..image[1] * factors[1] {
                let source = row / factors[0] * image[1] + column / factors[1];
                result.extend_from_slice(&sample[source * channels..][..channels]);
            }
        }
        result
    };
    let raw = inputs.iter().map(enlarged).collect();
    let engine = Engine::Repeat(RepeatEngine { image, factors, channels, lanes, element, cells });
    bench(random, engine, cells, vec![(element, inputs)], raw)
}

fn arg_max(random: &mut Random) -> Bench {
    let element = random.pick(&TYPES);
    let (pixels, channels) = (1 + random.below(4), 1 + random.below(14));
    let lanes = 1 + random.below(channels);
    arg_max_of(random, element, (pixels, channels, lanes))
}

fn arg_max_of(random: &mut Random, element: IntType, (pixels, channels, lanes): (usize, usize, usize)) -> Bench {
    let inputs = samples(random, element, pixels, channels);
    let first_greatest = |pixel: &[i64]| {
        let mut best = 0;
        for (index, &value) in pixel.iter().enumerate() {
            if value > pixel[best] {
                best = index;
            }
        }
        best as i64
    };
    let raw = inputs.iter().map(|sample| sample.chunks(channels).map(first_greatest).collect()).collect();
    let engine = Engine::ArgMax(ArgMaxEngine { pixels, channels, lanes, element });
    bench(random, engine, Cells::default(), vec![(element, inputs)], raw)
}

fn reduce(random: &mut Random) -> Bench {
    let element = random.pick(&TYPES);
    let reduction = random.pick(&[Reduction::Sum, Reduction::Max]);
    let cells = random_cells(random);
    // Some so wide that the accumulators lie in a block RAM.
    let channels = if random.below(6) == 0 { 65 + random.below(40) } else { 1 + random.below(12) };
    let lanes = if channels > 64 { 1 } else { 1 + random.below(channels) };
    let pixels = 1 + random.below(9);
    reduce_of(random, element, reduction, (pixels, channels, lanes), cells)
}

fn reduce_of(
    random: &mut Random,
    element: IntType,
    reduction: Reduction,
    (pixels, channels, lanes): (usize, usize, usize),
    cells: Cells,
) -> Bench {
    let inputs = samples(random, element, pixels, channels);
    let of_channel = |sample: &Vec<i64>, channel: usize| {
        let all = sample.iter().skip(channel).step_by(channels).copied();
        match reduction {
            Reduction::Sum => all.sum::<i64>(),
            Reduction::Max => all.max().unwrap(),
        }
    };
    let raw = inputs.iter().map(|sample| (0..channels).map(|channel| of_channel(sample, channel)).collect()).collect();
    let accumulator_bits = reduction.bits(element.range(), pixels);
    let engine = ReduceEngine { pixels, channels, lanes, element, reduction, accumulator_bits, cells };
    bench(random, Engine::Reduce(engine), cells, vec![(element, inputs)], raw)
}

fn exact_on_every_edge(make: fn(&mut Random) -> Bench, cases: u64) {
    for seed in 0..cases {
        make(&mut Random(seed)).exact_on_every_edge(&format!("seed {seed}"));
    }
}

fn exact_when_stalled(make: fn(&mut Random) -> Bench, cases: u64) {
    for seed in 5000..5000 + cases {
        let mut random = Random(seed);
        let case = make(&mut random);
        let odds = 2 + random.below(6);
        case.exact_when_stalled(&format!("seed {seed}"), &mut || random.below(odds) > 0);
    }
}

#[test]
fn a_pass_stage_hands_its_elements_on_and_moves_every_beat_on_the_predicted_edge() {
    exact_on_every_edge(pass, 120);
}

#[test]
fn a_join_stage_combines_its_operands_and_moves_every_beat_on_the_predicted_edge() {
    exact_on_every_edge(join, 160);
}

#[test]
fn a_concat_stage_puts_channels_behind_channels_and_moves_every_beat_on_the_predicted_edge() {
    exact_on_every_edge(concat, 120);
}

#[test]
fn a_reduce_stage_reduces_each_channel_and_moves_every_beat_on_the_predicted_edge() {
    exact_on_every_edge(reduce, 160);
}

#[test]
fn a_repeat_stage_enlarges_an_image_and_moves_every_beat_on_the_predicted_edge() {
    exact_on_every_edge(repeat, 200);
}

#[test]
fn a_repeat_stage_starts_a_word_in_every_cycle_where_its_input_is_there() {
    for seed in 0..100 {
        let mut case = repeat(&mut Random(seed));
        let port = case.spec.engine.ports()[0];
        case.spec.inputs[0].lanes = port.lanes;
        case.spec.fifo_depths.iter_mut().for_each(|depth| *depth = 64);
        let lanes = case.spec.requantize.lanes;
        let (_, left) = case.predicted();
        let beats = case.spec.engine.results().pixels * port.channels.div_ceil(lanes);
        let ends: Vec<u64> = left.iter().copied().skip(beats - 1).step_by(beats).collect();
        let cycles = case.spec.engine.cycles();
        assert_eq!(ends[2] - ends[1], cycles, "seed {seed}: {:?}", case.spec.engine);
    }
}

#[test]
fn an_arg_max_stage_finds_the_first_greatest_channel_and_moves_every_beat_on_the_predicted_edge() {
    exact_on_every_edge(arg_max, 200);
}

#[test]
fn stalled_stages_lose_double_and_swap_nothing() {
    for make in [pass, join, concat, reduce, repeat, arg_max] {
        exact_when_stalled(make, 60);
    }
}

#[test]
fn a_beat_is_taken_in_every_cycle_across_pixels_and_samples() {
    for make in [pass, join, concat, reduce, arg_max] {
        for seed in 0..60 {
            let mut case = make(&mut Random(seed));
            let ports = case.spec.engine.ports();
            for (stream, port) in case.spec.inputs.iter_mut().zip(&ports) {
                stream.lanes = port.lanes;
            }
            case.spec.fifo_depths.iter_mut().for_each(|depth| *depth = 64);
            let beats = ports[0].pixels * ports[0].channels.div_ceil(ports[0].lanes);
            let (taken, _) = case.predicted();
            let starts: Vec<u64> = taken[0].iter().copied().step_by(beats).collect();
            let cycles = case.spec.engine.cycles();
            assert_eq!(starts, [1, 1 + cycles, 1 + 2 * cycles], "seed {seed}: {:?}", case.spec.engine);
        }
    }
}

#[test]
fn stages_are_lint_clean() {
    let random = &mut Random(7);
    let byte = IntType::Signed(8);
    let linear = |factor| OperandMap::Linear { factor };
    let table = || OperandMap::table(byte.range(), |x| 3 * x * x - 100);
    let sum = |left, right| Combine::Sum { left, right };
    let mut cases = vec![
        join_of(random, [byte, IntType::Unsigned(8)], sum(linear(1), linear(-77_777))),
        join_of(random, [byte, byte], sum(table(), linear(5))),
        join_of(random, [byte, byte], sum(linear(0), linear(0))),
        join_of(random, [byte, IntType::Unsigned(4)], Combine::Product { left_zero: -3, right_zero: 0 }),
        reduce_of(random, byte, Reduction::Sum, (49, 5, 5), Cells::default()),
        reduce_of(random, byte, Reduction::Sum, (49, 10, 4), Cells::default()),
        reduce_of(random, IntType::Unsigned(3), Reduction::Max, (1, 130, 1), Cells::default()),
    ];
    cases.extend((0..6).map(|_| pass(random)));
    cases.extend([[1, 3], [3, 1], [2, 2]].map(|factors| repeat_of(random, [2, 3], factors, (5, 2))));
    cases.push(repeat_of(random, [1, 1], [7, 7], (6, 6)));
    cases.extend([(1, 1, 1), (2, 10, 4), (1, 9, 1), (3, 8, 8)].map(|shape| arg_max_of(random, byte, shape)));
    cases.extend((0..6).map(|_| concat(random)));
    for case in cases {
        let report = lint(&case.spec);
        assert!(report.is_empty(), "{:?}:\n{report}", case.spec.engine);
    }
}

#[test]
fn only_products_take_multipliers_and_as_many_as_their_operands_are_wide() {
    let operand = |element: IntType| JoinOperand { element, range: element.range() };
    let engine = |left, right, combine| JoinEngine {
        name: "stage".into(),
        pixels: 1,
        channels: 6,
        lanes: 3,
        left: operand(left),
        right: operand(right),
        combine,
        cells: Cells::default(),
    };
    let product = Combine::Product { left_zero: 128, right_zero: 0 };
    let (byte, wide) = (IntType::Unsigned(8), IntType::Signed(20));
    assert_eq!(Engine::Join(engine(byte, byte, product.clone())).other_multipliers(), 3);
    assert_eq!(Engine::Join(engine(byte, wide, product)).other_multipliers(), 6);
    let sum = Combine::Sum { left: OperandMap::Linear { factor: 12_345 }, right: OperandMap::Linear { factor: -9 } };
    assert_eq!(Engine::Join(engine(byte, wide, sum)).other_multipliers(), 0);
}
