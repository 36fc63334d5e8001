//! Random small networks in Verilator, many side by side in one build: every stream bit by bit, interval and latency
//! to the cycle, without stalls and with them. Every emitted file is linted.

#[path = "../compiler/tests/networks/mod.rs"]
mod networks;

use networks::{case, lowered, tflite};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::Instant;
use systole::compiler::emit;
use systole::compiler::ops::random::Random;
use systole::compiler::passes::schedule_stages::{self, ScheduleOptions};
use systole::compiler::quant::Border;
use systole::compiler::schedule::Goal;
use systole::compiler::{CompileError, DataflowGraph, Graph, Profile, QuantGraph};
use systole::host::Session;
use systole::reference::NetworkReference;
use systole::sim::verify::{verify, Request};
use systole::sim::{pack, Cache, Simulator, Toolchain};

/// Networks a build.
const PACKED: u64 = 20;
/// Builds.
const BUILDS: u64 = 6;
/// Builds with `cargo xtask test --full`.
const ALL_BUILDS: u64 = 30;
/// Multipliers to fold for; doubled where they are too few.
const BUDGETS: [u64; 5] = [1, 4, 12, 40, 150];
/// Samples that are compared.
const SAMPLES: usize = 4;

/// A network with its schedule, written as a bundle.
struct Member {
    seed: u64,
    quant: QuantGraph,
    design: DataflowGraph,
    bundle: PathBuf,
}

/// The design of a seed, written below `folder`; none where the host computes the whole network.
fn member(seed: u64, folder: &Path) -> Option<Member> {
    let (graph, profile) = case(seed);
    member_of(seed, &graph, profile, folder)
}

/// As [`member`], of this network.
fn member_of(seed: u64, graph: &Graph, profile: Profile, folder: &Path) -> Option<Member> {
    let quant = lowered(graph, profile).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{graph}"));
    if quant.nodes.node_count() == 0 {
        return None;
    }
    let random = &mut Random::new(seed);
    let mut budget = random.pick(&BUDGETS);
    let mut lanes = |border: &Border| {
        let channels = quant.tensor(border.tensor).channels();
        random.pick(&[None, None, Some(1), Some(3)]).filter(|&lanes| lanes <= channels)
    };
    let (input_lanes, output_lanes) = (lanes(&quant.inputs[0]), lanes(&quant.outputs[0]));
    let design = loop {
        let goal = Goal::MaxMultipliers(budget);
        let options = ScheduleOptions { goal, input_lanes, output_lanes, ..ScheduleOptions::default() };
        match schedule_stages::run(&quant, &options) {
            Ok(design) => break design,
            Err(error @ CompileError::Internal { .. }) => panic!("seed {seed} at {budget}: {error}\n{quant}"),
            Err(error) if budget > 1 << 14 => panic!("seed {seed}: {error}\n{quant}"),
            Err(_) => budget *= 2,
        }
    };
    let figures = design.timed().unwrap().figures().unwrap_or_else(|error| panic!("seed {seed}: {error}\n{design}"));
    let text = emit::bundle(&quant, &design, &figures, None).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let bundle = folder.join(format!("seed{seed}"));
    emit::write_bundle(&text, &bundle).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    Some(Member { seed, quant, design, bundle })
}

/// What a group of networks came to.
#[derive(Default)]
struct Account {
    networks: usize,
    elements: u64,
    cycles: u64,
    /// Engines and requantizers of all stages, with their numbers.
    blocks: BTreeMap<String, usize>,
    failures: Vec<String>,
}

/// Runs an accelerator against the reference, with or without stalls.
fn run(member: &Member, simulator: &Simulator, stall_seed: Option<u64>, account: &Mutex<Account>) {
    let Member { seed, quant, design, .. } = member;
    let session = Session::new(&simulator.manifest).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let reference = NetworkReference::new(quant.clone(), session);
    let request = Request { vectors: None, samples: Some(SAMPLES), stall_seed };
    let report = verify(simulator, &reference, &request, &mut |_| ControlFlow::Continue(()))
        .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{design}"));
    let mut account = account.lock().unwrap();
    account.elements += report.elements;
    account.cycles += report.cycles;
    if !report.passed() {
        account.failures.push(format!("seed {seed}, stalls {stall_seed:?}: {report}\n{design}"));
    }
}

