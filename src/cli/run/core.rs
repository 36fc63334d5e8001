//! The accelerator's core in simulation, without shell and driver.

use super::batches::{samples, Batches};
use super::{Arguments, Outcome};
use crate::cli::progress::Progress;
use crate::cli::table::grouped;
use crate::cli::{output, Failure};
use std::ops::ControlFlow;
use std::time::Instant;
use systole::bundle::{Array, Manifest};
use systole::host::Session;
use systole::sim::{Cache, RunEnd, RunSpec, Simulator, Toolchain};

/// Seed of the noise in the simulated accelerator's state before its reset.
const NOISE_SEED: u64 = 1;

/// Simulates all batches; nothing if the accelerator broke the rules of its streams.
pub fn run(
    arguments: &Arguments,
    manifest: &Manifest,
    batches: &mut Batches,
    progress: &Progress,
) -> Result<Option<Outcome>, Failure> {
    let session = Session::new(manifest)?;
    // A batch that does not fit is told before anything is built.
    let mut first = batches.next().map(|batch| session.pack(&batch)).transpose()?;
    if first.is_none() {
        let nothing = Outcome { answers: Vec::new(), summary: String::new() };
        return batches.take_failure().map_or(Ok(Some(nothing)), Err);
    }
    let (toolchain, cache) = (Toolchain::discover()?, Cache::of_user()?);
    let simulator =
        Simulator::build(&arguments.bundle, &toolchain, &cache, None, &mut |step| progress.build_step(step))?;
    let mut model = simulator.start(NOISE_SEED)?;
    let begin = Instant::now();
    let output_beats = model.output().beats as u64;
    let (mut answers, mut cycles, mut done) = (Vec::<Array>::new(), 0, 0);
    loop {
        // Batches under way together follow each other without a gap; the pipeline drains behind them.
        let mut packed = match first.take() {
            Some(packed) => packed,
            None => match batches.next() {
                Some(batch) => session.pack(&batch)?,
                None => break,
            },
        };
        for batch in batches.by_ref().take(arguments.in_flight - 1) {
            let more = session.pack(&batch)?;
            packed.samples += more.samples;
            packed.beats.extend(more.beats);
        }
        let total = batches.total();
        let mut run = model.run_watched(&RunSpec::new(&packed.beats, packed.samples), &mut |now| {
            progress.samples(done + now.output_beats / output_beats, total);
            ControlFlow::Continue(())
        })?;
        if run.end != RunEnd::Done || !run.violations.is_empty() {
            output::message("the accelerator broke the rules of its streams:");
            run.violations.iter().for_each(|violation| output::message(&format!("  {violation}")));
            output::message("no output was written; `systole verify` looks closer");
            return Ok(None);
        }
        cycles += run.cycles;
        done += packed.samples as u64;
        let beats = run.beats.get_mut(model.output_index()).map(std::mem::take).unwrap_or_default();
        answers.push(session.unpack(&beats, packed.samples)?);
    }
    if let Some(failure) = batches.take_failure() {
        return Err(failure);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let samples: usize = answers.iter().map(samples).sum();
    let summary = format!(
        "in {} simulated cycles, {:.1} each; {seconds:.2} s, {} cycles a second",
        grouped(cycles),
        cycles as f64 / samples.max(1) as f64,
        grouped((cycles as f64 / seconds.max(1e-9)) as u64),
    );
    Ok(Some(Outcome { answers, summary }))
}
