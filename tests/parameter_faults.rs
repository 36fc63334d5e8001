//! The check can fail: single changes in the ROM images of a bundle, each of which alters its
//! stage's output on the vectors, make `verify` fail and name exactly that stage, with a simulator
//! that comes from the cache.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::repository;

use systole::arith::{IntType, Requantizer};
use systole::bundle::{Array, Manifest};
use systole::compiler::dataflow::Stage;
use systole::compiler::emit::write_bundle;
use systole::compiler::frontend::FrontOptions;
use systole::compiler::passes::pipeline::{self, Compiled};
use systole::hdl::engine::{Engine, MatrixEngine};
use systole::hdl::memory::RomSpec;
use systole::host::Session;
use systole::reference::NetworkReference;
use systole::sim::verify::{verify, Reference, Request, Vectors};
use systole::sim::{Cache, Simulator, Toolchain};

const SAMPLES: usize = 24;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

/// A compiled network on disk, its vectors, and what the reference makes of them.
struct Fixture {
    bundle: PathBuf,
    compiled: Compiled,
    input: Array,
    expect: Array,
    /// Elements of each stage's input, a vector a sample, in the order of the stages.
    stage_inputs: Vec<Vec<Vec<i64>>>,
    _folder: tempfile::TempDir,
}

fn fixture(model: &str, vectors: &str, expect: &str) -> Fixture {
    let bytes = std::fs::read(repository().join(model)).unwrap();
    let front = FrontOptions { name: "faulty".into(), ..FrontOptions::default() };
    let compiled = pipeline::compile(&bytes, &front, &Default::default(), &mut |_, _| Ok(())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    write_bundle(&compiled.bundle, &bundle).unwrap();
    let vectors = repository().join(vectors);
    let input = Array::read_npz(&vectors, "input").unwrap();
    let expect = Array::read_npz(&vectors, expect).unwrap();
    let manifest = Manifest::read(&bundle).unwrap();
    let reference = NetworkReference::new(compiled.quant.clone(), Session::new(&manifest).unwrap());
    let accepted: Vec<Vec<i64>> = reference.accept(&input).unwrap().into_iter().take(SAMPLES).collect();
    let values = reference.run(&accepted).unwrap();
    let mut present = compiled.design.inputs().next().unwrap().1.border.tensor;
    let mut stage_inputs = Vec::new();
    for stage in compiled.design.stages() {
        let name = compiled.quant.tensor(present).name.clone();
        stage_inputs.push(values.iter().map(|sample| sample[&name].clone()).collect());
        let output = compiled.quant.tensors.iter().position(|tensor| tensor.name == stage.output.name).unwrap();
        present = systole::compiler::quant::TensorId(output as u32);
    }
    Fixture { bundle, compiled, input, expect, stage_inputs, _folder: folder }
}

/// Whether a changed stage gives other outputs than the unchanged one for what it really reads.
fn alters(changed: &Stage, stage: &Stage, inputs: &[Vec<i64>]) -> bool {
    inputs.iter().any(|input| changed.execute(&[input]) != stage.execute(&[input]))
}

fn write_image(bundle: &Path, rom: &RomSpec) {
    for image in rom.images() {
        std::fs::write(bundle.join("rtl/rom").join(&image.file), image.hex(rom.width)).unwrap();
    }
}

/// The engine of a stage: these networks have matrix products alone.
fn matrix(stage: &Stage) -> &MatrixEngine {
    match &stage.spec.engine {
        Engine::Matrix(engine) => engine,
        other => panic!("stage `{}` is a {} engine", stage.name, other.name()),
    }
}

/// Writes the stage's images that differ from the unchanged stage's.
fn write_images(bundle: &Path, changed: &Stage, stage: &Stage) {
    let (matrix, unchanged) = (matrix(changed), matrix(stage));
    for hop in 0..unchanged.spec.hops() {
        let rom = matrix.weight_rom(hop);
        if rom != unchanged.weight_rom(hop) {
            write_image(bundle, &rom);
        }
    }
    let (ports, before) = (changed.spec.requantize.parameter_ports(), stage.spec.requantize.parameter_ports());
    for (port, _) in ports.iter().zip(&before).filter(|(port, before)| port != before) {
        write_image(bundle, &port.rom(&changed.spec.requantize));
    }
}

/// Verifies the bundle with the change written into its images, then restores them.
fn first_wrong_stage(fixture: &Fixture, changed: &Stage, stage: &Stage) -> Option<String> {
    write_images(&fixture.bundle, changed, stage);
    let toolchain = Toolchain::discover().unwrap();
    let cache = Cache::of_user().unwrap();
    let simulator = Simulator::build(&fixture.bundle, &toolchain, &cache, None, &mut |_| ()).unwrap();
    let reference = NetworkReference::load(&fixture.bundle).unwrap();
    let vectors = Vectors { input: fixture.input.clone(), expect: Some(fixture.expect.clone()), logits: None };
    let request = Request { vectors: Some(vectors), samples: Some(SAMPLES), stall_seed: None };
    let report = verify(&simulator, &reference, &request, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    write_images(&fixture.bundle, stage, changed);
    assert_eq!(report.passed(), report.first.is_none(), "{report}");
    report.first.and_then(|difference| difference.stage)
}

fn changed_weight(stage: &Stage, random: &mut Random) -> Stage {
    let mut engine = matrix(stage).clone();
    let mut weights = engine.weights.as_ref().clone();
    let (row, column) = (random.below(weights.nrows()), random.below(weights.ncols()));
    let range = engine.spec.weight.range();
    let value = match engine.spec.weight {
        IntType::Bipolar => -weights[[row, column]],
        _ => range.lo + random.below((range.hi - range.lo + 1) as usize) as i64,
    };
    weights[[row, column]] = value;
    engine.weights = Arc::new(weights);
    let mut changed = stage.clone();
    changed.spec.engine = Engine::Matrix(engine);
    changed
}

/// A change that keeps the width of every field, so that the Verilog stays the same.
fn changed_constant(stage: &Stage, random: &mut Random) -> Option<Stage> {
    let mut changed = stage.clone();
    match &mut changed.spec.requantize.form {
        Requantizer::Thresholds(form) => {
            let channel = random.below(form.thresholds.len());
            let level = random.below(form.thresholds[channel].len());
            let other = form.thresholds[random.below(form.thresholds.len())][level];
            form.thresholds[channel][level] = other;
        }
        Requantizer::Affine(form) => {
            let channel = random.below(form.multipliers.len());
            form.multipliers[channel] = form.multipliers[random.below(form.multipliers.len())];
        }
        Requantizer::Linear(_) | Requantizer::Search(_) | Requantizer::Table(_) => return None,
    }
    let widths = |stage: &Stage| -> Vec<(String, u32, usize)> {
        let ports = stage.spec.requantize.parameter_ports();
        ports.into_iter().map(|port| (port.name, port.width, port.words.len())).collect()
    };
    let text = |stage: &Stage| stage.spec.requantize.module().unwrap().to_string();
    (text(&changed) == text(stage) && widths(&changed) == widths(stage)).then_some(changed)
}

fn check(fixture: &Fixture, wanted: usize, seed: u64, change: &dyn Fn(&Stage, &mut Random) -> Option<Stage>) {
    let stages: Vec<&Stage> = fixture.compiled.design.stages().collect();
    let mut random = Random(seed);
    let (mut tried, mut caught) = (0, 0);
    while caught < wanted {
        tried += 1;
        assert!(tried < 4_000, "seed {seed}: only {caught} changes alter an output");
        let place = random.below(stages.len());
        let Some(changed) = change(stages[place], &mut random) else { continue };
        if !alters(&changed, stages[place], &fixture.stage_inputs[place]) {
            continue;
        }
        let found = first_wrong_stage(fixture, &changed, stages[place]);
        assert_eq!(found.as_deref(), Some(stages[place].name.as_str()), "seed {seed}, change {tried}");
        caught += 1;
    }
    println!("{caught} changes of seed {seed} caught and named; {} others alter no output", tried - caught);
}

#[test]
fn every_changed_weight_or_threshold_fails_and_names_its_stage() {
    let fixture = fixture("examples/digits/digits.onnx", "examples/digits/test.npz", "output");
    let stage = fixture.compiled.design.stages().next().unwrap();
    assert_eq!(first_wrong_stage(&fixture, stage, stage), None, "the unchanged bundle passes");
    check(&fixture, 20, 1, &|stage, random| Some(changed_weight(stage, random)));
    check(&fixture, 5, 2, &changed_constant);
}

#[test]
fn every_changed_multiplier_of_an_affine_requantizer_fails_and_names_its_stage() {
    let fixture = fixture(
        "tests/vectors/networks/net_per_channel_21_11_6.tflite",
        "tests/vectors/networks/net_per_channel_21_11_6.npz",
        "output_tflm",
    );
    check(&fixture, 5, 3, &|stage, random| Some(changed_weight(stage, random)));
    check(&fixture, 5, 4, &changed_constant);
}
