//! Everything that a bundle stores is read back unchanged, and damaged text is an error.

mod support;

use num_rational::BigRational;
use support::Seeded;
use systole_arith::border::{
    AffineTail, ElementwiseOp, FixedType, FloatConstant, HostQuant, IntegerScale, TfliteDequantize, TfliteQuantize,
    TfliteRequantize, TfliteSoftmax, TopKOutput,
};
use systole_arith::formula::{Activation, TfliteMeanShape, TfliteProfile, TfliteTensorScale};
use systole_arith::hardware::pivots;
use systole_arith::join::TfliteJoin;
use systole_arith::rounding::RoundingMode;
use systole_arith::table::TfliteTable;
use systole_arith::{BorderOp, Formula, IntType, JoinFormula, JoinMap, Range, Requantizer, Step, Table, TableFormula};

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

#[test]
fn joins_tables_pools_and_means_damaged_in_their_text_form_are_refused_and_no_panic() {
    let tensor = |scale, zero_point| TfliteTensorScale { scale, zero_point };
    let (left, right, output) = (tensor(0.05, -3), tensor(0.031, 17), tensor(0.06, 5));
    let (none, byte) = (Activation::None, IntType::Signed(8));
    let mut texts: [Vec<String>; 3] = Default::default();
    for profile in support::PROFILES {
        for operator in [TfliteJoin::Add, TfliteJoin::Sub, TfliteJoin::Mul] {
            let join = JoinFormula::tflite(profile, operator, left, right, output, none, byte).unwrap();
            texts[0].push(serde_json::to_string(&join).unwrap());
        }
        let prelu = TfliteTable::Prelu { alpha: &[3, -7], scale: right };
        for operator in [TfliteTable::Relu6, TfliteTable::LeakyRelu { alpha: 0.1 }, prelu, TfliteTable::HardSwish] {
            let table = TableFormula::tflite(profile, operator, left, output, byte).unwrap();
            texts[1].push(serde_json::to_string(&table).unwrap());
        }
        let logistic = TableFormula::tflite(profile, TfliteTable::Logistic, left, tensor(1.0 / 256.0, -128), byte);
        texts[1].push(serde_json::to_string(&logistic.unwrap()).unwrap());
        let pool = Formula::tflite_average_pool(profile, vec![4, 6, 9], none, left, byte).unwrap();
        let shape = TfliteMeanShape { count: 12, channels: 3, rows_and_columns_kept: true };
        let mean = Formula::tflite_mean(profile, shape, left, output, byte).unwrap();
        texts[2].extend([pool, mean].iter().map(|formula| serde_json::to_string(formula).unwrap()));
    }
    let mut seeded = Seeded(0x80);
    let domain = Range::new(-20, 20);
    let (mut refused, mut read) = (0, 0);
    for (kind, texts) in texts.iter().enumerate() {
        for text in texts {
            for _ in 0..60 {
                let mut damaged = text.clone().into_bytes();
                for _ in 0..1 + seeded.next() % 3 {
                    let at = (seeded.next() % damaged.len() as u64) as usize;
                    damaged[at] = seeded.pick(b"0123456789-./e\"[]{},:");
                }
                let derived = match kind {
                    0 => serde_json::from_slice(&damaged)
                        .map(|f: JoinFormula| JoinMap::derive(&f, domain, domain).is_ok()),
                    1 => serde_json::from_slice(&damaged).map(|f: TableFormula| Table::derive(&f, domain).is_ok()),
                    _ => serde_json::from_slice(&damaged)
                        .map(|f: Formula| Step::derive(&f, &vec![domain; f.channels().min(4)]).is_ok()),
                };
                read += usize::from(derived.is_ok());
                refused += usize::from(matches!(derived, Ok(false)));
            }
        }
    }
    assert!(refused > 10 && read > 2 * refused, "{refused} refused of {read} that are read");
}
