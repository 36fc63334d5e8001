//! A bench for one stage: its hardware in the typed evaluator, its token model, and what it should give.
#![allow(dead_code, reason = "each test program uses a part")]

use num_bigint::BigUint;
use systole_arith::{IntType, Window};
use systole_hdl::engine::EnginePort;
use systole_hdl::stage::{input_regroup, InputStream, StageSpec};
use systole_hdl::stream::StreamEnd;
use systole_hdl::timing::{ActorId, Give, Phase, Take, TokenModel};
use systole_hdl::typed::{emit, Evaluator};

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn value(&mut self, ty: IntType) -> i64 {
        ty.decode(self.next())
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// A window on a small image: odd sizes, kernels up to the image, strides beyond the kernel.
pub fn random_window(random: &mut Random) -> Window {
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

/// A stream that an engine's port can read: as it is, or with other lanes or other numbers of pixels that travel as one.
pub fn random_stream(random: &mut Random, port: EnginePort) -> InputStream {
    let elements = port.pixels * port.channels;
    loop {
        let channels = match random.below(3) {
            0 => random.pick(&(1..=elements).filter(|&count| elements.is_multiple_of(count)).collect::<Vec<_>>()),
            _ => port.channels,
        };
        let lanes = if random.below(3) == 0 { port.lanes.min(channels) } else { 1 + random.below(channels) };
        let stream = InputStream { channels, lanes };
        if input_regroup(stream, port).is_none_or(|block| block.added().is_ok()) {
            return stream;
        }
    }
}

/// A divisor of `whole`.
pub fn random_divisor(random: &mut Random, whole: usize) -> usize {
    random.pick(&(1..=whole).filter(|&part| whole.is_multiple_of(part)).collect::<Vec<_>>())
}

/// Beats of a stream: `lanes` elements each, a pixel never straddled, idle lanes 0.
pub fn beats(elements: &[i64], channels: usize, lanes: usize, ty: IntType) -> Vec<BigUint> {
    let beat = |group: &[i64]| {
        group
            .iter()
            .rev()
            .fold(BigUint::default(), |word, &value| (word << ty.bits()) | BigUint::from(ty.encode(value)))
    };
    elements.chunks(channels).flat_map(|pixel| pixel.chunks(lanes).map(beat)).collect()
}

/// A stage with what it reads and what it should give.
pub struct Bench {
    pub spec: StageSpec,
    /// For each input: its type and its samples.
    pub inputs: Vec<(IntType, Vec<Vec<i64>>)>,
    /// Outputs of each sample.
    pub expected: Vec<Vec<i64>>,
}

/// Edges on which beats moved: of each input, and of the first output.
type Edges = (Vec<Vec<u64>>, Vec<u64>);

impl Bench {
    fn input_beats(&self) -> Vec<Vec<BigUint>> {
        let streams = self.inputs.iter().zip(&self.spec.inputs);
        streams
            .map(|((ty, samples), stream)| {
                samples.iter().flat_map(|sample| beats(sample, stream.channels, stream.lanes, *ty)).collect()
            })
            .collect()
    }

    fn expected_beats(&self) -> Vec<BigUint> {
        let channels = self.spec.engine.results().channels;
        let (lanes, ty) = (self.spec.out_lanes(), self.spec.requantize.output);
        self.expected.iter().flat_map(|sample| beats(sample, channels, lanes, ty)).collect()
    }

    /// By the token model: sources always valid, sinks always ready.
    pub fn predicted(&self) -> Edges {
        let spec = &self.spec;
        let samples = self.expected.len();
        let mut model = TokenModel::new();
        let (mut ends, mut takers): (Vec<StreamEnd>, Vec<ActorId>) = Default::default();
        for beats in self.input_beats() {
            let (offered, taken) = (model.edge("offered", 0), model.edge("taken", 0));
            let source = Phase {
                repeat: (beats.len() / samples) as u64,
                takes: vec![],
                gives: vec![Give { edge: offered, count: 1, delay: 0, stride: 0 }],
                cycles: 1,
            };
            // Fires when a beat is taken, since that gives its place back at once.
            let taker =
                Phase { takes: vec![Take { edge: taken, need: 1, consume: 1 }], gives: vec![], ..source.clone() };
            model.actor("source", vec![source], 1);
            takers.push(model.actor("taker", vec![taker], 1));
            ends.push(StreamEnd { data: offered, space: taken, space_delay: 0 });
        }
        let actors = spec.add_to(&mut model, &ends).unwrap();
        let results = spec.engine.results();
        let mut sinks: Vec<ActorId> = Vec::new();
        for output in &actors.outputs {
            let phase = Phase {
                repeat: (results.pixels * results.channels.div_ceil(spec.out_lanes())) as u64,
                takes: vec![Take { edge: output.data, need: 1, consume: 1 }],
                gives: vec![Give { edge: output.space, count: 1, delay: output.space_delay, stride: 0 }],
                cycles: 1,
            };
            sinks.push(model.actor("sink", vec![phase], 1));
        }
        let mut run = model.start();
        takers.iter().chain(&sinks).for_each(|&actor| run.record(actor));
        for _ in 0..samples {
            run.sample().unwrap();
        }
        let edges = |&actor: &ActorId| run.firings(actor).to_vec();
        (takers.iter().map(edges).collect(), edges(&sinks[0]))
    }

    /// Runs the hardware; `stall` tells whether a stream is held in a cycle.
    fn simulate(&self, name: &str, stall: &mut dyn FnMut() -> bool) -> (Edges, Vec<BigUint>) {
        let spec = &self.spec;
        let module = spec.module().unwrap();
        let mut hardware = Evaluator::new(&module);
        let input = self.input_beats();
        let wanted = self.expected_beats().len();
        let readers = spec.fifo_depths.len();
        let port = |side: &str, index: usize, signal: &str| match index {
            0 => format!("{side}_{signal}"),
            _ => format!("{side}_{index}_{signal}"),
        };
        let mut taken = vec![Vec::new(); input.len()];
        let mut given = Vec::new();
        let mut outputs = vec![Vec::new(); readers];
        hardware.set("areset", 1u64);
        for index in 0..input.len() {
            hardware.set(&port("in", index, "valid"), 0u64);
            hardware.set(&port("in", index, "data"), 0u64);
        }
        for reader in 0..readers {
            hardware.set(&port("out", reader, "ready"), 0u64);
        }
        hardware.clock();
        hardware.set("areset", 0u64);
        let mut offering = vec![false; input.len()];
        let one = BigUint::from(1u8);
        for edge in 1..400_000u64 {
            for (index, beats) in input.iter().enumerate() {
                offering[index] = taken[index].len() < beats.len() && (offering[index] || !stall());
                hardware.set(&port("in", index, "valid"), u64::from(offering[index]));
                if offering[index] {
                    hardware.set(&port("in", index, "data"), beats[taken[index].len()].clone());
                }
            }
            let taking: Vec<bool> = (0..readers).map(|_| !stall()).collect();
            for (reader, &takes) in taking.iter().enumerate() {
                hardware.set(&port("out", reader, "ready"), u64::from(takes));
            }
            hardware.eval();
            for index in 0..input.len() {
                if offering[index] && hardware.get(&port("in", index, "ready")) == one {
                    taken[index].push(edge);
                    offering[index] = false;
                }
            }
            for (reader, &takes) in taking.iter().enumerate() {
                if takes && hardware.get(&port("out", reader, "valid")) == one {
                    if reader == 0 {
                        given.push(edge);
                    }
                    outputs[reader].push(hardware.get(&port("out", reader, "data")));
                }
            }
            hardware.clock();
            let all_taken = taken.iter().zip(&input).all(|(taken, beats)| taken.len() == beats.len());
            if all_taken && outputs.iter().all(|beats| beats.len() >= wanted) {
                assert!(outputs.iter().all(|beats| *beats == outputs[0]), "{name}: readers differ");
                return ((taken, given), outputs.swap_remove(0));
            }
        }
        panic!("{name}: hang, {} of {wanted} beats of {:?}", outputs[0].len(), self.spec.engine);
    }

    /// Values as expected, and every beat, taken or given, on the edge that the token model gives.
    pub fn exact_on_every_edge(&self, name: &str) {
        let ((taken, given), outputs) = self.simulate(name, &mut || false);
        let results = self.spec.engine.results();
        let name = format!("{name}: {results:?} lanes {} in {:?}", self.spec.out_lanes(), self.spec.inputs);
        assert_eq!(outputs, self.expected_beats(), "{name}");
        let (predicted_taken, predicted_given) = self.predicted();
        assert_eq!(given, predicted_given, "output edges, {name}");
        assert_eq!(taken, predicted_taken, "input edges, {name}");
    }

    /// Never starved nor held up, the stage takes exactly the cycles that it states.
    pub fn without_bubbles(&self, name: &str) {
        let (_, given) = self.predicted();
        let samples = self.expected.len();
        let per_sample = given.len() / samples;
        let end = |sample: usize| given[(sample + 1) * per_sample - 1];
        let engine = &self.spec.engine;
        assert_eq!(end(samples - 1) - end(samples - 2), engine.cycles(), "{name}: {engine:?}");
    }

    /// Values as expected whatever is held when.
    pub fn exact_when_stalled(&self, name: &str, stall: &mut dyn FnMut() -> bool) {
        let (_, outputs) = self.simulate(name, stall);
        assert_eq!(outputs, self.expected_beats(), "{name}: {:?}", self.spec.engine.results());
    }
}

/// Writes the stage's Verilog and gives what `verilator --lint-only -Wall` says about it: nothing if it is clean.
pub fn lint(spec: &StageSpec) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new("verilator");
    command.args(["--lint-only", "-Wall", "--top-module", &spec.name]).current_dir(folder.path());
    for file in emit(&spec.module().unwrap()).unwrap() {
        let name = format!("{}.v", file.module);
        std::fs::write(folder.path().join(&name), file.text).unwrap();
        command.arg(name);
    }
    let output = command.output().expect("verilator runs; on Debian and Ubuntu, `apt-get install verilator`");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
