//! The software reference against ONNX Runtime on real networks beside the repository, where they
//! are present: QOperator and QDQ forms of one ResNet-8.

mod common;

use common::{compare, root, run};
use systole_arith::border::BorderValue;
use systole_bundle::Array;
use systole_compiler::frontend::{compile_front, FrontOptions};
use systole_compiler::QuantGraph;

fn network(name: &str) -> Option<(QuantGraph, std::path::PathBuf)> {
    let folder = root().join("../shared/models");
    let Ok(bytes) = std::fs::read(folder.join(format!("{name}.onnx"))) else {
        println!("SKIPPED {name}: there is no folder ../shared/models beside the repository");
        return None;
    };
    let options = FrontOptions { name: name.into(), ..FrontOptions::default() };
    let quant = compile_front(&bytes, &options).unwrap_or_else(|error| panic!("{name}: {error}"));
    Some((quant, folder.join(format!("{name}.npz"))))
}

fn array(path: &std::path::Path, key: &str) -> Array {
    Array::read_npz(path, key).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn resnet8_as_qoperators_gives_the_runtimes_logits_and_probabilities() {
    let Some((quant, vectors)) = network("resnet8_QOperator_QInt8") else { return };
    let reference = run(&quant, &array(&vectors, "input")).unwrap();
    let logits: Vec<BorderValue> = reference.stream.into_iter().map(BorderValue::Int).collect();
    let compared = compare(&logits, &array(&vectors, "logits_ort"));
    assert_eq!((compared.elements, compared.mismatches), (640, 0));
    // Behind the quantized softmax lie multiples of 1/256: equal floats mean equal integers.
    let compared = compare(&reference.host, &array(&vectors, "output_ort"));
    assert_eq!((compared.elements, compared.mismatches), (640, 0));
}

#[test]
fn resnet8_as_qdq_is_the_same_integer_network_as_its_qoperator_form() {
    let Some((quant, vectors)) = network("resnet8_QDQ_QInt8") else { return };
    let Some((operators, _)) = network("resnet8_QOperator_QInt8") else { return };
    let input = array(&vectors, "input");
    let (got, expected) = (run(&quant, &input).unwrap(), run(&operators, &input).unwrap());
    assert_eq!(got.stream.len(), 64);
    assert_eq!(got.stream, expected.stream);
    let kinds = |quant: &QuantGraph| {
        let mut kinds: Vec<&str> = quant.nodes.node_weights().map(|node| node.op.name()).collect();
        kinds.sort_unstable();
        kinds
    };
    assert_eq!(kinds(&quant), kinds(&operators));
}
