//! Minimal FIFO depths.
//!
//! The interval is monotone in every depth, and it is the slowest loop's of the token model. That cuts
//! the search into small ones:
//!
//! 1. Each FIFO's *floor* is the depth that it needs when all the others never run out. Only the loops
//!    through that FIFO matter for it, most often those of one stage and its reader. No assignment goes
//!    below the floors.
//! 2. FIFOs between the same two cuts of the network (a fork and the join behind it) can stand in for
//!    each other. Where their floors together do not keep the interval, one sweep of binary searches
//!    from above ends at a coordinate-minimal assignment (a depth found minimal while the others are
//!    larger stays minimal when they shrink), and a small space below it is searched exhaustively.
//! 3. The whole design is run with what was found. Where that does not keep the interval, because
//!    neighbours share a loop after all, these are searched together, and in the end all are.

use rayon::prelude::*;
use std::collections::BTreeSet;
use systole_hdl::timing::{EdgeId, SteadyError, TokenModel};

/// Assignments up to which the search is exhaustive.
const EXHAUSTIVE_LIMIT: u64 = 200;
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
    /// Number of the part of the network it lies in: parts are chained by single stages, in data order.
    pub part: usize,
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

/// What every search needs to know.
#[derive(Clone, Copy, Debug)]
struct Limits {
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
    let mut ample = model.clone();
    fifos.iter().for_each(|fifo| ample.set_initial(fifo.credits, fifo.ample.max(fifo.least)));
    let (pace, above) = ample_run(&ample, fifos, settled)?;
    let limits = Limits { pace, settled, effort };
    let whole = Search { model: ample.clone(), edges: fifos.iter().map(|fifo| fifo.credits).collect(), limits };
    let credits: BTreeSet<EdgeId> = fifos.iter().map(|fifo| fifo.credits).collect();
    let found = |floors: Vec<u64>, solved: &[Solved]| {
        let exhaustive = effort == u64::MAX && solved.iter().all(|part| part.exhaustive);
        Depths { pace: limits.pace, entries: floors, exhaustive }
    };

    let floors: Vec<u64> = fifos.par_iter().map(|fifo| cut(&ample, &[fifo], &credits, limits).floor(fifo)).collect();
    let solve = |group: &[usize], hints: &[u64]| {
        let of = |values: &[u64]| -> Vec<u64> { group.iter().map(|&index| values[index]).collect() };
        let members: Vec<&Fifo> = group.iter().map(|&index| &fifos[index]).collect();
        cut(&ample, &members, &credits, limits).solve(&members, &of(&floors), &of(hints), of(&above))
    };
    let groups = parts(fifos);
    let solved: Vec<Solved> = groups.par_iter().map(|group| solve(group, &floors)).collect();
    let entries = assemble(&groups, &solved, fifos.len());
    if whole.keeps(&entries).0 {
        return Ok(found(entries, &solved));
    }
    let merged = merge_neighbours(&groups, |group| {
        let members: Vec<&Fifo> = group.iter().map(|&index| &fifos[index]).collect();
        let depths: Vec<u64> = group.iter().map(|&index| entries[index]).collect();
        cut(&ample, &members, &credits, limits).keeps(&depths).0
    });
    let again = |group: &Vec<usize>| match groups.iter().position(|before| before == group) {
        Some(same) => solved[same].clone(),
        None => solve(group, &entries),
    };
    let solved: Vec<Solved> = merged.par_iter().map(again).collect();
    let entries = assemble(&merged, &solved, fifos.len());
    if merged.len() > 1 && whole.keeps(&entries).0 {
        return Ok(found(entries, &solved));
    }
    let all: Vec<&Fifo> = fifos.iter().collect();
    let solved = whole.solve(&all, &floors, &entries, above);
    Ok(found(solved.entries.clone(), &[solved]))
}

/// The interval with ample FIFOs, and depths with which every firing is where it is with these.
fn ample_run(ample: &TokenModel, fifos: &[Fifo], settled: u64) -> Result<((u64, u64), Vec<u64>), SteadyError> {
    // The slowest actor sets the interval, unless a loop inside a block is slower still.
    let bound = (ample.bound(), 1);
    let pace = match ample.keeps_up(bound, settled).0 {
        true => bound,
        false => ample.steady(FREE_LIMIT)?.pace(),
    };
    let mut run = ample.start_paced(pace);
    fifos.iter().for_each(|fifo| run.watch(fifo.credits));
    let settles = run.until_it_repeats(settled)?.is_some();
    let depth = |fifo: &Fifo| match settles {
        true => run.most_in_use(fifo.credits).max(fifo.least),
        false => fifo.ample.max(fifo.least),
    };
    Ok((pace, fifos.iter().map(depth).collect()))
}

/// The FIFOs of each part.
fn parts(fifos: &[Fifo]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..fifos.len()).collect();
    order.sort_by_key(|&index| fifos[index].part);
    order.chunk_by(|&a, &b| fifos[a].part == fifos[b].part).map(<[usize]>::to_vec).collect()
}

/// Joins each group with the next where the two together do not keep the pace.
fn merge_neighbours(groups: &[Vec<usize>], keeps: impl Fn(&[usize]) -> bool + Sync) -> Vec<Vec<usize>> {
    let apart: Vec<bool> = groups.par_windows(2).map(|pair| keeps(&pair.concat())).collect();
    let mut merged: Vec<Vec<usize>> = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        match merged.last_mut() {
            Some(last) if !apart[index - 1] => last.extend(group),
            _ => merged.push(group.clone()),
        }
    }
    merged
}

fn assemble(groups: &[Vec<usize>], solved: &[Solved], fifos: usize) -> Vec<u64> {
    let mut entries = vec![0; fifos];
    for (group, solved) in groups.iter().zip(solved) {
        group.iter().zip(&solved.entries).for_each(|(&index, &depth)| entries[index] = depth);
    }
    entries
}

