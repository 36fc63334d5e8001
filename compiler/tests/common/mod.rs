//! What the tests on stored vectors share.

// Each test binary uses its own part.
#![allow(dead_code)]

pub mod hardware;

use ndarray::{ArrayD, Axis};
use std::path::{Path, PathBuf};
use systole_arith::border::BorderValue;
use systole_bundle::Array;
use systole_compiler::QuantGraph;

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Sample `index` of an array whose first dimension counts samples.
pub fn sample(array: &Array, index: usize) -> BorderValue {
    match array {
        Array::Int(values, _) => BorderValue::Int(values.index_axis(Axis(0), index).to_owned()),
        Array::Float(values) => BorderValue::Float(values.index_axis(Axis(0), index).to_owned()),
    }
}

/// What the software reference makes of every sample: the accelerator's output stream, and the
/// host's value behind the border.
pub struct Reference {
    /// Elements of the output tensor, before any border operation.
    pub stream: Vec<ArrayD<i64>>,
    /// Values behind the border.
    pub host: Vec<BorderValue>,
}

/// Runs the only input through borders and network.
pub fn run(quant: &QuantGraph, input: &Array) -> Result<Reference, String> {
    let samples = (0..input.shape()[0])
        .map(|index| quant.run_border_in(0, sample(input, index)).map(|elements| vec![elements]))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    let values = quant.interpret_batch(&samples).map_err(|error| error.to_string())?;
    let output = quant.outputs[0].tensor.0 as usize;
    let stream: Vec<ArrayD<i64>> = values.into_iter().map(|mut tensors| tensors.swap_remove(output)).collect();
    let host = stream
        .iter()
        .map(|elements| quant.run_border_out(0, elements))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    Ok(Reference { stream, host })
}

/// Elements compared, and those that differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Elements compared.
    pub elements: usize,
    /// Elements that differ, in any bit.
    pub mismatches: usize,
}

/// Compares values, bit by bit where they are floats, with one expected array `[N, ...]`.
pub fn compare(got: &[BorderValue], expected: &Array) -> Comparison {
    let mut result = Comparison::default();
    assert_eq!(got.len(), expected.shape()[0], "as many samples as expected");
    for (index, got) in got.iter().enumerate() {
        let pairs: Vec<bool> = match (got, sample(expected, index)) {
            (BorderValue::Int(got), BorderValue::Int(expected)) => {
                assert_eq!(got.len(), expected.len());
                got.iter().zip(expected.iter()).map(|(a, b)| a == b).collect()
            }
            (BorderValue::Float(got), BorderValue::Float(expected)) => {
                assert_eq!(got.len(), expected.len());
                got.iter().zip(expected.iter()).map(|(a, b)| a.to_bits() == b.to_bits()).collect()
            }
            (got, expected) => panic!("got {got:?}, expected {expected:?}"),
        };
        result.elements += pairs.len();
        result.mismatches += pairs.iter().filter(|equal| !**equal).count();
    }
    result
}
