//! Every fault that a board or its link can have: each request ends with exactly one exact answer or
//! one typed error, in time; no thread and no buffer is left.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc};
use std::time::{Duration, Instant};
use support::loopback::{Behaviour, Fault, Kind, Loopback};
use support::manifest::manifest;
use support::{alone, await_threads, batch, open, options, PATIENCE};
use systole_bundle::registers::error;
use systole_host::board::{Cancel, Request, Statistics};
use systole_host::transport::{Direction, Reset};
use systole_host::{Accelerator, Board, BoardOptions, Boards, InferError, RequestError, StreamOptions};

use Direction::{FromBoard, ToBoard};

/// Frames of a run; each takes one transfer each way where nothing goes wrong.
const FRAMES: u64 = 12;

/// Runs a stream of one-frame batches and checks that every result is exact. What was left of it.
fn exact_in_spite_of(behaviour: Behaviour) -> (Statistics, Vec<Reset>) {
    let described = format!("{:?}", behaviour.faults);
    let (board, transport) = open(behaviour);
    let batches = (0..FRAMES).map(|seed| batch(seed, 4).0);
    let results = board.stream(batches, StreamOptions { in_flight: 6, timeout: PATIENCE });
    let mut count = 0;
    for (seed, result) in results.enumerate() {
        let result = result.unwrap_or_else(|error| panic!("{described}: batch {seed}: {error}"));
        assert_eq!(result, batch(seed as u64, 4).1, "{described}: batch {seed}");
        count += 1;
    }
    assert_eq!(count, FRAMES);
    let statistics = board.statistics();
    assert_eq!((statistics.answered, statistics.failed), (FRAMES, 0), "{described}");
    drop(board);
    assert_eq!(transport.live_buffers(), 0, "{described}");
    await_threads(0);
    (statistics, transport.resets())
}

fn once(direction: Direction, nth: u64, kind: Kind) -> Behaviour {
    Behaviour { faults: vec![Fault { direction, nth, kind }], ..Behaviour::default() }
}

#[test]
fn a_failed_transfer_at_any_place_costs_a_soft_reset_and_no_answer() {
    let _alone = alone();
    for direction in [ToBoard, FromBoard] {
        for kind in [Kind::Io, Kind::Timeout, Kind::Offline, Kind::Gone] {
            for nth in [0, 1, 5, FRAMES - 1] {
                let (statistics, resets) = exact_in_spite_of(once(direction, nth, kind));
                assert_eq!((statistics.recoveries, statistics.function_resets), (1, 0), "{direction:?} {kind:?} {nth}");
                assert_eq!(resets, [Reset::Channel]);
            }
        }
    }
}

#[test]
fn a_short_count_is_never_taken_for_a_whole_transfer() {
    let _alone = alone();
    for direction in [ToBoard, FromBoard] {
        for beats in [0, 1, 8, 11] {
            let (statistics, _) = exact_in_spite_of(once(direction, 3, Kind::Short(beats)));
            assert!(statistics.recoveries >= 1, "{direction:?} {beats}");
        }
    }
}

#[test]
fn beats_lost_added_or_doubled_on_the_way_to_the_board_are_found() {
    let _alone = alone();
    // The header's beats, a middle and the last one of the payload, of a frame of 12 beats.
    for beat in [0, 1, 7, 8, 9, 11] {
        for kind in [Kind::Lost(beat), Kind::Extra(beat), Kind::Duplicated(beat)] {
            for nth in [0, 4] {
                let (statistics, _) = exact_in_spite_of(once(ToBoard, nth, kind));
                assert!(statistics.recoveries >= 1, "{kind:?} {nth}");
            }
        }
    }
}

