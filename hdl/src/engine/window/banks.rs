//! Which bank of a line buffer each pixel lane reads.

use super::position::select;
use super::WindowSpec;
use crate::typed::{Expr, Signal};

/// The banks that the pixel lanes read for one tap lane: the first lane's, and each next one's `stride` on.
pub(crate) struct BankReads {
    /// Banks of the line buffer.
    pub banks: usize,
    /// Banks from one lane's to the next's.
    pub stride: usize,
    /// For each fold of the taps, the first lane's bank.
    pub first: Vec<usize>,
}

impl BankReads {
    /// Those of a tap lane.
    pub fn of(spec: &WindowSpec, tap_lane: usize) -> Self {
        BankReads { banks: spec.banks(), stride: spec.window.stride[1], first: spec.first_banks(tap_lane) }
    }

    /// Whether the first lane's bank changes from fold to fold.
    pub fn turns(&self) -> bool {
        self.first.iter().any(|&bank| bank != self.first[0])
    }

    /// The bank of a lane where the first one's is `first`.
    pub fn bank(&self, first: usize, lane: usize) -> usize {
        (first + lane * self.stride) % self.banks
    }

    /// The word of a lane, of those of all banks.
    pub fn select(&self, first: &Expr, lane: usize, words: &[Signal]) -> Expr {
        let banks: Vec<usize> = (0..self.banks).map(|first| self.bank(first, lane)).collect();
        select(first, &banks, &|&bank| words[bank].expr())
    }

    /// A part of a module's name that tells reads apart.
    pub fn suffix(&self) -> String {
        match (self.banks, self.turns()) {
            (1, _) => String::new(),
            (banks, true) => format!("_banks{banks}by{}", self.stride),
            (banks, false) => format!("_banks{banks}by{}from{}", self.stride, self.first[0]),
        }
    }
}
