//! Every form against its definition, cycle by cycle, with the memories behind its parameter ports.

use super::*;
use crate::typed::{bit, emit, uint, Evaluator, Expr, ModuleBuilder};
use num_bigint::{BigInt, BigUint};
use systole_arith::hardware::{Affine, Correction, Linear, Lookup, ShiftRounding, Thresholds};

/// A small seeded generator (Marsaglia, *Xorshift RNGs*, 2003).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn within(&mut self, lo: i64, hi: i64) -> i64 {
        lo + (self.next() % (hi - lo + 1) as u64) as i64
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.next().is_multiple_of(one_in)
    }

    /// `count` values in `lo..=hi`, sometimes all equal.
    fn values(&mut self, count: usize, lo: i64, hi: i64) -> Vec<i64> {
        let common = self.within(lo, hi);
        let same = self.chance(4);
        (0..count).map(|_| if same { common } else { self.within(lo, hi) }).collect()
    }
}

/// The block with its memories: ports `in_valid`, `in_data`, `out_valid`, `out_data`.
fn with_memories(spec: &RequantizeSpec) -> Arc<Module> {
    let block = spec.module().unwrap();
    let mut m = ModuleBuilder::new(format!("{}_with_memories", spec.name));
    let in_data = m.input("in_data", uint(spec.lanes as u32 * spec.raw_bits));
    let in_valid = m.input("in_valid", bit());
    let out_data = m.output("out_data", uint(spec.lanes as u32 * spec.output.bits()));
    let out_valid = m.output("out_valid", bit());
    let mut bindings: Vec<(String, Expr)> = vec![
        ("in_valid".into(), in_valid.expr()),
        ("in_data".into(), in_data.expr()),
        ("out_valid".into(), out_valid.expr()),
        ("out_data".into(), out_data.expr()),
    ];
    for port in spec.parameter_ports() {
        let rom = port.rom(spec).module().unwrap();
        let address = m.wire(&port.address_port, uint(port.address_bits()));
        let data = m.wire(&port.data_port, uint(port.width));
        let memory = [("address", address.expr()), ("data", data.expr())];
        m.instance(format!("{}_rom", port.name), &rom, &memory);
        bindings.push((port.address_port.clone(), address.expr()));
        bindings.push((port.data_port.clone(), data.expr()));
    }
    let bindings: Vec<(&str, Expr)> = bindings.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    m.instance("block", &block, &bindings);
    m.build().unwrap()
}

/// Raw accumulators worth trying: ends of the word, both sides of every edge, small ones.
fn interesting(spec: &RequantizeSpec) -> Vec<i64> {
    let (lo, hi) = (-(1i64 << (spec.raw_bits - 1)), (1i64 << (spec.raw_bits - 1)) - 1);
    let mut values = vec![lo, lo + 1, -1, 0, 1, hi - 1, hi];
    match &spec.form {
        Requantizer::Linear(_) => {}
        Requantizer::Thresholds(form) | Requantizer::Search(form) => {
            values.extend(form.thresholds.iter().flatten().flat_map(|&t| [t - 1, t]));
        }
        Requantizer::Affine(form) => {
            values.extend(form.pivot.iter().flat_map(|&pivot| [pivot - 1, pivot]));
            values.extend(form.corrections.iter().flatten().flat_map(|c| [c.at - 1, c.at, c.at + 1]));
        }
        Requantizer::Table(form) => {
            // Outside its table the form says nothing.
            values = (form.lowest..).take(form.entries()).collect();
        }
    }
    values.retain(|value| (lo..=hi).contains(value));
    values
}

/// Sends `pixels` pixels with idle cycles and compares each cycle's output with the definition.
fn check(spec: &RequantizeSpec, pixels: usize, random: &mut Random) {
    stream(&mut Evaluator::new(&with_memories(spec)), spec, pixels, random);
}

