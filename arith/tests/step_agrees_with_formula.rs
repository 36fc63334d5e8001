//! A step function is its formula: at both sides of every edge and at seeded accumulators.

mod support;

use std::time::Instant;
use support::Seeded;
use systole_arith::formula::{Activation, Qonnx, Quantizer, TfliteProfile};
use systole_arith::rounding::RoundingMode;
use systole_arith::step::StepError;
use systole_arith::{Direction, Formula, IntType, Range, Step};

/// Intervals of very different widths.
fn domains(seeded: &mut Seeded, channels: usize) -> Vec<Range> {
    (0..channels)
        .map(|_| {
            let reach = seeded.pick(&[1, 100, 5_000, 300_000, 1 << 24]);
            let ends = [(); 2].map(|()| seeded.within(Range::new(-reach, reach)));
            Range::new(ends[0].min(ends[1]), ends[0].max(ends[1]))
        })
        .collect()
}

#[test]
fn every_step_equals_its_formula_at_every_edge_and_at_10_000_accumulators() {
    let mut seeded = Seeded(0x5157);
    let (mut edges, mut falling) = (0, 0);
    for formula in support::all(&mut seeded, 5) {
        let domains = domains(&mut seeded, 5);
        let step = Step::derive(&formula, &domains).unwrap_or_else(|error| panic!("{formula}: {error}"));
        step.verify().unwrap_or_else(|error| panic!("{formula}: {error}"));
        step.agrees_with(|channel, acc| formula.evaluate(channel, acc))
            .unwrap_or_else(|difference| panic!("{formula}: {difference}"));
        for (channel, derived) in step.channels.iter().enumerate() {
            let reference = formula.channel(channel);
            for _ in 0..10_000 {
                let acc = seeded.within(derived.domain);
                assert_eq!(step.evaluate(channel, acc), reference.evaluate(acc), "{formula}, channel {channel}, {acc}");
            }
            if !derived.edges.is_empty() {
                assert_eq!(derived.direction, formula.direction(channel), "{formula}, channel {channel}");
            }
            edges += derived.edges.len();
            falling += usize::from(derived.direction == Direction::Falling);
        }
    }
    assert!(edges > 5_000 && falling > 5, "{edges} edges, {falling} falling channels: the test is too weak");
}

#[test]
fn a_shifted_edge_is_found_by_the_comparison() {
    let mut seeded = Seeded(7);
    let formula = support::tflite(&mut seeded, TfliteProfile::Tflm, -3.0, 3);
    let step = Step::derive(&formula, &[Range::new(-200_000, 200_000); 3]).unwrap();
    for channel in 0..3 {
        for edge in 0..step.channels[channel].edges.len() {
            let mut wrong = step.clone();
            wrong.channels[channel].edges[edge] += 1;
            assert!(wrong.agrees_with(|channel, acc| formula.evaluate(channel, acc)).is_err());
        }
    }
}

#[test]
fn outputs_too_wide_to_enumerate_are_refused_with_their_width() {
    let (lo, hi) = Quantizer::bounds(13, true, false).unwrap();
    let scale = vec![num_rational::BigRational::from_integer(1.into())];
    let quantizer = Quantizer::Quant { scale, zero_point: 0, lo, hi, rounding: RoundingMode::HalfEven };
    let formula = Formula::Qonnx(Qonnx::new(1, vec![], quantizer, IntType::Signed(13)).unwrap());
    let error = Step::derive(&formula, &[Range::new(0, 9)]).unwrap_err();
    assert!(error.to_string().contains("13 bits") && error.to_string().contains("at most 12"), "{error}");
    assert_eq!(Step::derive(&Formula::Identity { channels: 1 }, &[Range::new(0, 9)]), Err(StepError::Identity));
}

#[test]
fn seventeen_hundred_channels_reach_every_level_of_eight_bits() {
    let mut seeded = Seeded(11);
    for profile in support::PROFILES {
        let formula = support::tflite_with(&mut seeded, profile, -4.5, 1700, Activation::None);
        let domains = vec![Range::new(-(1 << 24), (1 << 24) - 1); 1700];
        let begin = Instant::now();
        let step = Step::derive(&formula, &domains).unwrap();
        println!("{profile:?}: {:?}", begin.elapsed());
        assert!(step.channels.iter().all(|channel| channel.edges.len() == 255), "{profile:?}");
    }
}
