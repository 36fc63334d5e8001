//! Every fault that a board must survive, on the register shell in Verilator with the digits network.
//!
//! Each request must end in time with exactly one answer that equals the software reference.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};
use support::board::{compile, digit_images, digits, expected};
use systole::bundle::Manifest;
use systole::host::board::Geometry;
use systole::host::{Accelerator, Board, BoardOptions};
use systole::sim::board::{self, SimTransport};
use systole::sim::{Cache, ShellSimulator, Toolchain};

/// Samples of a frame, and frames of a batch.
const FRAME: usize = 8;
const FRAMES: usize = 25;
/// Frames on the board at once.
const WINDOW: usize = 6;
/// What a batch may take, faults included.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines to play, and whether the board has to be reset for them.
fn faults(geometry: &Geometry) -> Vec<(Vec<String>, bool)> {
    let mut faults: Vec<(Vec<String>, bool)> =
        vec![(vec!["stalls 1".into()], false), (vec!["stalls 4".into()], false), (vec!["c2h hold".into()], true)];
    let beats = |sample: u32| (64 + sample * FRAME as u32) / geometry.beat_bytes;
    let header = 64 / geometry.beat_bytes;
    for (direction, beats) in [("h2c", beats(geometry.in_bytes)), ("c2h", beats(geometry.out_bytes))] {
        for error in ["EIO", "ETIMEDOUT", "EBUSY", "ENODEV"] {
            faults.push((vec![format!("{direction} fail 3 {error}")], true));
        }
        faults.push((vec![format!("{direction} short 3 {} EIO", geometry.beat_bytes * 3)], true));
        faults.push((vec![format!("{direction} last {}", beats + header + 1)], direction == "c2h"));
        faults.push((vec![format!("{direction} stall {} 3000", beats + 1)], false));
        // In the second frame's header, at the first and the last beat of its payload. Payloads have
        // no checksum, so a frame must follow: the first answer waits until the window is full.
        for beat in [beats + 1, beats + header, 2 * beats - 1] {
            for what in ["lose", "extra", "duplicate"] {
                let lines = vec!["c2h stall 0 20000".into(), format!("{direction} {what} {beat}")];
                faults.push((lines, true));
            }
        }
        for beat in [0, beats * 12 + header, beats * FRAMES as u32 - 1] {
            faults.push((vec![format!("{direction} stall {beat} forever")], true));
        }
    }
    faults
}

#[test]
fn every_fault_on_the_shell_ends_in_answers_that_equal_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = compile(folder.path(), "bundle", &digits(), 64);
    let manifest = Manifest::read(&bundle).unwrap();
    let (toolchain, cache) = (Toolchain::discover().unwrap(), Cache::of_user().unwrap());
    let simulator = ShellSimulator::build(&bundle, &toolchain, &cache, &mut |_| ()).unwrap();
    let inputs = digit_images(11, FRAME * FRAMES);
    let expected = expected(&bundle, &inputs);
    let shell = &simulator.shell;
    let frame_bytes = 64 + FRAME * shell.in_bytes.max(shell.out_bytes) as usize;
    let open = |watchdog_cycles| {
        let device = Box::new(simulator.start(5).unwrap());
        let options = board::BoardOptions { transfer_timeout: Duration::from_millis(800) };
        let simulated = Arc::new(board::Board::start(device, options).unwrap());
        let options = BoardOptions {
            in_flight: WINDOW,
            frame_bytes,
            stall_timeout: Duration::from_millis(500),
            watchdog_cycles,
            ..BoardOptions::default()
        };
        let board = Board::open(&manifest, Arc::new(SimTransport::new(simulated.clone())), options).unwrap();
        assert_eq!(board.frame_samples(), FRAME);
        (board, simulated)
    };
    let geometry = open(0).0.geometry();
    for (lines, reset) in faults(&geometry) {
        println!("{lines:?}");
        let (board, simulated) = open(0);
        lines.iter().for_each(|line| simulated.control(line.parse().unwrap()).unwrap());
        let begin = Instant::now();
        let outputs = board.infer(&inputs, PATIENCE).unwrap_or_else(|error| panic!("{lines:?}: {error}"));
        assert!(outputs == expected, "{lines:?}: an answer is not bit-exact");
        let statistics = board.statistics();
        assert_eq!((statistics.answered, statistics.failed), (FRAMES as u64, 0), "{lines:?}");
        assert_eq!(statistics.recoveries > 0, reset, "{lines:?}: {} recoveries", statistics.recoveries);
        assert!(begin.elapsed() < PATIENCE, "{lines:?}: {:?}", begin.elapsed());
    }

    // The watchdog sees a stall before the driver's own patience ends.
    let (board, simulated) = open(3000);
    simulated.control("c2h stall 40 forever".parse().unwrap()).unwrap();
    assert!(board.infer(&inputs, PATIENCE).unwrap() == expected, "watchdog");
    assert!(board.statistics().recoveries > 0);
}
