//! Minimal FIFO depths.
//!
//! The interval is monotone in every depth. Each FIFO's *floor* is the depth it needs when all the
//! others are ample; no assignment goes below it. Where all floors together keep the interval they
//! are the minimum, and nothing is left to try. Otherwise one sweep of binary searches from above
//! ends at a coordinate-minimal assignment (a depth found minimal while the others are larger stays
//! minimal when they shrink), and small spaces below it are searched exhaustively.

use rayon::prelude::*;
use systole_hdl::timing::{Deadlock, EdgeId, SteadyError, TokenModel};

/// Assignments up to which the search is exhaustive.
const EXHAUSTIVE_LIMIT: u64 = 500;
/// Samples within which a free run with ample FIFOs must repeat, where it is needed at all.
const FREE_LIMIT: u64 = 20_000;

/// A FIFO to be sized.
#[derive(Clone, Copy, Debug)]
pub struct Fifo {
    /// Its free entries in the token model.
    pub credits: EdgeId,
    /// Bits an entry.
    pub width: u64,
    /// Entries without which its stage can never start: the beats of the largest group.
    pub least: u64,
    /// Entries with which it never holds anything up.
    pub ample: u64,
}

/// Depths found, and whether they have the least total bits of all assignments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depths {
    /// Interval they keep: so many cycles for so many samples.
    pub pace: (u64, u64),
    /// Entries of each FIFO, in the order given.
    pub entries: Vec<u64>,
    /// Whether no assignment with fewer bits was left untried.
    pub exhaustive: bool,
}

struct Search<'m> {
    model: &'m TokenModel,
    fifos: &'m [Fifo],
    pace: (u64, u64),
    /// Samples within which a design that keeps the pace has settled.
    settled: u64,
    /// Steps of the simulator that each FIFO may cost.
    effort: u64,
}

/// Finds depths with which `model` keeps the interval that it has with ample FIFOs. `settled`
/// bounds the samples that a dependency reaches back. After `effort` steps of the simulator a FIFO
/// keeps the least depth found so far, which keeps the interval but need not be minimal.
///
/// # Errors
/// If the design stops even with ample FIFOs, or its interval cannot be told.
pub fn size(model: &TokenModel, fifos: &[Fifo], settled: u64, effort: u64) -> Result<Depths, SteadyError> {
    let ample: Vec<u64> = fifos.iter().map(|fifo| fifo.ample.max(fifo.least)).collect();
    let mut search = Search { model, fifos, pace: (model.bound(), 1), settled, effort };
    // The slowest actor sets the interval, unless a loop inside a block is slower still.
    if !search.keeps_pace(&ample)? {
        search.pace = search.with(&ample).steady(FREE_LIMIT)?.pace();
    }
    let above = search.most_in_use(&ample)?;
    let least: Vec<u64> = fifos.iter().map(|fifo| fifo.least).collect();
    if search.keeps_pace(&least).unwrap_or(false) {
        return Ok(Depths { pace: search.pace, entries: least, exhaustive: true });
    }
    let floors: Vec<u64> = (0..fifos.len())
        .into_par_iter()
        .map(|index| search.least_at(index, fifos[index].least, &above, End::High))
        .collect();
    if search.keeps_pace(&floors).unwrap_or(false) {
        return Ok(Depths { pace: search.pace, entries: floors, exhaustive: effort == u64::MAX });
    }
    let mut entries = above;
    // Those whose floor is less for want of other limits come last, so that they meet all of them.
    let mut order: Vec<usize> = (0..fifos.len()).collect();
    order.sort_by_key(|&index| entries[index] - floors[index]);
    for index in order {
        entries[index] = search.least_at(index, floors[index], &entries, End::Low);
    }
    let exhaustive = effort == u64::MAX && search.exhaust(&floors, &mut entries)?;
    Ok(Depths { pace: search.pace, entries, exhaustive })
}

/// Where in its range a depth is likely to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Low,
    High,
}

