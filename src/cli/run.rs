//! `systole run`: a batch through an accelerator.

use super::progress::Progress;
use super::table::grouped;
use super::{output, Failure, Verdict};
use clap::Args;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;
use systole::bundle::Array;
use systole::host::Session;
use systole::npy;
use systole::sim::{Cache, RunEnd, RunSpec, Simulator, Toolchain};

/// Samples a batch where nothing says how many.
const DEFAULT_BATCH: usize = 1024;
/// Seed of the noise in the simulated accelerator's state before its reset.
const NOISE_SEED: u64 = 1;

/// Arguments of `systole run`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Bundle to run
    #[arg(value_name = "DIR")]
    bundle: PathBuf,
    /// Array of inputs, samples outermost: .npy, or .npz with --input-key
    #[arg(long, value_name = "X")]
    input: PathBuf,
    /// Array of the .npz file
    #[arg(long, value_name = "K", default_value = "input")]
    input_key: String,
    /// File of the outputs, .npy
    #[arg(long, value_name = "Y")]
    output: PathBuf,
    /// Samples handed over at a time
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BATCH)]
    batch: usize,
    /// Batches under way at a time
    #[arg(long, value_name = "N", default_value_t = 1)]
    in_flight: usize,
    /// Where the accelerator is: sim, in simulation in this process (sim-shell and xdma:PREFIX are
    /// not there yet)
    #[arg(long, value_name = "BOARD", default_value = "sim")]
    board: Vec<String>,
}

/// Runs all samples and writes the outputs.
///
/// # Errors
/// If the bundle, the input or the board is not usable. No output is written then.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    check_board(&arguments.board)?;
    for (option, value) in [("--batch", arguments.batch), ("--in-flight", arguments.in_flight)] {
        if value == 0 {
            return Err(Failure::usage(format!("{option} is 0"), "give at least 1"));
        }
    }
    let manifest = systole::bundle::Manifest::read(&arguments.bundle)?;
    let session = Session::new(&manifest)?;
    let input = Array::read(&arguments.input, &arguments.input_key)?;
    let packed = session.pack(&input)?;
    if packed.samples == 0 {
        let message = format!("{}: array `{}` holds no samples", arguments.input.display(), arguments.input_key);
        return Err(Failure::usage(message, "give at least one sample"));
    }

    let (toolchain, cache) = (Toolchain::discover()?, Cache::of_user()?);
    let progress = Progress::new("building the simulation");
    let simulator =
        Simulator::build(&arguments.bundle, &toolchain, &cache, None, &mut |step| progress.build_step(step))?;
    let mut model = simulator.start(NOISE_SEED)?;
    let begin = Instant::now();
    // Batches under way together follow each other without a gap; the pipeline drains behind them.
    let together = arguments.batch.saturating_mul(arguments.in_flight).min(packed.samples);
    let chunk = together.saturating_mul(session.input_sample_bytes());
    let mut beats = Vec::with_capacity(packed.samples.saturating_mul(session.output_sample_bytes()));
    let (mut cycles, mut done) = (0, 0);
    let output_beats = model.output().beats as u64;
    for input in packed.beats.chunks(chunk) {
        let samples = input.len() / session.input_sample_bytes();
        let spec = RunSpec::new(input, samples);
        let mut run = model.run_watched(&spec, &mut |now| {
            let through = done + now.output_beats / output_beats;
            progress.share("simulating", through, packed.samples as u64, "samples");
            ControlFlow::Continue(())
        })?;
        if run.end != RunEnd::Done || !run.violations.is_empty() {
            drop(progress);
            output::message("the accelerator broke the rules of its streams:");
            run.violations.iter().for_each(|violation| output::message(&format!("  {violation}")));
            output::message("no output was written; `systole verify` looks closer");
            return Ok(Verdict::CheckFailed);
        }
        cycles += run.cycles;
        done += samples as u64;
        beats.append(&mut run.beats[model.output_index()]);
    }
    drop(progress);
    let seconds = begin.elapsed().as_secs_f64();
    let answers = session.unpack(&beats, packed.samples)?;
    npy::write(&answers, &arguments.output).map_err(|error| Failure::io(&arguments.output, error))?;
    output::text(&format!(
        "{samples} samples in {cycles} simulated cycles, {each:.1} each; {seconds:.2} s, {speed} cycles a second\n\
         {name}: {kind} {shape:?} -> {path}\n",
        samples = grouped(packed.samples as u64),
        cycles = grouped(cycles),
        each = cycles as f64 / packed.samples as f64,
        speed = grouped((cycles as f64 / seconds.max(1e-9)) as u64),
        name = session.output().host_name,
        kind = answers.type_name(),
        shape = answers.shape(),
        path = arguments.output.display(),
    ))?;
    Ok(Verdict::Done)
}

/// Refuses boards that are not there yet.
fn check_board(boards: &[String]) -> Result<(), Failure> {
    let only_simulated = "use --board sim: the core, simulated in this process";
    match boards {
        [board] if board == "sim" => Ok(()),
        [board] if board == "sim-shell" => {
            Err(Failure::usage("board `sim-shell`: the register shell is not there yet", only_simulated))
        }
        [board] if board.starts_with("xdma:") => {
            Err(Failure::usage(format!("board `{board}`: the driver for boards is not there yet"), only_simulated))
        }
        [board] => Err(Failure::usage(format!("no board `{board}`"), "there are sim, sim-shell and xdma:PREFIX")),
        _ => Err(Failure::usage(
            format!("{} boards: one network on several boards is not there yet", boards.len()),
            only_simulated,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_that_are_not_there_yet_are_refused_by_name() {
        let check = |boards: &[&str]| check_board(&boards.iter().map(|board| board.to_string()).collect::<Vec<_>>());
        assert!(check(&["sim"]).is_ok());
        for board in ["sim-shell", "xdma:/dev/xdma0", "fpga", "xdma"] {
            let failure = check(&[board]).unwrap_err();
            assert!(failure.to_string().contains(&format!("board `{board}`")), "{failure}");
            assert_eq!(failure.exit_status(), 2);
        }
        assert!(check(&["sim", "sim"]).unwrap_err().to_string().starts_with("2 boards"));
    }
}