#[test]
fn beats_lost_added_or_doubled_in_an_answer_are_found_by_the_next_header() {
    let _alone = alone();
    for beat in [0, 1, 7, 8, 9, 11] {
        for kind in [Kind::Lost(beat), Kind::Extra(beat), Kind::Duplicated(beat)] {
            for nth in [0, 2] {
                let (board, transport) = open(once(FromBoard, nth, kind));
                // So that a frame is behind the one that is struck.
                transport.pause(true);
                let pending: Vec<_> = (0..4).map(|seed| board.begin(&batch(seed, 4).0, PATIENCE).unwrap()).collect();
                transport.pause(false);
                for (seed, pending) in (0..).zip(pending) {
                    assert_eq!(pending.wait().unwrap(), batch(seed, 4).1, "{kind:?} {nth} {seed}");
                }
                assert!(board.statistics().recoveries >= 1, "{kind:?} {nth}");
            }
        }
    }
}

#[test]
fn a_stall_at_the_first_a_middle_or_the_last_beat_ends_in_a_reset() {
    let _alone = alone();
    for direction in [ToBoard, FromBoard] {
        for beat in [0, 1, 6, 8, 10, 11] {
            let (statistics, _) = exact_in_spite_of(once(direction, 2, Kind::Stall(beat)));
            assert!(statistics.recoveries >= 1, "{direction:?} {beat}");
        }
    }
}

#[test]
fn faults_in_a_row_are_survived_as_long_as_answers_come_between() {
    let _alone = alone();
    // Two faults at least are among the first twelve transfers, in windows of four.
    for gap in [2, 3, 4, 5] {
        let faults = (1..8).map(|n| Fault { direction: ToBoard, nth: n * gap, kind: Kind::Io });
        let (statistics, _) = exact_in_spite_of(Behaviour { faults: faults.collect(), ..Behaviour::default() });
        assert!(statistics.recoveries >= 2 && statistics.replays > 0, "{gap}: {statistics:?}");
    }
}

#[test]
fn a_link_that_comes_back_with_a_function_reset_loses_nothing() {
    let _alone = alone();
    for direction in [ToBoard, FromBoard] {
        let (statistics, resets) = exact_in_spite_of(once(direction, 5, Kind::LinkDown));
        assert_eq!(statistics.function_resets, 1);
        assert_eq!(resets, [Reset::Function]);
    }
}

#[test]
fn an_answer_of_an_earlier_epoch_is_dropped() {
    let _alone = alone();
    let (board, transport) = open(once(ToBoard, 2, Kind::Io));
    let kept = Arc::new(std::sync::Mutex::new(vec![]));
    let keep = kept.clone();
    transport.shell(|shell| {
        shell.tamper = Box::new(move |number, frame| {
            if number == 0 {
                keep.lock().unwrap().clone_from(frame);
            }
        });
    });
    let (inputs, outputs) = batch(0, 4);
    assert_eq!(board.infer(&inputs, PATIENCE).unwrap(), outputs);
    // What was answered once lies in front of the stream after the next reset.
    let stale = kept.lock().unwrap().clone();
    transport.shell(|shell| shell.stale = stale);
    for seed in 1..6 {
        let (inputs, outputs) = batch(seed, 4);
        assert_eq!(board.infer(&inputs, PATIENCE).unwrap(), outputs);
    }
    let statistics = board.statistics();
    assert_eq!((statistics.stale, statistics.recoveries, statistics.failed), (1, 1, 0));
}

#[test]
fn an_answer_of_another_design_or_with_errors_or_with_bytes_in_its_padding_is_not_taken() {
    let _alone = alone();
    type Tamper = fn(&mut Vec<u8>);
    fn rewritten(frame: &mut Vec<u8>, change: impl FnOnce(&mut systole_bundle::frame::FrameHeader)) {
        let mut header = systole_bundle::frame::FrameHeader::decode(frame).unwrap();
        change(&mut header);
        frame.splice(..64, header.encode());
    }
    let tampers: [Tamper; 6] = [
        |frame| rewritten(frame, |header| header.design ^= 1),
        |frame| rewritten(frame, |header| header.status = 1 << 6),
        |frame| rewritten(frame, |header| header.sequence += 1),
        |frame| rewritten(frame, |header| header.samples -= 1),
        |frame| rewritten(frame, |header| header.answer = false),
        |frame| frame[64 + 5] = 1,
    ];
    for (index, tamper) in tampers.into_iter().enumerate() {
        let (board, transport) = open(Behaviour::default());
        transport.shell(|shell| {
            shell.tamper = Box::new(move |number, frame| {
                if number == 1 {
                    tamper(frame);
                }
            });
        });
        for seed in 0..4 {
            let (inputs, outputs) = batch(seed, 4);
            assert_eq!(board.infer(&inputs, PATIENCE).unwrap(), outputs, "change {index}");
        }
        assert_eq!(board.statistics().recoveries, 1, "change {index}");
    }
}

