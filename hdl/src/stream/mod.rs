//! Stream blocks: buffers and lane regrouping between stages.
//!
//! All follow the four rules of ready/valid streams: a beat moves at the clock edge before which
//! valid and ready are both high; valid and payload hold until it moves; valid never waits for
//! ready; ready may move freely.

pub mod fifo;
mod fifo_rtl;
pub mod regroup;
mod regroup_rtl;

pub use fifo::{FifoMemory, FifoSpec};
pub use regroup::{RegroupError, RegroupSpec, Unstalled};
pub(crate) use regroup_rtl::bits_for;
pub use regroup_rtl::RegroupBuildError;

use crate::timing::{EdgeId, Give, Take};

/// The reading end of a stream in a token model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamEnd {
    /// One token a beat that can be taken.
    pub data: EdgeId,
    /// Where one token is given back for every beat taken.
    pub space: EdgeId,
    /// Clock edges from taking a beat to the first edge at which its place can be used.
    pub space_delay: u64,
}

impl StreamEnd {
    /// What taking one beat takes and gives back.
    pub(crate) fn beat(&self) -> BeatSource {
        BeatSource {
            take: Take { edge: self.data, need: 1, consume: 1 },
            give: Some(Give { edge: self.space, count: 1, delay: self.space_delay, stride: 0 }),
        }
    }
}

/// Where an engine's beats come from in a token model: what one of them takes and gives back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BeatSource {
    /// The beat.
    pub take: Take,
    /// Its place, where there is one to give back.
    pub give: Option<Give>,
}
