//! `DataflowGraph`: a schedule. Each stage has a folding, exact timing and an engine; each channel
//! a stream type, a link and a FIFO depth; free of deadlock.
//!
//! `interpret` is the token-level simulator: it moves beats, not bits, gives the exact clock edge
//! on which every beat moves, and computes every stream with the hardware's own arithmetic
//! (wrapped accumulators, [`Requantizer`](systole_arith::Requantizer)), so that the software
//! reference and the hardware form are held against each other before any Verilog runs.

mod display;
mod execute;
mod figures;
mod interpret;
mod timing;
mod verify;

pub use figures::StageFigures;
pub use interpret::Execution;
pub use timing::{Figures, TimedDesign};

use crate::profile::Profile;
use crate::quant::{Border, QuantTensor};
use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use petgraph::visit::EdgeRef;
use petgraph::Direction;
use systole_hdl::cells::Cells;
use systole_hdl::engine::EnginePort;
use systole_hdl::stage::StageSpec;

/// Entries of the buffer that registers a port's handshake.
pub const PORT_BUFFER_DEPTH: usize = 2;

/// A hardware engine; one a stage today, so that several stages can share one later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EngineId(pub u32);

/// How a stage's loop nest is folded onto its engine: one variant an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Folding {
    /// The matrix engine: PE output channels by SIMD input channels by window taps by output pixels.
    Matrix {
        /// Output channels computed in parallel.
        pe: usize,
        /// Input channels multiplied in parallel.
        simd: usize,
        /// Window taps multiplied in parallel.
        taps: usize,
        /// Output pixels of a row computed in parallel.
        pixels: usize,
        /// Input pixels a beat.
        beat_pixels: usize,
    },
    /// The vector engine: channels by window taps by windows.
    Vector {
        /// Channels computed in parallel.
        lanes: usize,
        /// Window taps read in parallel.
        taps: usize,
        /// Output pixels of a row computed in parallel.
        pixels: usize,
        /// Input pixels a beat.
        beat_pixels: usize,
    },
    /// Elementwise engines, concatenation and global reduction: elements a beat. Elementwise engines can take
    /// several whole pixels a beat.
    Lanes {
        /// Elements in parallel.
        lanes: usize,
    },
}

/// Exact figures of a stage that is neither starved nor held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockTiming {
    /// Cycles a sample.
    pub interval: u64,
    /// Cycles a sample in which a fold starts.
    pub busy_cycles: u64,
    /// Clock edges from the last fold of a group to its first output beat entering the FIFO.
    pub latency: u64,
}

/// A node of the design.
#[derive(Clone, Debug)]
pub enum Node {
    /// The input port, `s_axis`.
    Input(Port),
    /// A stage.
    Stage(Box<Stage>),
    /// The output port, `m_axis`.
    Output(Port),
}

/// A port of the design.
#[derive(Clone, Debug)]
pub struct Port {
    /// Prefix of its signals.
    pub prefix: String,
    /// Elements a beat.
    pub lanes: usize,
    /// Neighbouring pixels that travel as one, see [`Channel::joined`].
    pub joined: usize,
    /// The host's side.
    pub border: Border,
}

impl Port {
    /// The port's stream of `tensor`, as an engine would read it.
    pub fn stream(&self, tensor: &QuantTensor) -> EnginePort {
        Port::stream_of(tensor, self.lanes, self.joined)
    }

    /// As [`Port::stream`], of a port with so many lanes and `joined` pixels that travel as one.
    pub fn stream_of(tensor: &QuantTensor, lanes: usize, joined: usize) -> EnginePort {
        let (pixels, channels) = (tensor.pixels() / joined, tensor.channels() * joined);
        EnginePort { pixels, channels, lanes, element_bits: tensor.element.bits() }
    }

    /// Beats of `tensor` at the port.
    pub fn beats(&self, tensor: &QuantTensor) -> u64 {
        let EnginePort { pixels, channels, lanes, .. } = self.stream(tensor);
        (pixels * channels.div_ceil(lanes)) as u64
    }
}

/// A stage of the pipeline.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Unique name, an identifier; its module's too.
    pub name: String,
    /// Operator, for reports.
    pub op: &'static str,
    /// Name of the node in the model.
    pub node: String,
    /// Tensor it produces.
    pub output: QuantTensor,
    /// Products of the dense loop nest a sample.
    pub macs: u64,
    /// Folding.
    pub folding: Folding,
    /// Exact figures alone.
    pub timing: BlockTiming,
    /// Engine it runs on.
    pub engine: EngineId,
    /// The hardware.
    pub spec: StageSpec,
}

