//! The driver against boards with faults: null devices in process, and behind device nodes.
//!
//! Every request must end in time with exactly one answer, bit-exact, or one error. A null device
//! answers a sample with itself, so a beat too many or too few anywhere shows in the answers.

use crate::common::Bundle;
use std::sync::Arc;
use std::time::{Duration, Instant};
use systole_bundle::{Array, DesignHash, Manifest};
use systole_host::board::{BoardOptions, RequestError};
use systole_host::{Accelerator, Board, Boards, InferError, Transport};
use systole_sim::board::{self, NullDesign, NullDevice, SimTransport};

/// Samples of a batch: 25 frames of 16 samples, 24 beats each.
const SAMPLES: usize = 400;
const FRAME_BYTES: usize = 64 + 16 * 8;
/// What any batch may take, faults included.
const PATIENCE: Duration = Duration::from_secs(20);

fn manifest() -> Manifest {
    let mut manifest = Bundle::tiny([0, 0, 0]).manifest;
    manifest.structure_hash = "000102030405060708090a0b0c0d0e0f".into();
    manifest.parameter_hash = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff".into();
    manifest
}

fn simulated() -> Arc<board::Board> {
    let hash = DesignHash::of(&manifest()).unwrap();
    let design = NullDesign { hash, beat_bytes: 8, in_bytes: 8, out_bytes: 8, max_samples: 64 };
    let options = board::BoardOptions { transfer_timeout: Duration::from_millis(500) };
    Arc::new(board::Board::start(Box::new(NullDevice::new(design)), options).unwrap())
}

fn open(transport: Arc<dyn Transport>) -> Board {
    let options = BoardOptions {
        in_flight: 6,
        frame_bytes: FRAME_BYTES,
        stall_timeout: Duration::from_millis(300),
        quiesce_timeout: Duration::from_secs(3),
        ..BoardOptions::default()
    };
    Board::open(&manifest(), transport, options).unwrap()
}

/// `[samples, 2, 3]` seeded bytes.
fn batch(seed: u64, samples: usize) -> Array {
    let mut state = seed;
    let values = (0..samples * 6).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as i64
    });
    let values = ndarray::Array::from_iter(values).into_shape_with_order((samples, 2, 3)).unwrap();
    Array::Int(values.into_dyn(), "uint8".into())
}

/// Faults behind which every request still gets its answer, and whether the board had to be reset for that.
fn survivable() -> Vec<(String, bool)> {
    let mut faults: Vec<(String, bool)> = [
        ("h2c last 40", false),
        ("interrupts lose 5", false),
        ("interrupts spurious 5", false),
        ("h2c stall 50 40", false),
        ("c2h stall 50 40", false),
        ("c2h last 40", true),
        ("c2h hold", true),
        ("h2c short 3 64 EIO", true),
        ("c2h short 3 64 ETIMEDOUT", true),
    ]
    .map(|(line, reset)| (line.to_string(), reset))
    .into();
    for direction in ["h2c", "c2h"] {
        for error in ["EIO", "ETIMEDOUT", "EBUSY", "ENODEV"] {
            faults.push((format!("{direction} fail 3 {error}"), true));
        }
        // In a header, at the first, a middle and the last beat of a payload.
        for beat in [25, 32, 40, 47] {
            for what in ["lose", "extra", "duplicate"] {
                faults.push((format!("{direction} {what} {beat}"), true));
            }
        }
        // The first beat of all, one inside a frame, the last of the batch.
        for beat in [0, 301, 599] {
            faults.push((format!("{direction} stall {beat} forever"), true));
        }
    }
    faults
}

/// Plays every fault on a board of its own behind a transport from `connect`, which also takes the fault.
fn every_fault_is_survived<T>(mut connect: impl FnMut() -> (Arc<dyn Transport>, Arc<board::Board>, T)) {
    for (seed, (line, reset)) in survivable().into_iter().enumerate() {
        println!("{line}");
        let (transport, simulated, _alive) = connect();
        let board = open(transport);
        let inputs = batch(seed as u64, SAMPLES);
        if ["lose", "extra", "duplicate"].iter().any(|what| line.contains(what)) {
            // Payloads have no checksum: beats too many or too few show in the next header, so
            // there must be one. The first answer waits until the window of six frames is full.
            simulated.control("c2h stall 0 156".parse().unwrap()).unwrap();
        }
        simulated.control(line.parse().unwrap()).unwrap();
        let begin = Instant::now();
        let outputs = board.infer(&inputs, PATIENCE).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(outputs == inputs, "{line}: an answer is not bit-exact");
        let statistics = board.statistics();
        assert_eq!((statistics.answered, statistics.failed), (25, 0), "{line}");
        assert_eq!(statistics.recoveries > 0, reset, "{line}: {} recoveries", statistics.recoveries);
        assert!(begin.elapsed() < PATIENCE, "{line}: {:?}", begin.elapsed());
        let inputs = batch(!seed as u64, 20);
        assert!(board.infer(&inputs, PATIENCE).unwrap() == inputs, "{line}: afterwards");
    }
}

