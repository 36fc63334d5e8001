//! Packing a sample's bytes: the shell's beats to the core's, and back.

use super::{CoreStream, ShellSpec};
use crate::stream::RegroupSpec;

impl ShellSpec {
    /// The block between the shell's beats and the core's input; none where they are the same.
    pub(super) fn unpack(&self) -> Option<RegroupSpec> {
        self.bytes(self.input, self.beat_bytes, self.input.beat_bytes)
    }

    /// The block between the core's output and the shell's beats; none where they are the same.
    pub(super) fn pack(&self) -> Option<RegroupSpec> {
        self.bytes(self.output, self.output.beat_bytes, self.beat_bytes)
    }

    /// Bytes regrouped within a sample, padded to a whole number of the shell's beats.
    fn bytes(&self, core: CoreStream, from: usize, to: usize) -> Option<RegroupSpec> {
        if from == to {
            return None;
        }
        // Where a sample is whole rounds of both beats, every round is alike.
        let round = from / gcd(from, to) * to;
        let bytes = if core.sample_bytes().is_multiple_of(round) { round } else { core.sample_bytes() };
        Some(RegroupSpec {
            in_channels: bytes,
            in_lanes: from,
            out_channels: bytes,
            out_lanes: to,
            element_bits: 8,
            // The host's padding behind a sample may be anything.
            mask_idle_lanes: true,
        })
    }
}

fn gcd(a: usize, b: usize) -> usize {
    match b {
        0 => a,
        _ => gcd(b, a % b),
    }
}