/// The search for the depths of `members` while every other FIFO never runs out.
fn cut(ample: &TokenModel, members: &[&Fifo], credits: &BTreeSet<EdgeId>, limits: Limits) -> Search {
    let edges: Vec<EdgeId> = members.iter().map(|fifo| fifo.credits).collect();
    match ample.region(&edges, credits) {
        Some(region) => Search { model: region.model, edges: region.edges, limits },
        None => Search { model: ample.clone(), edges, limits },
    }
}

/// A part of a design, and the FIFOs in it that are sized.
struct Search {
    model: TokenModel,
    edges: Vec<EdgeId>,
    limits: Limits,
}

/// Depths of a part.
#[derive(Clone)]
struct Solved {
    entries: Vec<u64>,
    exhaustive: bool,
}

impl Search {
    fn with(&self, entries: &[u64]) -> TokenModel {
        let mut model = self.model.clone();
        for (&edge, &count) in self.edges.iter().zip(entries) {
            model.set_initial(edge, count);
        }
        model
    }

    /// Whether the depths keep the pace, and the steps that the answer took.
    fn keeps(&self, entries: &[u64]) -> (bool, u64) {
        self.with(entries).keeps_up(self.limits.pace, self.limits.settled)
    }

    /// The least depth of the one FIFO searched.
    fn floor(&self, fifo: &Fifo) -> u64 {
        self.least_at(0, fifo.least, fifo.least, &[fifo.ample.max(fifo.least)])
    }

    /// Depths, each at least its floor, of which none can be reduced; those `above` keep the pace, and
    /// the `hints` are likely.
    fn solve(&self, members: &[&Fifo], floors: &[u64], hints: &[u64], above: Vec<u64>) -> Solved {
        if members.len() == 1 || self.keeps(floors).0 {
            return Solved { entries: floors.to_vec(), exhaustive: true };
        }
        let mut entries = above;
        // Those whose floor is less for want of other limits come last, so that they meet all of them.
        let mut order: Vec<usize> = (0..members.len()).collect();
        order.sort_by_key(|&index| (hints[index] > floors[index], entries[index].saturating_sub(floors[index])));
        self.lower(&order, floors, hints, &mut entries);
        let exhaustive = self.limits.effort == u64::MAX && self.exhaust(members, floors, &mut entries);
        Solved { entries, exhaustive }
    }

    /// Lowers the FIFOs in `which` as far as they go: all to their floors if that keeps the pace, else
    /// one half after the other.
    fn lower(&self, which: &[usize], floors: &[u64], hints: &[u64], entries: &mut Vec<u64>) {
        let floor = |index: usize, entries: &[u64]| floors[index].min(entries[index]);
        let to_floors = which.iter().all(|&index| hints[index] <= floors[index]).then(|| {
            let mut trial = entries.clone();
            which.iter().for_each(|&index| trial[index] = floor(index, entries));
            trial
        });
        match (to_floors.filter(|trial| self.keeps(trial).0), which) {
            (Some(trial), _) => *entries = trial,
            (None, []) => {}
            (None, &[index]) => entries[index] = self.least_at(index, floor(index, entries), hints[index], entries),
            (None, _) => {
                let (first, second) = which.split_at(which.len() / 2);
                self.lower(first, floors, hints, entries);
                self.lower(second, floors, hints, entries);
            }
        }
    }

    /// The least depth of FIFO `index`, at least `low`, with the others as in `entries`; its entry
    /// there is known to be enough. Steps of doubling length leave the `hint` until they enclose the
    /// depth, and a bisection finds it.
    fn least_at(&self, index: usize, low: u64, hint: u64, entries: &[u64]) -> u64 {
        let mut trial = entries.to_vec();
        let mut spent = 0;
        let mut enough = |depth: u64| {
            // Once the effort is spent, every shallower depth counts as too shallow.
            if spent >= self.limits.effort {
                return false;
            }
            trial[index] = depth;
            let (keeps, steps) = self.keeps(&trial);
            spent += steps;
            keeps
        };
        let (mut low, mut high, mut stride) = (low, entries[index], 1);
        let mut probe = hint.clamp(low, high);
        let mut upward = None;
        while low < high {
            let probed = probe.min(high - 1);
            let holds = enough(probed);
            match holds {
                true => high = probed,
                false => low = probed + 1,
            }
            if *upward.get_or_insert(!holds) == holds {
                break;
            }
            probe = if holds { high.saturating_sub(stride).max(low) } else { low + stride - 1 };
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
    fn exhaust(&self, members: &[&Fifo], floors: &[u64], entries: &mut Vec<u64>) -> bool {
        let bits = |assignment: &[u64]| -> u64 { members.iter().zip(assignment).map(|(f, &n)| f.width * n).sum() };
        let mut best = bits(entries);
        let spare = best - bits(floors);
        let ranges: Vec<u64> = members.iter().map(|fifo| spare / fifo.width.max(1)).collect();
        let assignments = ranges.iter().try_fold(1u64, |product, range| product.checked_mul(range + 1));
        if assignments.is_none_or(|count| count > EXHAUSTIVE_LIMIT) {
            return false;
        }
        let mut extra = vec![0u64; floors.len()];
        loop {
            let trial: Vec<u64> = floors.iter().zip(&extra).map(|(floor, add)| floor + add).collect();
            if bits(&trial) < best && self.keeps(&trial).0 {
                best = bits(&trial);
                entries.clone_from(&trial);
            }
            let Some(digit) = (0..extra.len()).find(|&i| extra[i] < ranges[i]) else { return true };
            extra[digit] += 1;
            extra[..digit].fill(0);
        }
    }
}
