//! Evaluation of a token model, sample by sample.

use super::flow::Flow;
use super::pair::Pair;
use super::queue::Queue;
use super::{ActorId, EdgeId, Phase, TokenModel};
use std::rc::Rc;

/// Nothing can fire although the sample is not finished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("deadlock in sample {sample}: {}", .waiting.iter().map(|w| format!("`{}` waits for {} tokens on `{}`, which holds {}", w.actor, w.need, w.edge, w.have)).collect::<Vec<_>>().join("; "))]
pub struct Deadlock {
    /// Sample, counted from 0.
    pub sample: u64,
    /// Every actor that is stuck.
    pub waiting: Vec<Waiting>,
}

/// A stuck actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The actor.
    pub actor: String,
    /// The first edge it waits on.
    pub edge: String,
    /// Tokens it needs there.
    pub need: u64,
    /// Tokens there are.
    pub have: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ActorState {
    block: usize,
    pass: u64,
    phase: usize,
    pub(super) fired: u64,
    pub(super) round: u64,
    /// First edge at which the actor may fire again.
    pub(super) ready: u64,
    /// Edge at which it fired last.
    pub(super) last: u64,
}

/// Clock edges of one sample at one actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First firing.
    pub first: u64,
    /// Last firing.
    pub last: u64,
}

/// Firings after which an actor lets others go on: what they wait for stays little.
pub(super) const TURN: u64 = 4096;
/// Steps that some firings cost beside a step each.
pub(super) const VISIT: u64 = 4;

/// A token model under evaluation. Edges are counted from 1, the first after reset.
pub struct Run<'m> {
    model: &'m TokenModel,
    pub(super) queues: Vec<Queue>,
    pub(super) actors: Vec<ActorState>,
    /// `[actor][sample]`.
    pub(super) spans: Vec<Vec<Span>>,
    /// `[actor]`: every firing, where asked for.
    firings: Vec<Option<Vec<u64>>>,
    pub(super) samples: u64,
    /// Least distance of samples at the source: so many cycles for so many samples.
    pace: (u64, u64),
    /// `[edge]`: what was taken and given when, where asked for.
    flows: Vec<Option<Flow>>,
    /// Whether anything was asked for.
    observed: bool,
    /// `[edge]`: the actor that takes from it.
    pub(super) takers: Vec<Option<usize>>,
    /// Actors that may be able to fire: a bit each.
    pub(super) waiting: Vec<u64>,
    /// Steps of the evaluation so far.
    pub(super) effort: u64,
    /// Clock edges of the firings at hand.
    pub(super) times: Vec<u64>,
    /// `[front]`: actors evaluated together with the next one, unless something was asked for.
    pairs: Rc<[Option<Pair>]>,
    /// As `times`, for the second of a pair.
    pub(super) more_times: Vec<u64>,
    /// Firings of a pair in turn.
    pub(super) turns: Vec<(u64, u64)>,
}

impl TokenModel {
    /// Starts an evaluation: source always valid, sinks always ready.
    ///
    /// # Panics
    /// If two actors take from one edge, which would be a bug of a block: nothing says who comes first.
    pub fn start(&self) -> Run<'_> {
        self.start_paced((0, 1))
    }

    /// Starts an evaluation in which the source offers sample n no earlier than
    /// floor(n * cycles / samples) cycles after the first, for `pace` = (cycles, samples).
    ///
    /// # Panics
    /// As there.
    pub fn start_paced(&self, pace: (u64, u64)) -> Run<'_> {
        let mut takers = vec![None; self.edges.len()];
        // The bits of all numbers of tokens that move at once.
        let mut counts = vec![0; self.edges.len()];
        for (index, actor) in self.actors.iter().enumerate() {
            for (_, phase) in actor.phases() {
                for take in &phase.takes {
                    let edge = take.edge.0;
                    let taker = takers[edge].replace(index);
                    let alone = taker.is_none_or(|taker| taker == index);
                    assert!(alone, "edge `{}` has two takers", self.edges[edge].name);
                    counts[edge] |= take.need | take.consume;
                }
                for give in &phase.gives {
                    counts[give.edge.0] |= if give.stride > 0 { 1 } else { give.count };
                }
            }
        }
        Run {
            takers,
            waiting: vec![0; self.actors.len().div_ceil(64)],
            effort: 0,
            times: vec![0; TURN as usize],
            pairs: (0..self.actors.len()).map(|front| Pair::of(self, front)).collect(),
            more_times: vec![0; TURN as usize],
            turns: Vec::new(),
            model: self,
            queues: self.edges.iter().zip(counts).map(|(edge, counts)| Queue::new(edge.initial, counts)).collect(),
            actors: vec![
                ActorState { block: 0, pass: 0, phase: 0, fired: 0, round: 0, ready: 1, last: 0 };
                self.actors.len()
            ],
            spans: vec![Vec::new(); self.actors.len()],
            firings: vec![None; self.actors.len()],
            samples: 0,
            pace,
            flows: vec![None; self.edges.len()],
            observed: false,
        }
    }
}

