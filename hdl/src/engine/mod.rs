//! Layer engines: what stands in a stage between its input streams and its requantizer.

mod arg_max;
mod concat;
mod intake;
mod join;
pub mod matrix;
mod number;
mod pass;
mod product;
mod reduce;
mod repeat;
mod results;
mod vector;
pub mod window;

pub use arg_max::ArgMaxEngine;
pub use concat::{ConcatEngine, Turns};
pub use join::{JoinEngine, JoinOperand};
pub use matrix::{MatrixSpec, ProductKind};
pub use pass::PassEngine;
pub use product::MatrixEngine;
pub use reduce::{ReduceEngine, Reduction};
pub use repeat::RepeatEngine;
pub(crate) use results::CreditGate;
pub use results::Results;
pub use vector::{VectorEngine, VectorOp, VectorSpec};
pub use window::{FoldOrder, WindowSpec};

use crate::stream::{BeatSource, RegroupBuildError};
use crate::timing::{EdgeId, TokenModel};
use crate::typed::{bit, uint, Expr, ModuleBuilder, Signal};

/// A stream that an engine reads, as its lanes must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnginePort {
    /// Pixels a sample.
    pub pixels: usize,
    /// Channels of a pixel.
    pub channels: usize,
    /// Elements a beat.
    pub lanes: usize,
    /// Bits an element.
    pub element_bits: u32,
}

impl EnginePort {
    /// Bits of a beat.
    pub fn width(&self) -> u32 {
        self.lanes as u32 * self.element_bits
    }
}

/// An engine: a closed set.
#[derive(Clone, Debug)]
pub enum Engine {
    /// Matrix product on each pixel or window.
    Matrix(MatrixEngine),
    /// Each channel alone on windows.
    Vector(VectorEngine),
    /// Each element as it is.
    Pass(PassEngine),
    /// Two streams, element by element.
    Join(JoinEngine),
    /// Streams along their channels, columns or rows.
    Concat(ConcatEngine),
    /// All pixels of a channel.
    Reduce(ReduceEngine),
    /// Pixels and rows several times.
    Repeat(RepeatEngine),
    /// The index of a pixel's greatest channel.
    ArgMax(ArgMaxEngine),
}

/// A stream of beats inside a stage that waits to be taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offered {
    pub valid: Signal,
    /// Driven by the engine.
    pub ready: Signal,
    pub data: Signal,
}

/// A stream of beats inside a stage that is always taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beats {
    pub valid: Signal,
    pub data: Signal,
}

impl Beats {
    /// Wires for such a stream.
    pub fn wires(m: &mut ModuleBuilder, name: &str, width: u32) -> Self {
        Beats { valid: m.wire(format!("{name}_valid"), bit()), data: m.wire(format!("{name}_data"), uint(width)) }
    }
}

