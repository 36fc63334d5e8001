//! The search for the depths of some FIFOs of a design.
//!
//! From depths that keep the pace, FIFOs are lowered to what is likely enough: all at once, else one half
//! after the other. One that needs more gets the least that it can have. A depth found minimal while the
//! others are larger stays minimal when they shrink, so that one sweep ends at an assignment of which none
//! can be reduced alone; a small space below it is searched exhaustively.

use super::fifo::Fifo;
use rayon::prelude::*;
use systole_hdl::timing::{EdgeId, TokenModel, Verdict};

/// Assignments up to which the search is exhaustive.
const EXHAUSTIVE_LIMIT: u64 = 200;
/// Steps of the simulator up to which it is: about a second.
const EXHAUSTIVE_EFFORT: u64 = 60_000_000;

/// What every search needs to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// So many cycles for so many samples.
    pub pace: (u64, u64),
    /// Samples within which a design that keeps the pace has settled.
    pub settled: u64,
    /// Steps of the simulator that each FIFO may cost.
    pub effort: u64,
}

/// A part of a design, and the FIFOs in it that are sized.
pub(super) struct Search {
    pub model: TokenModel,
    /// Their credits.
    pub edges: Vec<EdgeId>,
    pub limits: Limits,
}

/// Depths of a part.
#[derive(Clone)]
pub(super) struct Solved {
    pub entries: Vec<u64>,
    /// Whether no assignment with fewer bits was left untried.
    pub exhaustive: bool,
}

impl Search {
    fn with(&self, entries: &[u64]) -> TokenModel {
        let mut model = self.model.clone();
        for (&edge, &count) in self.edges.iter().zip(entries) {
            model.set_initial(edge, count);
        }
        model
    }

    /// What becomes of the pace with these depths, and the steps that the answer took.
    pub fn judge(&self, entries: &[u64]) -> (Verdict, u64) {
        self.with(entries).keeps_up(self.limits.pace, self.limits.settled)
    }

    pub fn keeps(&self, entries: &[u64]) -> bool {
        self.judge(entries).0 == Verdict::Keeps
    }

    /// Depths, each at least its floor, of which none can be reduced; those `above` keep the pace, and
    /// those `likely` may: none of them above its floor can be reduced alone.
    pub fn solve(&self, members: &[&Fifo], floors: &[u64], likely: &[u64], above: Vec<u64>) -> Solved {
        let keeping = || Solved { entries: likely.to_vec(), exhaustive: likely == floors };
        match members {
            [_] => keeping(),
            _ => match self.judge(likely).0 {
                Verdict::Keeps => keeping(),
                failed => self.raise(members, floors, likely, above, failed),
            },
        }
    }

    /// As [`Search::solve`] where those that are likely are not enough: the pace `failed`.
    pub fn raise(&self, members: &[&Fifo], floors: &[u64], likely: &[u64], above: Vec<u64>, failed: Verdict) -> Solved {
        let mut entries = above;
        // Those that can take up most come last, so that they meet all limits.
        let mut order: Vec<usize> = (0..members.len()).collect();
        order.sort_by_key(|&index| (likely[index] > floors[index], entries[index].saturating_sub(likely[index])));
        let mut lowering = Lowering { search: self, likely, entries: &mut entries, raised: Vec::new() };
        lowering.lower(&order, Some(failed));
        let raised = std::mem::take(&mut lowering.raised);
        // A depth found minimal while others are larger stays so when they shrink; but with more than was
        // likely in some, the rest may need less.
        let open = |&index: &usize| !raised.contains(&index) && entries[index] > floors[index];
        let one_less = |index: usize, entries: &[u64]| {
            let mut less = entries.to_vec();
            less[index] -= 1;
            self.keeps(&less).then_some(less)
        };
        let open: Vec<usize> = order.into_iter().filter(open).collect();
        let open: Vec<usize> = open.into_par_iter().filter(|&index| one_less(index, &entries).is_some()).collect();
        for index in open {
            if let Some(less) = one_less(index, &entries) {
                entries[index] = self.least_at(index, floors[index], None, &less);
            }
        }
        let exhaustive = self.limits.effort == u64::MAX && self.exhaust(members, floors, &mut entries);
        Solved { entries, exhaustive }
    }