#[test]
fn every_fault_ends_in_bit_exact_answers_in_process() {
    every_fault_is_survived(|| {
        let simulated = simulated();
        (Arc::new(SimTransport::new(simulated.clone())), simulated, ())
    });
}

#[test]
fn buffers_and_threads_are_gone_with_the_board() {
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let simulated = simulated();
    let transport = Arc::new(SimTransport::new(simulated.clone()));
    let buffers = transport.buffers().clone();
    let board = open(transport);
    for line in ["h2c fail 2 EIO", "c2h stall 10 forever", "c2h lose 3"] {
        simulated.control(line.parse().unwrap()).unwrap();
        let inputs = batch(7, SAMPLES);
        assert!(board.infer(&inputs, PATIENCE).unwrap() == inputs, "{line}");
    }
    assert!(buffers.live() > 0);
    let before = threads();
    drop(board);
    drop(simulated);
    assert_eq!(buffers.live(), 0, "buffers that nobody frees");
    assert!(threads() < before || before == 0, "{before} threads before, {} afterwards", threads());
}

#[test]
fn a_board_that_dies_ends_every_request_with_one_error_in_time() {
    for line in ["kill", "registers ones"] {
        let simulated = simulated();
        let board = open(Arc::new(SimTransport::new(simulated.clone())));
        simulated.control("c2h stall 200 forever".parse().unwrap()).unwrap();
        let pending = board.begin(&batch(3, SAMPLES), PATIENCE).unwrap();
        simulated.control(line.parse().unwrap()).unwrap();
        let begin = Instant::now();
        let error = pending.wait().unwrap_err();
        assert!(matches!(error, InferError::Request { source: RequestError::Failed { .. }, .. }), "{line}: {error}");
        assert!(error.to_string().contains("power and link"), "{line}: {error}");
        assert!(begin.elapsed() < Duration::from_secs(10), "{line}: {:?}", begin.elapsed());
        assert!(board.infer(&batch(4, 1), PATIENCE).is_err(), "{line}");
    }
}

#[test]
fn a_deadline_ends_a_request_that_the_board_never_answers() {
    let simulated = simulated();
    let board = open(Arc::new(SimTransport::new(simulated.clone())));
    simulated.control("c2h fail 1 EIO".parse().unwrap()).unwrap();
    for beat in 0..200 {
        simulated.control(format!("c2h stall {beat} forever").parse().unwrap()).unwrap();
    }
    let begin = Instant::now();
    let error = board.infer(&batch(5, SAMPLES), Duration::from_millis(80)).unwrap_err();
    assert!(matches!(error, InferError::Request { source: RequestError::Deadline(_), .. }), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[test]
fn two_boards_lose_no_request_when_one_dies_under_load() {
    for kill_at in [0, 100, 555] {
        let (first, second) = (simulated(), simulated());
        let boards = [&first, &second].map(|board| open(Arc::new(SimTransport::new(board.clone()))));
        let boards = Boards::new(boards.into()).unwrap();
        first.control(format!("c2h stall {kill_at} forever").parse().unwrap()).unwrap();
        let inputs = batch(kill_at, 10 * SAMPLES);
        let pending = boards.begin(&inputs, PATIENCE).unwrap();
        std::thread::sleep(Duration::from_millis(10));
        first.control("kill".parse().unwrap()).unwrap();
        assert!(pending.wait().unwrap() == inputs);
        assert!(boards.boards()[0].failure().is_some() && boards.boards()[1].failure().is_none());
    }
}

#[cfg(all(feature = "fuse", target_os = "linux"))]
mod nodes {
    use super::*;
    use systole_host::transport::xdma::{XdmaOptions, XdmaTransport};
    use systole_sim::board::fuse::{usable, MountedBoard};

    fn connect() -> (Arc<dyn Transport>, Arc<board::Board>, (MountedBoard, tempfile::TempDir)) {
        let folder = tempfile::tempdir().unwrap();
        let mounted = MountedBoard::mount(simulated(), folder.path()).unwrap();
        let reset_path = Some(folder.path().join("xdma0_reset"));
        let options = XdmaOptions { reset_path, ..XdmaOptions::default() };
        let transport = XdmaTransport::open(&folder.path().join("xdma0"), options).unwrap();
        (Arc::new(transport), mounted.board().clone(), (mounted, folder))
    }

    #[test]
    fn every_fault_ends_in_bit_exact_answers_behind_device_nodes() {
        match usable() {
            Ok(()) => every_fault_is_survived(connect),
            Err(error) => println!("skipped: {error}"),
        }
    }

    #[test]
    fn two_boards_behind_device_nodes_lose_no_request_when_one_dies_under_load() {
        if let Err(error) = usable() {
            return println!("skipped: {error}");
        }
        let (first, second) = (connect(), connect());
        let boards = Boards::new(vec![open(first.0.clone()), open(second.0.clone())]).unwrap();
        let inputs = batch(9, 10 * SAMPLES);
        let pending = boards.begin(&inputs, PATIENCE).unwrap();
        first.1.control("kill".parse().unwrap()).unwrap();
        assert!(pending.wait().unwrap() == inputs);
    }
}
