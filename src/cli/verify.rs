//! `systole verify`: simulates a bundle's Verilog and compares everything.

use super::compile::interval;
use super::progress::Progress;
use super::{output, Failure, Verdict};
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use std::ops::ControlFlow;
use std::path::PathBuf;
use systole::bundle::Array;
use systole::reference::NetworkReference;
use systole::sim::verify::{verify, Report, Request, Vectors};
use systole::sim::{Cache, Simulator, Toolchain};

/// Arguments of `systole verify`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Bundle to verify
    #[arg(value_name = "DIR")]
    bundle: PathBuf,
    /// Archive of inputs and expected outputs, samples outermost; without it random inputs are
    /// compared with the bundle's own reference network
    #[arg(long, value_name = "F.npz", requires = "expect_key")]
    vectors: Option<PathBuf>,
    /// Array of the inputs
    #[arg(long, value_name = "K", default_value = "input")]
    input_key: String,
    /// Array of the outputs that the runtime gives
    #[arg(long, value_name = "K", requires = "vectors")]
    expect_key: Option<String>,
    /// Array of the tensor in front of a final softmax
    #[arg(long, value_name = "K", requires = "vectors")]
    logits_key: Option<String>,
    /// Samples to compare: the first of the archive, or as many random ones
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    /// Stall source and sink with random processes of this seed
    #[arg(long, value_name = "S")]
    stall_seed: Option<u64>,
    /// Write a waveform to this file: .vcd or .fst
    #[arg(long, value_name = "F")]
    trace: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Verifies a bundle. [`Verdict::CheckFailed`] if anything differs.
///
/// # Errors
/// If there is nothing to compare, the bundle or the arrays are unusable, or a tool is missing.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    // What the user gave is judged first: a wrong key must not wait for a Verilator build.
    let reference = NetworkReference::load(&arguments.bundle)?;
    let request =
        Request { vectors: vectors(arguments)?, samples: arguments.samples, stall_seed: arguments.stall_seed };
    let (toolchain, cache) = (Toolchain::discover()?, Cache::of_user()?);
    let progress = Progress::new("building the simulation");
    let trace = arguments.trace.as_deref();
    let simulator =
        Simulator::build(&arguments.bundle, &toolchain, &cache, trace, &mut |step| progress.build_step(step))?;
    let report = verify(&simulator, &reference, &request, &mut |now| {
        progress.cycles(now.cycle);
        ControlFlow::Continue(())
    })?;
    drop(progress);
    if arguments.json {
        output::json(&Summary::new(&report))?;
        // The object holds figures only; what failed is told apart.
        if !report.passed() {
            output::message(report.to_string().trim_end());
        }
    } else {
        output::text(&report.to_string())?;
    }
    Ok(if report.passed() { Verdict::Done } else { Verdict::CheckFailed })
}

/// The arrays that the arguments name.
fn vectors(arguments: &Arguments) -> Result<Option<Vectors>, Failure> {
    let Some(path) = &arguments.vectors else { return Ok(None) };
    let read = |key: &String| Array::read_npz(path, key);
    Ok(Some(Vectors {
        input: read(&arguments.input_key)?,
        expect: arguments.expect_key.as_ref().map(read).transpose()?,
        logits: arguments.logits_key.as_ref().map(read).transpose()?,
    }))
}

/// What `--json` prints, key by key.
#[derive(Debug, Serialize)]
struct Summary {
    samples: usize,
    elements: u64,
    mismatches: u64,
    initiation_interval_predicted: Value,
    initiation_interval_measured: Value,
    latency_predicted: u64,
    latency_measured: Option<u64>,
    cycles: u64,
    stalled_cycles: u64,
    build_seconds: f64,
    sim_seconds: f64,
    cycles_per_second: f64,
}

impl Summary {
    fn new(report: &Report) -> Summary {
        Summary {
            samples: report.samples,
            elements: report.elements,
            mismatches: report.mismatches,
            initiation_interval_predicted: interval(&report.interval_predicted),
            initiation_interval_measured: report.interval_measured.map_or(Value::Null, |it| interval(&it.to_string())),
            latency_predicted: report.latency_predicted,
            latency_measured: report.latency_measured,
            cycles: report.cycles,
            stalled_cycles: report.stalled_cycles(),
            build_seconds: report.build_seconds,
            sim_seconds: report.sim_seconds,
            cycles_per_second: report.cycles_per_second(),
        }
    }
}
