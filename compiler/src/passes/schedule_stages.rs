//! `QuantGraph` -> `DataflowGraph`: chooses foldings, hardware forms, lanes and FIFO depths.

use crate::dataflow::{
    BlockTiming, Channel, DataflowGraph, EngineId, Folding, Link, Node, Port, Stage, PORT_BUFFER_DEPTH,
};
use crate::diagnostic::CompileError;
use crate::emit::ShellOptions;
use crate::quant::{Border, QuantGraph, QuantNode, QuantTensor, TensorId};
use crate::schedule::plan::{Plan, Site};
use crate::schedule::{self, fifo, lanes, Goal, StageShape};
use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use rayon::prelude::*;
use std::collections::HashMap;
use systole_hdl::cells::Cells;
use systole_hdl::engine::Engine;
use systole_hdl::requantize::RequantizeSpec;
use systole_hdl::stage::{input_regroup, InputStream, StageSpec};
use systole_hdl::typed::identifier;

/// The stream behind a stage that hands the input on; it carries the input's tensor.
const FORKED: TensorId = TensorId(u32::MAX);

/// What the user asked of the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleOptions {
    /// Budget or interval.
    pub goal: Goal,
    /// Lanes of the input port; by default what the first stage reads.
    pub input_lanes: Option<usize>,
    /// Lanes of the output port; by default the last stage's requantizers.
    pub output_lanes: Option<usize>,
    /// Technology.
    pub cells: Cells,
    /// Steps of the token simulator that sizing may spend on each FIFO. Beyond, a depth keeps the
    /// interval but need not be minimal.
    pub fifo_effort: u64,
    /// The board shell around the core, whose beats are wide enough for the interval; by default none.
    pub shell: Option<ShellOptions>,
}

impl Default for ScheduleOptions {
    /// 64 multipliers, ports as wide as their stages.
    fn default() -> Self {
        ScheduleOptions {
            goal: Goal::MaxMultipliers(64),
            input_lanes: None,
            output_lanes: None,
            cells: Cells::default(),
            fifo_effort: u64::MAX,
            shell: None,
        }
    }
}

/// A stage before it is folded.
struct Planned<'q> {
    name: String,
    /// Name of the node in the model.
    node: String,
    plan: Plan,
    /// Streams that it reads, by the tensor on them.
    inputs: Vec<TensorId>,
    output: TensorId,
    tensor: &'q QuantTensor,
}

/// A reader of a stage's output.
#[derive(Clone, Copy, Debug)]
enum Reader {
    /// An input of a planned stage.
    Stage { stage: usize, port: usize },
    /// The output port.
    Output,
}

