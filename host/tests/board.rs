//! Opening boards, and batches on boards without faults.

mod support;

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;
use support::loopback::{Behaviour, Loopback};
use support::manifest::manifest;
use support::{batch, open, options, PATIENCE};
use systole_host::board::{Request, RequestError};
use systole_host::{Accelerator, Board, BoardError, Boards, InferError, StreamOptions};

#[test]
fn a_batch_of_any_size_gives_the_networks_outputs() {
    let (board, _) = open(Behaviour::default());
    for samples in [0, 1, 7, 16, 17, 64, 333] {
        let (inputs, outputs) = batch(samples as u64, samples);
        assert_eq!(board.infer(&inputs, PATIENCE).unwrap(), outputs, "{samples} samples");
    }
    let statistics = board.statistics();
    assert_eq!((statistics.samples, statistics.failed, statistics.recoveries), (438, 0, 0));
    assert_eq!(statistics.answered, 1 + 1 + 1 + 2 + 4 + 21);
    assert_eq!(statistics.latency.count(), statistics.answered);
    assert!(statistics.throughput() > 0.0);
    let counters = board.counters().unwrap();
    assert_eq!(counters.frames, statistics.answered);
    assert_eq!(counters.beats_in * 8, statistics.bytes_sent);
    assert_eq!(counters.beats_out * 8, statistics.bytes_received);
}

#[test]
fn a_stream_gives_results_in_order_and_takes_batches_only_as_the_window_has_room() {
    let (board, _) = open(Behaviour::default());
    let taken = std::cell::Cell::new(0);
    let sizes = [3, 1, 40, 5, 2, 2, 9, 1, 1, 1, 16, 17];
    let batches = sizes.iter().enumerate().map(|(seed, &samples)| {
        taken.set(taken.get() + 1);
        batch(seed as u64, samples).0
    });
    let options = StreamOptions { in_flight: 4, timeout: PATIENCE };
    for (index, result) in board.stream(batches, options).enumerate() {
        assert_eq!(result.unwrap(), batch(index as u64, sizes[index]).1);
        assert!(taken.get() <= index + 5, "{} batches taken at result {index}", taken.get());
    }
    assert_eq!(taken.get(), sizes.len());
}

