//! Soft resets at any point, draining, and the input discarded meanwhile.

use super::bench::Bench;
use super::frames::SHAPES;
use systole_bundle::registers::{self, ctrl, irq, status};
use systole_hdl::shell::FIFO_DEPTH;

#[test]
fn after_a_soft_reset_at_any_point_the_next_frames_answers_are_right() {
    for shape in SHAPES {
        let mut bench = Bench::running(shape, 0x5017);
        (bench.stall_in, bench.stall_out) = (1, 2);
        for epoch in 1..30 {
            let answers: Vec<Vec<u8>> = (0..3)
                .map(|sequence| {
                    let samples = 1 + bench.random.below(3);
                    let header = bench.request(epoch - 1, sequence, samples);
                    bench.send(&header)
                })
                .collect();
            let cycles = bench.random.below(300);
            bench.steps(cycles);
            for (index, found) in std::mem::take(&mut bench.answers).into_iter().enumerate() {
                assert_eq!(found, answers[index], "{shape:?}, epoch {epoch}");
            }
            bench.recover(epoch);
            assert_eq!(bench.read(registers::ERROR), 0);
            assert!(status::RESET_DONE.is_set(bench.read(registers::STATUS)));
        }
        let header = bench.request(29, 0, 4);
        let answer = bench.send(&header);
        assert_eq!(bench.next_answer(), answer, "{shape:?}");
    }
}

#[test]
fn what_arrives_during_a_soft_reset_is_discarded_and_counted_until_the_input_is_quiet() {
    let shape = SHAPES[1];
    let mut bench = Bench::running(shape, 4);
    bench.stall_in = 5;
    for sequence in 0..4 {
        let header = bench.request(0, sequence, 3);
        bench.send(&header);
    }
    bench.steps(30);
    bench.write(registers::CTRL, ctrl::ENABLE.mask() | ctrl::SOFT_RESET.mask());
    let before = bench.sending.len() as u64;
    assert!(before > 20 && bench.hardware.get_u64("resetting") == 1);
    assert!(!status::RESET_DONE.is_set(bench.read(registers::STATUS)));
    while bench.hardware.get_u64("resetting") == 1 {
        assert_eq!(bench.hardware.get_u64("m_axis_tvalid"), 0);
        bench.step();
    }
    assert!(bench.sending.is_empty(), "{} beats of {before} are left", bench.sending.len());
    assert!(bench.account.dropped >= before);
    let now = bench.read(registers::STATUS);
    assert_eq!(now, status::RESET_DONE.mask() | status::IDLE.mask() | status::RUN.mask());
    assert_ne!(bench.read(registers::IRQ_STATUS) & irq::DONE.mask(), 0);
    bench.write(registers::CTRL, ctrl::ENABLE.mask() | ctrl::LATCH_COUNTERS.mask());
    assert_eq!(bench.read_wide(registers::DROPPED), bench.account.dropped);
    bench.answers.clear();
    let header = bench.request(0, 0, 2);
    let answer = bench.send(&header);
    assert_eq!(bench.next_answer(), answer);
}

#[test]
fn draining_finishes_the_frames_inside_and_takes_no_other() {
    for shape in SHAPES {
        let mut bench = Bench::running(shape, 6);
        (bench.stall_in, bench.stall_out) = (2, 3);
        // More than can be inside at once.
        let frames = FIFO_DEPTH as u32 + 8;
        let answers: Vec<Vec<u8>> = (0..frames)
            .map(|sequence| {
                let header = bench.request(0, sequence, 2);
                bench.send(&header)
            })
            .collect();
        while bench.answers.len() < 2 {
            bench.step();
        }
        bench.write(registers::CTRL, ctrl::ENABLE.mask() | ctrl::DRAIN.mask());
        let mut cycles = 0;
        while bench.hardware.get_u64("occupied") == 1 {
            assert_eq!(bench.hardware.get_u64("runs"), 0);
            bench.step();
            cycles += 1;
            assert!(cycles < 20_000, "{shape:?} does not drain");
        }
        let finished = bench.answers.len();
        bench.steps(100);
        assert_eq!(bench.answers.len(), finished);
        let now = bench.read(registers::STATUS);
        assert!(status::IDLE.is_set(now) && !status::DRAINING.is_set(now) && !status::RUN.is_set(now), "{now:#x}");
        assert_ne!(bench.read(registers::IRQ_STATUS) & irq::DONE.mask(), 0);
        assert!(finished < answers.len(), "{shape:?}: all {finished} frames finished");
        bench.write(registers::CTRL, ctrl::ENABLE.mask());
        for (sequence, answer) in answers.into_iter().enumerate() {
            assert_eq!(bench.next_answer(), answer, "{shape:?}, answer {sequence}");
        }
    }
}

#[test]
fn without_enable_nothing_is_taken() {
    let mut bench = Bench::new(SHAPES[0], 8);
    let header = bench.request(0, 0, 1);
    let answer = bench.send(&header);
    let beats = bench.sending.len();
    bench.steps(100);
    assert_eq!(bench.sending.len(), beats);
    assert_eq!(bench.read(registers::STATUS), status::IDLE.mask() | status::IN_STALL.mask());
    bench.write(registers::CTRL, ctrl::ENABLE.mask());
    assert_eq!(bench.next_answer(), answer);
}