/// Schedules a network.
///
/// # Errors
/// If the network is empty, has several inputs or outputs, a stage's outputs have no hardware form,
/// or the goal is out of reach.
pub fn run(quant: &QuantGraph, options: &ScheduleOptions) -> Result<DataflowGraph, CompileError> {
    let Streams { planned, input, output } = plan(quant, options.cells)?;
    let readers = readers(&planned, input, output);
    let first = &readers[&input];
    let shapes: Vec<StageShape> = planned
        .iter()
        .map(|stage| StageShape { name: stage.node.clone(), engine: stage.plan.engine.clone() })
        .collect();
    let tensor = |id: TensorId| quant.tensor(if id == FORKED { input } else { id });
    let mut limits = Vec::new();
    if let Some(lanes) = options.input_lanes {
        limits.push(port_limit("input", lanes, tensor(input))?);
    }
    if let Some(lanes) = options.output_lanes {
        limits.push(port_limit("output", lanes, tensor(output))?);
    }
    let output_port = options.output_lanes.map(|lanes| (lanes, joined(tensor(output), lanes)));
    let foldings = schedule::folding::fold(&shapes, options.goal, &limits)
        .map_err(|error| CompileError::model(error.to_string(), "change the goal as said, or the network"))?;
    let engines: Vec<Engine> = shapes.iter().zip(&foldings).map(|(shape, &folding)| shape.folded(folding)).collect();
    // Whether every reader of a stream can regroup its beats.
    let fits = |from: &QuantTensor, readers: &[Reader], stream: InputStream| {
        readers.iter().all(|reader| {
            let port = match *reader {
                Reader::Stage { stage, port } => engines[stage].ports()[port],
                Reader::Output => match output_port {
                    Some((lanes, joined)) => Port::stream_of(from, lanes, joined),
                    None => return true,
                },
            };
            input_regroup(stream, port).is_none_or(|block| block.added().is_ok())
        })
    };

    let mut graph = DiGraph::new();
    let image = tensor(input);
    let wide = |lanes: usize| InputStream { channels: image.channels() * joined(image, lanes), lanes };
    let input_lanes = match (options.input_lanes, first.first()) {
        (Some(lanes), _) => lanes,
        (None, Some(&Reader::Stage { stage, port })) => {
            let wanted = engines[stage].ports()[port].lanes;
            let suits = |&lanes: &usize| port_lanes_fit(image, lanes) && fits(image, first, wide(lanes));
            (1..=wanted).rev().find(suits).unwrap_or(1)
        }
        (None, _) => 1,
    };
    if !fits(image, first, wide(input_lanes)) {
        return Err(misfit("the input", image, input_lanes, "choose other `--input-lanes`"));
    }
    let input_joined = joined(image, input_lanes);
    let port =
        Port { prefix: "s_axis".into(), lanes: input_lanes, joined: input_joined, border: quant.inputs[0].clone() };
    let source = graph.add_node(Node::Input(port));
    let mut nodes: Vec<NodeIndex> = Vec::with_capacity(planned.len());
    let mut written: HashMap<TensorId, (usize, usize, NodeIndex)> =
        HashMap::from([(input, (input_lanes, input_joined, source))]);
    for (index, (stage, folding)) in planned.iter().zip(&foldings).enumerate() {
        let engine = engines[index].clone();
        let results = engine.results();
        let wide = results.channels;
        let requantize = |lanes: usize| stage.requantize((lanes, wide), results.bits, options.cells);
        let readers = &readers[&stage.output];
        let suits = |lanes: usize| {
            stage.plan.suits(lanes, wide) && fits(stage.tensor, readers, InputStream { channels: wide, lanes })
        };
        let Some(lanes) = lanes::choose(&results, &requantize, &suits) else {
            return Err(misfit(&stage.node, stage.tensor, results.pe, "choose another budget"));
        };
        let streams = stage.inputs.iter().map(|id| {
            let (lanes, joined) = written.get(id).map_or((1, 1), |&(lanes, joined, _)| (lanes, joined));
            InputStream { channels: tensor(*id).channels() * joined, lanes }
        });
        let node = graph.add_node(Node::Stage(Box::new(stage.stage(
            index,
            engine,
            *folding,
            streams.collect(),
            requantize(lanes),
            readers.len(),
        ))));
        nodes.push(node);
        written.insert(stage.output, (lanes, (wide / stage.tensor.channels()).max(1), node));
    }
    let last = written.get(&output).map_or((1, 1), |&(lanes, joined, _)| (lanes, joined));
    let (lanes, joined) = output_port.unwrap_or(last);
    let port = Port { prefix: "m_axis".into(), lanes, joined, border: quant.outputs[0].clone() };
    let sink = graph.add_node(Node::Output(port));
    let streams =
        std::iter::once(("input".to_string(), input)).chain(planned.iter().map(|s| (s.name.clone(), s.output)));
    for (name, id) in streams {
        let Some(&(lanes, joined, from)) = written.get(&id) else { continue };
        for (branch, reader) in readers[&id].iter().enumerate() {
            let (to, port) = match *reader {
                Reader::Stage { stage, port } => (nodes[stage], port),
                Reader::Output => (sink, 0),
            };
            let name = match branch {
                0 => format!("{name}_stream"),
                _ => format!("{name}_stream_{branch}"),
            };
            let tensor = tensor(id).clone();
            let (link, fifo_depth) = (Link::OnChip, PORT_BUFFER_DEPTH);
            graph.add_edge(from, to, Channel { name, tensor, lanes, joined, link, fifo_depth, port, branch });
        }
    }
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
    size_fifos(&mut design, options.fifo_effort)?;
    Ok(design)
}

