//! Evaluation of a token model, sample by sample.

use super::queue::{Line, Queue, Tokens};
use super::{ActorId, EdgeId, Give, Phase, TokenModel};

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

#[derive(Clone, Debug)]
struct ActorState {
    block: usize,
    pass: u64,
    phase: usize,
    fired: u64,
    round: u64,
    /// First edge at which the actor may fire again.
    ready: u64,
}

/// Clock edges of one sample at one actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First firing.
    pub first: u64,
    /// Last firing.
    pub last: u64,
}

/// Edges that a phase may wait on for its firings to be found several at a time.
const LINES: usize = 6;

/// Evenly spaced firings of a phase.
#[derive(Clone, Copy, Debug)]
struct Firings {
    first: u64,
    stride: u64,
    count: u64,
}

/// A token model under evaluation. Edges are counted from 1, the first after reset.
pub struct Run<'m> {
    model: &'m TokenModel,
    queues: Vec<Queue>,
    actors: Vec<ActorState>,
    /// `[actor][sample]`.
    spans: Vec<Vec<Span>>,
    /// `[actor]`: every firing, where asked for.
    firings: Vec<Option<Vec<u64>>>,
    samples: u64,
    /// Least distance of samples at the source: so many cycles for so many samples.
    pace: (u64, u64),
    /// `[edge]`: what was taken and given when, where asked for.
    flows: Vec<Option<Flow>>,
    /// `[edge]`: the actors that take from it.
    takers: Vec<Vec<usize>>,
    /// Actors that may be able to fire: a bit each.
    waiting: Vec<u64>,
    /// Steps of the evaluation so far.
    effort: u64,
}

/// Tokens taken from and given to an edge: `(clock edge, count)` each.
#[derive(Clone, Debug, Default)]
struct Flow {
    taken: Vec<(u64, u64)>,
    given: Vec<(u64, u64)>,
}

impl TokenModel {
    /// Starts an evaluation: source always valid, sinks always ready.
    pub fn start(&self) -> Run<'_> {
        self.start_paced((0, 1))
    }

    /// Starts an evaluation in which the source offers sample n no earlier than
    /// floor(n * cycles / samples) cycles after the first, for `pace` = (cycles, samples).
    pub fn start_paced(&self, pace: (u64, u64)) -> Run<'_> {
        let queue = |edge: &super::Edge| {
            let mut queue = Queue::default();
            if edge.initial > 0 {
                queue.push(Tokens::at(1, edge.initial));
            }
            queue
        };
        let mut takers = vec![Vec::new(); self.edges.len()];
        for (index, actor) in self.actors.iter().enumerate() {
            for take in actor.round.iter().flat_map(|block| &block.phases).flat_map(|phase| &phase.takes) {
                let takers: &mut Vec<usize> = &mut takers[take.edge.0];
                if takers.last() != Some(&index) {
                    takers.push(index);
                }
            }
        }
        Run {
            takers,
            waiting: vec![0; self.actors.len().div_ceil(64)],
            effort: 0,
            model: self,
            queues: self.edges.iter().map(queue).collect(),
            actors: vec![ActorState { block: 0, pass: 0, phase: 0, fired: 0, round: 0, ready: 1 }; self.actors.len()],
            spans: vec![Vec::new(); self.actors.len()],
            firings: vec![None; self.actors.len()],
            samples: 0,
            pace,
            flows: vec![None; self.edges.len()],
        }
    }
}

