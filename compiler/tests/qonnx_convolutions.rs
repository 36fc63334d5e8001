//! Convolutional QONNX networks against the QONNX executor: every stored case of the family.

use ndarray::{ArrayD, Axis};
use std::path::{Path, PathBuf};
use systole_arith::border::{exact_tail, expected_integer, BorderValue};
use systole_bundle::array::Array;
use systole_compiler::frontend::{compile_front, FrontOptions};
use systole_compiler::quant::QuantOp;
use systole_compiler::QuantGraph;

const FAMILY: &str = "qonnx_convolutions";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors")
}

/// Names of all cases of the family.
fn names() -> Vec<String> {
    let text = std::fs::read(folder().join("index.json")).expect("tests/vectors/index.json");
    let index: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let cases = index["cases"].as_array().expect("cases");
    let of_family = cases.iter().filter(|case| case["family"] == FAMILY);
    of_family.map(|case| case["name"].as_str().expect("a name").to_string()).collect()
}

fn compile(name: &str) -> Result<QuantGraph, String> {
    let bytes = std::fs::read(folder().join(FAMILY).join(format!("{name}.onnx"))).expect("a model");
    let graph = compile_front(&bytes, &FrontOptions { name: name.into(), ..FrontOptions::default() });
    graph.map_err(|error| error.to_string())
}

fn floats(name: &str, key: &str) -> Vec<ArrayD<f32>> {
    let path = folder().join(FAMILY).join(format!("{name}.npz"));
    match Array::read_npz(&path, key).unwrap_or_else(|e| panic!("{e}")) {
        Array::Float(values) => values.axis_iter(Axis(0)).map(|v| v.to_owned()).collect(),
        Array::Int(..) => panic!("{name}: {key} holds integers"),
    }
}

/// Runs all samples: how many elements were compared, and what differs.
fn compare(name: &str, graph: &QuantGraph) -> (usize, Vec<String>) {
    let enter = |host| vec![graph.run_border_in(0, BorderValue::Float(host)).unwrap_or_else(|e| panic!("{name}: {e}"))];
    let inputs: Vec<Vec<ArrayD<i64>>> = floats(name, "input").into_iter().map(enter).collect();
    let expected = floats(name, "output");
    assert_eq!(inputs.len(), expected.len(), "{name}");
    let values = graph.interpret_batch(&inputs).unwrap_or_else(|e| panic!("{name}: {e}"));
    let border = &graph.outputs[0];
    let tail = exact_tail(&border.operations).unwrap_or_else(|| panic!("{name}: {:?}", border.operations));
    let (mut elements, mut differing) = (0, Vec::new());
    for (sample, (values, expected)) in values.iter().zip(&expected).enumerate() {
        let stream = &values[border.tensor.0 as usize];
        assert_eq!(stream.len(), expected.len(), "{name}: elements");
        let channels = stream.shape().last().copied().unwrap_or(1);
        for (i, (&got, &y)) in stream.iter().zip(expected).enumerate() {
            elements += 1;
            match expected_integer(&tail, i % channels, y) {
                Ok(q) if q == got => {}
                Ok(q) => differing.push(format!("{name} sample {sample} element {i}: expected {q} ({y}), got {got}")),
                Err(error) => differing.push(format!("{name} sample {sample} element {i}: {error}, got {got}")),
            }
        }
    }
    (elements, differing)
}

#[test]
fn every_convolutional_network_is_reproduced() {
    let names = names();
    assert!(names.len() >= 34, "only {} cases", names.len());
    let (mut elements, mut problems) = (0, Vec::new());
    for name in &names {
        match compile(name) {
            Ok(graph) => {
                let (compared, differing) = compare(name, &graph);
                assert!(compared > 0, "{name}: nothing compared");
                elements += compared;
                problems.extend(differing);
            }
            Err(error) => problems.push(format!("{name}: {error}")),
        }
    }
    println!("{} networks, {elements} elements compared", names.len());
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn the_family_lowers_to_every_operator_on_images() {
    let graphs: Vec<QuantGraph> = names().iter().filter_map(|name| compile(name).ok()).collect();
    let ops = || graphs.iter().flat_map(|graph| graph.nodes.node_weights().map(|node| &node.op));
    assert!(ops().any(|op| matches!(op, QuantOp::Conv(conv) if conv.groups > 1)), "no grouped convolution");
    for name in ["dense", "conv", "depthwise", "pool", "join"] {
        assert!(ops().any(|op| op.name() == name), "no {name}");
    }
}
