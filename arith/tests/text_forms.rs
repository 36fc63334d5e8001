//! Everything that a bundle stores is read back unchanged, and damaged text is an error.

mod support;

use num_rational::BigRational;
use support::Seeded;
use systole_arith::border::{
    AffineTail, ElementwiseOp, FixedType, FloatConstant, HostQuant, IntegerScale, TfliteDequantize, TfliteQuantize,
    TfliteRequantize, TfliteSoftmax, TopKOutput,
};
use systole_arith::formula::TfliteProfile;
use systole_arith::hardware::pivots;
use systole_arith::rounding::RoundingMode;
use systole_arith::{BorderOp, Formula, IntType, Range, Requantizer, Step};

#[test]
fn border_operations_of_every_kind_survive_their_text_form() {
    let third = BigRational::new(1.into(), 3.into());
    let byte = IntegerScale { scale: 0.1, zero_point: -3, element: IntType::Signed(8) };
    let (profile, element) = (TfliteProfile::LitertOpt, IntType::Unsigned(8));
    let constant = FloatConstant::per_channel(vec![0.1, -0.0, f32::MIN_POSITIVE]);
    let operations = vec![
        BorderOp::Elementwise { operation: ElementwiseOp::DivideInto, constant: constant.clone() },
        BorderOp::Relu,
        BorderOp::ToFloat,
        BorderOp::QuantizeFixed(FixedType { bits: 16, integer_bits: -6, signed: true }),
        BorderOp::QuantizeInteger { element: IntType::Bipolar },
        BorderOp::Quant(HostQuant {
            scale: constant,
            zero_point: FloatConstant::scalar(0.0),
            lo: -8,
            hi: 7,
            rounding: RoundingMode::HalfToward,
        }),
        BorderOp::BipolarQuant,
        BorderOp::TfliteQuantize(TfliteQuantize { profile, scale: 0.3, zero_point: 7, element }),
        BorderOp::TfliteRequantize(TfliteRequantize::new(profile, byte, byte).unwrap()),
        BorderOp::TfliteDequantize(TfliteDequantize::new(profile, 0.7, -128)),
        BorderOp::Affine(AffineTail {
            radicand: vec![third.clone()],
            ..AffineTail::new(vec![third.clone()], vec![third])
        }),
        BorderOp::TfliteSoftmax(TfliteSoftmax::new(0.1, 1.0).unwrap()),
        BorderOp::Softmax,
        BorderOp::ArgMax { keep_axis: true },
        BorderOp::TopK { count: 1, output: TopKOutput::Indices },
        BorderOp::Reshape { shape: vec![2, 3] },
        BorderOp::Transpose { permutation: vec![1, 0] },
    ];
    let text = serde_json::to_string_pretty(&operations).unwrap();
    assert_eq!(serde_json::from_str::<Vec<BorderOp>>(&text).unwrap(), operations);
    let names: std::collections::BTreeSet<_> = operations.iter().map(BorderOp::name).collect();
    assert_eq!(names.len(), operations.len());
}

#[test]
fn formulas_steps_and_hardware_forms_survive_their_text_form() {
    let mut seeded = Seeded(0x7e);
    for formula in support::all(&mut seeded, 3) {
        let step = Step::derive(&formula, &[Range::new(-5_000, 5_000); 3]).unwrap();
        let form = Requantizer::search(&step, &pivots(1, &[0; 3])).unwrap();
        let back = serde_json::from_str::<Formula>(&serde_json::to_string(&formula).unwrap()).unwrap();
        assert_eq!((back.validate(), &back), (Ok(()), &formula));
        assert_eq!(serde_json::from_str::<Step>(&serde_json::to_string(&step).unwrap()).unwrap(), step);
        assert_eq!(serde_json::from_str::<Requantizer>(&serde_json::to_string(&form).unwrap()).unwrap(), form);
    }
}

#[test]
fn formulas_damaged_in_their_text_form_are_refused_and_no_panic() {
    let mut seeded = Seeded(0x7f);
    let mut refused = 0;
    for formula in support::all(&mut seeded, 2) {
        let text = serde_json::to_string(&formula).unwrap().into_bytes();
        for _ in 0..50 {
            let mut damaged = text.clone();
            for _ in 0..1 + seeded.next() % 3 {
                let at = (seeded.next() % damaged.len() as u64) as usize;
                damaged[at] = seeded.pick(b"0123456789-./e\"[]{},:");
            }
            let Ok(read) = serde_json::from_slice::<Formula>(&damaged) else { continue };
            match Step::derive(&read, &vec![Range::new(-300, 300); read.channels().min(4)]) {
                Ok(step) => assert_eq!(step.verify(), Ok(())),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 10, "{refused}");
}
