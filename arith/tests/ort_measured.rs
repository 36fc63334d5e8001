//! Formulas of two operands and of one against ONNX Runtime over their whole domain: `tests/data/ort.json`
//! holds scales and the hash of the 65,536 or 256 result bytes that the runtime gave
//! (`tests/vectors/measure_ort.py` writes it).

use serde::Deserialize;
use std::collections::BTreeMap;
use systole_arith::formula::{FloatOp, OrtQuantization};
use systole_arith::join::{Combine, OperandMap};
use systole_arith::table::OrtFunction;
use systole_arith::{Formula, IntType, JoinFormula, JoinMap, Range, Step, Table, TableFormula};

#[derive(Deserialize)]
struct Measured {
    joins: Vec<Entry>,
    tables: Vec<Entry>,
    pools: Vec<Entry>,
    chains: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    operator: String,
    r#type: String,
    scales: Vec<f64>,
    zero_points: Vec<i64>,
    #[serde(default)]
    alpha: f64,
    #[serde(default)]
    beta: f64,
    #[serde(default)]
    count: u32,
    blake3: String,
}

impl Entry {
    fn element(&self) -> IntType {
        match self.r#type.as_str() {
            "int8" => IntType::Signed(8),
            "uint8" => IntType::Unsigned(8),
            other => panic!("no type: {other}"),
        }
    }

    fn quantization(&self, index: usize) -> OrtQuantization {
        OrtQuantization { scale: self.scales[index] as f32, zero_point: self.zero_points[index] }
    }

    fn join(&self) -> JoinFormula {
        let [left, right, output] = [0, 1, 2].map(|index| self.quantization(index));
        let formula = match self.operator.as_str() {
            "QLinearAdd" => JoinFormula::ort_add(left, right, output, self.element()),
            "QLinearMul" => JoinFormula::ort_multiply(left, right, output, self.element()),
            "Sub" => JoinFormula::ort_subtract(left, right, output, self.element()),
            other => panic!("no operator: {other}"),
        };
        formula.expect("measured scales are valid")
    }

    fn table(&self) -> TableFormula {
        let functions = match self.operator.trim_start_matches("QLinear") {
            "Requantize" => vec![],
            "Relu" => vec![OrtFunction::Arithmetic { operation: FloatOp::RELU }],
            "Sigmoid" => vec![OrtFunction::Sigmoid],
            "Tanh" => vec![OrtFunction::Tanh],
            "HardSwish" => vec![OrtFunction::HardSwish],
            "LeakyRelu" => vec![OrtFunction::LeakyRelu { slope: vec![self.alpha as f32] }],
            "HardSigmoid" => vec![OrtFunction::HardSigmoid { alpha: self.alpha as f32, beta: self.beta as f32 }],
            other => panic!("no operator: {other}"),
        };
        let formula = TableFormula::ort(1, functions, self.quantization(0), self.quantization(1), self.element());
        formula.expect("measured scales are valid")
    }
}

fn measured() -> Measured {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ort.json");
    serde_json::from_slice(&std::fs::read(path).expect("the measurements are part of the repository")).expect("JSON")
}

fn hash(results: impl Iterator<Item = i64>) -> String {
    blake3::hash(&results.map(|y| y as u8).collect::<Vec<_>>()).to_hex().to_string()
}

/// All pairs of operands, the second fastest.
fn pairs(element: IntType) -> impl Iterator<Item = (i64, i64)> {
    let range = element.range();
    (range.lo..=range.hi).flat_map(move |a| (range.lo..=range.hi).map(move |b| (a, b)))
}

#[test]
fn every_measured_join_gives_the_runtimes_bytes_by_its_formula_and_by_its_canonical_form() {
    let mut cases: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut widest = 0;
    for entry in measured().joins {
        let (formula, element) = (entry.join(), entry.element());
        let found = hash(pairs(element).map(|(a, b)| formula.evaluate(a, b)));
        assert_eq!(found, entry.blake3, "{}: {formula}", entry.operator);
        let range = element.range();
        let map = JoinMap::derive(&formula, range, range).unwrap_or_else(|error| panic!("{formula}: {error}"));
        map.step.verify().unwrap_or_else(|error| panic!("{formula}: {error}"));
        let found = hash(pairs(element).map(|(a, b)| map.evaluate(a, b)));
        assert_eq!(found, entry.blake3, "{}: canonical form of {formula}", entry.operator);
        let linear = |operand: &OperandMap| matches!(operand, OperandMap::Linear { .. });
        let narrow = match &map.combine {
            Combine::Product { .. } => true,
            Combine::Sum { left, right } => linear(left) && linear(right),
        };
        let reach = map.step.domain_hull().expect("one channel");
        widest = widest.max(reach.signed_bits());
        assert!(reach.signed_bits() <= 40, "{formula}: sums of {} bits", reach.signed_bits());
        let count = cases.entry(entry.operator).or_default();
        *count = (count.0 + 1, count.1 + usize::from(narrow));
    }
    println!("(cases, without tables): {cases:?}, combined numbers of at most {widest} bits");
    assert!(cases.len() == 3 && cases.values().all(|(count, _)| *count >= 40), "{cases:?}");
    // A subtraction is rounded in between, which two factors do not always follow.
    assert!(["QLinearAdd", "QLinearMul"].iter().all(|name| cases[*name].0 == cases[*name].1), "tables: {cases:?}");
}

