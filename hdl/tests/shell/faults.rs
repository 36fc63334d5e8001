//! What is wrong with a frame: exactly its bit of ERROR, its sequence, and nothing taken behind it.

use super::bench::Bench;
use super::core::Shape;
use super::frames::SHAPES;
use systole_bundle::frame::{crc32, Expected, FrameHeader, HEADER_BYTES};
use systole_bundle::registers::{self, ctrl, error, irq, status};

const EPOCH: u32 = 7;

fn expected(bench: &Bench, sequence: u32) -> Expected {
    let spec = bench.shape.spec();
    Expected {
        answer: false,
        design: spec.hash.word(),
        epoch: EPOCH,
        sequence,
        sample_bytes: spec.in_bytes() as u32,
        max_samples: spec.max_samples() as u32,
    }
}

/// Sends two good frames and then `bytes`; the shell must answer both, halt with `bits` and take
/// nothing behind the header's last beat.
fn check(shape: Shape, seed: u64, bytes: &[u8], bits: u32, what: &str) {
    let mut bench = Bench::running(shape, seed);
    bench.write(registers::EPOCH, EPOCH);
    (bench.stall_in, bench.stall_out) = (2, 2);
    let answers = [0, 1].map(|sequence| {
        let header = bench.request(EPOCH, sequence, 2);
        bench.send(&header)
    });
    bench.send_bytes(bytes);
    let waiting = bench.request(EPOCH, 3, 1);
    bench.send(&waiting);
    let behind = bench.shape.spec().in_bytes() / shape.beat_bytes + bench.shape.spec().header_beats();
    let mut headers = Vec::new();
    for answer in &answers {
        let found = bench.next_answer();
        assert_eq!(found[HEADER_BYTES..], answer[HEADER_BYTES..], "{what}");
        headers.push(FrameHeader::decode(&found).unwrap());
    }
    bench.steps(100);
    assert_eq!(bench.sending.len(), behind, "{what}: beats taken behind the fault");
    assert_eq!(bench.read(registers::ERROR), bits, "{what}");
    assert_eq!(bench.read(registers::FIRST_ERROR_SEQ), 2, "{what}");
    let now = bench.read(registers::STATUS);
    assert!(status::HALTED.is_set(now) && !status::RUN.is_set(now) && status::IN_STALL.is_set(now), "{what}: {now:#x}");
    assert_eq!(bench.read(registers::IRQ_STATUS) & irq::ERROR.mask(), irq::ERROR.mask(), "{what}");
    // Answers that began before the fault say so, later ones carry its bit.
    assert!(headers.iter().all(|header| header.status == 0 || header.status == bits), "{what}");
    // Clearing the bit does not start it again; a reset does.
    bench.write(registers::ERROR, bits);
    bench.steps(20);
    assert_eq!(bench.read(registers::ERROR), 0, "{what}");
    assert_eq!(bench.sending.len(), behind, "{what}: beats taken while halted");
    bench.recover(EPOCH + 1);
    let header = bench.request(EPOCH + 1, 0, 2);
    let answer = bench.send(&header);
    assert_eq!(bench.next_answer(), answer, "{what}: after the reset");
}

#[test]
fn every_wrong_header_halts_with_exactly_the_bit_that_the_definition_gives() {
    for shape in SHAPES {
        let bench = Bench::new(shape, 0);
        let good = bench.request(EPOCH, 2, 2);
        let spec = shape.spec();
        let most = spec.max_samples() as u32;
        let length = |samples: u32| samples.wrapping_mul(spec.in_bytes() as u32);
        let wrong = [
            FrameHeader { answer: true, ..good },
            FrameHeader { design: good.design ^ 0x8000_0000, ..good },
            FrameHeader { epoch: EPOCH - 1, ..good },
            FrameHeader { epoch: EPOCH | 1 << 31, ..good },
            FrameHeader { samples: 0, length: 0, ..good },
            FrameHeader { samples: most + 1, length: length(most + 1), ..good },
            FrameHeader { samples: good.samples | 1 << 31, ..good },
            FrameHeader { length: good.length + 1, ..good },
            FrameHeader { length: good.length - shape.beat_bytes as u32, ..good },
            FrameHeader { length: good.length | 1 << 31, ..good },
            FrameHeader { sequence: 1, ..good },
            FrameHeader { sequence: 3, ..good },
            // Of several faults the first counts.
            FrameHeader { design: 0, epoch: 0, samples: 0, length: 1, sequence: 9, ..good },
            FrameHeader { samples: 0, length: 1, sequence: 9, ..good },
            FrameHeader { length: 1, sequence: 9, ..good },
        ];
        for (index, header) in wrong.into_iter().enumerate() {
            let error = header.validate(&expected(&bench, 2)).unwrap_err();
            check(shape, index as u64, &header.encode(), error.error_bit(), &format!("{shape:?} {header:?}"));
        }
    }
}

