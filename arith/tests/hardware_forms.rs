//! Hardware forms equal their step, and their certificates notice every change that matters.

mod support;

use std::time::Instant;
use support::Seeded;
use systole_arith::formula::{Activation, TfliteProfile};
use systole_arith::hardware::{pivots, Affine, Counterexample, Lookup, ShiftRounding};
use systole_arith::{Formula, Range, Requantizer, Step};

/// A stage: raw accumulators with a stride and offsets, their step, and its cheapest form.
fn stage(seeded: &mut Seeded, formula: &Formula, stride: i64, reach: i64) -> (Step, Requantizer) {
    let channels = formula.channels();
    let offsets: Vec<i64> = (0..channels).map(|_| seeded.within(Range::new(-reach, reach))).collect();
    let raw: Vec<Range> = (0..channels)
        .map(|_| {
            let ends = [(); 2].map(|()| seeded.within(Range::new(-reach, reach)));
            Range::new(ends[0].min(ends[1]), ends[0].max(ends[1]))
        })
        .collect();
    let of = |raw: i64, offset: i64| stride * raw + offset;
    let domains: Vec<Range> =
        raw.iter().zip(&offsets).map(|(raw, &offset)| Range::new(of(raw.lo, offset), of(raw.hi, offset))).collect();
    let step =
        Step::derive(formula, &domains).expect("derivable").pull_back(stride, &offsets, &raw).expect("in domain");
    let form =
        Requantizer::search(&step, &pivots(stride, &offsets)).unwrap_or_else(|error| panic!("{formula}: {error}"));
    (step, form)
}

/// The values of a step over all of its domains; outside a channel's own, those of the nearer end.
fn table_of(step: &Step) -> Requantizer {
    let domain = step.domain_hull().expect("channels");
    let values = |channel| (domain.lo..=domain.hi).map(|raw| step.evaluate(channel, raw)).collect();
    let channels = step.channels.len();
    Requantizer::Table(Lookup { channels, lowest: domain.lo, values: (0..channels).map(values).collect() })
}

fn agree_everywhere(step: &Step, form: &Requantizer) -> bool {
    step.channels.iter().enumerate().all(|(channel, function)| {
        (function.domain.lo..=function.domain.hi).all(|raw| form.evaluate(channel, raw) == step.evaluate(channel, raw))
    })
}

#[test]
fn forms_of_every_formula_equal_their_steps_on_small_domains_everywhere() {
    let mut seeded = Seeded(0xf0);
    let mut names = std::collections::BTreeMap::new();
    for round in 0..6 {
        for formula in support::all(&mut seeded, 4) {
            let (step, form) = stage(&mut seeded, &formula, 1 + round % 2, 3_000);
            assert!(agree_everywhere(&step, &form), "{formula}: {form}");
            *names.entry(form.name()).or_insert(0) += 1;
            let search = Requantizer::binary_search(&step);
            assert_eq!(search.certify(&step), Ok(()));
            assert!(agree_everywhere(&step, &search), "{formula}");
        }
    }
    assert!(names["affine"] > 100 && names["thresholds"] > 30, "{names:?}");
    println!("{names:?}");
}

#[test]
fn forms_of_wide_domains_equal_their_steps_at_seeded_accumulators() {
    let mut seeded = Seeded(0xf1);
    for formula in support::all(&mut seeded, 4) {
        let (step, form) = stage(&mut seeded, &formula, 1, 1 << 24);
        for (channel, function) in step.channels.iter().enumerate() {
            for _ in 0..2_000 {
                let raw = seeded.within(function.domain);
                assert_eq!(form.evaluate(channel, raw), step.evaluate(channel, raw), "{formula}: {form}, {raw}");
            }
        }
    }
}

