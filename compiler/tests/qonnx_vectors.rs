//! The software reference against the QONNX executor: every case of `tests/vectors` without images, and
//! the real networks beside the repository where they are present.

use ndarray::{ArrayD, Axis, IxDyn};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use systole_arith::border::{exact_tail, expected_integer, BorderValue};
use systole_arith::{BorderOp, IntType};
use systole_bundle::array::Array;
use systole_compiler::frontend::{compile_front, FrontOptions};
use systole_compiler::passes::lowering::InputType;
use systole_compiler::QuantGraph;

/// Cases that are refused on purpose, with a part of what the diagnostic must say.
const REFUSED: [(&str, &str); 7] = [
    ("quant_zero_point_0.5_floor", "zero point 0.5 is not an integer"),
    ("quant_zero_point_0.5_round", "zero point 0.5 is not an integer"),
    // Two batch normalizations without a quantizer between them.
    ("net_mix_07", "cannot be decided exactly"),
    ("net_mix_11", "cannot be decided exactly"),
    ("net_mix_15", "cannot be decided exactly"),
    ("net_mix_34", "cannot be decided exactly"),
    ("net_mix_49", "cannot be decided exactly"),
];

/// How a case's arrays and options are named.
struct Case {
    name: String,
    model: PathBuf,
    vectors: PathBuf,
    input_key: String,
    /// What the network gives; of networks with a softmax, what goes into it.
    expect_key: String,
    input_types: HashMap<String, InputType>,
}

