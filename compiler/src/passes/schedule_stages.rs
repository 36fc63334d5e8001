//! `QuantGraph` -> `DataflowGraph`: chooses foldings, hardware forms, lanes and FIFO depths.

use crate::dataflow::{BlockTiming, Channel, DataflowGraph, EngineId, Folding, Link, Node, Port, Stage};
use crate::diagnostic::CompileError;
use crate::quant::{Dense, QuantGraph, QuantNode, QuantOp, QuantTensor};
use crate::schedule::{self, fifo, lanes, Goal, StageShape};
use petgraph::graph::DiGraph;
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use systole_arith::Requantizer;
use systole_hdl::cells::Cells;
use systole_hdl::engine::MatrixSpec;
use systole_hdl::requantize::RequantizeSpec;
use systole_hdl::stage::{input_regroup, MatrixStageSpec};
use systole_hdl::typed::identifier;

/// What the user asked of the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleOptions {
    /// Budget or interval.
    pub goal: Goal,
    /// Lanes of the input port; by default the first stage's SIMD.
    pub input_lanes: Option<usize>,
    /// Lanes of the output port; by default the last stage's requantizers.
    pub output_lanes: Option<usize>,
    /// Technology.
    pub cells: Cells,
}

impl Default for ScheduleOptions {
    /// 64 multipliers, ports as wide as their stages.
    fn default() -> Self {
        ScheduleOptions {
            goal: Goal::MaxMultipliers(64),
            input_lanes: None,
            output_lanes: None,
            cells: Cells::default(),
        }
    }
}

/// A matrix product with everything the schedule needs, before folding.
struct Product<'q> {
    name: String,
    node: &'q QuantNode,
    dense: &'q Dense,
    input: &'q QuantTensor,
    output: &'q QuantTensor,
    /// Channels of a pixel on the stream that it reads: those of the tensor before any reshape.
    stream_channels: usize,
    weights: Arc<ndarray::Array2<i64>>,
    form: Requantizer,
    accumulator_bits: u32,
}

/// Schedules a network.
///
/// # Errors
/// If the network is empty or not a chain, a stage's outputs have no hardware form, or the goal is
/// out of reach.
pub fn run(quant: &QuantGraph, options: &ScheduleOptions) -> Result<DataflowGraph, CompileError> {
    let products = products(quant)?;
    let (Some(first), Some(last)) = (products.first(), products.last()) else {
        return Err(CompileError::model(
            "the network has no layer to accelerate",
            "give a network with at least one matrix product",
        ));
    };
    let shape =
        |product: &Product| StageShape { name: product.node.name.clone(), matrix: product.matrix(1, 1, options.cells) };
    let shapes: Vec<StageShape> = products.iter().map(shape).collect();
    let mut limits = Vec::new();
    if let Some(lanes) = options.input_lanes {
        limits.push(port_limit("input", lanes, first.stream_channels, first.input.elements())?);
    }
    if let Some(lanes) = options.output_lanes {
        limits.push(port_limit("output", lanes, last.output.channels(), last.output.elements())?);
    }
    let foldings = schedule::folding::fold(&shapes, options.goal, &limits)
        .map_err(|error| CompileError::model(error.to_string(), "the limits are those of this network"))?;

    let mut graph = DiGraph::new();
    let first_matrix = first.matrix(foldings[0].pe as usize, foldings[0].simd as usize, options.cells);
    let fits = |lanes: usize| first.takes(lanes, &first_matrix);
    let input_lanes = match options.input_lanes {
        Some(lanes) => lanes,
        None => {
            let wanted = (foldings[0].simd as usize).min(first.stream_channels);
            (1..=wanted).rev().find(|&lanes| fits(lanes)).unwrap_or(1)
        }
    };
    if !fits(input_lanes) {
        return Err(first.misfit(input_lanes, "choose other `--input-lanes`"));
    }
    let port = Port { prefix: "s_axis".into(), lanes: input_lanes, border: quant.inputs[0].clone() };
    let mut from = graph.add_node(Node::Input(port));
    let mut channel = Channel {
        name: "input_stream".into(),
        tensor: QuantTensor { shape: stream_shape(first), ..quant.tensors[quant.inputs[0].tensor.0 as usize].clone() },
        lanes: input_lanes,
        link: Link::OnChip,
        fifo_depth: crate::dataflow::PORT_BUFFER_DEPTH,
    };
    for (index, (product, folding)) in products.iter().zip(&foldings).enumerate() {
        // A stage behind this one that reads its output through a reshape restricts the lanes.
        let reader = products.get(index + 1).zip(foldings.get(index + 1));
        let reader = reader.map(|(next, f)| (next, next.matrix(f.pe as usize, f.simd as usize, options.cells)));
        let fits = |lanes: usize| reader.as_ref().is_none_or(|(next, matrix)| next.takes(lanes, matrix));
        let matrix = product.matrix(folding.pe as usize, folding.simd as usize, options.cells);
        let Some(lanes) = lanes::choose(&matrix, &|lanes| product.requantize(lanes, &matrix), &fits) else {
            return Err(product.misfit(matrix.pe, "choose another budget"));
        };
        let stage = product.stage(index, matrix, lanes, channel.lanes);
        let next = Channel {
            name: format!("{}_stream", product.name),
            tensor: product.output.clone(),
            lanes: stage.spec.out_lanes(),
            link: Link::OnChip,
            fifo_depth: stage.spec.fifo_depth,
        };
        let node = graph.add_node(Node::Stage(Box::new(stage)));
        graph.add_edge(from, node, std::mem::replace(&mut channel, next));
        from = node;
    }
    let lanes = options.output_lanes.unwrap_or(channel.lanes);
    let port = Port { prefix: "m_axis".into(), lanes, border: quant.outputs[0].clone() };
    let sink = graph.add_node(Node::Output(port));
    graph.add_edge(from, sink, channel);
    let budget = match options.goal {
        Goal::MaxMultipliers(budget) => Some(budget),
        Goal::TargetInterval(_) => None,
    };
    let mut design = DataflowGraph {
        name: quant.name.clone(),
        profile: quant.profile,
        cells: options.cells,
        budget,
        fifo_search_is_exhaustive: false,
        graph,
    };
    size_fifos(&mut design)?;
    Ok(design)
}