#[test]
fn a_batch_that_does_not_fit_stands_in_its_place_in_the_stream() {
    let (board, _) = open(Behaviour::default());
    let batches = [batch(1, 2).0, batch(2, 2).1, batch(3, 2).0];
    let results: Vec<_> = board.stream(batches, StreamOptions::default()).collect();
    assert_eq!(*results[0].as_ref().unwrap(), batch(1, 2).1);
    assert!(matches!(results[1], Err(InferError::Host(_))));
    assert_eq!(*results[2].as_ref().unwrap(), batch(3, 2).1);
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn a_batch_can_be_awaited() {
    let slow = Behaviour { transfer_time: Duration::from_millis(1), ..Behaviour::default() };
    let (board, _) = open(slow);
    let (inputs, outputs) = batch(5, 50);
    assert_eq!(block_on(async { board.begin(&inputs, PATIENCE)?.await }).unwrap(), outputs);
    let results = block_on(async {
        let mut stream = board.stream((0..6).map(|seed| batch(seed, 20).0), StreamOptions::default());
        let mut results = vec![];
        while let Some(result) = stream.receive().await {
            results.push(result.unwrap());
        }
        results
    });
    assert_eq!(results, (0..6).map(|seed| batch(seed, 20).1).collect::<Vec<_>>());
}

#[test]
fn answers_limited_by_credit_all_arrive() {
    let (board, transport) = open(Behaviour { lossless: false, ..Behaviour::default() });
    let (inputs, outputs) = batch(6, 100);
    assert_eq!(board.infer(&inputs, PATIENCE).unwrap(), outputs);
    assert_eq!(transport.shell(|shell| shell.read(0x58)), 0, "credit left over");
}

#[test]
fn another_network_on_the_board_is_refused_with_both_hashes() {
    let transport = Loopback::new(&manifest(), Behaviour::default());
    let mut other = manifest();
    other.structure_hash = "ff0102030405060708090a0b0c0d0e0f".into();
    let error = Board::open(&other, transport.clone(), options()).err().unwrap();
    assert!(matches!(error, BoardError::WrongDesign { differs: "structure", .. }), "{error:?}");
    for part in [
        "another structure than the bundle",
        "the bundle has structure ff0102030405060708090a0b0c0d0e0f parameters f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
        "the board structure 000102030405060708090a0b0c0d0e0f parameters f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
        "program the board",
    ] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    other = manifest();
    other.parameter_hash = "00".repeat(16);
    let error = Board::open(&other, transport.clone(), options()).err().unwrap();
    assert!(matches!(error, BoardError::WrongDesign { differs: "parameters", .. }), "{error:?}");
    other.parameter_hash = "no hash".into();
    let error = Board::open(&other, transport, options()).err().unwrap();
    assert!(error.to_string().contains("`no hash`"), "{error}");
}

#[test]
fn a_dead_link_and_a_stranger_at_the_registers_are_told_apart() {
    let transport = Loopback::new(&manifest(), Behaviour::default());
    transport.shell(|shell| shell.dead = true);
    let error = Board::open(&manifest(), transport, options()).err().unwrap();
    assert!(error.to_string().contains("all ones") && error.to_string().contains("power"), "{error}");
    let transport = Loopback::new(&manifest(), Behaviour::default());
    transport.shell(|shell| shell.magic = 0x1fc2_0006);
    let error = Board::open(&manifest(), transport.clone(), options()).err().unwrap();
    assert_eq!(error, BoardError::NotAShell(0x1fc2_0006));
    transport.shell(|shell| (shell.magic, shell.abi) = (0x5359_5354, 2 << 16 | 3));
    let error = Board::open(&manifest(), transport.clone(), options()).err().unwrap();
    assert_eq!(error, BoardError::Abi { major: 2, minor: 3 });
    // A later minor version has more registers, and all of these.
    transport.shell(|shell| shell.abi = 1 << 16 | 9);
    assert!(Board::open(&manifest(), transport, options()).is_ok());
}

#[test]
fn a_core_whose_reset_never_ends_is_reported_in_time() {
    let transport = Loopback::new(&manifest(), Behaviour::default());
    transport.shell(|shell| shell.reset_stuck = true);
    let error = Board::open(&manifest(), transport, options()).err().unwrap();
    assert!(matches!(error, BoardError::ResetStuck(..)), "{error}");
}

#[test]
fn a_frame_that_the_board_does_not_take_is_refused_with_the_limits() {
    let (board, _) = open(Behaviour::default());
    for (samples, bytes) in [(0, 0), (17, 17 * 6), (1, 5), (u32::MAX, 6)] {
        let (send, receive) = std::sync::mpsc::channel();
        board.submit(Request {
            samples,
            payload: vec![0; bytes].into(),
            timeout: PATIENCE,
            cancel: Default::default(),
            reply: Box::new(move |result| send.send(result).unwrap()),
        });
        let error = receive.recv().unwrap().unwrap_err();
        assert_eq!(error, RequestError::Size { samples, bytes, most: 16, sample_bytes: 6 });
    }
}

#[test]
fn several_boards_share_the_frames() {
    let slow = || Behaviour { transfer_time: Duration::from_micros(200), ..Behaviour::default() };
    let (boards, transports): (Vec<_>, Vec<_>) = (0..3).map(|_| open(slow())).unzip();
    let boards = Boards::new(boards).unwrap();
    let (inputs, outputs) = batch(9, 960);
    assert_eq!(boards.infer(&inputs, PATIENCE).unwrap(), outputs);
    let sent: Vec<u64> = transports.iter().map(|transport| transport.sent()).collect();
    assert_eq!(sent.iter().sum::<u64>(), 60);
    assert!(sent.iter().all(|&count| count >= 10), "{sent:?}");
    assert!(Boards::new(vec![]).is_err());
}

#[test]
fn boards_with_different_designs_do_not_share_the_work() {
    let mut other = manifest();
    other.parameter_hash = "22".repeat(16);
    let second = Board::open(&other, Loopback::new(&other, Behaviour::default()), options()).unwrap();
    let error = Boards::new(vec![open(Behaviour::default()).0, second]).err().unwrap();
    assert!(matches!(error, BoardError::Mixed { .. }), "{error}");
}