/// What carries a channel's beats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// Wires on the chip.
    OnChip,
}

/// A stream between two nodes.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Unique name, an identifier.
    pub name: String,
    /// Tensor it carries.
    pub tensor: QuantTensor,
    /// Elements a beat.
    pub lanes: usize,
    /// Neighbouring pixels of a row that travel as one, of so many times the channels: a beat can hold several.
    pub joined: usize,
    /// What carries it.
    pub link: Link,
    /// Entries of its FIFO.
    pub fifo_depth: usize,
    /// Which of its reader's inputs it is.
    pub port: usize,
    /// Which of its writer's outputs it is.
    pub branch: usize,
}

impl Channel {
    /// Pixels a sample, neighbours that travel as one counted once.
    pub fn pixels(&self) -> usize {
        self.tensor.pixels() / self.joined
    }

    /// Elements of such a pixel.
    pub fn channels(&self) -> usize {
        self.tensor.channels() * self.joined
    }

    /// Beats a sample.
    pub fn beats(&self) -> u64 {
        (self.pixels() * self.channels().div_ceil(self.lanes)) as u64
    }

    /// Bits of a beat on the chip.
    pub fn beat_bits(&self) -> u64 {
        self.lanes as u64 * u64::from(self.tensor.element.bits())
    }
}

/// The schedule.
#[derive(Clone, Debug)]
pub struct DataflowGraph {
    /// Name of the design, an identifier.
    pub name: String,
    /// Profile whose results it reproduces.
    pub profile: Profile,
    /// Technology.
    pub cells: Cells,
    /// Multiplier budget that the folding was found for.
    pub budget: Option<u64>,
    /// Whether FIFO depths were found by trying every assignment.
    pub fifo_search_is_exhaustive: bool,
    /// Nodes, and the channels between them.
    pub graph: DiGraph<Node, Channel>,
}

impl DataflowGraph {
    /// Nodes in data order.
    pub fn order(&self) -> Vec<NodeIndex> {
        petgraph::algo::toposort(&self.graph, None).unwrap_or_default()
    }

    /// Stages in data order.
    pub fn stages(&self) -> impl Iterator<Item = &Stage> {
        self.order().into_iter().filter_map(|index| match &self.graph[index] {
            Node::Stage(stage) => Some(stage.as_ref()),
            _ => None,
        })
    }

    /// Input ports in order.
    pub fn inputs(&self) -> impl Iterator<Item = (NodeIndex, &Port)> {
        self.graph.node_indices().filter_map(|index| match &self.graph[index] {
            Node::Input(port) => Some((index, port)),
            _ => None,
        })
    }

    /// Output ports in order.
    pub fn outputs(&self) -> impl Iterator<Item = (NodeIndex, &Port)> {
        self.graph.node_indices().filter_map(|index| match &self.graph[index] {
            Node::Output(port) => Some((index, port)),
            _ => None,
        })
    }

    /// The channels that enter a node, in the order of its inputs.
    pub fn channels_into(&self, node: NodeIndex) -> Vec<EdgeIndex> {
        let mut edges: Vec<EdgeIndex> =
            self.graph.edges_directed(node, Direction::Incoming).map(|edge| edge.id()).collect();
        edges.sort_by_key(|&edge| self.graph[edge].port);
        edges
    }

    /// The channels that leave a node, in the order of its outputs.
    pub fn channels_out_of(&self, node: NodeIndex) -> Vec<EdgeIndex> {
        let mut edges: Vec<EdgeIndex> = self.graph.edges(node).map(|edge| edge.id()).collect();
        edges.sort_by_key(|&edge| self.graph[edge].branch);
        edges
    }

    /// The first channel that enters a node.
    pub fn channel_into(&self, node: NodeIndex) -> Option<&Channel> {
        self.channels_into(node).first().map(|&edge| &self.graph[edge])
    }

    /// The first channel that leaves a node; all carry the same.
    pub fn channel_out_of(&self, node: NodeIndex) -> Option<&Channel> {
        self.channels_out_of(node).first().map(|&edge| &self.graph[edge])
    }

    /// Name of the node at the far end of `node`'s input, for reports.
    pub fn producer_of(&self, node: NodeIndex) -> Option<&Node> {
        self.graph.edges_directed(node, Direction::Incoming).next().map(|edge| &self.graph[edge.source()])
    }
}
