//! Formulas against the TensorFlow Lite runtimes over their whole domains: `tests/data/tflite.json` holds scales and the
//! beginning of the hash of the result bytes that each runtime gave (`tests/vectors/measure_tflite.py` writes it).

use serde::de::DeserializeOwned;
use serde::Deserialize;
use std::collections::BTreeMap;
use systole_arith::formula::{
    Activation, TfliteMeanShape, TfliteOperator, TfliteProfile, TfliteScales, TfliteTensorScale,
};
use systole_arith::join::TfliteJoin;
use systole_arith::step::Step;
use systole_arith::table::TfliteTable;
use systole_arith::{Formula, IntType, JoinFormula, JoinMap, Range, Table, TableFormula};

const BYTE: IntType = IntType::Signed(8);
const PROFILES: [(&str, TfliteProfile); 4] = [
    ("tflm", TfliteProfile::Tflm),
    ("litert_ref", TfliteProfile::LitertRef),
    ("litert_opt", TfliteProfile::LitertOpt),
    ("xnnpack", TfliteProfile::Xnnpack),
];

/// Hash of each profile's results; none where the runtime refuses the model.
type Hashes = BTreeMap<String, Option<String>>;

#[derive(Deserialize)]
struct Join {
    operator: String,
    activation: String,
    scales: [f32; 3],
    zero_points: [i64; 3],
    blake3: Hashes,
}

#[derive(Deserialize)]
struct Activations {
    operator: String,
    scales: [f32; 2],
    zero_points: [i64; 2],
    #[serde(default)]
    alpha: f32,
    #[serde(default)]
    slopes: Option<(Vec<i64>, f32, i64)>,
    blake3: Hashes,
}

#[derive(Deserialize)]
struct AveragePool {
    count: u32,
    activation: String,
    scale: f32,
    zero_point: i64,
    blake3: Hashes,
}

#[derive(Deserialize)]
struct Mean {
    count: u32,
    kept: bool,
    scales: [f32; 2],
    zero_points: [i64; 2],
    blake3: Hashes,
}

#[derive(Deserialize)]
struct Layer {
    operator: String,
    activation: String,
    scales: [f32; 2],
    zero_points: [i64; 2],
    weight_scales: Vec<f32>,
    weights: Vec<i64>,
    bias: Vec<i64>,
    blake3: Hashes,
}

/// The entries of one list of the file.
fn measured<T: DeserializeOwned>(list: &str) -> Vec<T> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tflite.json");
    let text = std::fs::read(path).expect("the measurements are part of the repository");
    let mut document: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&text).expect("JSON");
    serde_json::from_value(document.remove(list).expect("the list")).expect("entries of the list's form")
}

/// An activation by the name that the measurements give it.
fn activation(name: &str) -> Activation {
    match name {
        "none" => Activation::None,
        "relu" => Activation::Relu,
        "relu6" => Activation::Relu6,
        "relu_n1_to_1" => Activation::ReluN1To1,
        other => panic!("no activation: {other}"),
    }
}

fn tensor(scale: f32, zero_point: i64) -> TfliteTensorScale {
    TfliteTensorScale { scale, zero_point }
}

/// Compares results with a runtime's; the runtime's refusal must be ours.
fn check<E: std::fmt::Display>(hashes: &Hashes, profile: &str, results: Result<Vec<i64>, E>, what: &str) {
    let expected = hashes.get(profile).expect("every profile is stored").as_deref();
    match (results, expected) {
        (Ok(results), Some(expected)) => {
            let bytes: Vec<u8> = results.into_iter().map(|y| y as u8).collect();
            assert_eq!(&blake3::hash(&bytes).to_hex()[..expected.len()], expected, "{what}, {profile}");
        }
        (Err(_), None) => {}
        (Ok(_), None) => panic!("{what}, {profile}: the runtime refuses this, we do not"),
        (Err(error), Some(_)) => panic!("{what}, {profile}: {error}"),
    }
}

#[test]
fn joins_equal_the_runtimes_on_all_pairs_and_have_a_canonical_form() {
    let joins: Vec<Join> = measured("joins");
    assert!(joins.len() >= 100, "{}", joins.len());
    let codes = BYTE.range();
    for join in &joins {
        let operator = match join.operator.as_str() {
            "ADD" => TfliteJoin::Add,
            "SUB" => TfliteJoin::Sub,
            "MUL" => TfliteJoin::Mul,
            other => panic!("no operator: {other}"),
        };
        let [left, right, output] = [0, 1, 2].map(|index| tensor(join.scales[index], join.zero_points[index]));
        for (name, profile) in PROFILES {
            let formula =
                JoinFormula::tflite(profile, operator, left, right, output, activation(&join.activation), BYTE)
                    .unwrap();
            let map = JoinMap::derive(&formula, codes, codes).unwrap_or_else(|error| panic!("{formula}: {error}"));
            let results = (codes.lo..=codes.hi).flat_map(|a| (codes.lo..=codes.hi).map(move |b| (a, b)));
            let (by_formula, by_map): (Vec<_>, Vec<_>) =
                results.map(|(a, b)| (formula.evaluate(a, b), map.evaluate(a, b))).unzip();
            assert_eq!(by_formula, by_map, "{formula}");
            check(&join.blake3, name, Ok::<_, String>(by_formula), &format!("{formula}"));
            let text = serde_json::to_string(&formula).unwrap();
            assert_eq!(serde_json::from_str::<JoinFormula>(&text).unwrap(), formula);
        }
    }
}

