//! How many tokens of an edge are in use.

use super::{Give, Take};
use std::collections::VecDeque;

/// Tokens taken from and given to an edge, in order, and the most that were in use at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    /// `(clock edge, count)`: when tokens were taken.
    taken: VecDeque<(u64, u64)>,
    /// `(clock edge, count)`: from when tokens that were given back are usable.
    given: VecDeque<(u64, u64)>,
    in_use: u64,
    most: u64,
}

impl Flow {
    pub fn take(&mut self, take: &Take, firings: &[u64]) {
        self.taken.extend(firings.iter().map(|&firing| (firing, take.consume)));
    }

    pub fn give(&mut self, give: &Give, firings: &[u64]) {
        let last = give.delay + give.stride * (give.count - 1);
        self.given.extend(firings.iter().map(|&firing| (firing + last, give.count)));
    }

    /// The most tokens in use before clock edge `until`, up to which everything is known and then forgotten.
    pub fn most_in_use(&mut self, until: u64) -> u64 {
        while let Some(&(time, count)) = self.taken.front().filter(|&&(time, _)| time < until) {
            self.taken.pop_front();
            while let Some(&(_, returned)) = self.given.front().filter(|&&(usable, _)| usable <= time) {
                self.given.pop_front();
                self.in_use -= returned;
            }
            self.in_use += count;
            self.most = self.most.max(self.in_use);
        }
        self.most
    }
}
