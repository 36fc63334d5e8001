//! Registers, counters, credits and interrupts.

use super::bench::Bench;
use super::core::HASH;
use super::frames::SHAPES;
use systole_bundle::registers::{self, caps, ctrl, irq, Access, Reset, REGISTERS, SPACE_BYTES};

#[test]
fn every_word_of_the_map_reads_as_defined_after_reset_and_all_others_read_0() {
    for shape in SHAPES {
        let spec = shape.spec();
        let mut bench = Bench::new(shape, 1);
        for offset in (0..0x100).step_by(4).chain([0x100, 0x7fc, SPACE_BYTES - 4]) {
            let expected = match registers::at(offset) {
                None => 0,
                Some(register) => match (register.reset, *register) {
                    (Reset::Value(value), _) => value,
                    (_, registers::STRUCTURE_HASH) => HASH.structure[(offset - register.offset) as usize / 4],
                    (_, registers::PARAMETER_HASH) => HASH.parameter[(offset - register.offset) as usize / 4],
                    (_, registers::CAPS) => 1 | caps::CREDIT.mask() | caps::HEADER_CRC.mask() | caps::INTERRUPT.mask(),
                    (_, registers::BEAT_BYTES) => shape.beat_bytes as u32,
                    (_, registers::IN_BYTES) => spec.in_bytes() as u32,
                    (_, registers::OUT_BYTES) => spec.out_bytes() as u32,
                    (_, registers::MAX_SAMPLES) => spec.max_samples() as u32,
                    (_, registers::FIFO_DEPTH) => 16,
                    (_, other) => panic!("{} is not known to this test", other.name),
                },
            };
            assert_eq!(bench.read_at(offset), expected, "offset {offset:#x}");
        }
    }
}

#[test]
fn written_registers_hold_their_fields_and_read_only_ones_ignore_writes() {
    let mut bench = Bench::new(SHAPES[0], 2);
    for register in REGISTERS {
        // Writing to these has effects, which other tests look at.
        if [registers::CTRL, registers::OUT_CREDIT].contains(register) {
            continue;
        }
        let known = register.fields.iter().fold(0, |mask, field| mask | field.mask());
        let mask = if register.fields.is_empty() { u32::MAX } else { known };
        for word in 0..register.words {
            let before = bench.read_at(register.word(word));
            for value in [u32::MAX, 0xa5c3_0f96, 0] {
                bench.write_at(register.word(word), value, 15);
                let expected = if register.access == Access::ReadWrite { value & mask } else { before };
                assert_eq!(bench.read_at(register.word(word)), expected, "{} written {value:#x}", register.name);
            }
        }
    }
    bench.write_at(0xff8, u32::MAX, 15);
    assert_eq!(bench.read_at(0xff8), 0);
}

#[test]
fn strobes_choose_the_bytes_that_are_written() {
    let mut bench = Bench::new(SHAPES[0], 3);
    let mut held = 0u32;
    for strobes in 0..16u8 {
        let value = bench.random.next() as u32;
        bench.write_at(registers::SCRATCH.offset, value, strobes);
        let mask = (0..4).filter(|byte| strobes >> byte & 1 == 1).fold(0, |mask, byte| mask | 0xff << (8 * byte));
        held = held & !mask | value & mask;
        assert_eq!(bench.read(registers::SCRATCH), held, "strobes {strobes:04b}");
    }
    bench.write_at(registers::CTRL.offset, ctrl::ENABLE.mask(), 0b1110);
    assert_eq!(bench.read(registers::CTRL), 0);
    bench.write_at(registers::OUT_CREDIT.offset, 0x0105, 1);
    assert_eq!(bench.read(registers::OUT_CREDIT), 5);
}