/// The network as streams: reshapes change tensors, not streams.
struct Streams<'q> {
    planned: Vec<Planned<'q>>,
    input: TensorId,
    output: TensorId,
}

/// Plans every operator in data order.
fn plan(quant: &QuantGraph, cells: Cells) -> Result<Streams<'_>, CompileError> {
    let ([input], [output]) = (quant.inputs.as_slice(), quant.outputs.as_slice()) else {
        return Err(CompileError::model(
            format!("the network has {} and {}", ports("input", &quant.inputs), ports("output", &quant.outputs)),
            "split it into networks with one input and one output each",
        ));
    };
    let order = petgraph::algo::toposort(&quant.nodes, None)
        .map_err(|_| CompileError::Internal { pass: "schedule_stages", cause: "the network is cyclic".into() })?;
    // The tensor whose stream carries each tensor's elements.
    let mut stream: HashMap<TensorId, TensorId> = HashMap::from([(input.tensor, input.tensor)]);
    let carried = |stream: &HashMap<TensorId, TensorId>, id: TensorId| stream.get(&id).copied().unwrap_or(id);
    let mut sites: Vec<(String, &QuantNode, Vec<TensorId>)> = Vec::new();
    for index in order {
        let node = &quant.nodes[index];
        let inputs: Vec<TensorId> = node.inputs.iter().map(|&id| carried(&stream, id)).collect();
        if node.op == crate::quant::QuantOp::Reshape {
            let source = inputs.first().copied().unwrap_or(node.output);
            stream.insert(node.output, source);
            continue;
        }
        let short: String = node.name.chars().take(48).collect();
        sites.push((identifier(&format!("layer{}_{}", sites.len(), short.to_ascii_lowercase())), node, inputs));
    }
    let planned = sites
        .into_par_iter()
        .map(|(name, node, inputs)| {
            let site = Site {
                name: &name,
                inputs: node.inputs.iter().map(|&id| quant.tensor(id)).collect(),
                output: quant.tensor(node.output),
                cells,
            };
            let plan = Plan::of(&node.op, &site).map_err(|error| {
                CompileError::node(&node.name, error.to_string(), "quantize this layer to fewer bits")
            })?;
            let (output, tensor) = (node.output, quant.tensor(node.output));
            Ok(plan.map(|plan| Planned { node: node.name.clone(), name, plan, inputs, output, tensor }))
        })
        .collect::<Result<Vec<_>, CompileError>>()?;
    let mut planned: Vec<Planned> = planned.into_iter().flatten().collect();
    if planned.is_empty() {
        return Err(CompileError::model(
            "the network has no layer to accelerate",
            "give a network with at least one layer",
        ));
    }
    let mut input = input.tensor;
    let reads = planned.iter().flat_map(|stage| &stage.inputs).filter(|&&id| id == input).count();
    if reads > 1 {
        input = fork_input(quant, &mut planned, input);
    }
    Ok(Streams { planned, input, output: carried(&stream, output.tensor) })
}

/// Such as "2 inputs (`a`, `b`)".
fn ports(kind: &str, borders: &[Border]) -> String {
    let names: Vec<String> = borders.iter().map(|border| format!("`{}`", border.host_name)).collect();
    match names.as_slice() {
        [one] => format!("one {kind} ({one})"),
        several => format!("{} {kind}s ({})", several.len(), several.join(", ")),
    }
}