/// Every change of one constant of a form by one unit; of a table, of some.
fn mutations(form: &Requantizer) -> Vec<Requantizer> {
    let mut mutated = Vec::new();
    match form {
        Requantizer::Linear(linear) => {
            for channel in 0..linear.offsets.len() {
                let mut other = linear.clone();
                other.offsets[channel] += 1;
                mutated.push(Requantizer::Linear(other));
            }
        }
        Requantizer::Thresholds(thresholds) | Requantizer::Search(thresholds) => {
            for channel in 0..thresholds.base.len() {
                for level in 0..thresholds.thresholds[channel].len() {
                    for change in [-1, 1] {
                        let mut other = thresholds.clone();
                        other.thresholds[channel][level] += change;
                        mutated.push(Requantizer::Thresholds(other));
                    }
                }
            }
        }
        Requantizer::Table(table) => {
            for (channel, values) in table.values.iter().enumerate() {
                for at in (channel..values.len()).step_by(89) {
                    let mut other = table.clone();
                    other.values[channel][at] += 1;
                    mutated.push(Requantizer::Table(other));
                }
            }
        }
        Requantizer::Affine(affine) => {
            let mut push = |change: &dyn Fn(&mut Affine)| {
                let mut other = affine.clone();
                change(&mut other);
                mutated.push(Requantizer::Affine(other));
            };
            for channel in 0..affine.multipliers.len() {
                for delta in [-1, 1] {
                    push(&|affine| affine.multipliers[channel] += delta);
                    push(&|affine| affine.bias_negative[channel] += delta << affine.shift.saturating_sub(3));
                    push(&|affine| affine.bias_positive[channel] += delta << affine.shift.saturating_sub(3));
                    push(&|affine| affine.pivot[channel] += 50 * delta);
                }
                for index in 0..affine.corrections[channel].len() {
                    push(&|affine| affine.corrections[channel][index].delta *= -1);
                    push(&|affine| affine.corrections[channel][index].at += 1);
                    push(&|affine| {
                        affine.corrections[channel].remove(index);
                    });
                }
            }
        }
    }
    mutated
}

#[test]
fn certificates_fail_exactly_where_a_changed_constant_changes_the_function() {
    let mut seeded = Seeded(0xf2);
    let (mut noticed, mut harmless) = (0, 0);
    for formula in support::all(&mut seeded, 3) {
        let (step, form) = stage(&mut seeded, &formula, 1, 700);
        let search = Requantizer::binary_search(&step);
        let table = table_of(&step);
        assert_eq!(table.certify(&step), Ok(()), "{formula}");
        for mutated in [&form, &search, &table].into_iter().flat_map(mutations) {
            let certified = mutated.certify(&step);
            if let Err(Counterexample::Malformed { what, .. }) = certified {
                assert!(what.contains("ascending"), "{what}");
                continue;
            }
            assert_eq!(certified.is_ok(), agree_everywhere(&step, &mutated), "{formula}: {form} became {mutated}");
            noticed += usize::from(certified.is_err());
            harmless += usize::from(certified.is_ok());
        }
    }
    println!("{noticed} noticed, {harmless} harmless");
    assert!(noticed > 1_000);
}

#[test]
fn a_changed_threshold_in_a_domain_always_breaks_the_certificate() {
    let mut seeded = Seeded(0xf3);
    let formula = support::tflite_with(&mut seeded, TfliteProfile::Tflm, -2.0, 2, Activation::None);
    let step = Step::derive(&formula, &[Range::new(-9_000, 9_000); 2]).unwrap();
    let Requantizer::Search(search) = Requantizer::binary_search(&step) else { panic!("not a search") };
    for channel in 0..2 {
        let edges = step.channels[channel].edges.len();
        for level in 0..edges {
            let mut other = search.clone();
            other.thresholds[channel][level] -= 1;
            assert!(Requantizer::Search(other).certify(&step).is_err(), "channel {channel}, level {level}");
        }
    }
}

#[test]
fn dyadic_scales_with_ties_are_rounded_to_even_in_hardware() {
    use num_rational::BigRational;
    use systole_arith::formula::{Qonnx, Quantizer, RealOp};
    use systole_arith::rounding::RoundingMode;
    let scale = vec![BigRational::new(1.into(), 512.into())];
    let ops = vec![RealOp::Affine { scale, offset: vec![BigRational::from_integer(0.into())] }];
    let (lo, hi) = Quantizer::bounds(8, true, false).unwrap();
    let one = vec![BigRational::from_integer(1.into())];
    let quantizer = Quantizer::Quant { scale: one, zero_point: 0, lo, hi, rounding: RoundingMode::HalfEven };
    let formula = Formula::Qonnx(Qonnx::new(1, ops, quantizer, systole_arith::IntType::Signed(8)).unwrap());
    let step = Step::derive(&formula, &[Range::new(-100_000, 100_000)]).unwrap();
    let Ok(Requantizer::Affine(affine)) = Requantizer::search(&step, &[0]) else { panic!("not affine") };
    assert_eq!((affine.rounding, affine.shift, affine.multipliers), (ShiftRounding::HalfEven, 9, vec![1]));
    assert_eq!((affine.bias_negative, affine.bias_positive), (vec![0], vec![0]));
}