#[test]
fn counters_are_exact_when_nothing_moves_and_hold_until_they_are_latched_again() {
    for shape in SHAPES {
        let mut bench = Bench::running(shape, 4);
        (bench.stall_in, bench.stall_out) = (3, 4);
        for sequence in 0..6 {
            let header = bench.request(0, sequence, 3);
            bench.send(&header);
        }
        (0..6).for_each(|_| drop(bench.next_answer()));
        bench.steps(10);
        let account = bench.account;
        bench.write(registers::CTRL, ctrl::ENABLE.mask() | ctrl::LATCH_COUNTERS.mask());
        let latest = bench.account.cycles;
        let cycles = bench.read_wide(registers::CYCLES);
        // One of the cycles of the write itself; the reset's own cycle is not counted.
        assert!(account.cycles < cycles + 2 && cycles <= latest, "{cycles} of {} to {latest}", account.cycles);
        for round in 0..2 {
            for (register, value) in [
                (registers::FRAMES, account.frames),
                (registers::BEATS_IN, account.beats_in),
                (registers::BEATS_OUT, account.beats_out),
                (registers::STALLS_IN, account.stalls_in),
                (registers::STALLS_OUT, account.stalls_out),
                (registers::DROPPED, account.dropped),
                (registers::CYCLES, cycles),
            ] {
                assert_eq!(bench.read_wide(register), value, "{shape:?} {} in round {round}", register.name);
            }
            let header = bench.request(0, 6 + round, 1);
            bench.send(&header);
            bench.next_answer();
        }
    }
}

#[test]
fn answers_wait_for_credit_where_they_need_it() {
    let shape = SHAPES[3];
    let mut bench = Bench::running(shape, 5);
    bench.write(registers::CTRL, ctrl::ENABLE.mask() | ctrl::CREDIT.mask());
    let answers: Vec<Vec<u8>> = (0..5)
        .map(|sequence| {
            let header = bench.request(0, sequence, 1);
            bench.send(&header)
        })
        .collect();
    bench.steps(1_000);
    assert!(bench.answers.is_empty() && bench.account.beats_out == 0);
    bench.write(registers::OUT_CREDIT, 2);
    bench.steps(1_000);
    assert_eq!(bench.answers, &answers[..2]);
    assert_eq!(bench.read(registers::OUT_CREDIT), 0);
    bench.write(registers::OUT_CREDIT, 1);
    bench.write(registers::OUT_CREDIT, 10);
    bench.steps(1_000);
    assert_eq!(bench.answers, answers);
    assert_eq!(bench.read(registers::OUT_CREDIT), 8);
    assert_eq!(bench.read(registers::ERROR), 0);
}

#[test]
fn an_interrupt_is_raised_every_so_many_answers_and_at_the_last_one_inside() {
    let mut bench = Bench::running(SHAPES[0], 6);
    bench.write(registers::IRQ_MASK, irq::ANSWER.mask());
    bench.write(registers::IRQ_COALESCE, 3);
    let raised_after = |bench: &mut Bench| {
        while !bench.irq {
            bench.step();
        }
        let answers = bench.answers.len();
        bench.write(registers::IRQ_STATUS, irq::ANSWER.mask());
        bench.steps(2);
        assert!(!bench.irq);
        answers
    };
    // Many inside: every third. Samples are long enough that the interrupt is cleared in between.
    for sequence in 0..7 {
        let header = bench.request(0, sequence, 12);
        bench.send(&header);
    }
    assert_eq!(raised_after(&mut bench), 3);
    assert_eq!(raised_after(&mut bench), 6);
    assert_eq!(raised_after(&mut bench), 7);
    // One alone is told at once.
    let header = bench.request(0, 7, 1);
    bench.send(&header);
    assert_eq!(raised_after(&mut bench), 8);
    // Without its mask bit the status is set and the line is low.
    bench.write(registers::IRQ_MASK, irq::ERROR.mask());
    bench.answers.clear();
    let header = bench.request(0, 8, 1);
    bench.send(&header);
    bench.next_answer();
    bench.steps(20);
    assert!(!bench.irq);
    assert_eq!(bench.read(registers::IRQ_STATUS), irq::ANSWER.mask());
}