fn stream(hardware: &mut Evaluator, spec: &RequantizeSpec, pixels: usize, random: &mut Random) {
    let tried = interesting(spec);
    let (lo, hi) = (-(1i64 << (spec.raw_bits - 1)), (1i64 << (spec.raw_bits - 1)) - 1);
    let latency = spec.latency() as usize;
    let mask = (1u64 << spec.raw_bits) - 1;
    hardware.set("in_valid", 0u64);
    hardware.set("in_data", 0u64);
    hardware.reset();

    let total = pixels * spec.beats();
    let (mut sent, mut received) = (0, 0);
    let mut expected: Vec<Option<BigUint>> = Vec::new();
    let mut cycle = 0;
    while received < total {
        let idle = random.chance(3);
        let mut data = BigUint::default();
        let mut output = BigUint::default();
        for lane in (0..spec.lanes).rev() {
            let channel = sent % spec.beats() * spec.lanes + lane;
            let raw = match random.chance(2) {
                false if !matches!(spec.form, Requantizer::Table(_)) => random.within(lo, hi),
                _ => tried[random.within(0, tried.len() as i64 - 1) as usize],
            };
            data = (data << spec.raw_bits) + (raw as u64 & mask);
            let stored = match channel < spec.channels {
                true => spec.output.encode(spec.form.evaluate(channel, raw)),
                false => 0,
            };
            output = (output << spec.output.bits()) + stored;
        }
        let valid = !idle && sent < total;
        hardware.set("in_valid", u64::from(valid));
        hardware.set("in_data", BigInt::from(data));
        sent += usize::from(valid);
        expected.push(valid.then_some(output));
        hardware.eval();
        let due = if cycle >= latency { expected[cycle - latency].clone() } else { None };
        let leaves = hardware.get("out_valid") == BigUint::from(1u32);
        assert_eq!(leaves, due.is_some(), "cycle {cycle} of {spec:?}");
        if let Some(due) = due {
            assert_eq!(hardware.get("out_data"), due, "beat {received} in cycle {cycle} of {spec:?}");
            received += 1;
        }
        hardware.clock();
        cycle += 1;
    }
}

fn spec(form: Requantizer, channels: usize, lanes: usize, raw_bits: u32, output: IntType) -> RequantizeSpec {
    RequantizeSpec { name: "requantize".into(), lanes, channels, raw_bits, form, output, cells: Cells::default() }
}

/// Lanes that divide the channels, that do not, one, and more than there are.
fn shape(random: &mut Random) -> (usize, usize) {
    let channels = random.within(1, 12) as usize;
    let lanes = match random.next() % 4 {
        0 => 1,
        1 => channels,
        2 => channels + random.within(1, 3) as usize,
        _ => random.within(1, channels as i64) as usize,
    };
    (channels, lanes)
}

fn thresholds(random: &mut Random, channels: usize, count: usize, raw_bits: u32, output: IntType) -> Thresholds {
    let (lo, hi) = (-(1i64 << (raw_bits - 1)), (1i64 << (raw_bits - 1)) - 1);
    let increment = if output == IntType::Bipolar { 2 } else { 1 };
    let range = output.range();
    let top = range.hi - increment * count as i64;
    let same_sense = random.chance(2);
    let falling: Vec<bool> = (0..channels).map(|_| !same_sense && random.chance(2)).collect();
    let thresholds = (0..channels).map(|_| {
        // One beyond the end on both sides: never and always reached.
        let mut list: Vec<i64> = (0..count).map(|_| random.within(lo, hi + 1)).collect();
        list.sort_unstable();
        list
    });
    let thresholds = thresholds.collect();
    let base = if output == IntType::Bipolar { vec![-1; channels] } else { random.values(channels, range.lo, top) };
    Thresholds { increment, base, falling, thresholds }
}