#[test]
fn a_form_of_other_channels_or_with_a_wild_shift_is_malformed_and_no_panic() {
    let mut seeded = Seeded(0xf4);
    let formula = support::tflite_with(&mut seeded, TfliteProfile::Tflm, -2.0, 2, Activation::None);
    let step = Step::derive(&formula, &[Range::new(-9_000, 9_000); 2]).unwrap();
    let Ok(Requantizer::Affine(affine)) = Requantizer::search(&step, &[0, 0]) else { panic!("not affine") };
    let changes: [&dyn Fn(&mut Affine); 6] = [
        &|affine| affine.shift = 200,
        &|affine| affine.clamp = (1, 0),
        &|affine| affine.corrections.clear(),
        &|affine| affine.pivot.push(0),
        &|affine| affine.bias_positive.truncate(1),
        &|affine| affine.multipliers.push(0),
    ];
    for change in changes {
        let mut other = affine.clone();
        change(&mut other);
        assert!(matches!(Requantizer::Affine(other).certify(&step), Err(Counterexample::Malformed { .. })));
    }
    assert!(Requantizer::search(&step, &[0]).is_err());
}

#[test]
fn a_linear_form_is_certified_against_a_step_of_single_units() {
    let step = Step {
        output: systole_arith::IntType::Signed(8),
        increment: 1,
        channels: vec![systole_arith::StepChannel {
            domain: Range::new(-3, 3),
            start: -1,
            direction: systole_arith::Direction::Rising,
            edges: vec![-2, -1, 0, 1, 2, 3],
        }],
    };
    assert_eq!(Requantizer::linear(1, vec![2]).certify(&step), Ok(()));
    assert!(Requantizer::linear(1, vec![3]).certify(&step).is_err());
    assert!(Requantizer::linear(2, vec![2]).certify(&step).is_err());
}

#[test]
fn seventeen_hundred_channels_find_a_certified_form() {
    for profile in support::PROFILES {
        let mut seeded = Seeded(11);
        let formula = support::tflite_with(&mut seeded, profile, -3.5, 1700, Activation::None);
        let domains: Vec<Range> =
            (0..1700).map(|_| Range::new(-seeded.within(Range::new(1000, 1 << 20)), 500_000)).collect();
        let step = Step::derive(&formula, &domains).unwrap();
        let begin = Instant::now();
        let form = Requantizer::search(&step, &vec![0; 1700]).unwrap();
        println!("{profile:?}: {form} in {:?}", begin.elapsed());
        assert_eq!(form.certify(&step), Ok(()), "{profile:?}");
    }
}

#[test]
fn single_misplaced_edges_of_float32_are_corrected_and_not_searched() {
    let mut seeded = Seeded(0xf5);
    let mut corrected = 0;
    for _ in 0..12 {
        let formula = support::tflite_with(&mut seeded, TfliteProfile::Xnnpack, -3.6, 8, Activation::None);
        let (step, form) = stage(&mut seeded, &formula, 1, 1 << 19);
        let Requantizer::Affine(affine) = &form else { panic!("{formula}: {form}") };
        corrected += affine.corrections.iter().flatten().count();
        for (channel, corrections) in affine.corrections.iter().enumerate() {
            for correction in corrections {
                assert_eq!(form.evaluate(channel, correction.at), step.evaluate(channel, correction.at));
                let mut other = affine.clone();
                other.corrections[channel].retain(|kept| kept != correction);
                assert!(Requantizer::Affine(other).certify(&step).is_err());
            }
        }
        println!("{form}");
    }
    println!("{corrected} corrections");
    assert!(corrected > 0);
}

#[test]
fn wide_float32_layers_that_need_corrections_find_a_certified_form() {
    let mut seeded = Seeded(0xf6);
    for (power, reach) in [(-3.6, 1 << 19), (-4.2, 1 << 21), (-4.6, 1 << 24)] {
        let formula = support::tflite_with(&mut seeded, TfliteProfile::Xnnpack, power, 640, Activation::None);
        let step = Step::derive(&formula, &vec![Range::new(-reach, reach); 640]).unwrap();
        let begin = Instant::now();
        let form = Requantizer::search(&step, &vec![0; 640]).unwrap();
        println!("{form} in {:?}", begin.elapsed());
        assert_eq!(form.certify(&step), Ok(()), "{formula}");
    }
}
