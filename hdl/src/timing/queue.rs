//! Tokens on an edge.

use super::{Give, Take};

/// The tokens of an edge, first in first out, in units: what is given and taken is a whole number of them.
///
/// An edge has one taker, whose firings are in order: a token that is usable before one ahead of it is
/// as good as one usable with that one. So the times rise, and only the last token needed counts.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    /// Clock edges from which units are usable, from `first` up to `end`, each modulo the length, a power
    /// of two.
    ring: Vec<u64>,
    first: usize,
    end: usize,
    /// Units ahead of these that hold nobody up any more.
    stock: usize,
    /// When the last unit given is usable.
    last: u64,
    /// Binary logarithm of the tokens of a unit.
    shift: u32,
    /// Tokens that are no unit and so never taken.
    rest: u64,
}

impl Queue {
    /// An edge that holds `initial` tokens, usable from the first clock edge. `counts`: the bits of all
    /// numbers of tokens that are given or taken at once.
    pub fn new(initial: u64, counts: u64) -> Self {
        let shift = counts.trailing_zeros() % u64::BITS;
        let (stock, rest) = ((initial >> shift) as usize, initial & ((1 << shift) - 1));
        Queue { ring: vec![0; 8], first: 0, end: 0, stock, last: 0, shift, rest }
    }

    /// Tokens there are.
    pub fn held(&self) -> u64 {
        ((self.units() as u64) << self.shift) + self.rest
    }

    fn units(&self) -> usize {
        self.stock + self.end - self.first
    }

    /// How often `take` can be done with what is there, at most `limit` times.
    pub fn takings(&self, take: &Take, limit: u64) -> u64 {
        let Some(spare) = (self.units() as u64).checked_sub(take.need >> self.shift) else { return 0 };
        match take.consume >> self.shift {
            0 => limit,
            1 => limit.min(spare + 1),
            consume if spare < consume => limit.min(1),
            consume => limit.min(spare / consume + 1),
        }
    }

    /// Does `take` once for each of `times`, which becomes the clock edge at which its tokens are usable,
    /// or stays where it is if that is later and `fresh` does not tell to forget it. They are there.
    pub fn take(&mut self, take: &Take, times: &mut [u64], fresh: bool) {
        let kept = if fresh { 0 } else { u64::MAX };
        let (need, consume) = ((take.need >> self.shift) as usize, (take.consume >> self.shift) as usize);
        let mask = self.ring.len() - 1;
        if (need, consume, self.stock) == (1, 1, 0) {
            let start = self.first & mask;
            let (before_wrap, wrapped) = times.split_at_mut(times.len().min(self.ring.len() - start));
            for (times, ring) in [(before_wrap, &self.ring[start..]), (wrapped, &self.ring[..])] {
                times.iter_mut().zip(ring).for_each(|(time, &usable)| *time = (*time & kept).max(usable));
            }
            self.first += times.len();
            return;
        }
        let mut unit = need;
        for time in times.iter_mut() {
            let usable = match unit > self.stock {
                true => self.ring[(self.first + unit - self.stock - 1) & mask],
                false => 0,
            };
            *time = (*time & kept).max(usable);
            unit += consume;
        }
        self.remove(unit - need);
    }

    fn remove(&mut self, units: usize) {
        let stocked = units.min(self.stock);
        self.stock -= stocked;
        self.first += units - stocked;
    }

    /// The clock edge at which the first `count` tokens are usable. They are there.
    pub fn usable(&self, count: u64) -> u64 {
        match ((count >> self.shift) as usize).checked_sub(self.stock + 1) {
            Some(at) => self.ring[(self.first + at) & (self.ring.len() - 1)],
            None => 0,
        }
    }

    /// Takes the first `count` tokens. They are there.
    pub fn drop_first(&mut self, count: u64) {
        self.remove((count >> self.shift) as usize);
    }

    /// Does `give` once for each of `firings`, which rise.
    pub fn give(&mut self, give: &Give, firings: &[u64]) {
        match give.stride {
            0 => self.give_at(firings, give.delay, give.count),
            stride => {
                let (count, delay) = (give.count, give.delay);
                let each = |&firing: &u64| (0..count).map(move |n| firing + delay + n * stride);
                firings.iter().flat_map(each).for_each(|time| self.give_at(&[time], 0, 1));
            }
        }
    }

    /// Gives `count` tokens `delay` after each of `firings`, which rise.
    fn give_at(&mut self, firings: &[u64], delay: u64, count: u64) {
        let units = (count >> self.shift) as usize;
        let more = firings.len() * units;
        if self.end - self.first + more > self.ring.len() {
            self.grow(more);
        }
        let (last, mask) = (self.last, self.ring.len() - 1);
        let time = |firing: u64| (firing + delay).max(last);
        let start = self.end & mask;
        if units == 1 {
            let (before_wrap, wrapped) = firings.split_at(firings.len().min(self.ring.len() - start));
            self.ring[start..].iter_mut().zip(before_wrap).for_each(|(unit, &firing)| *unit = time(firing));
            self.ring.iter_mut().zip(wrapped).for_each(|(unit, &firing)| *unit = time(firing));
        } else {
            for (index, &firing) in firings.iter().enumerate() {
                (0..units).for_each(|unit| self.ring[(start + index * units + unit) & mask] = time(firing));
            }
        }
        self.end += more;
        self.last = firings.last().map_or(last, |&firing| time(firing));
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let start = self.first & (self.ring.len() - 1);
        self.ring.rotate_left(start);
        (self.first, self.end) = (0, self.end - self.first);
        self.ring.resize((self.end + more).next_power_of_two(), 0);
    }

    /// Forgets the times up to `origin`, before which no firing will be.
    pub fn settle(&mut self, origin: u64) {
        let mask = self.ring.len() - 1;
        while self.first < self.end && self.ring[self.first & mask] <= origin {
            self.first += 1;
            self.stock += 1;
        }
    }

    /// Appends the tokens relative to `origin`, the same whatever the way they came: all that are usable
    /// by then are one, and the others follow as edge and number.
    pub fn describe(&self, origin: u64, state: &mut Vec<u64>) {
        const MARK: u64 = u64::MAX;
        let mask = self.ring.len() - 1;
        state.extend([MARK, 0, self.stock as u64]);
        let mut before = 0;
        for time in (self.first..self.end).map(|at| self.ring[at & mask].saturating_sub(origin)) {
            match state.last_mut() {
                Some(units) if before == time => *units += 1,
                _ => state.extend([time, 1]),
            }
            before = time;
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
        let mut queue = Queue::new(0, 1);
        tokens.iter().for_each(|&(time, count)| queue.give_at(&[time], 0, count));
        queue
    }

    #[test]
    fn a_taking_waits_for_the_last_of_its_tokens_and_never_overtakes() {
        let mut queue = filled(&[(4, 2), (7, 2), (6, 1), (10, 2), (13, 2), (15, 2)]);
        assert_eq!((queue.held(), queue.takings(&take(3), 9)), (11, 3));
        let mut times = [0, 11, 0];
        queue.take(&take(3), &mut times, false);
        assert_eq!(times, [7, 11, 13]);
        assert_eq!((queue.held(), queue.takings(&take(3), 9), queue.takings(&take(2), 9)), (2, 0, 1));
    }

    #[test]
    fn tokens_come_back_in_order_from_a_queue_that_grows() {
        let mut queue = Queue::new(3, 1);
        let mut times = [0; 3];
        queue.take(&take(1), &mut times, true);
        assert_eq!(times, [0; 3]);
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
