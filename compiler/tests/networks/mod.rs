//! Random small networks, each from a seed: for tests of the reference, of schedules and of hardware.

// Each test binary uses its own part.
#![allow(dead_code)]

pub mod onnx;
#[path = "../onnx_builder/mod.rs"]
pub mod onnx_builder;
pub mod qonnx;
pub mod tflite;

use ndarray::{ArrayD, Axis};
use systole_arith::border::BorderValue;
use systole_compiler::frontend::{self, FrontOptions};
use systole_compiler::graph::{ConstantData, ElementType};
use systole_compiler::ops::random::Random;
use systole_compiler::passes::{derive_exact_maps, fold_constants, lower_to_integers};
use systole_compiler::{CompileError, Graph, Profile, QuantGraph};

/// The profiles of TFLite networks.
pub const TFLITE_PROFILES: [Profile; 4] = [Profile::Tflm, Profile::LitertRef, Profile::LitertOpt, Profile::Xnnpack];

/// The network of a seed, of one front end or another, and the profile it is compiled for.
pub fn case(seed: u64) -> (Graph, Profile) {
    let prefix = format!("n{seed}");
    let imported = |bytes: Vec<u8>| imported(&prefix, &bytes).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    match seed % 5 {
        0..=1 => {
            let profile = TFLITE_PROFILES[(seed / 5) as usize % TFLITE_PROFILES.len()];
            (tflite::network(&prefix, seed), profile)
        }
        2 => (imported(onnx::network(&prefix, seed, onnx::Form::QOperator)), Profile::Ort),
        3 => (imported(qonnx::images(&prefix, seed)), Profile::Qonnx),
        _ => match seed / 5 % 2 {
            0 => (imported(onnx::network(&prefix, seed, onnx::Form::Qdq)), Profile::Ort),
            _ => (imported(qonnx::dense(&prefix, seed)), Profile::Qonnx),
        },
    }
}

/// A model file, imported under a name.
///
/// # Errors
/// As the front end.
pub fn imported(name: &str, bytes: &[u8]) -> Result<Graph, CompileError> {
    let options = FrontOptions { name: name.into(), ..FrontOptions::default() };
    let mut graph = frontend::import(bytes, &options)?;
    graph.name = name.into();
    fold_constants::run(&mut graph)?;
    Ok(graph)
}

/// The integer network of an imported one.
///
/// # Errors
/// As the passes.
pub fn lowered(graph: &Graph, profile: Profile) -> Result<QuantGraph, CompileError> {
    let options = FrontOptions { name: graph.name.clone(), profile: Some(profile), ..FrontOptions::default() };
    let mut quant = lower_to_integers::run(graph, &options)?;
    quant.name = graph.name.clone();
    derive_exact_maps::run(&mut quant)?;
    Ok(quant)
}

/// Values of every input for one sample, batch dimension included; the first two samples hold the type's ends.
pub fn sample(graph: &Graph, random: &mut Random, index: usize) -> Vec<ConstantData> {
    let value = |&id| {
        let tensor = graph.tensor(id);
        let (lo, hi) = match tensor.element {
            ElementType::Uint8 => (0, 255),
            ElementType::Int8 => (-128, 127),
            // Eighths from -5 to 5: exact in every format.
            _ => (-40, 40),
        };
        let (lo, hi) = [(lo, lo), (hi, hi)].get(index).copied().unwrap_or((lo, hi));
        let integers = random.integers(&tensor.shape, lo, hi);
        match tensor.element {
            ElementType::Float32 => ConstantData::Float(integers.mapv(|v| v as f32 / 8.0)),
            _ => ConstantData::Int(integers),
        }
    };
    graph.inputs.iter().map(value).collect()
}

/// A sample's stored integers at the accelerator's inputs.
pub fn stored(quant: &QuantGraph, inputs: &[ConstantData]) -> Vec<ArrayD<i64>> {
    let enter = |(position, value): (usize, &ConstantData)| {
        let value = match value {
            ConstantData::Int(values) => BorderValue::Int(values.index_axis(Axis(0), 0).to_owned()),
            ConstantData::Float(values) => BorderValue::Float(values.index_axis(Axis(0), 0).to_owned()),
        };
        quant.run_border_in(position, value).unwrap_or_else(|error| panic!("{}: {error}", quant.name))
    };
    inputs.iter().enumerate().map(enter).collect()
}

/// A border's value as bits that are equal exactly where the values are.
pub fn bits(value: &BorderValue) -> Vec<i64> {
    match value {
        BorderValue::Int(values) => values.iter().copied().collect(),
        BorderValue::Float(values) => values.iter().map(|v| i64::from((v + 0.0).to_bits())).collect(),
    }
}

/// What the imported network's own operators give for a sample, as [`bits`].
pub fn evaluated(graph: &Graph, profile: Profile, inputs: &[ConstantData]) -> Vec<i64> {
    let values = graph.interpret(profile, inputs).unwrap_or_else(|error| panic!("{}: {error}\n{graph}", graph.name));
    match &values[&graph.outputs[0]] {
        ConstantData::Int(values) => values.iter().copied().collect(),
        ConstantData::Float(values) => bits(&BorderValue::Float(values.clone())),
    }
}