fn affine(random: &mut Random, channels: usize, raw_bits: u32, output: IntType) -> Affine {
    let range = output.range();
    let multiplier_bits = random.within(0, 26);
    let most = 1i64 << multiplier_bits;
    // Products reach from inside the output's interval to a few times beyond it.
    let product_bits = i64::from(raw_bits) - 1 + multiplier_bits;
    let excess = product_bits - i64::from(output.bits()) + random.within(-3, 3);
    let shift = excess.clamp(0, 62) as u32;
    let scale = 1i64 << (i64::from(shift) + i64::from(output.bits())).min(60);
    let multipliers = match random.next() % 5 {
        0 => vec![0; channels],
        1 => vec![1 << random.within(0, 5); channels],
        2 => random.values(channels, 0, most),
        _ => random.values(channels, -most, most),
    };
    let bias_positive = if random.chance(4) { vec![0; channels] } else { random.values(channels, -scale, scale) };
    let mut bias_negative = bias_positive.clone();
    if random.chance(2) {
        for bias in &mut bias_negative {
            *bias += if random.chance(3) { 0 } else { random.within(-scale, scale) };
        }
    }
    let (lo, hi) = (-(1i64 << (raw_bits - 1)), (1i64 << (raw_bits - 1)) - 1);
    let listed = if random.chance(2) { 0 } else { 3 };
    let corrections = (0..channels).map(|_| {
        let count = random.within(0, listed);
        let mut list: Vec<Correction> = Vec::new();
        for _ in 0..count {
            let at = random.within(lo, hi);
            if list.iter().all(|other| other.at != at) {
                list.push(Correction { at, delta: if random.chance(2) { 1 } else { -1 } });
            }
        }
        list
    });
    let corrections = corrections.collect();
    // Room for a delta on both sides.
    let (least, most) = (range.lo + 1, range.hi - 1);
    let clamp = if random.chance(2) { (least, most) } else { (least, random.within(least, most)) };
    Affine {
        multipliers,
        pivot: random.values(channels, lo - 1, hi + 2),
        bias_negative,
        bias_positive,
        shift,
        rounding: if shift == 0 || random.chance(2) { ShiftRounding::Floor } else { ShiftRounding::HalfEven },
        clamp,
        corrections,
    }
}

#[test]
fn linear_outputs_are_the_accumulator_with_stride_and_offset() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let (channels, lanes) = shape(&mut random);
        let raw_bits = random.within(2, 30) as u32;
        let offsets = if random.chance(3) { vec![0; channels] } else { random.values(channels, -500, 500) };
        let stride = random.within(1, 2);
        let form = Requantizer::Linear(Linear { stride, offsets });
        check(&spec(form, channels, lanes, raw_bits, IntType::Signed(raw_bits + 11)), 3, &mut random);
    }
}

#[test]
fn thresholds_count_the_levels_that_each_channel_reaches() {
    for seed in 0..80 {
        let mut random = Random::new(seed);
        let (channels, lanes) = shape(&mut random);
        let output =
            [IntType::Bipolar, IntType::Unsigned(2), IntType::Unsigned(4), IntType::Signed(4), IntType::Signed(2)]
                [random.next() as usize % 5];
        let most = if output == IntType::Bipolar { 1 } else { (output.range().hi - output.range().lo) as usize };
        let count = if random.chance(3) { most } else { random.within(0, most as i64) as usize };
        let raw_bits = random.within(2, 24) as u32;
        let form = Requantizer::Thresholds(thresholds(&mut random, channels, count, raw_bits, output));
        check(&spec(form, channels, lanes, raw_bits, output), 4, &mut random);
    }
}

#[test]
fn affine_lanes_compute_the_clamped_corrected_shift_of_the_biased_product() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let (channels, lanes) = shape(&mut random);
        let output = [IntType::Signed(8), IntType::Unsigned(8), IntType::Signed(16), IntType::Unsigned(3)]
            [random.next() as usize % 4];
        let raw_bits = random.within(2, 36) as u32;
        let form = Requantizer::Affine(affine(&mut random, channels, raw_bits, output));
        let mut spec = spec(form, channels, lanes, raw_bits, output);
        if random.chance(3) {
            spec.cells.multiplier_a_bits = 25;
            spec.cells.multiplier_latency = 3;
            spec.cells.memory_read_latency = 1;
        }
        check(&spec, 4, &mut random);
    }
}

