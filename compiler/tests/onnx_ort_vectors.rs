//! The software reference against ONNX Runtime: every case of the families `onnx_qoperator` and
//! `onnx_qdq` of `tests/vectors`.

mod common;

use common::{compare, root, run};
use systole_bundle::Array;
use systole_compiler::frontend::{compile_front, FrontOptions};
use systole_compiler::passes::fold_constants;

/// Cases that are refused on purpose, with a part of what the diagnostic must say.
const REFUSED: [(&str, &str); 0] = [];

struct Case {
    name: String,
    family: String,
    model: std::path::PathBuf,
    vectors: std::path::PathBuf,
}

fn cases() -> Vec<Case> {
    let folder = root().join("tests/vectors");
    let text = std::fs::read(folder.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let text = |case: &serde_json::Value, key: &str| case[key].as_str().unwrap().to_string();
    let listed = |key: &str| index[key].as_array().cloned().unwrap_or_default();
    listed("cases")
        .iter()
        .map(|case| Case {
            name: text(case, "name"),
            family: text(case, "family"),
            model: folder.join(text(case, "model")),
            vectors: folder.join(text(case, "vectors")),
        })
        .filter(|case| ["onnx_qoperator", "onnx_qdq", "onnx_arrangements"].contains(&case.family.as_str()))
        .collect()
}

/// Elements compared; what is wrong otherwise.
fn check(case: &Case) -> Result<usize, String> {
    let bytes = std::fs::read(&case.model).map_err(|error| error.to_string())?;
    let quant = compile_front(&bytes, &FrontOptions { name: case.name.clone(), ..FrontOptions::default() })
        .map_err(|error| error.to_string())?;
    let array = |key: &str| Array::read_npz(&case.vectors, key).map_err(|error| error.to_string());
    let (input, expected) = (array("input")?, array("output_ort")?);
    let compared = compare(&run(&quant, &input)?.host, &expected);
    match compared.mismatches {
        0 => Ok(compared.elements),
        mismatches => Err(format!("{mismatches} of {} elements differ", compared.elements)),
    }
}

#[test]
fn every_quantized_onnx_vector_is_reproduced() {
    let cases = cases();
    assert!(cases.len() >= 300, "only {} cases in tests/vectors", cases.len());
    let (mut elements, mut problems) = (0, Vec::new());
    for case in &cases {
        let refusal = REFUSED.iter().find(|(name, _)| *name == case.name);
        match (check(case), refusal) {
            (Ok(count), None) => {
                assert!(count > 0, "{}: nothing compared", case.name);
                elements += count;
            }
            (Ok(_), Some(_)) => problems.push(format!("{}: accepted, though listed as refused", case.name)),
            (Err(error), Some((_, part))) if error.contains(part) => {}
            (Err(error), _) => problems.push(format!("{} {}: {error}", case.family, case.name)),
        }
    }
    println!("{} cases, {elements} elements compared", cases.len());
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn the_operators_own_evaluation_agrees_on_quantized_operators() {
    let mut compared = 0;
    for case in cases().iter().filter(|case| case.family != "onnx_qdq") {
        let bytes = std::fs::read(&case.model).unwrap();
        let Ok(mut graph) = systole_compiler::frontend::onnx::import(&bytes, &case.name) else { continue };
        fold_constants::run(&mut graph).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        // Softmax and float chains in front of a quantizer are evaluated as floats, to rounding.
        let exact = graph.nodes.node_weights().all(|node| {
            let name = node.op.name();
            name.starts_with('Q') && name != "QLinearSoftmax"
                || ["MaxPool", "Flatten", "Reshape", "Resize"].contains(&name)
        });
        let input = Array::read_npz(&case.vectors, "input").unwrap();
        let expected = Array::read_npz(&case.vectors, "output_ort").unwrap();
        let (Array::Int(input, _), Array::Int(expected, _), true) = (input, expected, exact) else { continue };
        let batch = |values: &ndarray::ArrayD<i64>, index: usize| {
            values.slice_axis(ndarray::Axis(0), ndarray::Slice::from(index..index + 1)).to_owned()
        };
        let value = systole_compiler::graph::ConstantData::Int(batch(&input, 0));
        let values = graph
            .interpret(systole_compiler::Profile::Ort, &[value])
            .unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let systole_compiler::graph::ConstantData::Int(got) = &values[&graph.outputs[0]] else {
            panic!("{}", case.name)
        };
        assert_eq!(got, &batch(&expected, 0), "{}", case.name);
        compared += 1;
    }
    assert!(compared >= 100, "only {compared} cases");
}