#[test]
fn a_header_with_any_bit_changed_halts_with_the_bit_of_its_decoder() {
    let shape = SHAPES[1];
    let good = Bench::new(shape, 0).request(EPOCH, 2, 2).encode();
    for bit in (0..8 * HEADER_BYTES).step_by(5) {
        let mut bytes = good;
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = FrameHeader::decode(&bytes).unwrap_err();
        check(shape, bit as u64, &bytes, error.error_bit(), &format!("bit {bit}: {error}"));
    }
    let mut version = good;
    version[4] = 2;
    let crc = crc32(&version[..60]);
    version[60..].copy_from_slice(&crc.to_le_bytes());
    check(shape, 1, &version, error::HEADER.mask(), "another version with its own checksum");
}

#[test]
fn a_beat_with_bytes_missing_halts_at_the_first_a_middle_and_the_last_beat_of_a_frame() {
    for shape in SHAPES {
        let spec = shape.spec();
        let beats = spec.header_beats() + 2 * spec.in_bytes() / shape.beat_bytes;
        for at in [0, spec.header_beats() - 1, spec.header_beats(), beats / 2, beats - 1] {
            let mut bench = Bench::running(shape, at as u64);
            bench.stall_in = 3;
            let header = bench.request(0, 0, 2);
            bench.send(&header);
            let missing = bench.random.below(shape.beat_bytes);
            bench.sending[at].keep ^= 1 << missing;
            let next = bench.request(0, 1, 1);
            bench.send(&next);
            let left = bench.sending.len() - at - 1;
            bench.steps(400);
            assert_eq!(bench.sending.len(), left, "{shape:?}, beat {at}");
            assert_eq!(bench.read(registers::ERROR), error::TKEEP_HOLE.mask(), "{shape:?}, beat {at}");
            assert_eq!(bench.read(registers::FIRST_ERROR_SEQ), 0);
            assert!(bench.answers.is_empty(), "{shape:?}, beat {at}: an answer to half a frame");
            bench.recover(1);
            let header = bench.request(1, 0, 1);
            let answer = bench.send(&header);
            assert_eq!(bench.next_answer(), answer, "{shape:?}, beat {at}: after the reset");
        }
    }
}

#[test]
fn the_watchdog_halts_where_work_is_inside_and_no_beat_has_moved_for_its_cycles() {
    let shape = SHAPES[1];
    for limit in [40u32, 41] {
        let mut bench = Bench::running(shape, limit.into());
        bench.write(registers::WATCHDOG_CYCLES, limit);
        // Nothing inside: it does not count.
        bench.steps(300);
        assert_eq!(bench.read(registers::ERROR), 0);
        // A host that takes nothing: the answers stand.
        bench.stall_out = 8;
        for sequence in 0..3 {
            let header = bench.request(0, sequence, 2);
            bench.send(&header);
        }
        let mut moved = 0;
        while bench.hardware.get_u64("halted") == 0 {
            if bench.hardware.get_u64("moved") == 1 {
                moved = bench.account.cycles;
            }
            bench.step();
            assert!(bench.account.cycles < 3_000, "no watchdog");
        }
        // The cycles without a beat, the one in which they are enough, and the halt behind it.
        assert_eq!(bench.account.cycles - moved, u64::from(limit) + 2);
        assert_eq!(bench.read(registers::ERROR), error::WATCHDOG.mask());
        assert_eq!(bench.read(registers::FIRST_ERROR_SEQ), 0);
        bench.stall_out = 0;
        bench.recover(1);
        let header = bench.request(1, 0, 3);
        let answer = bench.send(&header);
        assert_eq!(bench.next_answer(), answer);
        assert_eq!(bench.read(registers::ERROR), 0);
    }
}

#[test]
fn a_slow_host_within_the_watchdogs_cycles_is_let_alone() {
    let mut bench = Bench::running(SHAPES[0], 3);
    bench.write(registers::WATCHDOG_CYCLES, 64);
    (bench.stall_in, bench.stall_out) = (7, 7);
    for sequence in 0..4 {
        let header = bench.request(0, sequence, 3);
        let answer = bench.send(&header);
        assert_eq!(bench.next_answer(), answer);
    }
    assert_eq!(bench.read(registers::ERROR), 0);
}

#[test]
fn credits_beyond_32_bits_are_an_overflow() {
    let mut bench = Bench::running(SHAPES[0], 9);
    bench.write(registers::OUT_CREDIT, u32::MAX);
    bench.write(registers::OUT_CREDIT, 1);
    assert_eq!(bench.read(registers::ERROR), error::OVERFLOW.mask());
    assert_eq!(bench.read(registers::OUT_CREDIT), u32::MAX);
    bench.recover(1);
    assert_eq!(bench.read(registers::OUT_CREDIT), 0);
    assert_eq!(bench.read(registers::CTRL), ctrl::ENABLE.mask());
}