#[test]
fn binary_search_finds_the_level_of_each_channel() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let (channels, lanes) = shape(&mut random);
        let output = [IntType::Bipolar, IntType::Signed(8), IntType::Unsigned(6)][random.next() as usize % 3];
        let most = if output == IntType::Bipolar { 1 } else { output.range().hi - output.range().lo };
        let count = random.within(0, most) as usize;
        let raw_bits = random.within(3, 24) as u32;
        let form = Requantizer::Search(thresholds(&mut random, channels, count, raw_bits, output));
        check(&spec(form, channels, lanes, raw_bits, output), 3, &mut random);
    }
}

#[test]
fn tables_give_the_value_of_each_raw_number_in_each_channel() {
    for seed in 0..80 {
        let mut random = Random::new(seed);
        let (channels, lanes) = shape(&mut random);
        let output = [IntType::Bipolar, IntType::Signed(8), IntType::Unsigned(5)][random.next() as usize % 3];
        let raw_bits = random.within(1, 12) as u32;
        let (lo, hi) = (-(1i64 << (raw_bits - 1)), (1i64 << (raw_bits - 1)) - 1);
        let lowest = random.within(lo, hi);
        let highest = random.within(lowest, (lowest + 300).min(hi));
        let functions = if random.chance(2) { 1 } else { channels };
        let function = |random: &mut Random| (lowest..=highest).map(|_| output.decode(random.next())).collect();
        let values = (0..functions).map(|_| function(&mut random)).collect();
        let form = Requantizer::Table(Lookup { channels, lowest, values });
        check(&spec(form, channels, lanes, raw_bits, output), 20, &mut random);
    }
}

/// One small block of each form, with and without fields that differ between channels.
fn samples() -> Vec<RequantizeSpec> {
    let named = |name: &str, spec: RequantizeSpec| RequantizeSpec { name: name.into(), ..spec };
    let byte = IntType::Signed(8);
    let linear = |stride, offsets| Requantizer::Linear(Linear { stride, offsets });
    let levels = Thresholds {
        increment: 1,
        base: vec![0; 3],
        falling: vec![false; 3],
        thresholds: vec![vec![-7, 0, 9], vec![-20, 3, 4], vec![1, 2, 30]],
    };
    let falling = Thresholds { falling: vec![false, true, false], base: vec![0, -2, 1], ..levels.clone() };
    let signs =
        Thresholds { increment: 2, base: vec![-1; 3], thresholds: vec![vec![5], vec![6], vec![9]], ..levels.clone() };
    let plain = Affine {
        multipliers: vec![77_000, 81_234, 65_537],
        pivot: vec![0; 3],
        bias_negative: vec![1 << 19, -33, 1 << 20],
        bias_positive: vec![1 << 19, -33, 1 << 20],
        shift: 20,
        rounding: ShiftRounding::Floor,
        clamp: (-128, 127),
        corrections: vec![Vec::new(); 3],
    };
    let full = Affine {
        multipliers: vec![1_234_567, -7_654_321, 999],
        pivot: vec![5, -9, 0],
        bias_negative: vec![-1, 77, 0],
        rounding: ShiftRounding::HalfEven,
        clamp: (-100, 99),
        corrections: vec![vec![Correction { at: 5, delta: 1 }], vec![Correction { at: -300, delta: -1 }], Vec::new()],
        ..plain.clone()
    };
    let shifted = Affine {
        multipliers: vec![1; 3],
        bias_negative: vec![0; 3],
        bias_positive: vec![0; 3],
        shift: 5,
        rounding: ShiftRounding::HalfEven,
        clamp: (0, 15),
        ..plain.clone()
    };
    let function = |channel: i64| (0..21).map(|raw| (raw * raw + channel * 37) % 201 - 100).collect();
    let lookup = |functions| Lookup { channels: 3, lowest: -100, values: (0..functions).map(function).collect() };
    let constant = Lookup { channels: 3, lowest: 5, values: vec![vec![-3]] };
    vec![
        named("wires", spec(linear(1, vec![0; 3]), 3, 2, 12, IntType::Signed(12))),
        named("popcount", spec(linear(2, vec![-9, -9, -9]), 3, 5, 6, IntType::Signed(8))),
        named("offsets", spec(linear(1, vec![4, 5, -6]), 3, 2, 12, IntType::Signed(13))),
        named("levels", spec(Requantizer::Thresholds(levels.clone()), 3, 2, 7, IntType::Unsigned(2))),
        named("falling_levels", spec(Requantizer::Thresholds(falling.clone()), 3, 3, 7, IntType::Signed(3))),
        named("signs", spec(Requantizer::Thresholds(signs), 3, 2, 7, IntType::Bipolar)),
        named("affine", spec(Requantizer::Affine(plain), 3, 2, 16, byte)),
        named("affine_full", spec(Requantizer::Affine(full), 3, 2, 24, byte)),
        named("affine_shift", spec(Requantizer::Affine(shifted), 3, 2, 14, IntType::Unsigned(4))),
        named("search", spec(Requantizer::Search(falling), 3, 2, 7, IntType::Signed(3))),
        named("shared_table", spec(Requantizer::Table(lookup(1)), 3, 2, 8, byte)),
        named("table_of_channels", spec(Requantizer::Table(lookup(3)), 3, 2, 8, byte)),
        named("table_of_one", spec(Requantizer::Table(constant), 3, 2, 8, byte)),
    ]
}

