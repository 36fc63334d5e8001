//! Tokens on an edge, as runs: most hardware moves in even steps, and a run costs as much as a token.

use std::collections::VecDeque;

/// `group` tokens usable from clock edge `first`, as many from `first + stride`, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tokens {
    pub first: u64,
    pub stride: u64,
    /// Clock edges at which tokens come.
    pub steps: u64,
    /// Tokens at each.
    pub group: u64,
    /// Tokens of the first step that are gone.
    pub used: u64,
}

/// Availability of the next takings of an edge: taking n can be at `first + stride * n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub first: u64,
    pub stride: u64,
    pub count: u64,
}

impl Tokens {
    /// Tokens that come at once.
    pub fn at(first: u64, group: u64) -> Self {
        Tokens { first, stride: 0, steps: 1, group, used: 0 }
    }

    fn count(&self) -> u64 {
        self.steps * self.group - self.used
    }

    /// Clock edge of the last of the next `need` tokens, which the run has.
    fn time_of(&self, need: u64) -> u64 {
        self.first + self.stride * ((self.used + need - 1) / self.group)
    }

    /// Takes `next` into this run, if it continues it.
    fn absorb(&mut self, next: &Tokens) -> bool {
        if next.used > 0 {
            return false;
        }
        if self.steps == 1 && next.steps == 1 && self.first == next.first {
            self.group += next.group;
            return true;
        }
        let distance = next.first.wrapping_sub(self.first + self.stride * (self.steps - 1));
        let continues = self.group == next.group
            && next.first > self.first
            && (self.steps == 1 || distance == self.stride)
            && (next.steps == 1 || distance == next.stride);
        if continues {
            (self.stride, self.steps) = (distance, self.steps + next.steps);
        }
        continues
    }
}

/// The tokens of an edge, first in first out.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    runs: VecDeque<Tokens>,
    held: u64,
}

impl Queue {
    /// Tokens there are.
    pub fn held(&self) -> u64 {
        self.held
    }

    pub fn push(&mut self, tokens: Tokens) {
        self.held += tokens.count();
        let continues = self.runs.back_mut().is_some_and(|last| last.absorb(&tokens));
        if !continues {
            self.runs.push_back(tokens);
        }
    }

    /// Edge at which the first `need` tokens are all usable; there are so many.
    pub fn available(&self, need: u64) -> u64 {
        let mut left = need;
        let mut latest = 0;
        for run in &self.runs {
            let used = run.count().min(left);
            latest = latest.max(run.time_of(used));
            left -= used;
            if left == 0 {
                break;
            }
        }
        latest
    }

    /// Takings of `each` tokens, as far as they lie in the first run and are evenly spaced; none where
    /// not even one does.
    pub fn line(&self, each: u64) -> Option<Line> {
        let run = self.runs.front()?;
        let Tokens { first, stride, steps, group, used } = *run;
        if each == 0 || run.count() < each {
            return None;
        }
        if stride == 0 || steps == 1 {
            return Some(Line { first, stride: 0, count: run.count() / each });
        }
        if group - used >= each {
            // Within the tokens of one step; a group taken whole is one step after another.
            if used == 0 && group == each {
                return Some(Line { first, stride, count: steps });
            }
            return Some(Line { first, stride: 0, count: (group - used) / each });
        }
        if used == 0 && each.is_multiple_of(group) {
            let over = each / group;
            return Some(Line { first: first + stride * (over - 1), stride: stride * over, count: steps / over });
        }
        None
    }

    pub fn consume(&mut self, mut count: u64) {
        self.held -= count;
        while count > 0 {
            let Some(front) = self.runs.front_mut() else { return };
            let there = front.count();
            if there <= count {
                count -= there;
                self.runs.pop_front();
                continue;
            }
            let gone = front.used + count;
            let steps = gone / front.group;
            front.first += front.stride * steps;
            front.steps -= steps;
            front.used = gone % front.group;
            count = 0;
        }
    }

    /// Appends the tokens relative to `origin`, the same whatever the runs: all that are usable by then
    /// are one, and the others follow as edge and number.
    pub fn describe(&self, origin: u64, state: &mut Vec<u64>) {
        const MARK: u64 = u64::MAX;
        state.push(MARK);
        let begin = state.len();
        for run in &self.runs {
            for step in 0..run.steps {
                let count = run.group - if step == 0 { run.used } else { 0 };
                let time = (run.first + run.stride * step).saturating_sub(origin);
                match state[begin..].len() {
                    0 => state.extend([time, count]),
                    length => {
                        let last = begin + length - 2;
                        match state[last] == time {
                            true => state[last + 1] += count,
                            false => state.extend([time, count]),
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(tokens: &[(u64, u64)]) -> Queue {
        let mut queue = Queue::default();
        tokens.iter().for_each(|&(time, count)| queue.push(Tokens::at(time, count)));
        queue
    }

    #[test]
    fn even_steps_become_one_run_and_are_taken_as_one() {
        let mut queue = filled(&[(4, 2), (7, 2), (10, 2), (13, 2), (15, 2)]);
        assert_eq!(queue.runs.len(), 2);
        assert_eq!(queue.line(2), Some(Line { first: 4, stride: 3, count: 4 }));
        assert_eq!(queue.line(4), Some(Line { first: 7, stride: 6, count: 2 }));
        assert_eq!(queue.line(1), Some(Line { first: 4, stride: 0, count: 2 }));
        assert_eq!(queue.available(9), 15);
        queue.consume(3);
        assert_eq!((queue.held(), queue.available(1), queue.available(2)), (7, 7, 10));
        assert_eq!(queue.line(2), None);
    }

    #[test]
    fn a_state_does_not_show_how_its_tokens_came() {
        let mut apart = filled(&[(4, 1), (5, 3), (9, 2)]);
        let mut together = filled(&[(4, 3), (5, 1), (9, 1), (9, 1)]);
        apart.consume(1);
        together.consume(1);
        let describe = |queue: &Queue, origin| {
            let mut state = Vec::new();
            queue.describe(origin, &mut state);
            state
        };
        assert_eq!(describe(&apart, 5), describe(&together, 5));
        assert_ne!(describe(&apart, 4), describe(&together, 4));
    }
}
