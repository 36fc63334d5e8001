//! Sliding windows over a stream: a line buffer and the addresses of its taps.

mod control;
mod position;
mod progress;

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
///   stream     +----------------------+  one read a cycle and tap lane
///  ==========> | line buffer, t copies|----> tap lane 0 .. t-1 (padding masked)
///   words      +----------------------+
///                ^ write      ^ addresses: window base + tap offset + word
/// ```
///
/// A pixel is `words` words, written one a cycle. The buffer is a ring of pixels: writing runs ahead
/// across rows and samples while a window is read, and what no later window needs is freed at a
/// window's end. Padding is never stored: its taps are read anywhere and masked behind the memory.
///
/// *Timing*: a fold starts in every cycle unless, at the start of a window, its last pixel has not
/// arrived or, at the start of a group, the results have no room. *Ring*: as many pixels as input at
/// a steady rate needs so that no window waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WindowSpec {
    /// Geometry.
    pub window: Window,
    /// Words a pixel.
    pub words: usize,
    /// Taps read in parallel: each has a copy of the line buffer.
    pub tap_lanes: usize,
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

    /// Groups a window.
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

    /// Cycles a window.
    pub fn cycles_per_window(&self) -> u64 {
        (self.groups() * self.folds()) as u64
    }

    /// Cycles a sample: the folds, or the input's words where they take longer.
    pub fn cycles(&self) -> u64 {
        self.busy_cycles().max((self.window.input_pixels() * self.words) as u64)
    }

    /// Cycles a sample in which a fold starts.
    pub fn busy_cycles(&self) -> u64 {
        self.window.output_pixels() as u64 * self.cycles_per_window()
    }

    /// Clock edges from a window's last fold to the first one at which the places that it frees
    /// can be written.
    fn free_delay(&self) -> u64 {
        Self::ADDRESS_LATENCY + self.read_span
    }

    /// Words of the ring.
    pub fn depth(&self) -> usize {
        let slack = self.free_delay() + 2;
        self.ring_pixels(&Progress::new(&self.window), slack.div_ceil(self.cycles_per_window()) as usize) * self.words
    }

    /// Pixels of the ring: the most that are held when they arrive at a steady rate, early enough
    /// for every window, with `slack` windows for places to come back.
    fn ring_pixels(&self, progress: &Progress, slack: usize) -> usize {
        let (inputs, windows) = (self.window.input_pixels() as i64, self.window.output_pixels() as i64);
        // All in units of 1/windows of a pixel.
        let lead = (0..windows).map(|n| progress.needed[n as usize] as i64 * windows - n * inputs).max().unwrap_or(0);
        let held = |n: i64| {
            let freed = match n {
                0 => -(progress.unread() as i64),
                _ => progress.freed[(n - 1) as usize] as i64,
            };
            lead + (n + slack as i64 + 1) * inputs - freed * windows
        };
        let most = (0..windows).map(held).max().unwrap_or(0);
        let least = progress.held_at_once() as i64 + 1;
        (most.div_euclid(windows) + 1).max(least) as usize
    }

    /// Bits of the line buffer's copies for words of `word_bits`.
    pub fn buffer_bits(&self, word_bits: u64) -> u64 {
        (self.depth() * self.tap_lanes) as u64 * word_bits
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
        // As if the unread end of a sample before the first were there.
        let unread = Progress::new(&self.window).unread();
        let written = model.edge("line buffer words", (unread * self.words) as u64);
        let space = model.edge("line buffer space", (self.depth() - unread * self.words) as u64);
        let results = model.edge("group results", 0);
        let phase = Phase {
            repeat: (self.window.input_pixels() * self.words) as u64,
            takes: vec![source.take, Take { edge: space, need: 1, consume: 1 }],
            gives: source.give.into_iter().chain([Give { edge: written, count: 1, delay: 1, stride: 0 }]).collect(),
            cycles: 1,
        };
        model.actor("line buffer write", vec![phase], 1);

        let progress = Progress::new(&self.window);
        let (groups, folds) = (self.groups(), self.folds() as u64);
        let window = |needs: u64, frees: u64| -> Vec<Phase> {
            let mut phases: Vec<Phase> = Vec::new();
            for (group, &count) in beats.iter().enumerate().take(groups) {
                let mut takes: Vec<Take> = credit_takes(credits, count).collect();
                if group == 0 && needs > 0 {
                    let words = needs * self.words as u64;
                    takes.push(Take { edge: written, need: words, consume: words });
                }
                let mut gives = vec![Give { edge: results, count: 1, delay: folds - 1 + latency, stride: 0 }];
                if group == groups - 1 && frees > 0 {
                    let count = frees * self.words as u64;
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
        for pixel in 0..self.window.output_pixels() {
            let step = (progress.needs(pixel), progress.frees(pixel));
            match blocks.last_mut() {
                Some(block) if before == Some(step) => block.repeat += 1,
                _ => blocks.push(Block { phases: window(step.0, step.1), repeat: 1 }),
            }
            before = Some(step);
        }
        model.actor_of_blocks("window issue", blocks, 1);
        results
    }
}
