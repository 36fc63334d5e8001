//! Boards behind the driver: simulated in this process, or behind device nodes.

use super::batches::Batches;
use super::{Arguments, Outcome};
use crate::cli::progress::Progress;
use crate::cli::Failure;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use systole::bundle::Manifest;
use systole::host::transport::xdma::{XdmaOptions, XdmaTransport};
use systole::host::{Accelerator, Board, BoardOptions, Boards, StreamOptions, Transport};
use systole::sim::board::{self, SimTransport};
use systole::sim::{Cache, ShellSimulator, Toolchain};

/// Seed of the noise in a simulated board's state before its reset; each board has another.
const NOISE_SEED: u64 = 1;
/// How long a board may move no beat with samples inside: less than the XDMA driver's own limit.
const XDMA_STALL: Duration = Duration::from_secs(8);
/// The same for a simulation, where a million cycles can take a minute.
const SIM_STALL: Duration = Duration::from_secs(120);

/// Where an accelerator is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The core, simulated in this process.
    Core,
    /// Shell and core, simulated in this process.
    Shell,
    /// Device nodes whose names begin so.
    Xdma(PathBuf),
}

/// The places that `--board` names.
pub fn parse(boards: &[String]) -> Result<Vec<Place>, Failure> {
    let place = |board: &String| match board.as_str() {
        "sim" => Ok(Place::Core),
        "sim-shell" => Ok(Place::Shell),
        board => match board.strip_prefix("xdma:").filter(|prefix| !prefix.is_empty()) {
            Some(prefix) => Ok(Place::Xdma(prefix.into())),
            None => Err(Failure::usage(format!("no board `{board}`"), "there are sim, sim-shell and xdma:PREFIX")),
        },
    };
    let places = boards.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    if places.len() > 1 && places.contains(&Place::Core) {
        let message = format!("{} boards, of which one is `sim`: the core alone is no board", places.len());
        return Err(Failure::usage(message, "simulate boards with sim-shell, one for each `--board sim-shell`"));
    }
    Ok(places)
}

/// Streams all batches through the boards.
pub fn run(
    arguments: &Arguments,
    manifest: &Manifest,
    places: &[Place],
    batches: &mut Batches,
    progress: &Progress,
) -> Result<Outcome, Failure> {
    let timeout = Duration::try_from_secs_f64(arguments.timeout).ok().filter(|time| !time.is_zero());
    let Some(timeout) = timeout else {
        return Err(Failure::usage(format!("--timeout is {}", arguments.timeout), "give a positive number of seconds"));
    };
    let boards = Boards::new(open(arguments, manifest, places, progress)?)?;
    let frames = arguments.batch.div_ceil(boards.frame_samples().max(1));
    let in_flight = arguments.in_flight.saturating_mul(frames);
    let begin = Instant::now();
    let (mut answers, mut done) = (Vec::new(), 0);
    let mut stream = boards.stream(batches.by_ref(), StreamOptions { in_flight, timeout });
    for answer in stream.by_ref() {
        let answer = answer?;
        done += super::batches::samples(&answer) as u64;
        answers.push(answer);
        progress.samples(done, None);
    }
    drop(stream);
    if let Some(failure) = batches.take_failure() {
        return Err(failure);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let lost = boards.boards().iter().filter(|board| board.failure().is_some()).count();
    let recoveries: u64 = boards.boards().iter().map(|board| board.statistics().recoveries).sum();
    let mut summary = format!("in {seconds:.2} s, {:.0} a second", done as f64 / seconds.max(1e-9));
    if recoveries > 0 {
        summary.push_str(&format!("; {recoveries} recoveries, {lost} of {} boards given up", places.len()));
    }
    Ok(Outcome { answers, summary })
}

fn open(
    arguments: &Arguments,
    manifest: &Manifest,
    places: &[Place],
    progress: &Progress,
) -> Result<Vec<Board>, Failure> {
    let mut simulator = None;
    let mut boards = Vec::new();
    for (place, seed) in places.iter().zip(NOISE_SEED..) {
        let (transport, stall_timeout): (Arc<dyn Transport>, Duration) = match place {
            Place::Xdma(prefix) => {
                let mut reset = prefix.clone().into_os_string();
                reset.push("_reset");
                // Simulated boards have no entry in sysfs, but a node of their own.
                let reset_path = Some(PathBuf::from(reset)).filter(|path| path.exists());
                let options = XdmaOptions { reset_path, ..XdmaOptions::default() };
                (Arc::new(XdmaTransport::open(prefix, options)?), XDMA_STALL)
            }
            Place::Core | Place::Shell => {
                let simulator = match &mut simulator {
                    Some(simulator) => simulator,
                    none => {
                        let (toolchain, cache) = (Toolchain::discover()?, Cache::of_user()?);
                        let mut step = |step| progress.build_step(step);
                        none.insert(ShellSimulator::build(&arguments.bundle, &toolchain, &cache, &mut step)?)
                    }
                };
                let device = Box::new(simulator.start(seed)?);
                let board = board::Board::start(device, board::BoardOptions { transfer_timeout: SIM_STALL });
                let board = board.map_err(|error| Failure::io("thread of the board", error))?;
                (Arc::new(SimTransport::new(Arc::new(board))), SIM_STALL)
            }
        };
        boards.push(Board::open(manifest, transport, BoardOptions { stall_timeout, ..BoardOptions::default() })?);
    }
    Ok(boards)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_are_named_and_others_refused() {
        let parse = |boards: &[&str]| parse(&boards.iter().map(|board| board.to_string()).collect::<Vec<_>>());
        assert_eq!(parse(&["sim"]).unwrap(), [Place::Core]);
        let boards = parse(&["sim-shell", "xdma:/dev/xdma1"]).unwrap();
        assert_eq!(boards, [Place::Shell, Place::Xdma("/dev/xdma1".into())]);
        for board in ["fpga", "xdma", "xdma:"] {
            let failure = parse(&[board]).unwrap_err();
            assert!(failure.to_string().contains(&format!("no board `{board}`")), "{failure}");
            assert_eq!(failure.exit_status(), 2);
        }
        assert!(parse(&["sim", "sim-shell"]).unwrap_err().to_string().starts_with("2 boards"));
    }
}