impl Run<'_> {
    /// Keeps every firing of `actor` from now on.
    pub fn record(&mut self, actor: ActorId) {
        self.firings[actor.0] = Some(Vec::new());
    }

    /// Keeps what is taken from and given to `edge` from now on.
    pub fn watch(&mut self, edge: EdgeId) {
        self.flows[edge.0] = Some(Flow::default());
    }

    /// The most tokens of a watched edge that were in use at once: with so many from the start,
    /// every firing so far would have been at the same clock edge.
    pub fn most_in_use(&self, edge: EdgeId) -> u64 {
        let Some(flow) = &self.flows[edge.0] else { return 0 };
        let mut given = flow.given.clone();
        given.sort_unstable();
        let mut taken = flow.taken.clone();
        taken.sort_unstable();
        let (mut back, mut next, mut out, mut most) = (0u64, 0, 0u64, 0);
        for (time, count) in taken {
            while let Some(&(usable, returned)) = given.get(next).filter(|&&(usable, _)| usable <= time) {
                let _ = usable;
                back += returned;
                next += 1;
            }
            out += count;
            most = most.max(out - back);
        }
        most
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
        // Round after round in data order, so that each actor finds many tokens at once.
        let mut from = 0;
        while let Some(actor) = self.next_waiting(from).or_else(|| self.next_waiting(0)) {
            self.waiting[actor / 64] &= !(1 << (actor % 64));
            self.advance(actor);
            from = actor + 1;
        }
        if self.spans.iter().all(|spans| spans.len() as u64 == self.samples && !spans.is_empty()) && self.at_boundary()
        {
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

    /// Fires `actor` as often as it can within the samples released.
    fn advance(&mut self, actor: usize) {
        let program = &self.model.actors[actor];
        let last_round = self.samples * program.rounds_per_sample;
        while self.actors[actor].round < last_round {
            let state = &self.actors[actor];
            let block = &program.round[state.block];
            let phase = &block.phases[state.phase];
            if phase.takes.iter().any(|take| self.queues[take.edge.0].held() < take.need) {
                break;
            }
            let begins = state.round.is_multiple_of(program.rounds_per_sample)
                && (state.block, state.pass, state.phase, state.fired) == (0, 0, 0, 0);
            let ready = match actor == 0 && begins {
                true => state.ready.max(due(self.samples - 1, self.pace)),
                false => state.ready,
            };
            let firings = self.firings_ahead(phase, phase.repeat - state.fired, ready);
            self.fire(phase, &firings);
            self.effort += 1;
            let last = firings.first + firings.stride * (firings.count - 1);
            let spans = &mut self.spans[actor];
            if begins {
                spans.push(Span { first: firings.first, last });
            }
            if let Some(span) = spans.last_mut() {
                span.last = last;
            }
            if let Some(recorded) = &mut self.firings[actor] {
                recorded.extend((0..firings.count).map(|n| firings.first + firings.stride * n));
            }
            let state = &mut self.actors[actor];
            state.ready = last + phase.cycles;
            state.fired += firings.count;
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
    }

    /// The next firings of a phase that are evenly spaced, of which there are at most `most`: firing n
    /// waits for its tokens and for `phase.cycles` after firing n - 1. While each edge's next tokens lie
    /// in one run, each wait is a line in n; the firings follow the line that is above the others at
    /// the start, as far as no steeper one crosses it.
    fn firings_ahead(&self, phase: &Phase, most: u64, ready: u64) -> Firings {
        let single = || {
            let available = phase.takes.iter().map(|take| self.queues[take.edge.0].available(take.need));
            Firings { first: available.fold(ready, u64::max), stride: phase.cycles, count: 1 }
        };
        if most == 1 {
            return single();
        }
        let mut lines = [Line { first: 0, stride: 0, count: u64::MAX }; LINES];
        if phase.takes.len() > LINES {
            return single();
        }
        let (mut first, mut stride, mut count) = (ready, phase.cycles, most);
        for (take, slot) in phase.takes.iter().zip(&mut lines) {
            let line = (take.need == take.consume).then(|| self.queues[take.edge.0].line(take.consume)).flatten();
            let Some(line) = line else { return single() };
            *slot = line;
            count = count.min(line.count);
            if line.first > first {
                (first, stride) = (line.first, line.stride.max(phase.cycles));
            } else if line.first == first {
                stride = stride.max(line.stride);
            }
        }
        for line in lines.iter().filter(|line| line.stride > stride) {
            count = count.min((first - line.first) / (line.stride - stride) + 1);
        }
        Firings { first, stride, count }
    }

    /// Takes and gives what firings of a phase do.
    fn fire(&mut self, phase: &Phase, firings: &Firings) {
        for take in phase.takes.iter().filter(|take| take.consume > 0) {
            self.queues[take.edge.0].consume(take.consume * firings.count);
            if let Some(flow) = &mut self.flows[take.edge.0] {
                flow.taken.extend((0..firings.count).map(|n| (firings.first + firings.stride * n, take.consume)));
            }
        }
        for give in phase.gives.iter().filter(|give| give.count > 0) {
            if let Some(flow) = &mut self.flows[give.edge.0] {
                let last = give.delay + give.stride * (give.count - 1);
                let usable = (0..firings.count).map(|n| (firings.first + firings.stride * n + last, give.count));
                flow.given.extend(usable);
            }
            self.give(give, firings);
            for index in 0..self.takers[give.edge.0].len() {
                let taker = self.takers[give.edge.0][index];
                self.waiting[taker / 64] |= 1 << (taker % 64);
            }
        }
    }

    fn give(&mut self, give: &Give, firings: &Firings) {
        let queue = &mut self.queues[give.edge.0];
        let first = firings.first + give.delay;
        if give.stride == 0 || give.count == 1 {
            queue.push(Tokens { first, stride: firings.stride, steps: firings.count, group: give.count, used: 0 });
            return;
        }
        for n in 0..firings.count {
            let first = first + firings.stride * n;
            queue.push(Tokens { first, stride: give.stride, steps: give.count, group: 1, used: 0 });
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

    /// The future-determining state after a sample, relative to the first edge at which any actor may
    /// fire again: whatever became usable before that edge is equivalent.
    pub(super) fn state(&self) -> (u64, Vec<u64>) {
        let origin = self.actors.iter().map(|actor| actor.ready).min().unwrap_or(0);
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
