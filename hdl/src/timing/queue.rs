//! Tokens on an edge.

use super::{Give, Take};

/// The first `total` tokens of an edge, counted from the start, are all usable from clock edge `time`.
#[derive(Clone, Copy, Debug, Default)]
struct Given {
    time: u64,
    total: u64,
}

/// The tokens of an edge, first in first out.
///
/// An edge has one taker, whose firings are in order: a token that is usable before one ahead of it is
/// as good as one usable with that one. So the times rise, and only the last token needed counts.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    /// What is there, from `first` up to `end`, each modulo the length, a power of two.
    ring: Vec<Given>,
    first: usize,
    end: usize,
    /// Tokens given from the start.
    given: u64,
    /// Tokens taken from the start.
    taken: u64,
    /// When the last token given is usable.
    last: u64,
}

impl Queue {
    /// An edge that holds `initial` tokens, usable from the first clock edge.
    pub fn new(initial: u64) -> Self {
        let mut queue = Queue { ring: vec![Given::default(); 8], first: 0, end: 0, given: 0, taken: 0, last: 0 };
        if initial > 0 {
            queue.give_at(&[1], 0, initial);
        }
        queue
    }

    /// Tokens there are.
    pub fn held(&self) -> u64 {
        self.given - self.taken
    }

    /// How often `take` can be done with what is there, at most `limit` times.
    pub fn takings(&self, take: &Take, limit: u64) -> u64 {
        let Some(spare) = self.held().checked_sub(take.need) else { return 0 };
        match take.consume {
            0 => limit,
            1 => limit.min(spare + 1),
            consume => match spare < consume {
                true => limit.min(1),
                false => limit.min(spare / consume + 1),
            },
        }
    }

    /// Does `take` once for each of `times`, which becomes the clock edge at which its tokens are usable,
    /// or stays where it is if that is later and `fresh` does not tell to forget it. They are there.
    pub fn take(&mut self, take: &Take, times: &mut [u64], fresh: bool) {
        let kept = if fresh { 0 } else { u64::MAX };
        let (ring, mask) = (self.ring.as_slice(), self.ring.len() - 1);
        let (mut first, mut wanted) = (self.first, self.taken + take.need);
        for time in times.iter_mut() {
            let mut given = ring[first & mask];
            while given.total < wanted {
                first += 1;
                given = ring[first & mask];
            }
            *time = (*time & kept).max(given.time);
            wanted += take.consume;
        }
        (self.first, self.taken) = (first, wanted - take.need);
    }

    /// The clock edge at which the first `count` tokens are usable. They are there.
    pub fn usable(&self, count: u64) -> u64 {
        let mask = self.ring.len() - 1;
        let mut at = self.first;
        while self.ring[at & mask].total < self.taken + count {
            at += 1;
        }
        self.ring[at & mask].time
    }

    /// Takes the first `count` tokens. They are there.
    pub fn drop_first(&mut self, count: u64) {
        let mask = self.ring.len() - 1;
        self.taken += count;
        while self.first < self.end && self.ring[self.first & mask].total <= self.taken {
            self.first += 1;
        }
    }

    /// Does `give` once for each of `firings`.
    #[inline]
    pub fn give(&mut self, give: &Give, firings: &[u64]) {
        if give.stride > 0 {
            for &firing in firings {
                let each = (0..give.count).map(|n| firing + give.delay + n * give.stride);
                each.for_each(|time| self.give_at(&[time], 0, 1));
            }
            return;
        }
        self.give_at(firings, give.delay, give.count);
    }

    /// Gives `count` tokens `delay` after each of `firings`.
    #[inline]
    fn give_at(&mut self, firings: &[u64], delay: u64, count: u64) {
        if self.end - self.first + firings.len() > self.ring.len() {
            self.grow(firings.len());
        }
        let mask = self.ring.len() - 1;
        let ring = self.ring.as_mut_slice();
        // Where nothing is there to come after, the first becomes an entry of its own.
        let mut last = if self.first == self.end { 0 } else { self.last };
        for &firing in firings {
            let time = firing + delay;
            self.given += count;
            if time > last {
                last = time.max(self.last);
                self.end += 1;
                ring[(self.end - 1) & mask].time = last;
            }
            ring[(self.end - 1) & mask].total = self.given;
        }
        self.last = last;
    }