/// What a case compared.
#[derive(Default)]
struct Compared {
    samples: usize,
    elements: usize,
    differing: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `fixed<W,I>`, `int<W>` or `uint<W>`.
fn input_type(text: &str) -> InputType {
    let (kind, numbers) = text.trim_end_matches('>').split_once('<').expect("a type with <>");
    let numbers: Vec<i32> = numbers.split(',').map(|n| n.parse().expect("a number")).collect();
    match (kind, numbers.as_slice()) {
        ("fixed", [bits, integer_bits]) => InputType::Fixed { bits: *bits as u32, integer_bits: *integer_bits },
        ("int", [bits]) => InputType::Integer(IntType::Signed(*bits as u32)),
        ("uint", [bits]) => InputType::Integer(IntType::Unsigned(*bits as u32)),
        _ => panic!("no type: {text}"),
    }
}

fn cases() -> Vec<Case> {
    let folder = root().join("tests/vectors");
    let text = std::fs::read(folder.join("index.json")).expect("tests/vectors/index.json");
    let index: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let all = index["cases"].as_array().expect("a list of cases");
    // Convolutional networks have a test of their own.
    let family = |family: &str| family.starts_with("qonnx_") && family != "qonnx_convolutions";
    let of_qonnx = all.iter().filter(|case| case["family"].as_str().is_some_and(family));
    of_qonnx
        .map(|case| {
            let text = |key: &str| case[key].as_str().unwrap_or_else(|| panic!("{key} in {case}")).to_string();
            let types = case["input_type"].as_object().into_iter().flatten();
            Case {
                name: text("name"),
                model: folder.join(text("model")),
                vectors: folder.join(text("vectors")),
                input_key: "input".into(),
                expect_key: if case["arrays"]["logits"].is_array() { "logits" } else { "output" }.into(),
                input_types: types.map(|(k, v)| (k.clone(), input_type(v.as_str().expect("a text")))).collect(),
            }
        })
        .collect()
}

fn compile(case: &Case) -> Result<QuantGraph, systole_compiler::CompileError> {
    let bytes = std::fs::read(&case.model).unwrap_or_else(|e| panic!("{}: {e}", case.model.display()));
    let options = FrontOptions {
        name: case.name.clone(),
        profile: None,
        input_types: case.input_types.clone(),
        ..FrontOptions::default()
    };
    compile_front(&bytes, &options)
}

fn samples(case: &Case, key: &str) -> Vec<BorderValue> {
    let each = |value: &Array| -> Vec<BorderValue> {
        match value {
            Array::Float(values) => values.axis_iter(Axis(0)).map(|v| BorderValue::Float(v.to_owned())).collect(),
            Array::Int(values, _) => values.axis_iter(Axis(0)).map(|v| BorderValue::Int(v.to_owned())).collect(),
        }
    };
    each(&Array::read_npz(&case.vectors, key).unwrap_or_else(|e| panic!("{e}")))
}

/// The host's operations in front of a final softmax.
fn without_softmax(operations: &[BorderOp]) -> &[BorderOp] {
    let end = operations.iter().position(|op| matches!(op, BorderOp::Softmax)).unwrap_or(operations.len());
    &operations[..end]
}

/// Runs all samples of a case and compares them by the rule of its output.
fn compare(case: &Case) -> Result<Compared, systole_compiler::CompileError> {
    let graph = compile(case)?;
    let (inputs, expected) = (samples(case, &case.input_key), samples(case, &case.expect_key));
    assert_eq!(inputs.len(), expected.len(), "{}", case.name);
    let stored: Vec<Vec<ArrayD<i64>>> = inputs
        .into_iter()
        .map(|host| vec![graph.run_border_in(0, host).unwrap_or_else(|e| panic!("{}: {e}", case.name))])
        .collect();
    let values = graph.interpret_batch(&stored).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let border = &graph.outputs[0];
    let operations = match case.expect_key.starts_with("logits") {
        true => without_softmax(&border.operations),
        false => &border.operations,
    };
    let mut compared = Compared::default();
    for (sample, (values, expected)) in values.iter().zip(&expected).enumerate() {
        let stream = &values[border.tensor.0 as usize];
        compared.samples += 1;
        for (element, difference) in differences(stream, operations, expected, &case.name).into_iter().enumerate() {
            compared.elements += 1;
            if let Some(difference) = difference {
                compared.differing.push(format!("{} sample {sample} element {element}: {difference}", case.name));
            }
        }
    }
    Ok(compared)
}

/// One entry an element: none where equal.
fn differences(
    stream: &ArrayD<i64>,
    operations: &[BorderOp],
    expected: &BorderValue,
    name: &str,
) -> Vec<Option<String>> {
    if let (Some(tail), BorderValue::Float(expected)) = (exact_tail(operations), expected) {
        let channels = stream.shape().last().copied().unwrap_or(1);
        assert_eq!(stream.len(), expected.len(), "{name}: elements");
        let pairs = stream.iter().zip(expected.iter()).enumerate();
        return pairs
            .map(|(i, (&got, &y))| match expected_integer(&tail, i % channels, y) {
                Ok(q) => (q != got).then(|| format!("expected {q} ({y}), got {got}")),
                Err(error) => Some(format!("{error}, got {got}")),
            })
            .collect();
    }
    let host = BorderOp::run(operations, BorderValue::Int(stream.clone())).unwrap_or_else(|e| panic!("{name}: {e}"));
    match (&host, expected) {
        (BorderValue::Int(got), BorderValue::Int(expected)) => {
            assert_eq!(got.len(), expected.len(), "{name}: elements");
            let pairs = got.iter().zip(expected.iter());
            pairs.map(|(got, want)| (got != want).then(|| format!("expected {want}, got {got}"))).collect()
        }
        // Selected or rectified accumulators, of which each has its own tail: the float is within half
        // the comparison's tolerance of one step of the finest of them.
        (BorderValue::Float(got), BorderValue::Float(expected)) => {
            assert_eq!(got.len(), expected.len(), "{name}: elements");
            let step = finest_step(operations, stream.len(), name);
            let near = |got: f32, want: f32| f64::from((got - want).abs()) <= step / 128.0;
            let pairs = got.iter().zip(expected.iter());
            pairs.map(|(&got, &want)| (!near(got, want)).then(|| format!("expected {want}, got {got}"))).collect()
        }
        _ => panic!("{name}: the output has another kind than the expectation"),
    }
}

/// Least factor of the affine operation that the operations begin with.
fn finest_step(operations: &[BorderOp], channels: usize, name: &str) -> f64 {
    let tail = operations.iter().find_map(|op| match op {
        BorderOp::Affine(tail) => Some(tail),
        _ => None,
    });
    let tail = tail.unwrap_or_else(|| panic!("{name}: no affine operation in {operations:?}"));
    let factors = (0..channels).filter_map(|channel| tail.approximate(channel)).map(|(a, _)| a.abs());
    let finest = factors.fold(f64::INFINITY, f64::min);
    assert!(finest > 0.0 && finest.is_finite(), "{name}: steps of {finest}");
    finest
}

#[test]
fn every_qonnx_vector_is_reproduced() {
    let (mut reproduced, mut samples, mut elements) = (0, 0, 0);
    let mut problems: Vec<String> = Vec::new();
    let cases = cases();
    for case in &cases {
        let refusal = REFUSED.iter().find(|(name, _)| *name == case.name);
        match (compare(case), refusal) {
            (Ok(compared), None) => {
                assert!(compared.samples >= 16 && compared.elements > 0, "{}: hardly anything compared", case.name);
                reproduced += 1;
                samples += compared.samples;
                elements += compared.elements;
                problems.extend(compared.differing);
            }
            (Ok(_), Some(_)) => problems.push(format!("{}: accepted, though listed as refused", case.name)),
            (Err(error), Some((_, part))) if error.to_string().contains(part) => {}
            (Err(error), _) => problems.push(format!("{}: {error}", case.name)),
        }
    }
    println!("{reproduced} of {} cases, {samples} samples, {elements} elements compared", cases.len());
    assert!(cases.len() >= 200, "only {} cases in tests/vectors", cases.len());
    assert_eq!(reproduced + REFUSED.len(), cases.len(), "{}", problems.join("\n"));
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn real_networks_are_reproduced() {
    let folder = root().join("../shared/models");
    if !folder.is_dir() {
        println!("SKIPPED: there is no folder ../shared/models beside the repository");
        return;
    }
    let jets = HashMap::from([("global_in".to_string(), input_type("fixed<16,6>"))]);
    let networks = [
        ("TFC_1W1A", "input", "output", HashMap::new()),
        ("TFC_2W2A", "input", "output", HashMap::new()),
        ("qkeras_jettagging", "input_fixed16_6", "logits_fixed16_6", jets),
    ];
    for (name, input_key, expect_key, input_types) in networks {
        let case = Case {
            name: name.into(),
            model: folder.join(format!("{name}.onnx")),
            vectors: folder.join(format!("{name}.npz")),
            input_key: input_key.into(),
            expect_key: expect_key.into(),
            input_types,
        };
        let compared = compare(&case).unwrap_or_else(|e| panic!("{name}: {e}"));
        println!("{name}: {} samples, {} elements", compared.samples, compared.elements);
        assert_eq!(compared.samples, 64, "{name}");
        assert!(compared.differing.is_empty(), "{}", compared.differing.join("\n"));
    }
}

#[test]
fn an_input_without_a_quantizer_is_refused_with_what_to_pass() {
    let model = root().join("tests/vectors/qonnx_layers/input_fixed8_3.onnx");
    let bytes = std::fs::read(&model).unwrap_or_else(|e| panic!("{}: {e}", model.display()));
    let error = compile_front(&bytes, &FrontOptions::default()).expect_err("a float input").to_string();
    assert!(error.contains("`global_in`") && error.contains("--input-type global_in=fixed<W,I>"), "{error}");
}

#[test]
fn a_changed_weight_is_noticed() {
    let case = cases().into_iter().find(|case| case.name == "gemm_plain").expect("the case");
    let mut graph = compile(&case).unwrap_or_else(|e| panic!("{e}"));
    let stored = |graph: &QuantGraph| -> Vec<Vec<ArrayD<i64>>> {
        let hosts = samples(&case, "input").into_iter();
        hosts.map(|host| vec![graph.run_border_in(0, host).expect("an input")]).collect()
    };
    let run = |graph: &QuantGraph| graph.interpret_batch(&stored(graph)).expect("a network");
    let before = run(&graph);
    let node = graph.nodes.node_indices().next().expect("a node");
    let systole_compiler::quant::QuantOp::Dense(dense) = &mut graph.nodes[node].op else { panic!("no dense node") };
    dense.weights[[0, 0]] += 1;
    let after = run(&graph);
    let output = graph.outputs[0].tensor.0 as usize;
    let differs = before.iter().zip(&after).any(|(a, b)| a[output] != b[output]);
    assert!(differs, "a weight of {:?} has no effect", IxDyn(before[0][output].shape()));
}