#[test]
fn a_halt_by_the_watchdog_is_found_before_the_stall_is() {
    let _alone = alone();
    let slow = BoardOptions { stall_timeout: Duration::from_secs(20), ..options() };
    let transport = Loopback::new(&manifest(), once(ToBoard, 1, Kind::Stall(9)));
    let board = Board::open(&manifest(), transport, slow).unwrap();
    let start = Instant::now();
    for seed in 0..3 {
        let (inputs, outputs) = batch(seed, 4);
        assert_eq!(board.infer(&inputs, PATIENCE).unwrap(), outputs);
    }
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(board.statistics().recoveries, 1);
}

#[test]
fn a_board_that_halts_at_every_frame_ends_requests_with_the_reason() {
    let _alone = alone();
    let (board, transport) = open(Behaviour::default());
    transport.shell(|shell| {
        // The header of every answer says that something went wrong.
        shell.tamper = Box::new(|_, frame| {
            let mut header = systole_bundle::frame::FrameHeader::decode(frame).unwrap();
            header.status = error::OVERFLOW.mask();
            frame.splice(..64, header.encode());
        });
    });
    let failure = board.infer(&batch(0, 4).0, PATIENCE).unwrap_err();
    assert!(failure.to_string().contains("overflow"), "{failure}");
    // Twice gently, once harshly, then no more.
    while board.failure().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(transport.resets(), [Reset::Channel, Reset::Channel, Reset::Function]);
    assert!(matches!(board.failure(), Some(RequestError::Failed { .. })), "{:?}", board.failure());
    let again = board.infer(&batch(0, 4).0, PATIENCE).unwrap_err();
    assert!(matches!(again, InferError::Request { source: RequestError::Failed { .. }, .. }), "{again}");
}

#[test]
fn retries_are_bounded_by_the_option() {
    let _alone = alone();
    let transport = Loopback::new(&manifest(), once(ToBoard, 0, Kind::Io));
    let board = Board::open(&manifest(), transport, BoardOptions { retries: 0, ..options() }).unwrap();
    let failure = board.infer(&batch(0, 4).0, PATIENCE).unwrap_err();
    assert!(
        matches!(failure, InferError::Request { source: RequestError::Retries { attempts: 1, .. }, .. }),
        "{failure}"
    );
    let (inputs, outputs) = batch(1, 4);
    assert_eq!(board.infer(&inputs, PATIENCE).unwrap(), outputs);
}

#[test]
fn a_board_that_dies_in_mid_batch_ends_every_request_with_an_error() {
    let _alone = alone();
    for direction in [ToBoard, FromBoard] {
        let (board, transport) = open(once(direction, 3, Kind::Dies));
        let start = Instant::now();
        let results: Vec<_> =
            board.stream((0..FRAMES).map(|seed| batch(seed, 4).0), StreamOptions::default()).collect();
        assert!(start.elapsed() < Duration::from_secs(10));
        assert_eq!(results.len() as u64, FRAMES);
        for (seed, result) in results.into_iter().enumerate() {
            match result {
                Ok(outputs) => assert_eq!(outputs, batch(seed as u64, 4).1),
                Err(InferError::Request { source: RequestError::Failed { .. }, .. }) => assert!(seed >= 2),
                Err(error) => panic!("{error}"),
            }
        }
        drop(board);
        assert_eq!(transport.live_buffers(), 0);
    }
    await_threads(0);
}

