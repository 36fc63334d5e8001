//! Sliding windows over a stream: a line buffer and the addresses of its taps.

mod address;
mod banks;
mod control;
mod position;
mod progress;
mod strips;
mod write;

pub(crate) use banks::BankReads;
pub(crate) use control::{WindowControl, WindowWires};
pub(crate) use progress::Progress;

use crate::engine::results::credit_takes;
use crate::stream::BeatSource;
use crate::timing::{Block, EdgeId, Give, Phase, Take, TokenModel};
use systole_arith::Window;

/// How an engine walks through the words of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FoldOrder {
    /// For each group of output channels: all taps, and for each tap all words of the pixel.
    Matrix {
        /// Groups of output channels.
        groups: usize,
    },
    /// For each word of the pixel: all taps.
    Vector,
}

/// A window over a stream of pixels, kept in a circular line buffer.
///
/// ```text
///   stream     +----------------------+  one read a cycle, tap lane and bank
///  ==========> | line buffer, t copies|----> tap lane 0 .. t-1 of pixel lane 0 .. q-1 (padding masked)
///   words      +----------------------+
///                ^ write      ^ addresses: base of the step + tap offset + word
/// ```
///
/// A pixel is `words` words, written one a cycle, or a beat is several pixels of one word. `pixel_lanes` windows,
/// neighbours in a row, are read at once: a step. Neighbouring pixels lie in banks of their own, a strip in all of
/// them ([`WindowSpec::banks`]). The buffer is a ring of strips: writing runs ahead across rows and samples while a
/// step is read, and what no later step needs is freed at a step's end. Padding is never stored: its taps are read
/// anywhere and masked behind the memory.
///
/// *Timing*: a fold starts in every cycle unless, at the start of a step, its last pixel has not
/// arrived or, at the start of a group, the results have no room. *Ring*: as many strips as input at
/// a steady rate needs so that no step waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WindowSpec {
    /// Geometry.
    pub window: Window,
    /// Words a pixel.
    pub words: usize,
    /// Taps read in parallel: each has a copy of the line buffer.
    pub tap_lanes: usize,
    /// Windows read in parallel, neighbours in a row: q.
    pub pixel_lanes: usize,
    /// Input pixels a beat, see [`WindowSpec::takes_beats_of`].
    pub beat_pixels: usize,
    /// Order of the folds.
    pub order: FoldOrder,
    /// Clock edges from the address of a word to the last use of it (chains of hops), at least 1.
    pub read_span: u64,
}

impl WindowSpec {
    /// Clock edges from a fold's start to its addresses at the memory.
    pub const ADDRESS_LATENCY: u64 = 3;

    /// Folds of the taps: ceil(T / t).
    pub fn tap_folds(&self) -> usize {
        self.window.taps().div_ceil(self.tap_lanes)
    }

    /// Groups a step.
    pub fn groups(&self) -> usize {
        match self.order {
            FoldOrder::Matrix { groups } => groups,
            FoldOrder::Vector => self.words,
        }
    }

    /// Folds a group.
    pub fn folds(&self) -> usize {
        match self.order {
            FoldOrder::Matrix { .. } => self.tap_folds() * self.words,
            FoldOrder::Vector => self.tap_folds(),
        }
    }

    /// Cycles a step.
    pub fn cycles_per_step(&self) -> u64 {
        (self.groups() * self.folds()) as u64
    }

    /// Cycles a sample: the folds, or the input's beats where they take longer.
    pub fn cycles(&self) -> u64 {
        self.busy_cycles().max(self.input_beats() as u64)
    }

    /// Cycles a sample in which a fold starts.
    pub fn busy_cycles(&self) -> u64 {
        self.steps_per_sample() as u64 * self.cycles_per_step()
    }

    /// Clock edges from a step's last fold to the first one at which the places that it frees
    /// can be written.
    fn free_delay(&self) -> u64 {
        Self::ADDRESS_LATENCY + self.read_span
    }

    /// Words of each bank of the ring.
    pub fn depth(&self) -> usize {
        self.ring_strips() * self.words
    }

