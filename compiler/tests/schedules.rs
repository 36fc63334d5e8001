//! Schedules of every stored network: the hardware's arithmetic against the software reference,
//! exact figures, and FIFO depths that cannot be reduced.

use ndarray::{ArrayD, IxDyn};
use std::path::{Path, PathBuf};
use systole_arith::IntType;
use systole_compiler::frontend::{compile_front, FrontOptions};
use systole_compiler::ops::random::Random;
use systole_compiler::passes::schedule_stages::{self, ScheduleOptions};
use systole_compiler::quant::QuantTensor;
use systole_compiler::schedule::Goal;
use systole_compiler::{DataflowGraph, QuantGraph};

/// Samples after which a paced design has certainly settled.
const GENEROUS: u64 = 600;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Models of `tests/vectors` and the example, with their front options left to the defaults.
fn models() -> Vec<PathBuf> {
    let mut folders = vec![repository().join("tests/vectors"), repository().join("examples")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|ending| ending.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("tflite" | "onnx") => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// The integer network of a file, where the front end takes it as it is and it has a layer.
fn network(path: &Path) -> Option<QuantGraph> {
    let bytes = std::fs::read(path).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy().replace(['.', '-'], "_");
    let front = FrontOptions { name: format!("net_{name}"), ..FrontOptions::default() };
    let quant = compile_front(&bytes, &front).ok()?;
    (quant.nodes.node_count() > 0).then_some(quant)
}

fn schedule(quant: &QuantGraph, budget: u64) -> Option<DataflowGraph> {
    let options = ScheduleOptions { goal: Goal::MaxMultipliers(budget), ..ScheduleOptions::default() };
    let mut named = quant.clone();
    named.name = "scheduled".into();
    schedule_stages::run(&named, &options).ok()
}

fn random_sample(tensor: &QuantTensor, random: &mut Random) -> Vec<i64> {
    let value = |random: &mut Random| match tensor.element {
        IntType::Bipolar => tensor.element.decode(random.bits()),
        _ => random.within(tensor.range.lo, tensor.range.hi),
    };
    (0..tensor.elements()).map(|_| value(random)).collect()
}

#[test]
fn every_stored_network_computes_in_hardware_form_what_the_reference_computes() {
    let (mut networks, mut designs, mut elements) = (0, 0, 0usize);
    for path in models() {
        let Some(quant) = network(&path) else { continue };
        networks += 1;
        for budget in [3, 17, 200] {
            let Some(design) = schedule(&quant, budget) else { continue };
            designs += 1;
            assert_eq!(design.verify(), Ok(()), "{} at {budget}", path.display());
            let input = quant.tensor(quant.inputs[0].tensor);
            let mut random = Random::new(budget);
            let samples: Vec<Vec<i64>> = (0..4).map(|_| random_sample(input, &mut random)).collect();
            let execution = design.interpret(&samples).unwrap();
            let shaped: Vec<_> = samples
                .iter()
                .map(|sample| vec![ArrayD::from_shape_vec(IxDyn(&input.shape), sample.clone()).unwrap()])
                .collect();
            let reference = quant.interpret_batch(&shaped).unwrap();
            for channel in design.graph.edge_weights().filter(|channel| channel.name != "input_stream") {
                let place = quant.tensors.iter().position(|tensor| tensor.name == channel.tensor.name).unwrap();
                for (sample, values) in reference.iter().enumerate() {
                    let expected: Vec<i64> = values[place].iter().copied().collect();
                    let got = &execution.streams[&channel.name][sample];
                    assert_eq!(got, &expected, "{} at {budget}, `{}`, sample {sample}", path.display(), channel.name);
                    elements += expected.len();
                }
            }
        }
    }
    println!("{designs} designs of {networks} networks, {elements} elements");
    assert!(networks > 200 && elements > 20_000, "{networks} networks, {elements} elements");
}

#[test]
fn every_fifo_reduced_by_one_entry_raises_the_interval_or_stops_the_design() {
    let mut reduced = 0;
    for path in models().into_iter().filter(|path| {
        let text = path.to_string_lossy();
        text.contains("digits") || text.contains("networks")
    }) {
        let Some(quant) = network(&path) else { continue };
        for budget in [5, 24, 150] {
            let Some(design) = schedule(&quant, budget) else { continue };
            let mut timed = design.timed().unwrap();
            let pace = timed.figures().unwrap().steady.pace();
            assert_eq!(timed.model.sustains(pace, GENEROUS), Ok(true), "{} at {budget}", path.display());
            for (&edge, &credits) in &timed.credits.clone() {
                let depth = design.graph[edge].fifo_depth as u64;
                timed.model.set_initial(credits, depth - 1);
                let sustained = timed.model.sustains(pace, GENEROUS);
                assert_ne!(sustained, Ok(true), "{} at {budget}: a FIFO of {depth} can be shallower", path.display());
                timed.model.set_initial(credits, depth);
                reduced += 1;
            }
        }
    }
    println!("{reduced} FIFOs");
    assert!(reduced > 100, "{reduced}");
}

#[test]
fn the_interval_is_that_of_the_slowest_stage() {
    for path in models().into_iter().filter(|path| path.to_string_lossy().contains("networks")) {
        let Some(quant) = network(&path) else { continue };
        for budget in [9, 40, 300] {
            let Some(design) = schedule(&quant, budget) else { continue };
            let slowest = design.stages().max_by_key(|stage| stage.timing.interval).unwrap();
            let (busiest, needed) = (slowest.timing.busy_cycles, slowest.timing.interval);
            let timed = design.timed().unwrap();
            let (cycles, samples) = timed.figures().unwrap().steady.pace();
            assert_eq!((cycles, samples), (timed.model.bound(), 1), "{} at {budget}", path.display());
            assert!(cycles >= busiest && cycles >= needed);
            // Only a port or a requantizer that takes longer than every engine is slower.
            if design.stages().all(|stage| stage.timing.interval >= stage.output.pixels() as u64 * 2) {
                assert_eq!(cycles, needed, "{} at {budget}: a bubble", path.display());
            }
        }
    }
}
