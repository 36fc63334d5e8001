//! Schedules held against the software reference: in the hardware's own arithmetic, and clock by clock in the
//! evaluator of the typed layer.

use ndarray::ArrayD;
use num_bigint::BigUint;
use std::collections::HashMap;
use systole_bundle::{Manifest, Stream, StreamKind};
use systole_compiler::dataflow::Execution;
use systole_compiler::emit;
use systole_compiler::passes::schedule_stages::{self, ScheduleOptions};
use systole_compiler::schedule::Goal;
use systole_compiler::{CompileError, DataflowGraph, QuantGraph};
use systole_hdl::typed::Evaluator;

/// The design for a budget; none where the budget is below the smallest design.
pub fn schedule(quant: &QuantGraph, budget: u64) -> Option<DataflowGraph> {
    let options = ScheduleOptions { goal: Goal::MaxMultipliers(budget), ..ScheduleOptions::default() };
    match schedule_stages::run(quant, &options) {
        Ok(design) => Some(design),
        Err(CompileError::Internal { pass, cause }) => panic!("{} at {budget}: {pass}: {cause}\n{quant}", quant.name),
        Err(error) if error.to_string().contains("multipliers") => None,
        Err(error) => panic!("{} at {budget}: {error}\n{quant}", quant.name),
    }
}

/// The design with the fewest multipliers of at least `budget`.
pub fn schedule_at_least(quant: &QuantGraph, budget: u64) -> DataflowGraph {
    let mut budgets = (0..12).map(|doublings| budget << doublings);
    budgets.find_map(|budget| schedule(quant, budget)).unwrap_or_else(|| panic!("no design\n{quant}"))
}

/// Elements of every channel, by the reference: a vector a sample.
pub type Streams = HashMap<String, Vec<Vec<i64>>>;

/// What the reference puts on every channel of `design` for each sample.
pub fn reference(quant: &QuantGraph, design: &DataflowGraph, samples: &[Vec<ArrayD<i64>>]) -> Streams {
    let values = quant.interpret_batch(samples).unwrap_or_else(|error| panic!("{}: {error}", quant.name));
    let channels = design.graph.edge_weights().map(|channel| {
        let named = |place: &usize| quant.tensors[*place].name == channel.tensor.name;
        let place = (0..quant.tensors.len()).find(named).unwrap_or_else(|| panic!("no tensor of {}", channel.name));
        let elements = values.iter().map(|tensors| tensors[place].iter().copied().collect()).collect();
        (channel.name.clone(), elements)
    });
    channels.collect()
}

/// Compares every channel, in data order; returns the number of elements.
pub fn compare(at: &str, design: &DataflowGraph, got: &Streams, expected: &Streams) -> usize {
    let mut elements = 0;
    for node in design.order() {
        for edge in design.channels_out_of(node) {
            let name = &design.graph[edge].name;
            for (sample, expected) in expected[name].iter().enumerate() {
                assert_eq!(&got[name][sample], expected, "{at}: stream `{name}`, sample {sample}\n{design}");
                elements += expected.len();
            }
        }
    }
    elements
}