#[test]
fn every_measured_table_gives_the_runtimes_bytes() {
    let mut cases: BTreeMap<String, usize> = BTreeMap::new();
    for entry in measured().tables {
        let (formula, range) = (entry.table(), entry.element().range());
        let found = hash((range.lo..=range.hi).map(|x| formula.evaluate(0, x)));
        assert_eq!(found, entry.blake3, "{}: {formula}", entry.operator);
        let table = Table::derive(&formula, range).unwrap_or_else(|error| panic!("{formula}: {error}"));
        assert_eq!(hash((range.lo..=range.hi).map(|x| table.evaluate(0, x))), entry.blake3, "{formula}");
        *cases.entry(entry.operator).or_default() += 1;
    }
    assert!(cases.len() == 9 && cases.values().all(|count| *count >= 40), "{cases:?}");
}

/// All sums of `count` elements of a type, each less its zero point.
fn sums(element: IntType, zero_point: i64, count: u32) -> Range {
    let (range, count) = (element.range(), i64::from(count));
    Range::new((range.lo - zero_point) * count, (range.hi - zero_point) * count)
}

#[test]
fn every_measured_pool_gives_the_runtimes_byte_of_every_sum_and_so_does_its_step() {
    let mut cases: BTreeMap<String, usize> = BTreeMap::new();
    for entry in measured().pools {
        let (element, output) = (entry.element(), entry.quantization(1));
        let scale = entry.scales[0] as f32;
        let formula = match entry.operator.as_str() {
            "QLinearGlobalAveragePool" => Formula::ort_global_average_pool(entry.count, scale, output, element),
            _ => Formula::ort_average_pool(vec![entry.count], scale, output, element),
        };
        let formula = formula.expect("measured scales are valid");
        let domain = sums(element, entry.zero_points[0], entry.count);
        let found = hash((domain.lo..=domain.hi).map(|acc| formula.evaluate(0, acc)));
        assert_eq!(found, entry.blake3, "{}: {formula}", entry.operator);
        let step = Step::derive(&formula, &[domain]).unwrap_or_else(|error| panic!("{formula}: {error}"));
        assert_eq!(hash((domain.lo..=domain.hi).map(|acc| step.evaluate(0, acc))), entry.blake3, "{formula}");
        *cases.entry(entry.operator).or_default() += 1;
    }
    assert!(cases.len() == 2 && cases.values().all(|count| *count >= 35), "{cases:?}");
}

#[test]
fn every_measured_float_chain_gives_the_runtimes_bytes() {
    let chains = measured().chains;
    assert!(chains.len() >= 40);
    for entry in chains {
        let element = entry.element();
        let range = element.range();
        let constant = |index: usize| vec![entry.scales[index] as f32];
        let ops = vec![FloatOp::Multiply { constant: constant(0) }, FloatOp::Add { constant: constant(1) }];
        let formula = Formula::ort_chain(1, ops, entry.quantization(2), element).expect("measured numbers are valid");
        // 64 weights evenly spaced over the type, truncated as the measurement truncates them.
        let weights = (0..64).map(|i| (range.lo as f64 + 255.0 * f64::from(i) / 63.0) as i64);
        let accumulators = (range.lo..=range.hi).flat_map(|x| {
            let [zx, zw] = [0, 1].map(|index| entry.zero_points[index]);
            weights.clone().map(move |w| (x - zx) * (w - zw))
        });
        assert_eq!(hash(accumulators.clone().map(|acc| formula.evaluate(0, acc))), entry.blake3, "{formula}");
        let domain = accumulators.clone().map(Range::point).reduce(Range::hull).expect("some accumulators");
        let step = Step::derive(&formula, &[domain]).unwrap_or_else(|error| panic!("{formula}: {error}"));
        assert_eq!(hash(accumulators.map(|acc| step.evaluate(0, acc))), entry.blake3, "{formula}");
    }
}

#[test]
fn a_formula_of_other_scales_gives_other_bytes() {
    let mut different = 0;
    for mut entry in measured().joins.into_iter().take(20) {
        entry.scales[2] *= 1.001;
        let formula = entry.join();
        different += usize::from(hash(pairs(entry.element()).map(|(a, b)| formula.evaluate(a, b))) != entry.blake3);
    }
    assert!(different >= 19, "{different} of 20 hashes notice a scale that is 0.1 % off");
}

#[test]
fn formulas_are_read_back_from_json_as_they_were_written() {
    let measured = measured();
    for formula in measured.joins.iter().map(Entry::join) {
        let text = serde_json::to_string(&formula).expect("serializable");
        let back: JoinFormula = serde_json::from_str(&text).expect("readable");
        assert_eq!(back, formula, "{text}");
        assert_eq!(back.validate(), Ok(()));
    }
    for formula in measured.tables.iter().map(Entry::table) {
        let text = serde_json::to_string(&formula).expect("serializable");
        let back: TableFormula = serde_json::from_str(&text).expect("readable");
        assert_eq!(back, formula, "{text}");
        assert_eq!(back.validate(), Ok(()));
    }
}

#[test]
fn a_single_element_in_front_exchanges_the_operands() {
    let entry = measured().joins.into_iter().find(|entry| entry.operator == "QLinearAdd").expect("a sum");
    let JoinFormula::Ort(mut scalar) = entry.join() else { panic!("a formula of the runtime") };
    let mut swapped = scalar.clone();
    scalar.scalar_left = true;
    std::mem::swap(&mut swapped.left, &mut swapped.right);
    let (scalar, swapped) = (JoinFormula::Ort(scalar), JoinFormula::Ort(swapped));
    for (a, b) in pairs(entry.element()) {
        assert_eq!(scalar.evaluate(a, b), swapped.evaluate(b, a), "{a} and {b}");
    }
}