#[test]
fn every_form_is_lint_clean() {
    for spec in samples() {
        let folder = tempfile::tempdir().unwrap();
        let files = emit(&with_memories(&spec)).unwrap();
        let mut command = std::process::Command::new("verilator");
        command.args(["--lint-only", "-Wall", "--top-module", &format!("{}_with_memories", spec.name)]);
        command.current_dir(folder.path());
        for file in files {
            let name = format!("{}.v", file.module);
            std::fs::write(folder.path().join(&name), file.text).unwrap();
            command.arg(name);
        }
        let output = command.output().expect("verilator must be installed: `apt-get install verilator`");
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}:\n{report}", spec.name);
    }
}

#[test]
fn a_reset_drops_the_beats_under_way_and_starts_a_new_pixel() {
    for spec in samples() {
        for edges in 1..=spec.latency() + 2 {
            let mut random = Random::new(edges);
            let mut hardware = Evaluator::new(&with_memories(&spec));
            hardware.set("in_valid", 1u64);
            hardware.set("in_data", random.next() % (1 << spec.raw_bits));
            hardware.clock();
            hardware.set("in_valid", 0u64);
            (1..edges).for_each(|_| hardware.clock());
            stream(&mut hardware, &spec, 3, &mut random);
        }
    }
}

/// The block's own files, one below the other.
fn verilog(name: &str) -> String {
    let spec = samples().into_iter().find(|spec| spec.name == name).unwrap();
    let files = emit(&spec.module().unwrap()).unwrap();
    files.into_iter().map(|file| file.text).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_small_thresholds_block_is_emitted_as_recorded() {
    insta::assert_snapshot!(verilog("levels"));
}

#[test]
fn a_small_affine_block_is_emitted_as_recorded() {
    insta::assert_snapshot!(verilog("affine"));
}

#[test]
fn memory_bits_are_those_of_the_words_behind_the_ports() {
    for spec in samples() {
        let stored: u64 = spec.parameter_ports().iter().map(|port| port.rom(&spec).bits()).sum();
        assert_eq!(spec.memory_bits(), stored, "{}", spec.name);
    }
}

#[test]
fn a_wide_product_takes_the_multipliers_of_its_chunks_in_every_lane() {
    let of = |name: &str| samples().into_iter().find(|spec| spec.name == name).unwrap();
    assert_eq!(of("affine").multipliers(), 2);
    assert_eq!(of("affine_full").multipliers(), 8);
    assert_eq!(of("affine_shift").multipliers(), 0);
    assert_eq!(of("levels").multipliers(), 0);
}
