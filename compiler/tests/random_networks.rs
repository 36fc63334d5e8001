//! Random small networks: the software reference against the imported operators' own evaluation, against the
//! hardware's arithmetic, and against the modules clock by clock.

mod common;
mod networks;

use common::hardware::{holds, schedule, schedule_at_least};
use networks::{bits, evaluated, imported, lowered, onnx, qonnx, sample, stored, tflite, TFLITE_PROFILES};
use std::collections::BTreeMap;
use systole_compiler::ops::random::Random;
use systole_compiler::{Graph, Profile, QuantGraph};

const NETWORKS: u64 = 200;
const SAMPLES: usize = 4;
const BUDGETS: [u64; 3] = [6, 30, 200];

/// Compares the reference with the imported network on a network's samples; gives the accelerator's inputs and the
/// number of elements.
fn reference_holds(
    at: &str,
    graph: &Graph,
    quant: &QuantGraph,
    profile: Profile,
    seed: u64,
) -> (Vec<Vec<ndarray::ArrayD<i64>>>, usize) {
    assert_eq!(quant.verify(), Ok(()), "{at}\n{quant}");
    let random = &mut Random::new(!seed);
    let mut compared = 0;
    let mut all = Vec::new();
    for index in 0..SAMPLES {
        let inputs = sample(graph, random, index);
        let elements = stored(quant, &inputs);
        let values = quant.interpret(&elements).unwrap_or_else(|error| panic!("{at}: {error}"));
        let stream = &values[quant.outputs[0].tensor.0 as usize];
        let got = bits(&quant.run_border_out(0, stream).unwrap_or_else(|error| panic!("{at}: {error}")));
        assert_eq!(got, evaluated(graph, profile, &inputs), "{at}, sample {index}\n{graph}\n{quant}");
        compared += got.len();
        all.push(elements);
    }
    (all, compared)
}

#[test]
fn two_hundred_tflite_networks_compute_in_every_form_what_their_operators_do() {
    let (mut designs, mut elements, mut clocked) = (0, 0, 0);
    let mut operators: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..NETWORKS {
        let graph = tflite::network(&format!("n{seed}"), seed);
        assert_eq!(graph.verify(), Ok(()), "seed {seed}\n{graph}");
        graph.nodes.node_weights().for_each(|node| *operators.entry(node.op.name()).or_default() += 1);
        for (place, profile) in TFLITE_PROFILES.into_iter().enumerate() {
            let at = format!("seed {seed}, {profile}");
            let quant = lowered(&graph, profile).unwrap_or_else(|error| panic!("{at}: {error}\n{graph}"));
            let (samples, compared) = reference_holds(&at, &graph, &quant, profile, seed);
            elements += compared;
            if quant.nodes.node_count() == 0 {
                continue;
            }
            // Every profile in the hardware's arithmetic, one of them at every budget and clock by clock.
            let budget = BUDGETS[(seed as usize + place) % BUDGETS.len()];
            let design = schedule_at_least(&quant, budget);
            let clock = seed as usize % TFLITE_PROFILES.len() == place;
            elements += holds(&format!("{at}, budget {budget}"), &quant, &design, &samples, clock);
            designs += 1;
            clocked += usize::from(clock);
            for budget in BUDGETS.into_iter().filter(|_| clock) {
                let Some(design) = schedule(&quant, budget) else { continue };
                elements += holds(&format!("{at}, budget {budget}"), &quant, &design, &samples, false);
                designs += 1;
            }
        }
    }
    println!("{NETWORKS} networks, {designs} designs, {clocked} of them clock by clock, {elements} elements");
    println!("{operators:?}");
    assert!(clocked as u64 + 5 > NETWORKS && elements > 500_000, "{clocked} designs, {elements} elements");
    assert!(operators.len() >= 18 && operators.values().all(|&count| count >= 8), "{operators:?}");
}

#[test]
fn two_hundred_networks_of_each_onnx_form_compute_in_every_form_what_their_operators_do() {
    use networks::onnx::Form;
    let (mut designs, mut elements, mut clocked) = (0, 0, 0);
    let mut operators: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..NETWORKS {
        let prefix = format!("n{seed}");
        let graph = |bytes: Vec<u8>| imported(&prefix, &bytes).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let operator = graph(onnx::network(&prefix, seed, Form::QOperator));
        let quantizers = graph(onnx::network(&prefix, seed, Form::Qdq));
        let images = graph(qonnx::images(&prefix, seed));
        // Quantizers around float operators mean what the QLinear operators compute.
        let cases = [
            ("QOperator", &operator, &operator, Profile::Ort),
            ("QDQ", &quantizers, &operator, Profile::Ort),
            ("QONNX", &images, &images, Profile::Qonnx),
        ];
        for (place, (form, graph, expected, profile)) in cases.into_iter().enumerate() {
            let at = format!("{form}, seed {seed}");
            graph.nodes.node_weights().for_each(|node| *operators.entry(node.op.name()).or_default() += 1);
            let quant = lowered(graph, profile).unwrap_or_else(|error| panic!("{at}: {error}\n{graph}"));
            let (samples, compared) = reference_holds(&at, expected, &quant, profile, seed);
            elements += compared;
            if quant.nodes.node_count() == 0 {
                continue;
            }
            let clock = (seed as usize + place) % 3 != 1;
            for (number, budget) in BUDGETS.into_iter().enumerate() {
                let clock = clock && (seed as usize + number).is_multiple_of(BUDGETS.len());
                let Some(design) = schedule(&quant, budget) else { continue };
                elements += holds(&format!("{at}, budget {budget}"), &quant, &design, &samples, clock);
                designs += 1;
                clocked += usize::from(clock);
            }
        }
    }
    println!(
        "{NETWORKS} networks of each form, {designs} designs, {clocked} of them clock by clock, {elements} elements"
    );
    println!("{operators:?}");
    assert!(clocked > 300 && elements > 500_000, "{clocked} designs, {elements} elements");
    assert!(operators.len() >= 25, "{operators:?}");
}