#[test]
fn activations_equal_the_runtimes_on_all_codes() {
    let entries: Vec<Activations> = measured("tables");
    assert!(entries.len() >= 100, "{}", entries.len());
    for entry in &entries {
        let (alpha, scale, zero_point) = entry.slopes.clone().unwrap_or((vec![0], 1.0, 0));
        let operator = match entry.operator.as_str() {
            "RELU" => TfliteTable::Relu,
            "RELU6" => TfliteTable::Relu6,
            "RELU_N1_TO_1" => TfliteTable::ReluN1To1,
            "LEAKY_RELU" => TfliteTable::LeakyRelu { alpha: entry.alpha },
            "PRELU" => TfliteTable::Prelu { alpha: &alpha, scale: tensor(scale, zero_point) },
            "HARD_SWISH" => TfliteTable::HardSwish,
            "LOGISTIC" => TfliteTable::Logistic,
            "TANH" => TfliteTable::Tanh,
            other => panic!("no operator: {other}"),
        };
        let [input, output] = [0, 1].map(|index| tensor(entry.scales[index], entry.zero_points[index]));
        for (name, profile) in PROFILES {
            let formula = TableFormula::tflite(profile, operator, input, output, BYTE);
            if let Ok(formula) = &formula {
                let text = serde_json::to_string(formula).unwrap();
                assert_eq!(&serde_json::from_str::<TableFormula>(&text).unwrap(), formula);
            }
            let results = formula.as_ref().map(|formula| {
                let table = Table::derive(formula, BYTE.range()).unwrap_or_else(|error| panic!("{formula}: {error}"));
                let channels = 0..formula.channels();
                (-128..128)
                    .flat_map(|x| channels.clone().map(move |k| (k, x)))
                    .map(|(k, x)| table.evaluate(k, x))
                    .collect()
            });
            check(&entry.blake3, name, results, &entry.operator);
        }
    }
}

#[test]
fn average_pools_equal_the_runtimes_on_all_sums() {
    let pools: Vec<AveragePool> = measured("average_pools");
    assert!(pools.len() >= 20, "{}", pools.len());
    for pool in &pools {
        let sums = Range::new(-128 * i64::from(pool.count), 127 * i64::from(pool.count));
        for (name, profile) in PROFILES {
            let scale = tensor(pool.scale, pool.zero_point);
            let formula =
                Formula::tflite_average_pool(profile, vec![pool.count], activation(&pool.activation), scale, BYTE)
                    .unwrap();
            let results = (sums.lo..=sums.hi).map(|acc| formula.evaluate(0, acc)).collect::<Vec<_>>();
            let step = Step::derive(&formula, &[sums]).unwrap();
            step.agrees_with(|channel, acc| formula.evaluate(channel, acc)).unwrap();
            check(&pool.blake3, name, Ok::<_, String>(results), &format!("{formula}"));
        }
    }
}

#[test]
fn means_equal_the_runtimes_on_all_sums() {
    let means: Vec<Mean> = measured("means");
    assert!(means.len() >= 40, "{}", means.len());
    for mean in &means {
        let sums = Range::new(-128 * i64::from(mean.count), 127 * i64::from(mean.count));
        // The models hold one sum a channel.
        let channels = (sums.hi - sums.lo + 1) as usize;
        let shape = TfliteMeanShape { count: mean.count, channels, rows_and_columns_kept: mean.kept };
        let [input, output] = [0, 1].map(|index| tensor(mean.scales[index], mean.zero_points[index]));
        for (name, profile) in PROFILES {
            let formula = Formula::tflite_mean(profile, shape, input, output, BYTE).unwrap();
            let channel = |index: usize| if formula.channels() == 1 { 0 } else { index };
            let results = (sums.lo..=sums.hi).enumerate().map(|(k, acc)| formula.evaluate(channel(k), acc));
            check(&mean.blake3, name, Ok::<_, String>(results.collect()), &format!("{formula}"));
            let text = serde_json::to_string(&formula).unwrap();
            assert_eq!(serde_json::from_str::<Formula>(&text).unwrap(), formula);
            let step = Step::derive(&formula, &vec![sums; formula.channels()]).unwrap();
            step.agrees_with(|channel, acc| formula.evaluate(channel, acc)).unwrap();
        }
    }
}

#[test]
fn convolutions_equal_the_runtimes_beside_rounding_edges() {
    let layers: Vec<Layer> = measured("layers");
    assert!(layers.len() >= 40, "{}", layers.len());
    for layer in &layers {
        let operator = match layer.operator.as_str() {
            "conv" => TfliteOperator::Conv2d,
            "grouped" => TfliteOperator::GroupedConv2d,
            "depthwise" => TfliteOperator::DepthwiseConv2d,
            other => panic!("no operator: {other}"),
        };
        let channels = layer.weights.len();
        for (name, profile) in PROFILES {
            let scales = TfliteScales {
                input: layer.scales[0],
                weights: &layer.weight_scales,
                output: layer.scales[1],
                output_zero_point: layer.zero_points[1],
            };
            let formula =
                Formula::tflite(profile, operator, channels, &scales, activation(&layer.activation), BYTE).unwrap();
            let results = (-128..128)
                .flat_map(|x| (0..channels).map(move |k| (k, x)))
                .map(|(k, x)| formula.evaluate(k, (x - layer.zero_points[0]) * layer.weights[k] + layer.bias[k]));
            check(&layer.blake3, name, Ok::<_, String>(results.collect()), &layer.operator);
        }
    }
}
