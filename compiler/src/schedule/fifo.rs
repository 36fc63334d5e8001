//! Minimal FIFO depths.
//!
//! The interval is monotone in every depth, and it is the slowest loop's of the token model. That cuts
//! the search into small ones:
//!
//! 1. Each FIFO's *floor* is the depth that it needs when all the others never run out. Only the loops
//!    through that FIFO matter for it, most often those of one stage and its reader. No assignment goes
//!    below the floors.
//! 2. FIFOs between the same two cuts of the network (a fork and the join behind it) can stand in for
//!    each other: where their floors together do not keep the interval, some get more.
//! 3. The whole design is run with what was found. Where that does not keep the interval, because
//!    neighbours share a loop after all, these are searched together, and in the end all are.

use super::fifo_search::{Limits, Search, Solved};
use rayon::prelude::*;
use std::collections::BTreeSet;
use systole_hdl::timing::{EdgeId, SteadyError, TokenModel, Verdict};

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
    let whole =
        Search { model: ample.without_relays(), edges: fifos.iter().map(|fifo| fifo.credits).collect(), limits };
    let credits: BTreeSet<EdgeId> = fifos.iter().map(|fifo| fifo.credits).collect();
    let found = |floors: Vec<u64>, solved: &[Solved]| {
        let exhaustive = effort == u64::MAX && solved.iter().all(|part| part.exhaustive);
        Depths { pace: limits.pace, entries: floors, exhaustive }
    };

    let of = |group: &[usize], values: &[u64]| -> Vec<u64> { group.iter().map(|&index| values[index]).collect() };
    let members = |group: &[usize]| -> Vec<&Fifo> { group.iter().map(|&index| &fifos[index]).collect() };
    let alone = |index: usize| cut(&ample, &members(&[index]), &credits, limits);
    let floors: Vec<u64> = (0..fifos.len())
        .into_par_iter()
        .map(|index| alone(index).least_at(0, fifos[index].least, None, &[above[index]]))
        .collect();
    let solve = |group: &[usize], likely: &[u64]| {
        let members = members(group);
        let search = cut(&ample, &members, &credits, limits);
        search.solve(&members, &of(group, &floors), &of(group, likely), of(group, &above))
    };
    let groups = parts(fifos);
    let solved: Vec<Solved> = groups.par_iter().map(|group| solve(group, &floors)).collect();
    let entries = assemble(&groups, &solved, fifos.len());
    let keep = |group: &[usize]| cut(&ample, &members(group), &credits, limits).keeps(&of(group, &entries));
    let (failed, merged) = rayon::join(|| whole.judge(&entries).0, || merge_neighbours(&groups, keep));
    if failed == Verdict::Keeps {
        return Ok(found(entries, &solved));
    }
    // Little is saved by a search in less than the whole where that is most of it.
    let (entries, failed) = match merged.iter().map(Vec::len).max() {
        Some(largest) if 2 * largest < fifos.len() => {
            let again = |group: &Vec<usize>| match groups.iter().position(|before| before == group) {
                Some(same) => solved[same].clone(),
                None => solve(group, &entries),
            };
            let solved: Vec<Solved> = merged.par_iter().map(again).collect();
            let entries = assemble(&merged, &solved, fifos.len());
            let failed = whole.judge(&entries).0;
            if failed == Verdict::Keeps {
                return Ok(found(entries, &solved));
            }
            (entries, failed)
        }
        _ => (entries, failed),
    };
    let all: Vec<&Fifo> = fifos.iter().collect();
    let solved = whole.raise(&all, &floors, &entries, above, failed);
    Ok(found(solved.entries.clone(), &[solved]))
}

/// The interval with ample FIFOs, and depths with which every firing is where it is with these.
fn ample_run(ample: &TokenModel, fifos: &[Fifo], settled: u64) -> Result<((u64, u64), Vec<u64>), SteadyError> {
    // The slowest actor sets the interval, unless a loop inside a block is slower still.
    let bound = (ample.bound(), 1);
    let run = |pace: (u64, u64)| {
        let mut run = ample.start_paced(pace);
        fifos.iter().for_each(|fifo| run.watch(fifo.credits));
        let keeps = run.until_it_repeats(settled)?.is_some_and(|steady| steady.keeps(pace));
        let depth = |fifo: &Fifo| run.most_in_use(fifo.credits).max(fifo.least);
        Ok::<_, SteadyError>(keeps.then(|| fifos.iter().map(depth).collect::<Vec<u64>>()))
    };
    if let Some(depths) = run(bound)? {
        return Ok((bound, depths));
    }
    let pace = ample.steady(FREE_LIMIT)?.pace();
    let enough = |fifo: &Fifo| fifo.ample.max(fifo.least);
    Ok((pace, run(pace)?.unwrap_or_else(|| fifos.iter().map(enough).collect())))
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