/// `verilator --lint-only -Wall` over every file of a group: what it says, nothing where all is well.
fn lint(members: &[Member], toolchain: &Toolchain) -> String {
    let mut said = String::new();
    for member in members {
        let mut command = Command::new(&toolchain.verilator);
        command.args(["--lint-only", "-Wall", "-f", "files.f", "--top-module", &member.design.name]);
        let output = command.current_dir(member.bundle.join("rtl")).output().unwrap();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    said
}

/// Builds the networks of the seeds `group * PACKED ..` as one model and runs each.
fn group(group: u64, toolchain: &Toolchain, cache: &Cache, account: &Mutex<Account>) {
    let folder = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let seeds = group * PACKED..(group + 1) * PACKED;
    let members: Vec<Member> = seeds.clone().filter_map(|seed| member(seed, folder.path())).collect();
    let compiled = begin.elapsed();
    let said = lint(&members, toolchain);
    assert!(said.is_empty(), "seeds {seeds:?}:\n{said}");
    let linted = begin.elapsed();
    let bundles: Vec<PathBuf> = members.iter().map(|member| member.bundle.clone()).collect();
    let simulators = pack::build(&bundles, &folder.path().join("pack"), toolchain, cache, &mut |_| ())
        .unwrap_or_else(|error| panic!("seeds {seeds:?}: {error}"));
    let built = begin.elapsed();
    for (member, simulator) in members.iter().zip(&simulators) {
        run(member, simulator, None, account);
        run(member, simulator, Some(member.seed + 1), account);
        let mut account = account.lock().unwrap();
        account.networks += 1;
        for stage in &simulator.manifest.stages {
            *account.blocks.entry(format!("{} {}", stage.engine, stage.requantizer)).or_default() += 1;
        }
    }
    println!(
        "seeds {seeds:?}: {:.1} s compiling, {:.1} s linting, {:.1} s building, {:.1} s running",
        compiled.as_secs_f64(),
        (linted - compiled).as_secs_f64(),
        (built - linted).as_secs_f64(),
        (begin.elapsed() - built).as_secs_f64()
    );
}

fn tools() -> (Toolchain, Cache) {
    let toolchain = Toolchain::discover().unwrap_or_else(|error| panic!("these tests simulate: {error}"));
    (toolchain, Cache::at(Path::new(env!("CARGO_TARGET_TMPDIR")).join("systole-cache")))
}

#[test]
fn a_residual_network_of_depthwise_layers_gives_the_same_answers_under_ten_stall_seeds() {
    let (toolchain, cache) = tools();
    let folder = tempfile::tempdir().unwrap();
    let graph = tflite::residual_depthwise("residual");
    let member = member_of(2, &graph, Profile::Tflm, folder.path()).expect("a design");
    let engines: Vec<&str> = member.design.stages().map(|stage| stage.spec.engine.name()).collect();
    assert!(["matrix", "vector", "join", "reduce"].iter().all(|engine| engines.contains(engine)), "{engines:?}");
    let simulator = Simulator::build(&member.bundle, &toolchain, &cache, None, &mut |_| ()).unwrap();
    let account = Mutex::default();
    for stall_seed in 1..=10 {
        run(&member, &simulator, Some(stall_seed), &account);
    }
    let Account { elements, cycles, failures, .. } = account.into_inner().unwrap();
    println!("{elements} output elements, {cycles} cycles");
    assert!(failures.is_empty() && elements > 0, "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn random_networks_run_bit_exact_and_on_the_predicted_cycles_with_and_without_stalls() {
    let (toolchain, cache) = tools();
    let builds = if std::env::var_os("SYSTOLE_FULL").is_some() { ALL_BUILDS } else { BUILDS };
    let (next, account) = (AtomicU64::new(0), Mutex::new(Account::default()));
    let work = || loop {
        match next.fetch_add(1, Ordering::Relaxed) {
            number if number < builds => group(number, &toolchain, &cache, &account),
            _ => break,
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let Account { networks, elements, cycles, blocks, failures } = account.into_inner().unwrap();
    println!("{networks} networks in {builds} builds, {elements} output elements, {cycles} cycles; {blocks:?}");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    for engine in ["matrix", "vector", "reduce", "join", "concat", "pass"] {
        let stages: usize = blocks.iter().filter(|(name, _)| name.starts_with(engine)).map(|(_, count)| count).sum();
        assert!(stages >= 4, "{stages} stages of the {engine} engine: {blocks:?}");
    }
}