impl Run<'_> {
    /// Keeps every firing of `actor` from now on.
    pub fn record(&mut self, actor: ActorId) {
        self.firings[actor.0] = Some(Vec::new());
        self.observed = true;
    }

    /// Keeps what is taken from and given to `edge` from now on.
    pub fn watch(&mut self, edge: EdgeId) {
        self.flows[edge.0] = Some(Flow::default());
        self.observed = true;
    }

    /// The most tokens of a watched edge that were in use at once: with so many from the start,
    /// every firing so far would have been at the same clock edge.
    pub fn most_in_use(&self, edge: EdgeId) -> u64 {
        self.flows[edge.0].clone().map_or(0, |mut flow| flow.most_in_use(u64::MAX))
    }

    /// Steps that the evaluation has taken: a measure of its time that does not depend on the machine.
    pub fn effort(&self) -> u64 {
        self.effort
    }

    /// Every firing of a recorded actor.
    pub fn firings(&self, actor: ActorId) -> &[u64] {
        self.firings[actor.0].as_deref().unwrap_or(&[])
    }

    /// First and last firing of each finished sample at an actor.
    pub fn spans(&self, actor: ActorId) -> &[Span] {
        &self.spans[actor.0]
    }

    /// Runs one more sample from the source through every actor.
    ///
    /// # Errors
    /// If the sample cannot be finished, with every actor that waits.
    pub fn sample(&mut self) -> Result<(), Deadlock> {
        self.samples += 1;
        for actor in 0..self.actors.len() {
            self.waiting[actor / 64] |= 1 << (actor % 64);
        }
        // Round after round in data order, so that each actor finds many tokens at once; two neighbours
        // with little room between them first do all that they can.
        let pairs = Rc::clone(&self.pairs);
        let mut from = 0;
        while let Some(actor) = self.next_waiting(from).or_else(|| self.next_waiting(0)) {
            self.waiting[actor / 64] &= !(1 << (actor % 64));
            self.turn(actor, &pairs);
            from = if actor > 0 && self.is_waiting(actor - 1) { actor - 1 } else { actor + 1 };
        }
        if self.spans.iter().all(|spans| spans.len() as u64 == self.samples && !spans.is_empty()) && self.at_boundary()
        {
            for (spans, actor) in self.spans.iter_mut().zip(&self.actors) {
                spans.last_mut().into_iter().for_each(|span| span.last = actor.last);
            }
            let origin = self.origin();
            self.queues.iter_mut().for_each(|queue| queue.settle(origin));
            self.flows.iter_mut().flatten().for_each(|flow| {
                flow.most_in_use(origin);
            });
            return Ok(());
        }
        Err(self.deadlock())
    }

    fn at_boundary(&self) -> bool {
        let done = |(index, state): (usize, &ActorState)| {
            state.round == self.samples * self.model.actors[index].rounds_per_sample
        };
        self.actors.iter().enumerate().all(done)
    }

    /// The first actor from `from` on that may be able to fire.
    fn next_waiting(&self, from: usize) -> Option<usize> {
        let (word, bit) = (from / 64, from % 64);
        let first = self.waiting.get(word)? & (u64::MAX << bit);
        let rest = self.waiting[word + 1..].iter().copied();
        let words = std::iter::once(first).chain(rest).enumerate();
        words.into_iter().find(|&(_, bits)| bits != 0).map(|(n, bits)| (word + n) * 64 + bits.trailing_zeros() as usize)
    }

    /// Lets `actor` fire, and the other of a pair with it.
    fn turn(&mut self, actor: usize, pairs: &[Option<Pair>]) {
        if !self.observed {
            for front in [actor, actor.wrapping_sub(1)] {
                if let Some(pair) = pairs.get(front).and_then(Option::as_ref) {
                    self.advance_pair(front, pair);
                    self.waiting[(front + 1) / 64] &= !(1 << ((front + 1) % 64));
                    self.waiting[front / 64] &= !(1 << (front % 64));
                    return;
                }
            }
        }
        self.advance(actor);
    }

    /// Fires `actor` as often as it can within the samples released, or for a turn.
    fn advance(&mut self, actor: usize) {
        let program = &self.model.actors[actor];
        let last_round = self.samples * program.rounds_per_sample;
        let mut state = self.actors[actor];
        let mut turn = TURN;
        while state.round < last_round {
            let block = &program.round[state.block];
            let phase = &block.phases[state.phase];
            let mut count = (phase.repeat - state.fired).min(TURN);
            for take in &phase.takes {
                count = self.queues[take.edge.0].takings(take, count);
            }
            if count == 0 {
                break;
            }
            if turn == 0 {
                self.waiting[actor / 64] |= 1 << (actor % 64);
                break;
            }
            turn = turn.saturating_sub(count);
            let begins = (state.block, state.pass, state.phase, state.fired) == (0, 0, 0, 0)
                && state.round.is_multiple_of(program.rounds_per_sample);
            if actor == 0 && begins {
                state.ready = state.ready.max(due(state.round / program.rounds_per_sample, self.pace));
            }
            let times = &mut self.times[..count as usize];
            if phase.takes.is_empty() {
                times.fill(0);
            }
            for (index, take) in phase.takes.iter().enumerate() {
                self.queues[take.edge.0].take(take, times, index == 0);
            }
            for time in times.iter_mut() {
                state.last = state.ready.max(*time);
                *time = state.last;
                state.ready = state.last + phase.cycles;
            }
            for give in &phase.gives {
                self.queues[give.edge.0].give(give, times);
                if let Some(taker) = self.takers[give.edge.0] {
                    self.waiting[taker / 64] |= 1 << (taker % 64);
                }
            }
            if begins {
                self.spans[actor].push(Span { first: times[0], last: times[0] });
            }
            if self.observed {
                self.observe(actor, phase, count as usize);
            }
            self.effort += VISIT + count;
            state.fired += count;
            if state.fired == phase.repeat {
                state.fired = 0;
                state.phase += 1;
                if state.phase == block.phases.len() {
                    state.phase = 0;
                    state.pass += 1;
                    if state.pass == block.repeat {
                        state.pass = 0;
                        state.block += 1;
                        if state.block == program.round.len() {
                            state.block = 0;
                            state.round += 1;
                        }
                    }
                }
            }
        }
        self.actors[actor] = state;
    }

    fn is_waiting(&self, actor: usize) -> bool {
        self.waiting[actor / 64] >> (actor % 64) & 1 == 1
    }

    /// Keeps what was asked for of the `count` firings at hand.
    fn observe(&mut self, actor: usize, phase: &Phase, count: usize) {
        let times = &self.times[..count];
        if let Some(recorded) = &mut self.firings[actor] {
            recorded.extend(times);
        }
        for take in &phase.takes {
            if let Some(flow) = &mut self.flows[take.edge.0] {
                flow.take(take, times);
            }
        }
        for give in &phase.gives {
            if let Some(flow) = &mut self.flows[give.edge.0] {
                flow.give(give, times);
            }
        }
    }

    fn deadlock(&self) -> Deadlock {
        let mut waiting = Vec::new();
        for (program, state) in self.model.actors.iter().zip(&self.actors) {
            if state.round == self.samples * program.rounds_per_sample {
                continue;
            }
            let short = program.round[state.block].phases[state.phase]
                .takes
                .iter()
                .find(|take| self.queues[take.edge.0].held() < take.need);
            if let Some(take) = short {
                waiting.push(Waiting {
                    actor: program.name.clone(),
                    edge: self.model.edges[take.edge.0].name.clone(),
                    need: take.need,
                    have: self.queues[take.edge.0].held(),
                });
            }
        }
        Deadlock { sample: self.samples - 1, waiting }
    }

    /// How far each actor is behind the pace after a sample, in cycles.
    pub(super) fn lags(&self) -> impl Iterator<Item = i64> + '_ {
        let due = due(self.samples, self.pace) as i64;
        self.actors.iter().map(move |actor| actor.ready as i64 - due)
    }

    /// The first edge at which any actor may fire again.
    fn origin(&self) -> u64 {
        self.actors.iter().map(|actor| actor.ready).min().unwrap_or(0)
    }

    /// The future-determining state after a sample, relative to the first edge at which any actor may
    /// fire again: whatever became usable before that edge is equivalent.
    pub(super) fn state(&self) -> (u64, Vec<u64>) {
        let origin = self.origin();
        let relative = |time: u64| time.saturating_sub(origin);
        let mut state: Vec<u64> = self.actors.iter().map(|actor| relative(actor.ready)).collect();
        state.push(relative(due(self.samples, self.pace)));
        for queue in &self.queues {
            state.push(queue.held());
            queue.describe(origin, &mut state);
        }
        (origin, state)
    }
}

/// First clock edge at which the source may offer a sample.
fn due(sample: u64, (cycles, samples): (u64, u64)) -> u64 {
    1 + sample * cycles / samples
}
