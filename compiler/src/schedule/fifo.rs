//! Minimal FIFO depths.
//!
//! The interval is monotone in every depth, so a depth found minimal while the others are larger
//! stays minimal when they shrink: one sweep of binary searches ends at a coordinate-minimal
//! assignment (any FIFO reduced by one entry raises the interval or deadlocks). Small spaces below
//! it are then searched exhaustively for fewer total bits.

use crate::dataflow::TimedDesign;
use systole_hdl::timing::EdgeId;

/// Assignments up to which the search is exhaustive.
const EXHAUSTIVE_LIMIT: u64 = 2_000;

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
    /// Interval they keep, in cycles a sample.
    pub interval: u64,
    /// Entries of each FIFO, in the order given.
    pub entries: Vec<u64>,
    /// Whether every assignment with fewer bits was tried.
    pub exhaustive: bool,
}

/// Sizes `fifos` of `design` so that it keeps the interval it has with ample FIFOs.
pub fn size(design: &mut TimedDesign, fifos: &[Fifo]) -> Depths {
    let mut entries: Vec<u64> = fifos.iter().map(|fifo| fifo.ample.max(fifo.least)).collect();
    apply(design, fifos, &entries);
    let mut interval = design.model.bound();
    // The slowest actor sets the interval unless a loop inside a block is slower still.
    while !design.sustains(interval) {
        interval += 1;
    }
    for index in 0..fifos.len() {
        let (mut low, mut high) = (fifos[index].least, entries[index]);
        while low < high {
            let middle = low + (high - low) / 2;
            entries[index] = middle;
            apply(design, fifos, &entries);
            match design.sustains(interval) {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        entries[index] = high;
        apply(design, fifos, &entries);
    }
    let exhaustive = exhaust(design, fifos, interval, &mut entries);
    apply(design, fifos, &entries);
    Depths { interval, entries, exhaustive }
}

fn apply(design: &mut TimedDesign, fifos: &[Fifo], entries: &[u64]) {
    for (fifo, &count) in fifos.iter().zip(entries) {
        design.model.set_initial(fifo.credits, count);
    }
}

/// Tries every assignment with fewer total bits, if they are few; whether it did.
fn exhaust(design: &mut TimedDesign, fifos: &[Fifo], interval: u64, entries: &mut Vec<u64>) -> bool {
    let bits = |assignment: &[u64]| -> u64 { fifos.iter().zip(assignment).map(|(f, &n)| f.width * n).sum() };
    // No FIFO can be shallower than with all the others ample.
    let floors: Vec<u64> = (0..fifos.len())
        .map(|index| {
            let mut trial: Vec<u64> = fifos.iter().map(|fifo| fifo.ample.max(fifo.least)).collect();
            let (mut low, mut high) = (fifos[index].least, entries[index]);
            while low < high {
                trial[index] = low + (high - low) / 2;
                apply(design, fifos, &trial);
                match design.sustains(interval) {
                    true => high = trial[index],
                    false => low = trial[index] + 1,
                }
            }
            high
        })
        .collect();
    let spare = bits(entries) - bits(&floors);
    let ranges: Vec<u64> = fifos.iter().zip(&floors).map(|(fifo, _)| spare / fifo.width.max(1)).collect();
    let assignments = ranges.iter().try_fold(1u64, |product, range| product.checked_mul(range + 1));
    if assignments.is_none_or(|count| count > EXHAUSTIVE_LIMIT) {
        return false;
    }
    let mut best = bits(entries);
    let mut extra = vec![0u64; fifos.len()];
    loop {
        let trial: Vec<u64> = floors.iter().zip(&extra).map(|(floor, add)| floor + add).collect();
        if bits(&trial) < best {
            apply(design, fifos, &trial);
            if design.sustains(interval) {
                best = bits(&trial);
                entries.clone_from(&trial);
            }
        }
        let Some(digit) = (0..extra.len()).find(|&i| extra[i] < ranges[i]) else { return true };
        extra[digit] += 1;
        extra[..digit].fill(0);
    }
}