    /// Strips of the ring: the most that are held when beats arrive at a steady rate, early enough
    /// for every step, with a few steps for places to come back.
    pub(crate) fn ring_strips(&self) -> usize {
        let progress = Progress::new(self);
        let slack = (self.free_delay() + 2).div_ceil(self.cycles_per_step()) as i64;
        let (inputs, steps) = (self.input_beats() as i64, self.steps_per_sample() as i64);
        // All in units of 1/steps of a beat.
        let needed = |n: i64| self.beats_of(progress.needed[n as usize]) as i64;
        let lead = (0..steps).map(|n| needed(n) * steps - n * inputs).max().unwrap_or(0);
        let held = |n: i64| {
            let freed = match n {
                0 => -(progress.unread() as i64),
                _ => progress.freed[(n - 1) as usize] as i64,
            };
            self.strips_begun((lead + (n + slack + 1) * inputs).div_euclid(steps)) - freed
        };
        let most = (0..steps).map(held).max().unwrap_or(0);
        most.max(progress.held_at_once() as i64 + 1) as usize
    }

    /// Bits of the line buffer's banks and copies for words of `word_bits`.
    pub fn buffer_bits(&self, word_bits: u64) -> u64 {
        (self.depth() * self.banks() * self.tap_lanes) as u64 * word_bits
    }

    /// Timing: from input words to groups of results on the returned edge, `latency` after each
    /// group's last fold. `credits`: room for output beats in each FIFO behind; `beats[g]`: how many
    /// of them group g completes.
    pub(crate) fn add_to(
        &self,
        model: &mut TokenModel,
        source: &BeatSource,
        credits: &[EdgeId],
        beats: &[u64],
        latency: u64,
    ) -> EdgeId {
        // In beats of full strips: the last beat of a row stands for those that its last strip lacks, too.
        let (strip, missing) = (self.strip_beats(), self.missing_beats() as u64);
        let progress = Progress::new(self);
        // As if the unread end of a sample before the first were there.
        let unread = progress.unread();
        let written = model.edge("line buffer beats", (unread * strip) as u64);
        let space = model.edge("line buffer space", ((self.ring_strips() - unread) * strip) as u64);
        let results = model.edge("group results", 0);
        let write = |repeat: usize, beats: u64| Phase {
            repeat: repeat as u64,
            takes: vec![source.take, Take { edge: space, need: beats, consume: beats }],
            gives: source.give.into_iter().chain([Give { edge: written, count: beats, delay: 1, stride: 0 }]).collect(),
            cycles: 1,
        };
        let (rows, row) = (self.window.input[0], self.row_beats());
        match (missing, row) {
            (0, _) => model.actor("line buffer write", vec![write(rows * row, 1)], 1),
            (_, 1) => model.actor("line buffer write", vec![write(rows, 1 + missing)], 1),
            _ => model.actor("line buffer write", vec![write(row - 1, 1), write(1, 1 + missing)], rows as u64),
        };

        let (groups, folds) = (self.groups(), self.folds() as u64);
        let step = |needs: u64, frees: u64| -> Vec<Phase> {
            let mut phases: Vec<Phase> = Vec::new();
            for (group, &count) in beats.iter().enumerate().take(groups) {
                let mut takes: Vec<Take> = credit_takes(credits, count).collect();
                if group == 0 && needs > 0 {
                    let beats = needs * strip as u64;
                    takes.push(Take { edge: written, need: beats, consume: beats });
                }
                let mut gives = vec![Give { edge: results, count: 1, delay: folds - 1 + latency, stride: 0 }];
                if group == groups - 1 && frees > 0 {
                    let count = frees * strip as u64;
                    gives.push(Give { edge: space, count, delay: folds - 1 + self.free_delay(), stride: 0 });
                }
                match phases.last_mut() {
                    Some(last) if last.takes == takes && last.gives == gives => last.repeat += 1,
                    _ => phases.push(Phase { repeat: 1, takes, gives, cycles: folds }),
                }
            }
            phases
        };
        let mut blocks: Vec<Block> = Vec::new();
        let mut before = None;
        for index in 0..self.steps_per_sample() {
            let moves = (progress.needs(index), progress.frees(index));
            match blocks.last_mut() {
                Some(block) if before == Some(moves) => block.repeat += 1,
                _ => blocks.push(Block { phases: step(moves.0, moves.1), repeat: 1 }),
            }
            before = Some(moves);
        }
        model.actor_of_blocks("window issue", blocks, 1);
        results
    }
}