fn port_limit(port: &str, lanes: usize, channels: usize, elements: usize) -> Result<(String, u64), CompileError> {
    if lanes == 0 || lanes > channels {
        return Err(CompileError::model(
            format!("the {port} port cannot have {lanes} lanes for {channels} channels a pixel"),
            format!("use 1 to {channels}"),
        ));
    }
    Ok((format!("the {port} port with {lanes} lanes"), (elements / channels * channels.div_ceil(lanes)) as u64))
}

/// Shape of the tensor on the stream that a product reads.
fn stream_shape(product: &Product) -> Vec<usize> {
    match product.stream_channels == product.input.channels() {
        true => product.input.shape.clone(),
        false => vec![product.input.elements() / product.stream_channels, product.stream_channels],
    }
}

/// The network's products in data order, with their hardware forms.
fn products(quant: &QuantGraph) -> Result<Vec<Product<'_>>, CompileError> {
    if quant.inputs.len() != 1 || quant.outputs.len() != 1 {
        return Err(CompileError::model(
            format!("the network has {} inputs and {} outputs", quant.inputs.len(), quant.outputs.len()),
            "split it into networks with one input and one output each",
        ));
    }
    let order = petgraph::algo::toposort(&quant.nodes, None)
        .map_err(|_| CompileError::Internal { pass: "schedule_stages", cause: "the network is cyclic".into() })?;
    // Channels of the stream that carries each tensor: a reshape changes the tensor, not the stream.
    let mut stream_channels: HashMap<u32, usize> = HashMap::new();
    let tensor = |id: crate::quant::TensorId| &quant.tensors[id.0 as usize];
    let start = quant.inputs[0].tensor;
    stream_channels.insert(start.0, tensor(start).channels());
    let mut present = start;
    let mut pending = Vec::new();
    for index in order {
        let node = &quant.nodes[index];
        if node.inputs.as_slice() != [present] {
            return Err(CompileError::node(
                &node.name,
                "it does not continue the chain of layers",
                "only networks whose layers form one chain are scheduled",
            ));
        }
        let channels = stream_channels.get(&present.0).copied().unwrap_or(1);
        match &node.op {
            QuantOp::Reshape => {
                stream_channels.insert(node.output.0, channels);
            }
            QuantOp::Conv(_)
            | QuantOp::Depthwise(_)
            | QuantOp::Pool(_)
            | QuantOp::Pad(_)
            | QuantOp::Map(_)
            | QuantOp::Join(_)
            | QuantOp::Concat => {
                return Err(CompileError::node(
                    &node.name,
                    format!("a {} has no hardware yet", node.op.name()),
                    "only matrix products are scheduled today",
                ))
            }
            QuantOp::Dense(dense) => {
                let short: String = node.name.chars().take(48).collect();
                let name = identifier(&format!("layer{}_{}", pending.len(), short.to_ascii_lowercase()));
                pending.push((name, node, dense, tensor(present), tensor(node.output), channels));
                stream_channels.insert(node.output.0, tensor(node.output).channels());
            }
        }
        present = node.output;
    }
    pending
        .into_par_iter()
        .map(|(name, node, dense, input, output, stream_channels)| {
            let form = dense.hardware_form(input).map_err(|error| {
                CompileError::node(&node.name, error.to_string(), "quantize this layer's output to at most 8 bits")
            })?;
            let accumulator_bits = dense
                .raw_range(input)
                .map_err(|error| {
                    CompileError::node(&node.name, error.to_string(), "narrow the layer's inputs or weights")
                })?
                .signed_bits();
            let weights = Arc::new(dense.weights.clone());
            Ok(Product { name, node, dense, input, output, stream_channels, weights, form, accumulator_bits })
        })
        .collect()
}