    /// The least depth of FIFO `index`, at least `low`, with the others as in `entries`; its entry there
    /// is known to be enough. `before`: what becomes of the pace at `low`, where that is known.
    ///
    /// Where the design is slower than the pace, the depth grows by as much: a loop through the FIFO has
    /// so many more tokens in the same time. That is close, and two depths are tried at a time.
    pub fn least_at(&self, index: usize, low: u64, before: Option<Verdict>, entries: &[u64]) -> u64 {
        let (mut low, mut high) = (low, entries[index]);
        let mut spent = 0;
        let mut judge = |depths: [u64; 2]| {
            let one = |depth: u64| {
                let mut trial = entries.to_vec();
                trial[index] = depth;
                self.judge(&trial)
            };
            let ((first, steps), (second, more)) = match depths[0] == depths[1] {
                true => (one(depths[0]), (Verdict::Keeps, 0)),
                false => rayon::join(|| one(depths[0]), || one(depths[1])),
            };
            let second = if depths[0] == depths[1] { first } else { second };
            spent += steps + more;
            ([first, second], spent < self.limits.effort)
        };
        if low >= high {
            return high;
        }
        let mut verdict = before.unwrap_or_else(|| judge([low; 2]).0[0]);
        if verdict == Verdict::Keeps {
            return low;
        }
        let mut at = low;
        low += 1;
        while low < high {
            let third = (high - low).div_ceil(3);
            let (first, second) = match verdict {
                Verdict::Slower(pace) => {
                    let likely = scaled(at, pace, self.limits.pace).clamp(low, high - 1);
                    (likely - (likely - low) / 8, likely)
                }
                _ => (low + (third - 1), low + (2 * third - 1)),
            };
            let depths = [first.min(high - 1), second.min(high - 1)];
            let (verdicts, goes_on) = judge(depths);
            verdict = Verdict::Keeps;
            for (&depth, &found) in depths.iter().zip(&verdicts).rev() {
                match found {
                    Verdict::Keeps => high = high.min(depth),
                    _ if depth >= low => {
                        low = depth + 1;
                        (at, verdict) = (depth, found);
                    }
                    _ => {}
                }
            }
            // What the second says lies closer where both fail; else the rest is split.
            if high < entries[index] || !goes_on {
                verdict = Verdict::Stops;
            }
            if !goes_on {
                break;
            }
        }
        high
    }

    /// Tries every assignment from `floors` up with fewer total bits, if they are few; whether it did. Not where
    /// less than a floor has been found to do: then the floors bound nothing.
    fn exhaust(&self, members: &[&Fifo], floors: &[u64], entries: &mut Vec<u64>) -> bool {
        let bits = |assignment: &[u64]| -> u64 { members.iter().zip(assignment).map(|(f, &n)| f.width * n).sum() };
        if entries.iter().zip(floors).any(|(depth, floor)| depth < floor) {
            return false;
        }
        let mut best = bits(entries);
        let spare = best - bits(floors);
        let ranges: Vec<u64> = members.iter().map(|fifo| spare / fifo.width.max(1)).collect();
        let assignments = ranges.iter().try_fold(1u64, |product, range| product.checked_mul(range + 1));
        let Some(assignments) = assignments.filter(|&count| count <= EXHAUSTIVE_LIMIT) else { return false };
        if assignments.saturating_mul(self.judge(entries).1) > EXHAUSTIVE_EFFORT {
            return false;
        }
        // What is nowhere deeper than an assignment that fails, fails.
        let mut failed: Vec<Vec<u64>> = vec![floors.to_vec()];
        let fails = |trial: &[u64], failed: &Vec<u64>| trial.iter().zip(failed).all(|(depth, other)| depth <= other);
        let mut extra = vec![0u64; floors.len()];
        loop {
            let trial: Vec<u64> = floors.iter().zip(&extra).map(|(floor, add)| floor + add).collect();
            if bits(&trial) < best && !failed.iter().any(|other| fails(&trial, other)) {
                match self.keeps(&trial) {
                    true => {
                        best = bits(&trial);
                        entries.clone_from(&trial);
                    }
                    false => failed.push(trial),
                }
            }
            let Some(digit) = (0..extra.len()).find(|&i| extra[i] < ranges[i]) else { return true };
            extra[digit] += 1;
            extra[..digit].fill(0);
        }
    }
}

/// FIFOs on their way down to what is likely enough.
struct Lowering<'a> {
    search: &'a Search,
    likely: &'a [u64],
    entries: &'a mut Vec<u64>,
    /// Those that need more, in the order in which that was found.
    raised: Vec<usize>,
}

impl Lowering<'_> {
    /// Lowers the FIFOs in `which` to what is likely enough: all at once if that keeps the pace, else one
    /// half after the other, and a single one as far as it goes. `failed`: what becomes of the pace with
    /// all at once, where that is known.
    fn lower(&mut self, which: &[usize], failed: Option<Verdict>) {
        let low = |index: usize| self.likely[index].min(self.entries[index]);
        if let &[index] = which {
            let low = low(index);
            let least = self.search.least_at(index, low, failed, self.entries);
            self.entries[index] = least;
            if least > low {
                self.raised.push(index);
            }
            return;
        }
        let lowered = |which: &[usize]| {
            let mut trial = self.entries.clone();
            which.iter().for_each(|&index| trial[index] = low(index));
            (self.search.judge(&trial).0, trial)
        };
        let (first, second) = which.split_at(which.len() / 2);
        let tries_all = || failed.is_none().then(|| lowered(which));
        // The half is tried beside the whole, which most often fails.
        let (all, (half, trial)) = rayon::join(tries_all, || lowered(first));
        if let Some((Verdict::Keeps, trial)) = all {
            *self.entries = trial;
            return;
        }
        match half {
            // Where the first half goes all the way, it is the second that does not.
            Verdict::Keeps => {
                *self.entries = trial;
                self.lower(second, failed.or(all.map(|(verdict, _)| verdict)));
            }
            _ => {
                self.lower(first, Some(half));
                self.lower(second, None);
            }
        }
    }
}

/// `depth` as many times as a pace is slower than another, each so many cycles for so many samples.
fn scaled(depth: u64, slower: (u64, u64), pace: (u64, u64)) -> u64 {
    let product = |a: u64, b: u64| u128::from(a) * u128::from(b);
    let (cycles, samples) = (product(slower.0, pace.1), product(slower.1, pace.0).max(1));
    u64::try_from((u128::from(depth).saturating_mul(cycles)).div_ceil(samples)).unwrap_or(u64::MAX)
}
