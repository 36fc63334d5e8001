//! `systole run`: batches through an accelerator.

mod batches;
mod boards;
mod core;

use super::progress::Progress;
use super::table::grouped;
use super::{output, Failure, Verdict};
use batches::Batches;
use clap::Args;
use std::path::PathBuf;
use systole::bundle::{Array, Manifest};
use systole::npy;

/// Samples a batch where nothing says how many.
const DEFAULT_BATCH: usize = 1024;

/// Arguments of `systole run`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Bundle to run
    #[arg(value_name = "DIR")]
    bundle: PathBuf,
    /// Inputs, samples outermost: .npy, .npz with --input-key, a folder of such files in the order of their names, or -
    /// for .npy arrays one after another on standard input
    #[arg(long, value_name = "X")]
    input: PathBuf,
    /// Array of .npz files
    #[arg(long, value_name = "K", default_value = "input")]
    input_key: String,
    /// File of the outputs, .npy
    #[arg(long, value_name = "Y")]
    output: PathBuf,
    /// Samples handed over at a time
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BATCH)]
    batch: usize,
    /// Batches under way at a time
    #[arg(long, value_name = "N", default_value_t = 2)]
    in_flight: usize,
    /// Where the accelerator is: sim, the core simulated in this process; sim-shell, a whole board simulated in this
    /// process; xdma:PREFIX, a board behind the XDMA driver, such as xdma:/dev/xdma0. Several boards share the work
    #[arg(long, value_name = "BOARD", default_value = "sim")]
    board: Vec<String>,
    /// Seconds that a batch may take on a board
    #[arg(long, value_name = "S", default_value_t = 600.0)]
    timeout: f64,
}

/// What came of a run.
struct Outcome {
    /// Outputs of batches, in order.
    answers: Vec<Array>,
    /// The line that tells what it took.
    summary: String,
}

/// Runs all samples and writes the outputs.
///
/// # Errors
/// If the bundle, the input or a board is not usable, or a batch gets no answer. No output is written then.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let boards = boards::parse(&arguments.board)?;
    for (option, value) in [("--batch", arguments.batch), ("--in-flight", arguments.in_flight)] {
        if value == 0 {
            return Err(Failure::usage(format!("{option} is 0"), "give at least 1"));
        }
    }
    let manifest = Manifest::read(&arguments.bundle)?;
    let mut batches = Batches::open(&arguments.input, &arguments.input_key, arguments.batch)?;
    let progress = Progress::new("building the simulation");
    let outcome = match boards.as_slice() {
        [boards::Place::Core] => core::run(arguments, &manifest, &mut batches, &progress)?,
        boards => Some(boards::run(arguments, &manifest, boards, &mut batches, &progress)?),
    };
    drop(progress);
    // The accelerator broke its rules and has said which.
    let Some(Outcome { answers, summary }) = outcome else { return Ok(Verdict::CheckFailed) };
    let answers = batches::join(answers).ok_or_else(|| {
        let message = format!("{}: no samples", arguments.input.display());
        Failure::usage(message, "give at least one sample")
    })?;
    npy::write(&answers, &arguments.output).map_err(|error| Failure::io(&arguments.output, error))?;
    let name = manifest.output_border.first().map_or("output", |border| &border.host_name);
    output::text(&format!(
        "{} samples {summary}\n{name}: {kind} {shape:?} -> {path}\n",
        grouped(answers.shape().first().copied().unwrap_or(0) as u64),
        kind = answers.type_name(),
        shape = answers.shape(),
        path = arguments.output.display(),
    ))?;
    Ok(Verdict::Done)
}
