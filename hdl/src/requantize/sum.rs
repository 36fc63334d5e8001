//! Sums of shifted terms, scheduled one registered addition a cycle.

use super::interval::Interval;

/// One term: a signed word of `bits` bits, worth `2^shift` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub shift: u32,
    pub interval: Interval,
    pub bits: u32,
    /// Clock edges after the raw accumulator's at which the word is there.
    pub ready: u64,
}

/// How two terms become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Combine {
    /// The lower term has no sign and ends below the upper: wires only.
    Join,
    /// An adder and a register.
    Add,
}

/// One operation of a [`SumPlan`] on the terms with these indices; its result is the next term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub combine: Combine,
    /// The term of lower (or equal) weight.
    pub low: usize,
    pub high: usize,
    /// Clock edges after the raw accumulator's at which both operands are read.
    pub at: u64,
}

/// A schedule that adds all terms. Words are cut to the sum's own width: additions are modular, so
/// that only the sum has to fit.
#[derive(Clone, Debug)]
pub(crate) struct SumPlan {
    /// The given terms, then one an operation; the last is the sum.
    pub terms: Vec<Term>,
    pub operations: Vec<Operation>,
}

impl SumPlan {
    /// Schedules the sum of `terms` (at least one), which fits a word of `width` bits: in every
    /// cycle, all terms that are there are added in pairs.
    pub fn new(terms: Vec<Term>, width: u32) -> Self {
        let mut plan = SumPlan { terms, operations: Vec::new() };
        let mut live: Vec<usize> = (0..plan.terms.len()).collect();
        while let Some((low, high)) = plan.joinable(&live) {
            plan.combine(&mut live, Combine::Join, low, high, width);
        }
        let mut now = 0;
        while live.len() > 1 {
            let mut ready: Vec<usize> = live.iter().copied().filter(|&term| plan.terms[term].ready <= now).collect();
            ready.sort_by_key(|&term| (plan.terms[term].shift, term));
            for pair in ready.chunks_exact(2) {
                plan.combine(&mut live, Combine::Add, pair[0], pair[1], width);
                if let Some(operation) = plan.operations.last_mut() {
                    operation.at = now;
                }
                if let Some(sum) = plan.terms.last_mut() {
                    sum.ready = now + 1;
                }
            }
            now += 1;
        }
        plan
    }

    /// The sum.
    pub fn total(&self) -> Term {
        self.terms[self.terms.len() - 1]
    }

    /// When term `index` is first read: by its operation, or as the sum itself.
    pub fn read_at(&self, index: usize) -> u64 {
        let reader = self.operations.iter().find(|operation| operation.low == index || operation.high == index);
        reader.map_or(self.terms[index].ready, |operation| operation.at)
    }

    /// Bits of all adders.
    pub fn adder_bits(&self) -> u64 {
        let adds = self.operations.iter().enumerate().filter(|(_, operation)| operation.combine == Combine::Add);
        let inputs = self.terms.len() - self.operations.len();
        let bits = adds.map(|(index, operation)| {
            let sum = self.terms[inputs + index];
            let passed = self.terms[operation.high].shift - self.terms[operation.low].shift;
            u64::from(sum.bits.saturating_sub(passed).max(1))
        });
        bits.sum()
    }

    /// Two terms of which one lies wholly below the other.
    fn joinable(&self, live: &[usize]) -> Option<(usize, usize)> {
        let pairs = live.iter().flat_map(|&low| live.iter().map(move |&high| (low, high)));
        let mut pairs = pairs.filter(|&(low, high)| low != high);
        pairs.find(|&(low, high)| {
            let (low, high) = (self.terms[low], self.terms[high]);
            low.ready == high.ready
                && low.shift < high.shift
                && low.interval.lo >= 0
                && low.interval.hi >> (high.shift - low.shift) == 0
        })
    }

    fn combine(&mut self, live: &mut Vec<usize>, combine: Combine, low: usize, high: usize, width: u32) {
        let (a, b) = (self.terms[low], self.terms[high]);
        let room = width.saturating_sub(a.shift).max(1);
        let exact = a.interval.plus(b.interval.shifted_left(b.shift - a.shift));
        let fits = exact.signed_bits() <= room;
        let interval = if fits { exact } else { Interval::of_signed(room) };
        let ready = a.ready.max(b.ready);
        live.retain(|&term| term != low && term != high);
        live.push(self.terms.len());
        self.operations.push(Operation { combine, low, high, at: ready });
        self.terms.push(Term { shift: a.shift, interval, bits: interval.signed_bits(), ready });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(shift: u32, lo: i128, hi: i128, ready: u64) -> Term {
        let interval = Interval { lo, hi };
        Term { shift, interval, bits: interval.signed_bits(), ready }
    }

    #[test]
    fn a_split_product_joins_its_outer_parts_and_adds_the_inner_ones() {
        let unsigned = (1 << 34) - 1;
        let terms = vec![term(0, 0, unsigned, 3), term(17, -9, 9, 3), term(17, -9, 9, 3), term(34, -4, 4, 3)];
        let plan = SumPlan::new(terms, 40);
        let joins = plan.operations.iter().filter(|operation| operation.combine == Combine::Join).count();
        assert_eq!((joins, plan.operations.len(), plan.total().ready), (1, 3, 5));
    }

    #[test]
    fn a_late_term_waits_for_nothing_but_itself() {
        let plan = SumPlan::new(vec![term(0, -8, 7, 1), term(0, -8, 7, 4)], 5);
        assert_eq!((plan.total().ready, plan.read_at(0), plan.total().bits), (5, 4, 5));
    }

    #[test]
    fn sums_are_cut_to_the_width_of_the_total() {
        let plan = SumPlan::new(vec![term(0, -128, 127, 0), term(0, -128, 127, 0), term(0, -128, 127, 0)], 8);
        assert!(plan.terms.iter().all(|term| term.bits <= 8));
    }
}
