//! The DMA engine and its faults, in process, on a null device.

use crate::frames::{answer, answer_bytes, board, read, receive, request, restart, send, write, BEAT_BYTES};
use std::time::{Duration, Instant};
use systole_bundle::frame::FrameHeader;
use systole_bundle::registers::{self, error, irq, status};
use systole_sim::board::{Board, BoardError, Request};

fn control(board: &Board, line: &str) {
    board.control(line.parse().unwrap()).unwrap();
}

/// Sends `request` while an answer of `bytes` is waited for.
fn exchange(board: &Board, request: &[u8], bytes: usize) -> (Result<usize, BoardError>, Result<Vec<u8>, BoardError>) {
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| receive(board, bytes));
        let sent = send(board, request);
        (sent, answer.join().unwrap())
    })
}

fn events(board: &Board, milliseconds: u64) -> Result<u32, BoardError> {
    let deadline = Some(Instant::now() + Duration::from_millis(milliseconds));
    board.call(|done| Request::Event { deadline, done })
}

#[test]
fn frames_are_answered_in_order_with_their_own_samples() {
    let board = board(2000);
    for (sequence, samples) in [1, 7, 64, 4096].into_iter().enumerate() {
        let sequence = sequence as u32;
        let (sent, got) = exchange(&board, &request(0, sequence, samples), answer_bytes(samples));
        assert_eq!(sent, Ok(request(0, sequence, samples).len()));
        assert_eq!(got, Ok(answer(0, sequence, samples)));
    }
}

#[test]
fn a_transfer_ends_where_the_host_says_whatever_the_frames_are() {
    let board = board(2000);
    let frames = [request(0, 0, 3), request(0, 1, 5)].concat();
    let answers = [answer(0, 0, 3), answer(0, 1, 5)].concat();
    let sizes = [13, 64, 3, 120, answers.len() - 200];
    let got = std::thread::scope(|scope| {
        let reader =
            scope.spawn(|| sizes.iter().map(|&bytes| receive(&board, bytes).unwrap()).collect::<Vec<_>>().concat());
        for piece in frames.chunks(41 * BEAT_BYTES) {
            send(&board, piece).unwrap();
        }
        reader.join().unwrap()
    });
    assert_eq!(got, answers);
}

#[test]
fn a_transfer_that_nothing_answers_is_aborted_at_its_deadline() {
    let board = board(50);
    let begin = Instant::now();
    assert_eq!(receive(&board, 64), Err(BoardError::TimedOut));
    assert!(begin.elapsed() >= Duration::from_millis(50));
    // A part of the bytes hides the error behind a short count.
    send(&board, &request(0, 0, 1)).unwrap();
    assert_eq!(receive(&board, 4096), Ok(answer(0, 0, 1)));
}

#[test]
fn the_nth_transfer_fails_as_asked_and_no_other() {
    for (name, error) in [
        ("EIO", BoardError::Io),
        ("ETIMEDOUT", BoardError::TimedOut),
        ("EBUSY", BoardError::Busy),
        ("ENODEV", BoardError::NoDevice),
    ] {
        let board = board(2000);
        control(&board, &format!("h2c fail 2 {name}"));
        control(&board, &format!("c2h fail 1 {name}"));
        assert_eq!(send(&board, &request(0, 0, 1)), Ok(request(0, 0, 1).len()));
        assert_eq!(send(&board, &request(0, 1, 1)), Err(error));
        assert_eq!(receive(&board, answer_bytes(1)), Err(error));
        assert_eq!(receive(&board, answer_bytes(1)), Ok(answer(0, 0, 1)));
    }
}

#[test]
fn a_short_count_comes_before_the_error_that_it_hides() {
    let board = board(2000);
    control(&board, "c2h short 1 24 EIO");
    send(&board, &request(0, 0, 1)).unwrap();
    let all = answer(0, 0, 1);
    assert_eq!(receive(&board, all.len()), Ok(all[..24].to_vec()));
    assert_eq!(receive(&board, all.len()), Err(BoardError::Io));
    assert_eq!(receive(&board, all.len() - 24), Ok(all[24..].to_vec()));
}

#[test]
fn beats_are_lost_doubled_and_inserted_on_the_way_to_the_host() {
    let all = answer(0, 0, 2);
    let beat = |index: usize| all[index * BEAT_BYTES..(index + 1) * BEAT_BYTES].to_vec();
    let cases = [
        ("c2h lose 1", [beat(0), all[2 * BEAT_BYTES..].to_vec()].concat()),
        ("c2h duplicate 0", [beat(0), all.clone()].concat()),
        ("c2h extra 9", [&all[..9 * BEAT_BYTES], &[0xa5; BEAT_BYTES], &all[9 * BEAT_BYTES..]].concat()),
    ];
    for (line, expected) in cases {
        let board = board(2000);
        control(&board, line);
        let (_, got) = exchange(&board, &request(0, 0, 2), expected.len());
        assert_eq!(got, Ok(expected), "{line}");
    }
    let board = board(2000);
    control(&board, "c2h last 3");
    let (_, got) = exchange(&board, &request(0, 0, 2), all.len());
    assert_eq!(got, Ok(all[..4 * BEAT_BYTES].to_vec()), "TLAST ends the transfer");
}