#[test]
fn memory_under_a_transfer_that_cannot_be_stopped_is_not_freed() {
    let _alone = alone();
    let stuck = Behaviour { unstoppable: true, ..once(FromBoard, 1, Kind::Stall(3)) };
    let (board, transport) = open(stuck);
    let (inputs, outputs) = batch(0, 4);
    assert_eq!(board.infer(&inputs, PATIENCE).unwrap(), outputs);
    let start = Instant::now();
    let failure = board.infer(&inputs, PATIENCE).unwrap_err();
    assert!(matches!(failure, InferError::Request { source: RequestError::Failed { .. }, .. }), "{failure}");
    assert!(start.elapsed() < Duration::from_secs(5));
    drop(board);
    assert_eq!(transport.live_buffers(), 1, "the buffer under the transfer, and no other");
    await_threads(0);
}

#[test]
fn a_deadline_is_kept_while_the_board_stalls_and_while_it_is_reset() {
    let _alone = alone();
    let slow = BoardOptions { stall_timeout: Duration::from_secs(20), watchdog_cycles: 0, ..options() };
    let transport = Loopback::new(&manifest(), once(ToBoard, 0, Kind::Stall(9)));
    let board = Board::open(&manifest(), transport, slow).unwrap();
    let start = Instant::now();
    let failure = board.infer(&batch(0, 4).0, Duration::from_millis(80)).unwrap_err();
    let source = RequestError::Deadline(Duration::from_millis(80));
    assert!(matches!(&failure, InferError::Request { source: found, .. } if *found == source), "{failure}");
    assert!(start.elapsed() < Duration::from_secs(5));

    let stuck = Behaviour { unstoppable: true, ..once(FromBoard, 0, Kind::Stall(3)) };
    let patient = BoardOptions { quiesce_timeout: Duration::from_secs(3), ..options() };
    let board = Board::open(&manifest(), Loopback::new(&manifest(), stuck), patient).unwrap();
    let start = Instant::now();
    let failure = board.infer(&batch(0, 4).0, Duration::from_millis(200)).unwrap_err();
    assert!(matches!(failure, InferError::Request { source: RequestError::Deadline(_), .. }), "{failure}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn what_is_cancelled_ends_and_the_rest_goes_on() {
    let _alone = alone();
    let slow = Behaviour { transfer_time: Duration::from_millis(5), ..Behaviour::default() };
    let (board, _) = open(slow);
    let first = board.begin(&batch(0, 64).0, PATIENCE).unwrap();
    let second = board.begin(&batch(1, 64).0, PATIENCE).unwrap();
    let third = board.begin(&batch(2, 64).0, PATIENCE).unwrap();
    drop(board.begin(&batch(3, 64).0, PATIENCE).unwrap());
    second.cancel().cancel();
    assert_eq!(first.wait().unwrap(), batch(0, 64).1);
    let failure = second.wait().unwrap_err();
    assert!(matches!(failure, InferError::Request { source: RequestError::Cancelled, .. }), "{failure}");
    assert_eq!(third.wait().unwrap(), batch(2, 64).1);
    let (inputs, outputs) = batch(4, 16);
    assert_eq!(board.infer(&inputs, PATIENCE).unwrap(), outputs);
    assert_eq!(board.outstanding(), 0);
}

#[test]
fn every_reply_is_called_exactly_once_while_faults_and_cancellations_rain() {
    let _alone = alone();
    for seed in 0..12u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |bound: u64| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 33) % bound
        };
        let kinds = [Kind::Io, Kind::Short(3), Kind::Lost(9), Kind::Duplicated(8), Kind::Stall(5), Kind::Extra(11)];
        let faults = (0..4).map(|_| Fault {
            direction: [ToBoard, FromBoard][next(2) as usize],
            nth: next(30),
            kind: kinds[next(6) as usize],
        });
        let behaviour = Behaviour { faults: faults.collect(), lossless: next(2) == 0, ..Behaviour::default() };
        let (board, transport) = open(behaviour);
        let (send, receive) = mpsc::channel();
        let replies: Arc<Vec<AtomicUsize>> = Arc::new((0..40).map(|_| AtomicUsize::new(0)).collect());
        for number in 0..40u64 {
            let samples = 1 + next(16) as usize;
            let payload = board.session().pack_wire(&batch(number, samples).0).unwrap().beats;
            let cancel = Cancel::default();
            let (send, replies) = (send.clone(), replies.clone());
            board.submit(Request {
                samples: samples as u32,
                payload: payload.into(),
                timeout: PATIENCE,
                cancel: cancel.clone(),
                reply: Box::new(move |result| {
                    replies[number as usize].fetch_add(1, Ordering::SeqCst);
                    send.send((number, samples, result)).unwrap();
                }),
            });
            if next(8) == 0 {
                cancel.cancel();
            }
        }
        for _ in 0..40 {
            let (number, samples, result) =
                receive.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("seed {seed}: hang"));
            if let Ok(beats) = result {
                let outputs = board.session().unpack_wire(&beats, samples).unwrap();
                assert_eq!(outputs, batch(number, samples).1, "seed {seed}, request {number}");
            }
        }
        drop(board);
        assert!(replies.iter().all(|count| count.load(Ordering::SeqCst) == 1), "seed {seed}");
        assert_eq!(transport.live_buffers(), 0, "seed {seed}");
    }
}