    #[cold]
    fn grow(&mut self, places: usize) {
        let start = self.first & (self.ring.len() - 1);
        self.ring.rotate_left(start);
        (self.first, self.end) = (0, self.end - self.first);
        self.ring.resize((self.end + places).next_power_of_two(), Given::default());
    }

    /// Forgets the times up to `origin`, before which no firing will be.
    pub fn settle(&mut self, origin: u64) {
        let mask = self.ring.len() - 1;
        while self.end - self.first >= 2 && self.ring[(self.first + 1) & mask].time <= origin {
            self.first += 1;
        }
    }

    /// Appends the tokens relative to `origin`, the same whatever the way they came: all that are usable
    /// by then are one, and the others follow as edge and number.
    pub fn describe(&self, origin: u64, state: &mut Vec<u64>) {
        const MARK: u64 = u64::MAX;
        state.push(MARK);
        let mask = self.ring.len() - 1;
        let mut counted = self.taken;
        let mut before = None;
        for given in (self.first..self.end).map(|at| self.ring[at & mask]).filter(|given| given.total > self.taken) {
            let time = given.time.saturating_sub(origin);
            let count = given.total - counted;
            counted = given.total;
            match state.last_mut() {
                Some(last) if before == Some(time) => *last += count,
                _ => state.extend([time, count]),
            }
            before = Some(time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::EdgeId;
    use super::*;

    fn take(count: u64) -> Take {
        Take { edge: EdgeId(0), need: count, consume: count }
    }

    fn filled(tokens: &[(u64, u64)]) -> Queue {
        let mut queue = Queue::new(0);
        tokens.iter().for_each(|&(time, count)| queue.give_at(&[time], 0, count));
        queue
    }

    #[test]
    fn a_taking_waits_for_the_last_of_its_tokens_and_never_overtakes() {
        let mut queue = filled(&[(4, 2), (7, 2), (6, 1), (10, 2), (13, 2), (15, 2)]);
        assert_eq!((queue.held(), queue.takings(&take(3), 9)), (11, 3));
        let mut times = [0, 9, 0];
        queue.take(&take(3), &mut times, false);
        assert_eq!(times, [7, 9, 13]);
        assert_eq!((queue.held(), queue.takings(&take(3), 9), queue.takings(&take(2), 9)), (2, 0, 1));
    }

    #[test]
    fn tokens_come_back_in_order_from_a_queue_that_grows() {
        let mut queue = Queue::new(3);
        let mut times = [0; 3];
        queue.take(&take(1), &mut times, true);
        assert_eq!(times, [1; 3]);
        for round in 0..50u64 {
            let give = Give { edge: EdgeId(0), count: 3, delay: 2, stride: 1 };
            queue.give(&give, &[10 * round, 10 * round + 5]);
            let mut times = [0; 5];
            queue.take(&take(1), &mut times, true);
            let sequence = |n: u64| 5 * (n / 3) + 2 + n % 3;
            assert_eq!(times, [0, 1, 2, 3, 4].map(|n| sequence(5 * round + n)));
        }
    }

    #[test]
    fn a_state_does_not_show_how_its_tokens_came() {
        let mut apart = filled(&[(4, 1), (5, 3), (9, 2)]);
        let mut together = filled(&[(4, 3), (5, 1), (9, 1), (9, 1)]);
        let mut settled = apart.clone();
        settled.settle(5);
        for queue in [&mut apart, &mut together, &mut settled] {
            queue.take(&take(1), &mut [0], true);
        }
        let describe = |queue: &Queue, origin| {
            let mut state = Vec::new();
            queue.describe(origin, &mut state);
            state
        };
        assert_eq!(describe(&apart, 5), describe(&together, 5));
        assert_eq!(describe(&apart, 5), describe(&settled, 5));
        assert_ne!(describe(&apart, 4), describe(&together, 4));
    }
}