/// Puts a stage behind the input that hands it on to each of its readers, under an id of its own.
fn fork_input<'q>(quant: &'q QuantGraph, planned: &mut Vec<Planned<'q>>, input: TensorId) -> TensorId {
    let tensor = quant.tensor(input);
    let name = "input_fork".to_string();
    let plan = Plan::fork(tensor);
    let (node, output) = (quant.inputs[0].host_name.clone(), FORKED);
    for id in planned.iter_mut().flat_map(|stage| &mut stage.inputs).filter(|id| **id == input) {
        *id = output;
    }
    planned.insert(0, Planned { name, node, plan, inputs: vec![input], output, tensor });
    input
}

/// Who reads each stream, in data order.
fn readers(planned: &[Planned], input: TensorId, output: TensorId) -> HashMap<TensorId, Vec<Reader>> {
    let mut readers: HashMap<TensorId, Vec<Reader>> = HashMap::from([(input, Vec::new())]);
    for (stage, plan) in planned.iter().enumerate() {
        readers.entry(plan.output).or_default();
        for (port, &id) in plan.inputs.iter().enumerate() {
            readers.entry(id).or_default().push(Reader::Stage { stage, port });
        }
    }
    readers.entry(output).or_default().push(Reader::Output);
    readers
}

/// Pixels that travel as one at a port of so many lanes: more than one where a beat holds several.
fn joined(tensor: &QuantTensor, lanes: usize) -> usize {
    lanes.div_ceil(tensor.channels())
}

/// Whether a port can have so many lanes: those of a pixel or fewer, or of several whole pixels that make up a sample.
fn port_lanes_fit(tensor: &QuantTensor, lanes: usize) -> bool {
    let channels = tensor.channels();
    let whole = lanes.is_multiple_of(channels) && tensor.pixels().is_multiple_of(joined(tensor, lanes));
    lanes > 0 && (lanes <= channels || whole)
}

fn port_limit(port: &str, lanes: usize, tensor: &QuantTensor) -> Result<(String, u64), CompileError> {
    let channels = tensor.channels();
    if !port_lanes_fit(tensor, lanes) {
        let whole = match tensor.pixels() {
            1 => String::new(),
            pixels => format!(", or {channels} times a divisor of {pixels}"),
        };
        return Err(CompileError::model(
            format!("the {port} port cannot have {lanes} lanes for {channels} channels a pixel"),
            format!("use 1 to {channels}{whole}"),
        ));
    }
    let stream = Port::stream_of(tensor, lanes, joined(tensor, lanes));
    let beats = stream.pixels * stream.channels.div_ceil(stream.lanes);
    Ok((format!("the {port} port with {lanes} lanes"), beats as u64))
}

/// No number of lanes suits a reshape behind a stream.
fn misfit(node: &str, tensor: &QuantTensor, lanes: usize, remedy: &str) -> CompileError {
    let cause =
        format!("pixels of {} elements in beats of {lanes} do not regroup as its readers need", tensor.channels());
    CompileError::node(node, cause, remedy)
}

impl Planned<'_> {
    /// The requantizer with a number of lanes, for pixels of `wide` channels.
    fn requantize(&self, (lanes, wide): (usize, usize), raw_bits: u32, cells: Cells) -> RequantizeSpec {
        let (channels, form) = self.plan.requantizer(lanes, wide);
        RequantizeSpec {
            name: format!("{}_requantize", self.name),
            lanes,
            channels,
            raw_bits,
            form,
            output: self.tensor.element,
            cells,
        }
    }

    fn stage(
        &self,
        index: usize,
        engine: Engine,
        folding: Folding,
        inputs: Vec<InputStream>,
        requantize: RequantizeSpec,
        readers: usize,
    ) -> Stage {
        let (interval, busy_cycles) = (engine.cycles(), engine.busy_cycles());
        let lanes = requantize.lanes;
        let mut spec = StageSpec {
            name: self.name.clone(),
            comments: Vec::new(),
            inputs,
            engine,
            requantize,
            fifo_depths: vec![1; readers],
        };
        let latency = spec.pipeline_latency();
        spec.comments = vec![
            format!("Layer `{}`: {}", self.node, self.plan.description),
            format!("Folding: {folding}, {lanes} requantizer(s). Interval {interval} cycles a sample; latency {latency} cycles"),
            "from the last fold of a group to its first output beat.".to_string(),
        ];
        Stage {
            name: self.name.clone(),
            op: self.plan.op,
            node: self.node.clone(),
            output: self.tensor.clone(),
            macs: self.plan.macs,
            folding,
            timing: BlockTiming { interval, busy_cycles, latency },
            engine: EngineId(index as u32),
            spec,
        }
    }
}