#[test]
fn of_two_boards_one_dies_under_load_and_no_request_is_lost() {
    let _alone = alone();
    for nth in [0, 1, 7, 20] {
        let slow = Duration::from_micros(300);
        let dying = Behaviour { transfer_time: slow, ..once(FromBoard, nth, Kind::Dies) };
        let (first, dead) = open(dying);
        let (second, alive) = open(Behaviour { transfer_time: slow, ..Behaviour::default() });
        let boards = Boards::new(vec![first, second]).unwrap();
        let batches = (0..60).map(|seed| batch(seed, 16).0);
        let results = boards.stream(batches, StreamOptions { in_flight: 12, timeout: PATIENCE });
        let results: Vec<_> = results.map(|result| result.unwrap_or_else(|error| panic!("{nth}: {error}"))).collect();
        assert_eq!(results, (0..60).map(|seed| batch(seed, 16).1).collect::<Vec<_>>(), "{nth}");
        assert!(boards.boards()[0].failure().is_some());
        assert!(boards.boards()[1].failure().is_none());
        drop(boards);
        assert_eq!((dead.live_buffers(), alive.live_buffers()), (0, 0));
    }
    await_threads(0);
}

#[test]
fn when_the_last_board_dies_requests_say_so() {
    let _alone = alone();
    let (boards, transports): (Vec<_>, Vec<_>) = (0..2).map(|_| open(Behaviour::default())).unzip();
    let boards = Boards::new(boards).unwrap();
    transports.iter().for_each(|transport| transport.kill());
    let failure = boards.infer(&batch(0, 40).0, PATIENCE).unwrap_err();
    assert!(failure.to_string().contains("no board is left of 2"), "{failure}");
}

#[test]
fn closing_a_board_ends_what_is_under_way_and_frees_threads_and_buffers() {
    let _alone = alone();
    let (board, transport) = open(Behaviour { transfer_time: Duration::from_millis(20), ..Behaviour::default() });
    let (inputs, _) = batch(1, 160);
    let pending = board.begin(&inputs, PATIENCE).unwrap();
    drop(board);
    match pending.wait().unwrap_err() {
        InferError::Request { source: RequestError::Closed, .. } => (),
        error => panic!("{error}"),
    }
    assert_eq!(transport.live_buffers(), 0);
    await_threads(0);
}
