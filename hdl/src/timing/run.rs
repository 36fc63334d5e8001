//! Evaluation of a token model, sample by sample.

use super::{ActorId, EdgeId, TokenModel};
use std::collections::VecDeque;

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

/// Runs of tokens on one edge: `count` tokens usable from `time`, `time + stride` ...
#[derive(Clone, Copy, Debug)]
struct Tokens {
    time: u64,
    stride: u64,
    count: u64,
}

#[derive(Clone, Debug, Default)]
struct Queue {
    runs: VecDeque<Tokens>,
    held: u64,
}

impl Queue {
    fn push(&mut self, tokens: Tokens) {
        self.held += tokens.count;
        if let Some(last) = self.runs.back_mut().filter(|last| last.stride == 0 && tokens.stride == 0) {
            if last.time == tokens.time {
                last.count += tokens.count;
                return;
            }
        }
        self.runs.push_back(tokens);
    }

    /// Edge at which the first `need` tokens are all usable. Runs are in order of time.
    fn available(&self, need: u64) -> u64 {
        let mut left = need;
        let mut latest = 0;
        for run in &self.runs {
            let used = run.count.min(left);
            latest = latest.max(run.time + run.stride * (used - 1));
            left -= used;
            if left == 0 {
                break;
            }
        }
        latest
    }

    fn consume(&mut self, mut count: u64) {
        self.held -= count;
        while count > 0 {
            let Some(front) = self.runs.front_mut() else { return };
            let used = front.count.min(count);
            front.count -= used;
            front.time += front.stride * used;
            count -= used;
            if front.count == 0 {
                self.runs.pop_front();
            }
        }
    }
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
                queue.push(Tokens { time: 1, stride: 0, count: edge.initial });
            }
            queue
        };
        Run {
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
        loop {
            let mut moved = false;
            for actor in 0..self.actors.len() {
                moved |= self.advance(actor);
            }
            if !moved {
                break;
            }
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

    /// Fires `actor` as often as it can within the samples released; whether it fired at all.
    fn advance(&mut self, actor: usize) -> bool {
        let program = &self.model.actors[actor];
        let state = &mut self.actors[actor];
        let last_round = self.samples * program.rounds_per_sample;
        let mut moved = false;
        while state.round < last_round {
            let block = &program.round[state.block];
            let phase = &block.phases[state.phase];
            if phase.takes.iter().any(|take| self.queues[take.edge.0].held < take.need) {
                break;
            }
            let begins = state.round.is_multiple_of(program.rounds_per_sample)
                && (state.block, state.pass, state.phase, state.fired) == (0, 0, 0, 0);
            if actor == 0 && begins {
                state.ready = state.ready.max(due(self.samples - 1, self.pace));
            }
            let time = phase
                .takes
                .iter()
                .map(|take| self.queues[take.edge.0].available(take.need))
                .fold(state.ready, u64::max);
            for take in &phase.takes {
                self.queues[take.edge.0].consume(take.consume);
                if let Some(flow) = &mut self.flows[take.edge.0] {
                    flow.taken.push((time, take.consume));
                }
            }
            for give in phase.gives.iter().filter(|give| give.count > 0) {
                if let Some(flow) = &mut self.flows[give.edge.0] {
                    flow.given.push((time + give.delay + give.stride * (give.count - 1), give.count));
                }
                self.queues[give.edge.0].push(Tokens {
                    time: time + give.delay,
                    stride: give.stride,
                    count: give.count,
                });
            }
            let spans = &mut self.spans[actor];
            if begins {
                spans.push(Span { first: time, last: time });
            }
            if let Some(span) = spans.last_mut() {
                span.last = time;
            }
            if let Some(firings) = &mut self.firings[actor] {
                firings.push(time);
            }
            state.ready = time + phase.cycles;
            state.fired += 1;
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
            moved = true;
        }
        moved
    }

    fn deadlock(&self) -> Deadlock {
        let mut waiting = Vec::new();
        for (program, state) in self.model.actors.iter().zip(&self.actors) {
            if state.round == self.samples * program.rounds_per_sample {
                continue;
            }
            let short = program.round[state.block].phases[state.phase].takes.iter().find(|take| self.queues[take.edge.0].held < take.need);
            if let Some(take) = short {
                waiting.push(Waiting {
                    actor: program.name.clone(),
                    edge: self.model.edges[take.edge.0].name.clone(),
                    need: take.need,
                    have: self.queues[take.edge.0].held,
                });
            }
        }
        Deadlock { sample: self.samples - 1, waiting }
    }

    /// The future-determining state after a sample, relative to the first edge at which the source
    /// may fire again: whatever became usable before that edge is equivalent.
    ///
    /// Every firing of a sample follows the source's first firing of it, which is what makes the
    /// state relative to the source sufficient.
    pub(super) fn state(&self) -> (u64, Vec<u64>) {
        let origin = self.actors[0].ready;
        let relative = |time: u64| time.saturating_sub(origin);
        let mut state: Vec<u64> = self.actors.iter().map(|actor| relative(actor.ready)).collect();
        state.push(relative(due(self.samples, self.pace)));
        for queue in &self.queues {
            state.push(queue.held);
            for run in &queue.runs {
                if run.stride == 0 || run.time + run.stride * (run.count - 1) <= origin {
                    let last = relative(run.time + run.stride * (run.count - 1));
                    push_run(&mut state, last, 0, run.count);
                } else {
                    let early = if run.time <= origin { (origin - run.time) / run.stride } else { 0 };
                    if early > 0 {
                        push_run(&mut state, 0, 0, early);
                    }
                    push_run(&mut state, relative(run.time + run.stride * early), run.stride, run.count - early);
                }
            }
        }
        (origin, state)
    }
}

/// First clock edge at which the source may offer a sample.
fn due(sample: u64, (cycles, samples): (u64, u64)) -> u64 {
    1 + sample * cycles / samples
}

/// Appends a run, merged with an equal run before it, so that equal states look equal.
fn push_run(state: &mut Vec<u64>, time: u64, stride: u64, count: u64) {
    const MARK: u64 = u64::MAX;
    if let [.., MARK, last_time, last_stride, last_count] = state.as_mut_slice() {
        if *last_time == time && *last_stride == 0 && stride == 0 {
            *last_count += count;
            return;
        }
    }
    state.extend([MARK, time, stride, count]);
}
