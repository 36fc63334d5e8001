//! Two neighbours with little room between them, evaluated together.
//!
//! Each can fire a few times only before the other must. Their firings are counted first, then all their
//! other tokens are taken at once, and the times follow firing by firing.

use super::queue::Queue;
use super::run::Run;
use super::{Actor, Give, Phase, Take, TokenModel};

/// Firings of room up to which two neighbours are a pair.
const TIGHT: u64 = 16;

/// An actor of a pair: its only phase, with what passes between the two apart.
#[derive(Clone, Debug)]
struct Side {
    take: Take,
    give: Give,
    takes: Vec<Take>,
    gives: Vec<Give>,
    repeat: u64,
    cycles: u64,
}

/// An actor that gives to the next one and waits for what that gives back.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    front: Side,
    back: Side,
}

impl Pair {
    /// The pair of `front` and the next actor, if they are one.
    pub fn of(model: &TokenModel, front: usize) -> Option<Pair> {
        let (one, other) = (only_phase(model.actors.get(front)?)?, only_phase(model.actors.get(front + 1)?)?);
        let pair = Pair { front: Side::of(one, other)?, back: Side::of(other, one)? };
        let room = model.edges[pair.front.take.edge.0].initial / pair.front.take.consume;
        (front > 0 && room <= TIGHT).then_some(pair)
    }
}

fn only_phase(actor: &Actor) -> Option<&Phase> {
    match actor.round.as_slice() {
        [block] if actor.rounds_per_sample == 1 && block.phases.len() == 1 => block.phases.first(),
        _ => None,
    }
}

impl Side {
    fn of(phase: &Phase, other: &Phase) -> Option<Side> {
        let taken = |take: &Take| other.gives.iter().any(|give| give.edge == take.edge);
        let given = |give: &Give| other.takes.iter().any(|take| take.edge == give.edge);
        let (between, takes): (Vec<Take>, Vec<Take>) = phase.takes.iter().copied().partition(taken);
        let (back, gives): (Vec<Give>, Vec<Give>) = phase.gives.iter().copied().partition(given);
        let (&[take], &[give]) = (between.as_slice(), back.as_slice()) else { return None };
        let sound = take.need == take.consume && give.stride == 0 && give.count > 0;
        sound.then_some(Side { take, give, takes, gives, repeat: phase.repeat, cycles: phase.cycles })
    }

    /// How often it can fire for all that the other side has no part in, at most `limit` times.
    fn firings(&self, queues: &[Queue], limit: u64) -> u64 {
        self.takes.iter().fold(limit, |limit, take| queues[take.edge.0].takings(take, limit))
    }

    /// Takes all that the other side has no part in.
    fn begin(&self, queues: &mut [Queue], times: &mut [u64]) {
        if self.takes.is_empty() {
            times.fill(0);
        }
        for (index, take) in self.takes.iter().enumerate() {
            queues[take.edge.0].take(take, times, index == 0);
        }
    }
}

/// Tokens on their way between the sides of a pair.
struct Between {
    /// Held before the firings at hand.
    before: u64,
    /// Taken by them.
    taken: u64,
    /// Held and given by those of the giver's first `firings` firings.
    given: u64,
    firings: usize,
}

impl Between {
    fn new(held: u64) -> Self {
        Between { before: held, taken: 0, given: held, firings: 0 }
    }

    /// The clock edge at which `take` can be done next, with what the giver's firings gave.
    fn next(&mut self, take: &Take, give: &Give, queue: &Queue, firings: &[u64]) -> u64 {
        self.taken += take.consume;
        if self.taken <= self.before {
            return queue.usable(self.taken);
        }
        while self.given < self.taken {
            self.given += give.count;
            self.firings += 1;
        }
        firings[self.firings - 1] + give.delay
    }
}