/// Numbers the parts of a design that are chained by single nodes: a fork and everything up to the join
/// behind it, or one channel. For each channel, the nodes before its end that no channel passes by.
fn parts(design: &DataflowGraph) -> HashMap<EdgeIndex, usize> {
    let order = design.order();
    let place: HashMap<NodeIndex, usize> = order.iter().enumerate().map(|(place, &node)| (node, place)).collect();
    let ends = |edge: EdgeIndex| design.graph.edge_endpoints(edge).map(|(from, to)| (place[&from], place[&to]));
    // How many more channels pass by a node than by the one before it.
    let mut change = vec![0i64; order.len() + 1];
    for (from, to) in design.graph.edge_indices().filter_map(ends) {
        change[from + 1] += 1;
        change[to] -= 1;
    }
    let mut passing = 0;
    let mut cuts = 0;
    let mut before = Vec::with_capacity(order.len());
    for change in &change[..order.len()] {
        passing += change;
        cuts += usize::from(passing == 0);
        before.push(cuts);
    }
    design.graph.edge_indices().filter_map(|edge| Some((edge, before[ends(edge)?.0]))).collect()
}

/// Gives every FIFO its minimal depth.
fn size_fifos(design: &mut DataflowGraph, effort: u64) -> Result<(), CompileError> {
    let internal = |cause: String| CompileError::Internal { pass: "size_fifos", cause };
    let mut timed = design.timed().map_err(|error| internal(error.to_string()))?;
    let mut edges = Vec::new();
    let mut fifos = Vec::new();
    let mut samples = Vec::new();
    let part = parts(design);
    for index in design.order() {
        let Node::Stage(stage) = &design.graph[index] else { continue };
        let beats = stage.spec.beats_per_group().map_err(|error| internal(error.to_string()))?;
        let least = beats.iter().copied().max().unwrap_or(1).max(1);
        let a_sample = beats.iter().sum::<u64>() * stage.spec.engine.results().pixels as u64;
        let in_flight = (stage.timing.latency + 8) * least;
        for edge in design.channels_out_of(index) {
            edges.push((index, edge));
            samples.push(a_sample);
            fifos.push(fifo::Fifo {
                credits: timed.credits[&edge],
                width: u64::from(stage.spec.out_width()),
                least,
                ample: 2 * a_sample + in_flight,
                part: part[&edge],
            });
        }
    }
    for fifo in &fifos {
        timed.model.set_initial(fifo.credits, fifo.ample);
    }
    // A skip path holds as many samples as are under way beside it.
    let under_way = timed.under_way().map_err(|error| internal(error.to_string()))?;
    for (fifo, a_sample) in fifos.iter_mut().zip(samples) {
        fifo.ample += under_way.saturating_sub(1) * a_sample;
        timed.model.set_initial(fifo.credits, fifo.ample);
    }
    let settled = timed.settled().map_err(|error| internal(error.to_string()))?;
    let depths = fifo::size(&timed.model, &fifos, settled, effort).map_err(|error| internal(error.to_string()))?;
    design.fifo_search_is_exhaustive = depths.exhaustive;
    for ((node, edge), entries) in edges.into_iter().zip(depths.entries) {
        let branch = design.graph[edge].branch;
        design.graph[edge].fifo_depth = entries as usize;
        if let Node::Stage(stage) = &mut design.graph[node] {
            stage.spec.fifo_depths[branch] = entries as usize;
        }
    }
    Ok(())
}