impl Product<'_> {
    /// The engine with a folding.
    fn matrix(&self, pe: usize, simd: usize, cells: Cells) -> MatrixSpec {
        MatrixSpec {
            pixels: self.output.pixels(),
            inputs: self.input.channels(),
            outputs: self.output.channels(),
            pe,
            simd,
            input: self.input.element,
            weight: self.dense.weight_type,
            accumulator_bits: self.accumulator_bits,
            cells,
        }
    }

    /// The requantizer with a number of lanes.
    fn requantize(&self, lanes: usize, matrix: &MatrixSpec) -> RequantizeSpec {
        RequantizeSpec {
            name: format!("{}_requantize", self.name),
            lanes,
            channels: matrix.outputs,
            raw_bits: matrix.accumulator_bits,
            form: self.form.clone(),
            output: self.output.element,
            cells: matrix.cells,
        }
    }

    /// Whether the stage can read a stream of `lanes`: a reshape in front of it may end a pixel
    /// inside a beat.
    fn takes(&self, lanes: usize, matrix: &MatrixSpec) -> bool {
        input_regroup(self.stream_channels, lanes, matrix).is_none_or(|block| block.added().is_ok())
    }

    /// No number of lanes suits the reshape.
    fn misfit(&self, lanes: usize, remedy: &str) -> CompileError {
        CompileError::node(
            &self.node.name,
            format!(
                "pixels of {} elements in beats of {lanes} do not regroup to pixels of {} elements",
                self.stream_channels,
                self.input.channels()
            ),
            remedy,
        )
    }

    fn stage(&self, index: usize, matrix: MatrixSpec, lanes: usize, in_lanes: usize) -> Stage {
        let (pe, simd) = (matrix.pe, matrix.simd);
        let cycles = matrix.pixels as u64 * matrix.cycles_per_pixel();
        let macs = (matrix.pixels * matrix.inputs * matrix.outputs) as u64;
        let mut spec = MatrixStageSpec {
            name: self.name.clone(),
            comments: Vec::new(),
            in_channels: self.stream_channels,
            in_lanes,
            requantize: self.requantize(lanes, &matrix),
            weights: self.weights.clone(),
            fifo_depth: 1,
            matrix,
        };
        let latency = spec.pipeline_latency();
        spec.comments = vec![
            format!("Layer `{}`: {} x {} matrix product on {} pixel(s), {} by {}, to {}.",
                self.node.name, spec.matrix.outputs, spec.matrix.inputs, spec.matrix.pixels, self.input.element,
                self.dense.weight_type, self.output.element),
            format!("Folding: PE {pe}, SIMD {simd}, {lanes} requantizer(s). Interval {cycles} cycles a sample; latency {latency} cycles"),
            "from the last fold of a group to its first output beat.".to_string(),
        ];
        Stage {
            name: self.name.clone(),
            op: "dense",
            node: self.node.name.clone(),
            output: self.output.clone(),
            macs,
            folding: Folding::Matrix { pe, simd },
            timing: BlockTiming { interval: cycles, busy_cycles: cycles, latency },
            engine: EngineId(index as u32),
            spec,
        }
    }
}

/// Gives every FIFO its minimal depth.
fn size_fifos(design: &mut DataflowGraph) -> Result<(), CompileError> {
    let internal = |cause: String| CompileError::Internal { pass: "size_fifos", cause };
    let mut timed = design.timed().map_err(|error| internal(error.to_string()))?;
    let mut nodes = Vec::new();
    let mut fifos = Vec::new();
    for index in design.order() {
        let Node::Stage(stage) = &design.graph[index] else { continue };
        let beats = stage.spec.beats_per_group().map_err(|error| internal(error.to_string()))?;
        let least = beats.iter().copied().max().unwrap_or(1).max(1);
        let a_sample = beats.iter().sum::<u64>() * stage.spec.matrix.pixels as u64;
        let in_flight = (stage.timing.latency + 8) * least;
        nodes.push(index);
        fifos.push(fifo::Fifo {
            credits: timed.credits[&index],
            width: stage.spec.fifo().width,
            least,
            ample: 2 * a_sample + in_flight,
        });
    }
    for fifo in &fifos {
        timed.model.set_initial(fifo.credits, fifo.ample);
    }
    let settled = timed.settled().map_err(|error| internal(error.to_string()))?;
    let depths = fifo::size(&timed.model, &fifos, settled).map_err(|error| internal(error.to_string()))?;
    design.fifo_search_is_exhaustive = depths.exhaustive;
    for (index, entries) in nodes.into_iter().zip(depths.entries) {
        if let Node::Stage(stage) = &mut design.graph[index] {
            stage.spec.fifo_depth = entries as usize;
        }
        let out = design.graph.edges(index).next().map(|edge| petgraph::visit::EdgeRef::id(&edge));
        if let Some(edge) = out {
            design.graph[edge].fifo_depth = entries as usize;
        }
    }
    Ok(())
}