impl Run<'_> {
    /// Fires both actors of the pair that begins with actor `front` as often as they can.
    pub(super) fn advance_pair(&mut self, front: usize, pair: &Pair) {
        let (one, other) = (&pair.front, &pair.back);
        loop {
            let left = |run: &Self, side: &Side, actor: usize| match run.actors[actor].round < run.samples {
                true => side.firings(&run.queues, (side.repeat - run.actors[actor].fired).min(super::run::TURN)),
                false => 0,
            };
            let most = (left(self, one, front), left(self, other, front + 1));
            let (there, back) = (self.queues[other.take.edge.0].held(), self.queues[one.take.edge.0].held());
            // Turns: so many firings of the one, then so many of the other.
            let mut turns = std::mem::take(&mut self.turns);
            turns.clear();
            let (mut fired, mut held) = ((0, 0), (there, back));
            loop {
                let mut turn = (0, 0);
                while held.1 >= one.take.consume && fired.0 + turn.0 < most.0 {
                    turn.0 += 1;
                    held.1 -= one.take.consume;
                    held.0 += one.give.count;
                }
                while held.0 >= other.take.consume && fired.1 + turn.1 < most.1 {
                    turn.1 += 1;
                    held.0 -= other.take.consume;
                    held.1 += other.give.count;
                }
                if turn == (0, 0) {
                    break;
                }
                fired = (fired.0 + turn.0, fired.1 + turn.1);
                turns.push(turn);
            }
            if fired == (0, 0) {
                self.turns = turns;
                return;
            }
            let (ones, others) = (&mut self.times[..fired.0 as usize], &mut self.more_times[..fired.1 as usize]);
            one.begin(&mut self.queues, ones);
            other.begin(&mut self.queues, others);
            let (mut forth, mut back) = (Between::new(there), Between::new(back));
            let (mut first, mut second) = (0, 0);
            let mut ready = (self.actors[front].ready, self.actors[front + 1].ready);
            for &turn in &turns {
                for _ in 0..turn.0 {
                    let usable = back.next(&one.take, &other.give, &self.queues[one.take.edge.0], others);
                    ones[first] = ones[first].max(usable).max(ready.0);
                    ready.0 = ones[first] + one.cycles;
                    first += 1;
                }
                for _ in 0..turn.1 {
                    let usable = forth.next(&other.take, &one.give, &self.queues[other.take.edge.0], ones);
                    others[second] = others[second].max(usable).max(ready.1);
                    ready.1 = others[second] + other.cycles;
                    second += 1;
                }
            }
            self.turns = turns;
            self.finish(front, one, fired.0, ready.0, false);
            self.finish(front + 1, other, fired.1, ready.1, true);
            self.queues[one.take.edge.0].drop_first(fired.0 * one.take.consume);
            self.queues[other.take.edge.0].drop_first(fired.1 * other.take.consume);
        }
    }

    /// Gives what `count` firings of a side give, and goes on in its program.
    fn finish(&mut self, actor: usize, side: &Side, count: u64, ready: u64, second: bool) {
        let times = if second { &self.more_times[..count as usize] } else { &self.times[..count as usize] };
        let (Some(&first), Some(&last)) = (times.first(), times.last()) else { return };
        self.queues[side.give.edge.0].give(&side.give, times);
        for give in &side.gives {
            self.queues[give.edge.0].give(give, times);
            if let Some(taker) = self.takers[give.edge.0] {
                self.waiting[taker / 64] |= 1 << (taker % 64);
            }
        }
        let state = &mut self.actors[actor];
        if state.fired == 0 {
            self.spans[actor].push(super::run::Span { first, last: first });
        }
        (state.ready, state.last) = (ready, last);
        state.fired += count;
        if state.fired == side.repeat {
            state.fired = 0;
            state.round += 1;
        }
        self.effort += super::run::VISIT + count;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ActorId, EdgeId};
    use super::*;

    /// A chain of actors, each with a way back of little room; the numbers follow from `seed`.
    fn chain(mut seed: u64) -> (TokenModel, Vec<ActorId>) {
        let mut number = |most: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % most + 1
        };
        let mut model = TokenModel::new();
        let mut before: Option<(EdgeId, EdgeId, u64)> = None;
        let mut actors = Vec::new();
        for stage in 0..4 {
            let (takes_of, gives_of, cycles) = (number(3), number(4), number(3));
            let data = model.edge(format!("data {stage}"), 0);
            let space = model.edge(format!("space {stage}"), 4 + number(12));
            let mut takes = vec![Take { edge: space, need: gives_of, consume: gives_of }];
            let mut gives = vec![Give { edge: data, count: gives_of, delay: number(3), stride: 0 }];
            if let Some((data, space, _)) = before {
                takes.push(Take { edge: data, need: takes_of, consume: takes_of });
                gives.push(Give { edge: space, count: takes_of, delay: number(2) - 1, stride: 0 });
            }
            // 6^3 firings of the source: every number of tokens a sample can be divided by all taken at once.
            let repeat = before.map_or(216, |(_, _, tokens)| tokens / takes_of);
            actors.push(model.actor(format!("stage {stage}"), vec![Phase { repeat, takes, gives, cycles }], 1));
            before = Some((data, space, repeat * gives_of));
        }
        let (data, space, tokens) = before.unwrap();
        let takes = vec![Take { edge: data, need: 1, consume: 1 }];
        let gives = vec![Give { edge: space, count: 1, delay: 1, stride: 0 }];
        actors.push(model.actor("sink", vec![Phase { repeat: tokens, takes, gives, cycles: number(2) }], 1));
        (model, actors)
    }

    #[test]
    fn pairs_fire_at_the_same_clock_edges_as_single_actors() {
        let mut pairs = 0;
        for seed in 0..100 {
            let (model, actors) = chain(seed);
            pairs += (0..actors.len()).filter(|&front| Pair::of(&model, front).is_some()).count();
            let (mut together, mut apart) = (model.start(), model.start());
            actors.iter().for_each(|&actor| apart.record(actor));
            for sample in 0..4 {
                assert_eq!(together.sample(), apart.sample(), "seed {seed}");
                assert_eq!(together.state(), apart.state(), "seed {seed}, sample {sample}");
            }
            actors.iter().for_each(|&actor| assert_eq!(together.spans(actor), apart.spans(actor), "seed {seed}"));
        }
        assert!(pairs > 100, "{pairs} pairs");
    }
}