impl Search<'_> {
    fn with(&self, entries: &[u64]) -> TokenModel {
        let mut model = self.model.clone();
        for (fifo, &count) in self.fifos.iter().zip(entries) {
            model.set_initial(fifo.credits, count);
        }
        model
    }

    fn keeps_pace(&self, entries: &[u64]) -> Result<bool, Deadlock> {
        self.tried(entries).map(|(keeps, _)| keeps)
    }

    /// Whether the depths keep the pace, and the steps that the answer took.
    fn tried(&self, entries: &[u64]) -> Result<(bool, u64), Deadlock> {
        let model = self.with(entries);
        let mut run = model.start_paced(self.pace);
        let keeps = run.until_it_repeats(self.settled)?.is_some_and(|steady| steady.keeps(self.pace));
        Ok((keeps, run.effort()))
    }

    /// Depths with which every firing is where it is with `ample` ones.
    fn most_in_use(&self, ample: &[u64]) -> Result<Vec<u64>, Deadlock> {
        let model = self.with(ample);
        let mut run = model.start_paced(self.pace);
        for fifo in self.fifos {
            run.watch(fifo.credits);
        }
        run.until_it_repeats(self.settled)?;
        Ok(self.fifos.iter().map(|fifo| run.most_in_use(fifo.credits).max(fifo.least)).collect())
    }

    /// The least depth of FIFO `index`, at least `low`, with the others as in `entries`; its entry
    /// there is known to be enough. A deadlock counts as too shallow. Steps of doubling length leave
    /// the `likely` end until they enclose the depth, and a bisection finds it.
    fn least_at(&self, index: usize, low: u64, entries: &[u64], likely: End) -> u64 {
        let mut trial = entries.to_vec();
        let mut spent = 0;
        let mut enough = |depth: u64| {
            // Once the effort is spent, every shallower depth counts as too shallow.
            if spent >= self.effort {
                return false;
            }
            trial[index] = depth;
            let (keeps, steps) = self.tried(&trial).unwrap_or((false, 0));
            spent += steps;
            keeps
        };
        let (mut low, mut high) = (low, entries[index]);
        if low >= high || enough(low) {
            return low.min(high);
        }
        low += 1;
        let mut stride = 1;
        while low < high {
            let probe = match likely {
                End::Low => (low + stride - 1).min(high - 1),
                End::High => high.saturating_sub(stride).max(low),
            };
            let holds = enough(probe);
            match holds {
                true => high = probe,
                false => low = probe + 1,
            }
            if holds == (likely == End::Low) {
                break;
            }
            stride *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match enough(middle) {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        high
    }

    /// Tries every assignment from `floors` up with fewer total bits, if they are few; whether it did.
    fn exhaust(&self, floors: &[u64], entries: &mut Vec<u64>) -> Result<bool, Deadlock> {
        let bits = |assignment: &[u64]| -> u64 { self.fifos.iter().zip(assignment).map(|(f, &n)| f.width * n).sum() };
        let mut best = bits(entries);
        let spare = best - bits(floors);
        let ranges: Vec<u64> = self.fifos.iter().map(|fifo| spare / fifo.width.max(1)).collect();
        let assignments = ranges.iter().try_fold(1u64, |product, range| product.checked_mul(range + 1));
        if assignments.is_none_or(|count| count > EXHAUSTIVE_LIMIT) {
            return Ok(false);
        }
        let mut extra = vec![0u64; floors.len()];
        loop {
            let trial: Vec<u64> = floors.iter().zip(&extra).map(|(floor, add)| floor + add).collect();
            if bits(&trial) < best && self.keeps_pace(&trial).unwrap_or(false) {
                best = bits(&trial);
                entries.clone_from(&trial);
            }
            let Some(digit) = (0..extra.len()).find(|&i| extra[i] < ranges[i]) else { return Ok(true) };
            extra[digit] += 1;
            extra[..digit].fill(0);
        }
    }
}
