//! The board shell: registers over AXI4-Lite and frames over AXI4-Stream around an unchanged core.
//!
//! ```text
//!            +------------------------- <design>_axi -------------------------+
//!  s_axi ===>| registers - errors, soft reset, watchdog, credit, counters     |---> irq
//!            |     | control                        ^ events                  |
//!            | +---v--------------- <design>_axi_stream --------------------+ |
//!  s_axis ==>| | parser -> FIFO -> unpack -> core -> pack -> builder -> out | |==> m_axis
//!            | |    +-------- account: the frames inside -------^           | |
//!            | +------------------------------------------------------------+ |
//!            +----------------------------------------------------------------+
//! ```
//!
//! What registers and frames mean is defined in `systole_bundle` ([`systole_bundle::registers`],
//! [`systole_bundle::frame`]); the hardware is generated from those definitions. A frame is
//! delimited by the length in its header, never by TLAST. Nothing is dropped silently: what cannot
//! be taken waits, and what is wrong halts the shell with the reason in `ERROR`.

mod answer_crc;
mod axi_lite;
mod builder;
mod counters;
mod crc;
mod credit;
mod errors;
mod flag;
mod interrupt;
mod packing;
mod parser;
mod registers;
mod reset;
mod stream;
mod top;
mod watchdog;

use crate::cells::Cells;
use crate::stream::RegroupBuildError;
use crate::typed::HdlError;
use systole_bundle::frame::HEADER_BYTES;
use systole_bundle::DesignHash;

/// Widths of the shell's streams, in bytes a beat.
pub const BEAT_BYTES: [usize; 4] = [8, 16, 32, 64];

/// Frames that a shell keeps account of at once.
pub const FIFO_DEPTH: usize = 16;

/// Most samples of a frame, where that is no more than [`FRAME_BYTES`] either way.
const MAX_SAMPLES: usize = 4096;

/// Most payload bytes of a frame of several samples.
const FRAME_BYTES: usize = 1 << 24;

/// Beats buffered on either side of the core: what it reads while the shell looks at a header, and what it
/// gives while the shell sends one.
const PAYLOAD_DEPTH: usize = 32;

/// How one of the core's streams travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CoreStream {
    /// Bytes of one of the core's beats: lanes of whole bytes.
    pub beat_bytes: usize,
    /// The core's beats a sample.
    pub beats: usize,
}

impl CoreStream {
    /// Bytes of a sample.
    pub fn sample_bytes(&self) -> usize {
        self.beat_bytes * self.beats
    }
}

/// The shell around a core.
#[derive(Clone, Debug)]
pub struct ShellSpec {
    /// Name of the design, and of the core's module.
    pub design: String,
    /// The core's input.
    pub input: CoreStream,
    /// The core's output.
    pub output: CoreStream,
    /// Bytes of the shell's beats, one of [`BEAT_BYTES`].
    pub beat_bytes: usize,
    /// By which the driver recognises the design.
    pub hash: DesignHash,
    /// Technology.
    pub cells: Cells,
}

/// A sample that no frame can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sample of {bytes} bytes is more than the {} bytes that a frame's length counts", u32::MAX)]
pub struct SampleTooLarge {
    bytes: usize,
}

/// Why a shell cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// No frame can carry a sample.
    #[error(transparent)]
    Sample(#[from] SampleTooLarge),
    /// A block cannot be built: our bug.
    #[error(transparent)]
    Block(#[from] RegroupBuildError),
}

impl From<HdlError> for ShellError {
    fn from(error: HdlError) -> Self {
        ShellError::Block(error.into())
    }
}

impl ShellSpec {
    /// Name of the top module.
    pub fn top(&self) -> String {
        format!("{}_axi", self.design)
    }

    /// Name of a module that is made for this design.
    fn part(&self, part: &str) -> String {
        format!("{}_axi_{part}", self.design)
    }

    /// Payload bytes of a sample towards the core: whole beats.
    pub fn in_bytes(&self) -> usize {
        self.input.sample_bytes().next_multiple_of(self.beat_bytes)
    }

    /// Payload bytes of a sample from the core: whole beats.
    pub fn out_bytes(&self) -> usize {
        self.output.sample_bytes().next_multiple_of(self.beat_bytes)
    }

    /// Most samples of a frame.
    pub fn max_samples(&self) -> usize {
        (FRAME_BYTES / self.in_bytes().max(self.out_bytes())).clamp(1, MAX_SAMPLES)
    }

    /// Beats of a header.
    pub fn header_beats(&self) -> usize {
        HEADER_BYTES / self.beat_bytes
    }

    /// Checks that frames can count a sample's bytes.
    ///
    /// # Errors
    /// If they cannot.
    pub fn check(&self) -> Result<(), SampleTooLarge> {
        let bytes = self.in_bytes().max(self.out_bytes());
        match u32::try_from(bytes) {
            Ok(_) => Ok(()),
            Err(_) => Err(SampleTooLarge { bytes }),
        }
    }

    fn beat_bits(&self) -> u32 {
        self.beat_bytes as u32 * 8
    }
}

/// The narrowest beats, in bytes, that carry a sample each way in 9/10 of `interval` cycles, so that
/// headers and the shell's own pauses do not limit the core; the widest where none do.
pub fn beat_bytes_for(input: CoreStream, output: CoreStream, interval: u64) -> usize {
    let bytes = input.sample_bytes().max(output.sample_bytes());
    let fits = |width: &usize| bytes.div_ceil(*width) as u128 * 10 <= u128::from(interval) * 9;
    BEAT_BYTES.into_iter().find(fits).unwrap_or(BEAT_BYTES[BEAT_BYTES.len() - 1])
}
