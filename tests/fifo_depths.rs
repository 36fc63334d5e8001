//! FIFO depths: none can be one entry shallower, and what the token model says of a FIFO that is too
//! shallow is what the Verilog then does.

mod support;

use std::ops::ControlFlow;
use std::path::Path;
use support::{neighbouring_models, repository};
use systole::compiler::dataflow::{DataflowGraph, Figures, Node};
use systole::compiler::emit::{self, write_bundle};
use systole::compiler::frontend::FrontOptions;
use systole::compiler::passes::pipeline::{self, Compiled};
use systole::compiler::passes::schedule_stages::ScheduleOptions;
use systole::compiler::schedule::Goal;
use systole::hdl::timing::SteadyError;
use systole::reference::NetworkReference;
use systole::sim::run::Rule;
use systole::sim::verify::{verify, Report, Request};
use systole::sim::{Cache, Simulator, Toolchain};

/// Samples within which a design that keeps its interval has settled.
const GENEROUS: u64 = 60;
const SAMPLES: usize = 16;

fn compiled(model: &Path, budget: u64) -> Compiled {
    let bytes = std::fs::read(model).unwrap();
    let front = FrontOptions { name: "shallow".into(), ..FrontOptions::default() };
    let options = ScheduleOptions { goal: Goal::MaxMultipliers(budget), ..ScheduleOptions::default() };
    pipeline::compile(&bytes, &front, &options, &mut |_, _| Ok(())).unwrap()
}

/// The design with one of its FIFOs, the `channel`-th, of another depth.
fn with_depth(design: &DataflowGraph, channel: usize, depth: usize) -> DataflowGraph {
    let mut changed = design.clone();
    let edge = changed.graph.edge_indices().nth(channel).unwrap();
    let (writer, _) = changed.graph.edge_endpoints(edge).unwrap();
    let branch = changed.graph[edge].branch;
    changed.graph[edge].fifo_depth = depth;
    if let Node::Stage(stage) = &mut changed.graph[writer] {
        stage.spec.fifo_depths[branch] = depth;
    }
    changed
}

/// Places of the channels that a stage writes, and their depths.
fn fifos(design: &DataflowGraph) -> Vec<(usize, usize)> {
    let written = |edge| {
        let (writer, _) = design.graph.edge_endpoints(edge).unwrap();
        matches!(design.graph[writer], Node::Stage(_))
    };
    let channels = design.graph.edge_indices().enumerate().filter(|&(_, edge)| written(edge));
    channels.map(|(channel, edge)| (channel, design.graph[edge].fifo_depth)).collect()
}

fn simulated(compiled: &Compiled, design: &DataflowGraph, figures: &Figures) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    write_bundle(&emit::bundle(&compiled.quant, design, figures, None).unwrap(), &bundle).unwrap();
    let (toolchain, cache) = (Toolchain::discover().unwrap(), Cache::of_user().unwrap());
    let simulator = Simulator::build(&bundle, &toolchain, &cache, None, &mut |_| ()).unwrap();
    let reference = NetworkReference::load(&bundle).unwrap();
    let request = Request { vectors: None, samples: Some(SAMPLES), stall_seed: None };
    verify(&simulator, &reference, &request, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn a_fifo_one_entry_too_shallow_slows_the_verilog_to_the_interval_predicted_for_it() {
    let compiled = compiled(&repository().join("tests/vectors/image_networks/image_residual_0.tflite"), 24);
    let usual = compiled.figures.steady.pace();
    let slower = fifos(&compiled.design).into_iter().filter(|&(_, depth)| depth > 1).find_map(|(channel, depth)| {
        let changed = with_depth(&compiled.design, channel, depth - 1);
        let figures = changed.timed().unwrap().figures().ok()?;
        Some((changed, figures))
    });
    let (changed, figures) = slower.expect("a FIFO that slows the design");
    assert!(!figures.steady.keeps(usual), "{} cycles as before", figures.steady.interval());
    let report = simulated(&compiled, &changed, &figures);
    assert!(report.passed(), "{report}");
    let measured = report.interval_measured.map(|interval| interval.to_string());
    assert_eq!(measured, Some(figures.steady.interval()));
    println!("{} cycles a sample instead of {}", figures.steady.interval(), compiled.figures.steady.interval());
}

#[test]
fn a_skip_path_too_shallow_stops_the_verilog_as_the_token_model_says() {
    let compiled = compiled(&repository().join("tests/vectors/image_networks/image_residual_0.tflite"), 24);
    let stops = |design: &DataflowGraph| {
        let figures = design.timed().unwrap().figures();
        matches!(figures, Err(SteadyError::Deadlock(_)))
    };
    // The deepest that stops: one entry more and the design runs, if more slowly.
    let deepest = fifos(&compiled.design).into_iter().find_map(|(channel, depth)| {
        (1..depth).rev().map(|less| (channel, less, with_depth(&compiled.design, channel, less))).find(|c| stops(&c.2))
    });
    let (channel, depth, changed) = deepest.expect("a FIFO that stops the design");
    let report = simulated(&compiled, &changed, &compiled.figures);
    assert!(!report.passed(), "{report}");
    assert!(report.violations.iter().any(|violation| violation.rule == Rule::Hang), "{report}");
    let deeper = with_depth(&compiled.design, channel, depth + 1);
    let figures = deeper.timed().unwrap().figures().unwrap();
    let report = simulated(&compiled, &deeper, &figures);
    assert!(report.passed(), "{report}");
    println!("stops with {depth} entries and runs with {}", depth + 1);
}

#[test]
fn no_fifo_of_the_residual_network_can_be_one_entry_shallower() {
    let found = neighbouring_models().into_iter().find(|path| path.ends_with("pretrainedResnet_quant.tflite"));
    let Some(model) = found else {
        println!("not checked, for want of ../shared/models: FIFO depths of ResNet-8");
        return;
    };
    for budget in [64, 156, 512] {
        let compiled = compiled(&model, budget);
        let pace = compiled.figures.steady.pace();
        let sizes = fifos(&compiled.design);
        let minimal = |&(channel, depth): &(usize, usize)| {
            let timed = with_depth(&compiled.design, channel, depth - 1).timed().unwrap();
            let sustained = timed.model.sustains(pace, GENEROUS);
            assert_ne!(sustained, Ok(true), "at {budget}: FIFO {channel} of {depth} entries can be shallower");
        };
        let reducible: Vec<_> = sizes.iter().filter(|&&(_, depth)| depth > 1).collect();
        std::thread::scope(|scope| {
            for half in reducible.chunks(reducible.len().div_ceil(2)) {
                scope.spawn(|| half.iter().for_each(|fifo| minimal(fifo)));
            }
        });
        println!("{} FIFOs at {budget}", sizes.len());
    }
}
