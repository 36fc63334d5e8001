//! Token model: the exact timing of ready/valid hardware as a timed event graph.
//!
//! Hardware whose blocks fire as soon as they can (never by arbitration) is a max-plus system: the
//! clock edge of each firing is the maximum over what it waits for. A block describes itself as
//! [`Actor`]s, cyclic programs of [`Phase`]s that take tokens from edges and give tokens to edges.
//! A token is a beat, an entry of free space or a credit; it carries the first clock edge at which
//! it can be used. Evaluating the graph costs a few operations a beat, not a cycle, and gives the
//! edge on which every beat moves. An actor fires as often as its tokens allow before the next one's turn,
//! so that a firing costs little more than the comparison of its times.
//!
//! Source: F. Baccelli, G. Cohen, G. J. Olsder, J.-P. Quadrat, *Synchronization and Linearity*,
//! Wiley 1992, chapter 2 (timed event graphs).

mod flow;
mod pair;
mod queue;
mod region;
mod relay;
mod run;
mod steady;

pub use region::{Region, Verdict};
pub use run::{Deadlock, Run};
pub use steady::{Steady, SteadyError};

/// An edge of a [`TokenModel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeId(usize);

/// An actor of a [`TokenModel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ActorId(usize);

impl ActorId {
    /// The actor that will be added to `model` next.
    pub fn next(model: &TokenModel) -> ActorId {
        ActorId(model.actors.len())
    }
}

/// Waits for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take {
    /// Edge waited on.
    pub edge: EdgeId,
    /// Tokens that must be there.
    pub need: u64,
    /// Tokens removed; at most `need`.
    pub consume: u64,
}

/// Releases tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Give {
    /// Edge the tokens go to.
    pub edge: EdgeId,
    /// How many.
    pub count: u64,
    /// Clock edges from the firing to the first one at which the first token can be used.
    pub delay: u64,
    /// Clock edges between one token and the next: 0, all at once; 1, one a cycle.
    pub stride: u64,
}

/// A run of equal firings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// How many firings.
    pub repeat: u64,
    /// What each waits for.
    pub takes: Vec<Take>,
    /// What each releases.
    pub gives: Vec<Give>,
    /// Least distance in cycles from each of these firings to the next firing of the actor.
    pub cycles: u64,
}

/// A run of equal sequences of phases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The sequence.
    pub phases: Vec<Phase>,
    /// How often it runs.
    pub repeat: u64,
}

/// A part of the hardware that fires in a fixed cyclic order.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Name for diagnostics.
    pub name: String,
    /// One round; rounds follow each other for ever.
    pub round: Vec<Block>,
    /// Rounds a sample.
    pub rounds_per_sample: u64,
}

#[derive(Clone, Debug)]
struct Edge {
    name: String,
    initial: u64,
}

/// Actors and the edges between them, with one source and any number of sinks.
#[derive(Clone, Debug, Default)]
pub struct TokenModel {
    edges: Vec<Edge>,
    actors: Vec<Actor>,
}

impl TokenModel {
    /// An empty model.
    pub fn new() -> Self {
        TokenModel::default()
    }

    /// Adds an edge that holds `initial` tokens from the start.
    pub fn edge(&mut self, name: impl Into<String>, initial: u64) -> EdgeId {
        self.edges.push(Edge { name: name.into(), initial });
        EdgeId(self.edges.len() - 1)
    }

    /// Changes the tokens that an edge holds from the start (a FIFO's depth).
    pub fn set_initial(&mut self, edge: EdgeId, initial: u64) {
        self.edges[edge.0].initial = initial;
    }

    /// Adds an actor. The first one is the source, whose firings are the input's beats.
    ///
    /// # Panics
    /// If a phase has no firing or no duration, which would be a bug of the block.
    pub fn actor(&mut self, name: impl Into<String>, round: Vec<Phase>, rounds_per_sample: u64) -> ActorId {
        self.actor_of_blocks(name, vec![Block { phases: round, repeat: 1 }], rounds_per_sample)
    }

    /// As [`TokenModel::actor`], with a round of repeated sequences of phases.
    ///
    /// # Panics
    /// As there.
    pub fn actor_of_blocks(&mut self, name: impl Into<String>, round: Vec<Block>, rounds_per_sample: u64) -> ActorId {
        let name = name.into();
        let fires = |block: &Block| block.repeat > 0 && !block.phases.is_empty();
        assert!(rounds_per_sample > 0 && !round.is_empty() && round.iter().all(fires), "actor `{name}` never fires");
        for phase in round.iter().flat_map(|block| &block.phases) {
            assert!(phase.repeat > 0 && phase.cycles > 0, "actor `{name}` has an empty phase");
            let sound = |take: &Take| take.need > 0 && take.consume <= take.need;
            assert!(phase.takes.iter().all(sound), "actor `{name}` takes unseen tokens");
        }
        let (round, rounds_per_sample) = folded(round, rounds_per_sample);
        self.actors.push(Actor { name, round, rounds_per_sample });
        ActorId(self.actors.len() - 1)
    }

    /// The actors, in order of addition.
    pub fn actors(&self) -> impl Iterator<Item = (ActorId, &Actor)> {
        self.actors.iter().enumerate().map(|(index, actor)| (ActorId(index), actor))
    }
}

/// The same firings with repetitions of a single phase as its own.
fn folded(mut round: Vec<Block>, rounds_per_sample: u64) -> (Vec<Block>, u64) {
    for block in &mut round {
        if let [phase] = block.phases.as_mut_slice() {
            phase.repeat *= block.repeat;
            block.repeat = 1;
        }
    }
    match round.as_mut_slice() {
        [only] => {
            match only.phases.as_mut_slice() {
                [phase] => phase.repeat *= rounds_per_sample,
                _ => only.repeat *= rounds_per_sample,
            }
            (round, 1)
        }
        _ => (round, rounds_per_sample),
    }
}