impl Engine {
    /// Name of the engine, for reports.
    pub fn name(&self) -> &'static str {
        match self {
            Engine::Matrix(_) => "matrix",
            Engine::Vector(_) => "vector",
            Engine::Pass(_) => "pass",
            Engine::Join(_) => "join",
            Engine::Concat(_) => "concat",
            Engine::Reduce(_) => "reduce",
            Engine::Repeat(_) => "repeat",
            Engine::ArgMax(_) => "arg_max",
        }
    }

    /// The streams it reads.
    pub fn ports(&self) -> Vec<EnginePort> {
        match self {
            Engine::Matrix(engine) => vec![engine.port()],
            Engine::Vector(engine) => vec![engine.port()],
            Engine::Pass(engine) => vec![engine.port()],
            Engine::Join(engine) => engine.ports(),
            Engine::Concat(engine) => engine.ports(),
            Engine::Reduce(engine) => vec![engine.port()],
            Engine::Repeat(engine) => vec![engine.port()],
            Engine::ArgMax(engine) => vec![engine.port()],
        }
    }

    /// The groups of results that it gives.
    pub fn results(&self) -> Results {
        match self {
            Engine::Matrix(engine) => engine.spec.results(),
            Engine::Vector(engine) => engine.spec.results(),
            Engine::Pass(engine) => engine.results(),
            Engine::Join(engine) => engine.results(),
            Engine::Concat(engine) => engine.results(),
            Engine::Reduce(engine) => engine.results(),
            Engine::Repeat(engine) => engine.results(),
            Engine::ArgMax(engine) => engine.results(),
        }
    }

    /// Clock edges from the last fold of a group to the one at which its results can be taken.
    pub fn latency(&self) -> u64 {
        match self {
            Engine::Matrix(engine) => engine.spec.latency(),
            Engine::Vector(engine) => engine.spec.latency(),
            Engine::Pass(_) => PassEngine::LATENCY,
            Engine::Join(engine) => engine.latency(),
            Engine::Concat(_) => ConcatEngine::LATENCY,
            Engine::Reduce(_) => ReduceEngine::LATENCY,
            Engine::Repeat(engine) => engine.latency(),
            Engine::ArgMax(engine) => engine.latency(),
        }
    }

    /// Cycles a sample where nothing waits: folds, or the input's beats where they take longer.
    pub fn cycles(&self) -> u64 {
        match self {
            Engine::Matrix(engine) => engine.spec.cycles(),
            Engine::Vector(engine) => engine.spec.line_buffer().cycles(),
            Engine::Pass(engine) => engine.cycles(),
            Engine::Join(engine) => engine.cycles(),
            Engine::Concat(engine) => engine.cycles(),
            Engine::Reduce(engine) => engine.cycles(),
            Engine::Repeat(engine) => engine.cycles(),
            Engine::ArgMax(engine) => engine.cycles(),
        }
    }

    /// Cycles a sample in which a fold starts.
    pub fn busy_cycles(&self) -> u64 {
        match self {
            Engine::Matrix(engine) => engine.spec.busy_cycles(),
            Engine::Vector(engine) => engine.spec.line_buffer().busy_cycles(),
            Engine::Pass(engine) => engine.cycles(),
            Engine::Join(engine) => engine.cycles(),
            Engine::Concat(engine) => engine.cycles(),
            Engine::Reduce(engine) => engine.cycles(),
            Engine::Repeat(engine) => engine.cycles(),
            Engine::ArgMax(engine) => engine.cycles(),
        }
    }

    /// Multiply-accumulate lanes.
    pub fn multipliers(&self) -> u64 {
        match self {
            Engine::Matrix(engine) => engine.spec.multipliers(),
            Engine::Vector(engine) => engine.spec.multipliers(),
            Engine::Pass(_) | Engine::Join(_) | Engine::Concat(_) => 0,
            Engine::Reduce(_) | Engine::Repeat(_) | Engine::ArgMax(_) => 0,
        }
    }

    /// Every other multiplier.
    pub fn other_multipliers(&self) -> u64 {
        match self {
            Engine::Join(engine) => engine.multipliers(),
            Engine::Matrix(_) | Engine::Vector(_) | Engine::Pass(_) | Engine::Concat(_) => 0,
            Engine::Reduce(_) | Engine::Repeat(_) | Engine::ArgMax(_) => 0,
        }
    }

    /// Bits of weights as stored.
    pub fn weight_bits(&self) -> u64 {
        match self {
            Engine::Matrix(engine) => engine.spec.weight_bits(),
            Engine::Vector(engine) => engine.spec.weight_bits(),
            Engine::Pass(_) | Engine::Join(_) | Engine::Concat(_) => 0,
            Engine::Reduce(_) | Engine::Repeat(_) | Engine::ArgMax(_) => 0,
        }
    }

    /// Bits of line, replay and accumulator memories and tables.
    pub fn buffer_bits(&self) -> u64 {
        match self {
            Engine::Matrix(engine) => engine.spec.replay_bits(),
            Engine::Vector(engine) => engine.spec.buffer_bits(),
            Engine::Join(engine) => engine.table_bits(),
            Engine::Reduce(engine) => engine.buffer_bits(),
            Engine::Repeat(engine) => engine.buffer_bits(),
            Engine::Pass(_) | Engine::Concat(_) | Engine::ArgMax(_) => 0,
        }
    }

    /// Timing: from the beats of each input to groups of results on the returned edge. `credits`: room for
    /// output beats in each FIFO behind the stage; `beats[g]`: how many of them group g of a pixel completes.
    pub(crate) fn add_to(
        &self,
        model: &mut TokenModel,
        sources: &[BeatSource],
        credits: &[EdgeId],
        beats: &[u64],
    ) -> EdgeId {
        match (self, sources) {
            (Engine::Matrix(engine), [source]) => engine.spec.add_to(model, source, credits, beats),
            (Engine::Vector(engine), [source]) => engine.spec.add_to(model, source, credits, beats),
            (Engine::Pass(engine), [source]) => engine.add_to(model, source, credits, beats),
            (Engine::Join(engine), [_, _]) => engine.add_to(model, sources, credits, beats),
            (Engine::Concat(engine), _) if sources.len() == engine.ports().len() => {
                engine.add_to(model, sources, credits, beats)
            }
            (Engine::Reduce(engine), [source]) => engine.add_to(model, source, credits, beats),
            (Engine::Repeat(engine), [source]) => engine.add_to(model, source, credits, beats),
            (Engine::ArgMax(engine), [source]) => engine.add_to(model, source, credits, beats),
            _ => panic!("a {} engine does not read {} streams", self.name(), sources.len()),
        }
    }

    /// Hardware inside the stage's module. `returned`: for each FIFO behind the stage, whether a beat is
    /// taken from it. Gives the groups of results.
    ///
    /// # Errors
    /// If a module breaks a guarantee of the typed layer: our bug.
    pub(crate) fn build(
        &self,
        m: &mut ModuleBuilder,
        inputs: &[Offered],
        gate: CreditGate<'_>,
        returned: &[Expr],
    ) -> Result<Beats, RegroupBuildError> {
        match (self, inputs) {
            (Engine::Matrix(engine), [input]) => engine.build(m, *input, gate, returned),
            (Engine::Vector(engine), [input]) => engine.build(m, *input, gate, returned),
            (Engine::Pass(engine), [input]) => engine.build(m, *input, &gate, returned),
            (Engine::Join(engine), [_, _]) => engine.build(m, inputs, &gate, returned),
            (Engine::Concat(engine), _) if inputs.len() == engine.ports().len() => {
                engine.build(m, inputs, &gate, returned)
            }
            (Engine::Reduce(engine), [input]) => engine.build(m, *input, &gate, returned),
            (Engine::Repeat(engine), [input]) => engine.build(m, *input, &gate, returned),
            (Engine::ArgMax(engine), [input]) => engine.build(m, *input, &gate, returned),
            _ => panic!("a {} engine does not read {} streams", self.name(), inputs.len()),
        }
    }
}
