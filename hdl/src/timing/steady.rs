//! Steady state of a token model: exact interval and latency.

use super::{ActorId, Deadlock, Run, TokenModel};
use std::collections::HashMap;

/// Exact figures of a design whose source is always valid and whose sink is always ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steady {
    /// Samples after which the pattern repeats.
    pub period_samples: u64,
    /// Cycles of one period.
    pub period_cycles: u64,
    /// Samples before the pattern begins.
    pub warm_up_samples: u64,
}

impl Steady {
    /// The interval as so many cycles for so many samples, reduced.
    pub fn pace(&self) -> (u64, u64) {
        let divisor = gcd(self.period_cycles, self.period_samples);
        (self.period_cycles / divisor, self.period_samples / divisor)
    }

    /// Whether a sample takes at most `cycles` on average.
    pub fn is_within(&self, cycles: u64) -> bool {
        self.period_cycles <= cycles * self.period_samples
    }

    /// Whether it takes at most so many cycles for so many samples.
    pub fn keeps(&self, (cycles, samples): (u64, u64)) -> bool {
        u128::from(self.period_cycles) * u128::from(samples) <= u128::from(cycles) * u128::from(self.period_samples)
    }

    /// The interval in cycles a sample: a whole number or a reduced fraction `p/q`.
    pub fn interval(&self) -> String {
        match self.pace() {
            (cycles, 1) => cycles.to_string(),
            (cycles, samples) => format!("{cycles}/{samples}"),
        }
    }
}

fn digest(state: &[u64]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for word in state {
        hasher.update(&word.to_le_bytes());
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        gcd(b, a % b)
    }
}

/// Why there is no steady state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SteadyError {
    /// The design stops.
    #[error(transparent)]
    Deadlock(#[from] Deadlock),
    /// The pattern does not repeat within the samples tried.
    #[error("no periodic pattern within {0} samples")]
    Aperiodic(u64),
}

impl Run<'_> {
    /// Runs samples until the state after one equals that after an earlier one; none if that does not
    /// happen within `limit` samples.
    ///
    /// # Errors
    /// If the design stops.
    pub fn until_it_repeats(&mut self, limit: u64) -> Result<Option<Steady>, Deadlock> {
        self.repeats_unless(limit, |_| false)
    }

    /// As [`Run::until_it_repeats`], and none as soon as `hopeless` says so after a sample.
    pub(super) fn repeats_unless(
        &mut self,
        limit: u64,
        mut hopeless: impl FnMut(&Self) -> bool,
    ) -> Result<Option<Steady>, Deadlock> {
        let mut seen: HashMap<[u8; 16], (u64, u64)> = HashMap::new();
        for sample in 1..=limit {
            self.sample()?;
            let (origin, state) = self.state();
            if let Some((before, then)) = seen.insert(digest(&state), (sample, origin)) {
                return Ok(Some(Steady {
                    period_samples: sample - before,
                    period_cycles: origin - then,
                    warm_up_samples: before,
                }));
            }
            if hopeless(self) {
                break;
            }
        }
        Ok(None)
    }
}

impl TokenModel {
    /// Runs samples until the state after one equals the state after an earlier one: from then on
    /// everything repeats, by construction (states are compared by a 128-bit hash).
    ///
    /// # Errors
    /// If the design stops, or no state recurs within `limit` samples.
    pub fn steady(&self, limit: u64) -> Result<Steady, SteadyError> {
        self.start().until_it_repeats(limit)?.ok_or(SteadyError::Aperiodic(limit))
    }

    /// Whether the design keeps up with `pace` (so many cycles for so many samples) for ever.
    ///
    /// The source is paced. Where the state after a sample equals that after an earlier one, everything
    /// between repeats, and what it takes is the design's interval, or the pace itself. A design whose
    /// state has not recurred after `limit` samples settles later than that; the answer is then no.
    ///
    /// # Errors
    /// If the design stops.
    pub fn sustains(&self, pace: (u64, u64), limit: u64) -> Result<bool, Deadlock> {
        let mut run = self.start_paced(pace);
        Ok(run.until_it_repeats(limit)?.is_some_and(|steady| steady.keeps(pace)))
    }

    /// Cycles a sample of the slowest actor: no design is faster.
    pub fn bound(&self) -> u64 {
        let cycles = |(_, actor): (ActorId, &super::Actor)| {
            let block = |block: &super::Block| {
                block.phases.iter().map(|phase| phase.repeat * phase.cycles).sum::<u64>() * block.repeat
            };
            actor.round.iter().map(block).sum::<u64>() * actor.rounds_per_sample
        };
        self.actors().map(cycles).max().unwrap_or(0)
    }

    /// Cycles from the first firing of `source` to the last of `sink`, for one sample alone.
    ///
    /// # Errors
    /// If the design stops.
    pub fn latency(&self, source: ActorId, sink: ActorId) -> Result<u64, Deadlock> {
        let mut run = self.start();
        run.sample()?;
        Ok(run.spans(sink)[0].last - run.spans(source)[0].first)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Give, Phase, Take};
    use super::*;

    /// Source -> FIFO of `depth` -> server that needs `service` cycles a beat.
    fn queue(depth: u64, service: u64, beats: u64) -> (TokenModel, ActorId, ActorId) {
        let mut model = TokenModel::new();
        let data = model.edge("data", 0);
        let space = model.edge("space", depth);
        let source = model.actor(
            "source",
            vec![Phase {
                repeat: beats,
                takes: vec![Take { edge: space, need: 1, consume: 1 }],
                gives: vec![Give { edge: data, count: 1, delay: 1, stride: 0 }],
                cycles: 1,
            }],
            1,
        );
        let sink = model.actor(
            "sink",
            vec![Phase {
                repeat: beats,
                takes: vec![Take { edge: data, need: 1, consume: 1 }],
                gives: vec![Give { edge: space, count: 1, delay: 1, stride: 0 }],
                cycles: service,
            }],
            1,
        );
        (model, source, sink)
    }

    #[test]
    fn a_two_entry_buffer_passes_a_beat_a_cycle_and_a_one_entry_buffer_every_other_cycle() {
        let (model, source, sink) = queue(2, 1, 10);
        assert_eq!(model.steady(100).unwrap().interval(), "10");
        assert_eq!(model.latency(source, sink), Ok(10));
        assert_eq!(queue(1, 1, 10).0.steady(100).unwrap().interval(), "20");
    }

    #[test]
    fn the_slowest_server_sets_the_interval_once_the_buffer_is_full() {
        let steady = queue(7, 3, 4).0.steady(100).unwrap();
        assert_eq!(steady.interval(), "12");
        assert!(steady.warm_up_samples > 1);
    }

    #[test]
    fn a_buffer_without_entries_is_reported_as_deadlock_with_both_ends() {
        let error = queue(0, 1, 1).0.steady(10).unwrap_err();
        assert!(error.to_string().contains("`source` waits for 1 tokens on `space`, which holds 0"), "{error}");
    }
}