/// The design's Verilog in the typed layer's evaluator: what its streams carry, and on which edges its ports'
/// beats move, for samples sent back to back without stalls.
pub fn clocked(at: &str, design: &DataflowGraph, manifest: &Manifest, samples: &[Vec<i64>]) -> Execution {
    let module = emit::top_module(design).unwrap_or_else(|error| panic!("{at}: {error}"));
    let mut hardware = Evaluator::new(&module);
    let port = |kind| manifest.streams.iter().position(|stream| stream.kind == kind).expect("a port");
    let (input, output) = (port(StreamKind::Input), port(StreamKind::Output));
    let mut packed = Vec::new();
    samples.iter().for_each(|sample| manifest.streams[input].pack(sample, &mut packed));
    let offered: Vec<BigUint> =
        packed.chunks(manifest.streams[input].beat_bytes()).map(BigUint::from_bytes_le).collect();
    let wanted: Vec<usize> = manifest.streams.iter().map(|stream| stream.beats * samples.len()).collect();
    let mut carried = vec![Vec::new(); manifest.streams.len()];
    let mut edges = vec![Vec::new(); manifest.streams.len()];

    hardware.set("aresetn", 0u64);
    hardware.set("s_axis_tvalid", 0u64);
    hardware.set("s_axis_tlast", 0u64);
    hardware.set("m_axis_tready", 1u64);
    hardware.clock();
    hardware.set("aresetn", 1u64);
    let mut quiet = 0;
    for edge in 0u64.. {
        let offer = offered.get(edges[input].len());
        hardware.set("s_axis_tvalid", u64::from(offer.is_some()));
        if let Some(beat) = offer {
            hardware.set("s_axis_tdata", beat.clone());
        }
        quiet += 1;
        for (index, stream) in manifest.streams.iter().enumerate() {
            if hardware.get_u64(&stream.valid) == 1 && hardware.get_u64(&stream.ready) == 1 {
                edges[index].push(edge);
                carried[index].extend(beat_bytes(stream, hardware.get(&stream.data)));
                quiet = 0;
            }
        }
        if edges.iter().zip(&wanted).all(|(edges, &wanted)| edges.len() >= wanted) {
            break;
        }
        let counts: Vec<usize> = edges.iter().map(Vec::len).collect();
        assert!(quiet < 100_000, "{at}: nothing moves; beats {counts:?} of {wanted:?}\n{design}");
        hardware.clock();
    }
    let elements = |stream: &Stream, bytes: &[u8]| {
        let sample = stream.beats * stream.beat_bytes();
        bytes.chunks(sample).map(|beats| stream.unpack(beats)).collect()
    };
    let named = manifest.streams.iter().zip(&carried).map(|(s, bytes)| (s.name.clone(), elements(s, bytes)));
    Execution { streams: named.collect(), input_edges: edges[input].clone(), output_edges: edges[output].clone() }
}

fn beat_bytes(stream: &Stream, beat: BigUint) -> Vec<u8> {
    let mut bytes = beat.to_bytes_le();
    bytes.resize(stream.beat_bytes(), 0);
    bytes
}

/// Holds a design against the reference on `samples`: its own arithmetic, then, with `clock`, its modules clock by
/// clock, every stream and the edge of every beat at the ports. Returns the number of elements compared.
pub fn holds(at: &str, quant: &QuantGraph, design: &DataflowGraph, samples: &[Vec<ArrayD<i64>>], clock: bool) -> usize {
    assert_eq!(design.verify(), Ok(()), "{at}\n{design}");
    let expected = reference(quant, design, samples);
    let flat: Vec<Vec<i64>> = samples.iter().map(|inputs| inputs[0].iter().copied().collect()).collect();
    let execution = design.interpret(&flat).unwrap_or_else(|error| panic!("{at}: {error}\n{design}"));
    let mut elements = compare(at, design, &execution.streams, &expected);
    if clock {
        let figures = design.timed().unwrap().figures().unwrap_or_else(|error| panic!("{at}: {error}\n{design}"));
        let bundle = emit::bundle(quant, design, &figures, None).unwrap_or_else(|error| panic!("{at}: {error}"));
        let run = clocked(at, design, &bundle.manifest, &flat);
        elements += compare(&format!("{at}, clocked"), design, &run.streams, &expected);
        let since = |edges: &[u64], first: u64| edges.iter().map(|edge| edge - first).collect::<Vec<u64>>();
        for (name, got, predicted) in [
            ("input", &run.input_edges, &execution.input_edges),
            ("output", &run.output_edges, &execution.output_edges),
        ] {
            let got = since(got, run.input_edges[0]);
            assert_eq!(got, since(predicted, execution.input_edges[0]), "{at}: edges of the {name}\n{design}");
        }
    }
    elements
}
