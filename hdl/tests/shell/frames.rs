//! Frames through the shell: every answer is right, in order, whatever stalls.

use super::bench::Bench;
use super::core::Shape;

/// Beats narrower, equal and wider than the core's; samples that do and do not fill whole beats.
pub const SHAPES: [Shape; 6] = [
    Shape { in_bytes: 1, in_beats: 8, out_bytes: 1, out_beats: 3, beat_bytes: 8 },
    Shape { in_bytes: 3, in_beats: 5, out_bytes: 5, out_beats: 2, beat_bytes: 8 },
    Shape { in_bytes: 8, in_beats: 4, out_bytes: 8, out_beats: 1, beat_bytes: 8 },
    Shape { in_bytes: 24, in_beats: 2, out_bytes: 20, out_beats: 3, beat_bytes: 16 },
    Shape { in_bytes: 4, in_beats: 16, out_bytes: 2, out_beats: 40, beat_bytes: 32 },
    Shape { in_bytes: 7, in_beats: 9, out_bytes: 70, out_beats: 1, beat_bytes: 64 },
];

#[test]
fn random_frames_give_their_answers_in_order_under_random_stalls() {
    for (index, shape) in SHAPES.into_iter().enumerate() {
        for (round, (stall_in, stall_out)) in [(0, 0), (4, 1), (1, 7), (7, 4)].into_iter().enumerate() {
            let mut bench = Bench::running(shape, (16 * index + round) as u64);
            (bench.stall_in, bench.stall_out) = (stall_in, stall_out);
            let mut expected = Vec::new();
            for sequence in 0..24 {
                let samples = 1 + bench.random.below(4);
                let header = bench.request(0, sequence, samples);
                expected.push(bench.send(&header));
            }
            for (sequence, answer) in expected.into_iter().enumerate() {
                assert_eq!(bench.next_answer(), answer, "{shape:?}, answer {sequence}");
            }
            bench.steps(200);
            assert!(bench.answers.is_empty(), "{shape:?}: more answers than requests");
        }
    }
}

/// Cycles a sample that the core itself takes: input, then output, and nothing overlaps.
fn interval(shape: Shape) -> u64 {
    (shape.in_beats + shape.out_beats) as u64
}

#[test]
fn a_fed_core_is_busy_with_more_than_95_of_100_input_beats_that_it_could_take() {
    // Answers as long as requests, headers of eight beats, and frames of one sample up.
    for (shape, samples) in [
        (Shape { in_bytes: 1, in_beats: 40, out_bytes: 1, out_beats: 10, beat_bytes: 8 }, 1),
        (Shape { in_bytes: 8, in_beats: 20, out_bytes: 8, out_beats: 20, beat_bytes: 8 }, 1),
        (Shape { in_bytes: 4, in_beats: 16, out_bytes: 4, out_beats: 16, beat_bytes: 64 }, 3),
        (Shape { in_bytes: 8, in_beats: 20, out_bytes: 8, out_beats: 1, beat_bytes: 8 }, 16),
    ] {
        let mut bench = Bench::running(shape, 5);
        let frames = 60u32;
        for sequence in 0..frames {
            let header = bench.request(0, sequence, samples);
            bench.send(&header);
        }
        for _ in 0..frames {
            bench.next_answer();
        }
        let beats = &bench.core_beats;
        let total = u64::from(frames) * samples as u64;
        assert_eq!(beats.len() as u64, total * shape.in_beats as u64);
        let cycles = beats[beats.len() - 1] + 1 + shape.out_beats as u64 - beats[0];
        let share = (total * interval(shape)) as f64 / cycles as f64;
        println!("{shape:?}: {total} samples in {cycles} cycles, {share:.4} of the bound");
        assert!(share >= 0.95, "{shape:?}: {share}");
    }
}

#[test]
fn tkeep_is_all_ones_and_tlast_is_on_the_last_beat_of_each_answer_alone() {
    for shape in SHAPES {
        let mut bench = Bench::running(shape, 77);
        let header = bench.request(0, 0, 3);
        let answer = bench.send(&header);
        // The bench cuts answers at TLAST.
        assert_eq!(bench.next_answer(), answer);
        let ones = u64::MAX >> (64 - shape.beat_bytes);
        assert_eq!(bench.hardware.get_u64("m_axis_tkeep"), ones);
    }
}