#[test]
fn beats_lost_or_inserted_in_a_header_halt_the_device() {
    for (line, bit) in [("h2c lose 2", error::HEADER), ("h2c extra 0", error::HEADER), ("h2c duplicate 3", error::CRC)]
    {
        let board = board(100);
        control(&board, line);
        let _ = send(&board, &request(0, 0, 4));
        let state = read(&board, registers::STATUS.offset);
        assert!(status::HALTED.is_set(state), "{line}: status {state:#x}");
        let found = read(&board, registers::ERROR.offset);
        assert!(found & (bit.mask() | error::CRC.mask()) != 0, "{line}: errors {found:#x}");
        restart(&board, 1);
        assert_eq!(exchange(&board, &request(1, 0, 4), answer_bytes(4)).1, Ok(answer(1, 0, 4)), "{line}");
    }
}

#[test]
fn a_beat_with_tlast_in_mid_frame_changes_nothing_for_the_device() {
    let board = board(2000);
    control(&board, "h2c last 10");
    let (sent, got) = exchange(&board, &request(0, 0, 2), answer_bytes(2));
    assert_eq!((sent, got), (Ok(request(0, 0, 2).len()), Ok(answer(0, 0, 2))));
}

#[test]
fn a_stall_holds_a_beat_until_a_soft_reset() {
    for line in ["c2h stall 0 forever", "c2h stall 9 forever", "h2c stall 0 forever", "h2c stall 15 forever"] {
        let board = board(100);
        control(&board, line);
        let (_, got) = exchange(&board, &request(0, 0, 2), answer_bytes(2));
        assert_ne!(got, Ok(answer(0, 0, 2)), "{line}");
        restart(&board, 1);
        assert_eq!(exchange(&board, &request(1, 0, 2), answer_bytes(2)).1, Ok(answer(1, 0, 2)), "{line}");
    }
}

#[test]
fn answers_that_are_held_come_out_stale_behind_a_soft_reset() {
    let board = board(100);
    control(&board, "c2h hold");
    send(&board, &request(0, 0, 1)).unwrap();
    assert_eq!(receive(&board, answer_bytes(1)), Err(BoardError::TimedOut));
    restart(&board, 1);
    let stale = receive(&board, answer_bytes(1)).unwrap();
    assert_eq!(FrameHeader::decode(&stale).unwrap().epoch, 0);
    assert_eq!(exchange(&board, &request(1, 0, 1), answer_bytes(1)).1, Ok(answer(1, 0, 1)));
}

#[test]
fn registers_read_all_ones_on_demand_and_for_good_behind_a_kill() {
    let board = board(2000);
    control(&board, "registers ones");
    assert_eq!(read(&board, registers::MAGIC.offset), u32::MAX);
    control(&board, "registers good");
    assert_eq!(read(&board, registers::MAGIC.offset), registers::MAGIC_VALUE);
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| receive(&board, 64));
        std::thread::sleep(Duration::from_millis(20));
        control(&board, "kill");
        waiting.join().unwrap()
    });
    assert_eq!(waiting, Err(BoardError::NoDevice));
    assert_eq!(read(&board, registers::MAGIC.offset), u32::MAX);
    assert_eq!(send(&board, &request(0, 0, 1)), Err(BoardError::NoDevice));
}

#[test]
fn register_accesses_off_a_word_or_outside_the_map_are_refused() {
    let board = board(2000);
    for offset in [1, 2, 0x1000, 1 << 40] {
        let read = board.call(|done| Request::Read { offset, done });
        assert_eq!(read, Err(BoardError::Protocol), "{offset:#x}");
    }
    assert_eq!(read(&board, 0x6c), 0, "an offset without a register reads 0");
    write(&board, registers::SCRATCH.offset, 0x1234_5678);
    write(&board, registers::MAGIC.offset, 0);
    assert_eq!(read(&board, registers::SCRATCH.offset), 0x1234_5678);
    assert_eq!(read(&board, registers::MAGIC.offset), registers::MAGIC_VALUE);
}

#[test]
fn interrupts_are_counted_lost_and_invented() {
    let board = board(2000);
    write(&board, registers::IRQ_MASK.offset, irq::ANSWER.mask());
    let answered = |sequence| {
        assert_eq!(exchange(&board, &request(0, sequence, 1), answer_bytes(1)).1, Ok(answer(0, sequence, 1)));
        write(&board, registers::IRQ_STATUS.offset, irq::ANSWER.mask());
    };
    assert_eq!(events(&board, 20), Err(BoardError::TimedOut));
    answered(0);
    assert_eq!(events(&board, 1000), Ok(1));
    control(&board, "interrupts lose 1");
    answered(1);
    assert_eq!(events(&board, 20), Err(BoardError::TimedOut));
    answered(2);
    control(&board, "interrupts spurious 2");
    assert_eq!(events(&board, 1000), Ok(3));
}

#[test]
fn dropping_a_board_ends_what_still_waits() {
    let board = board(60_000);
    let (sender, result) = std::sync::mpsc::channel();
    board.submit(Request::Receive { bytes: 64, to_last: false, done: Box::new(move |got| sender.send(got).unwrap()) });
    drop(board);
    assert_eq!(result.recv(), Ok(Err(BoardError::NoDevice)));
}
