//! Why a board cannot be used, and how a request can end without an answer.

use crate::transport::TransferError;
use std::time::Duration;
use systole_bundle::registers::{error_names, ABI_MAJOR, ABI_MINOR, MAGIC_VALUE};
use systole_bundle::{frame::FrameError, DesignHash};

/// Why a board cannot be opened or has been given up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoardError {
    /// The link fails.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// Something else answers at the registers.
    #[error("register MAGIC reads {0:#010x}, not {MAGIC_VALUE:#010x}: no Systole shell answers here; program the board with the bundle's bitstream, or give another device")]
    NotAShell(u32),
    /// The shell's register map is another.
    #[error("the board's register map is version {major}.{minor}, this driver drives {ABI_MAJOR}.0 to {ABI_MAJOR}.x (x >= {ABI_MINOR}); compile the model again and program the board, or use the driver of that version")]
    Abi {
        /// Found.
        major: u32,
        /// Found.
        minor: u32,
    },
    /// Another network, or the same with other parameters.
    #[error("the board holds another {differs} than the bundle: the bundle has {bundle}, the board {board}; program the board with this bundle's bitstream, or open the bundle that is on it")]
    WrongDesign {
        /// `structure`, `parameters`, or both.
        differs: &'static str,
        /// Of the bundle.
        bundle: DesignHash,
        /// Of the board.
        board: DesignHash,
    },
    /// Boards that shall share the work hold different designs.
    #[error("the boards hold different designs: {first}, and {other}; program them with the same bitstream")]
    Mixed {
        /// Of the first board.
        first: DesignHash,
        /// Of the first that differs.
        other: DesignHash,
    },
    /// The bundle's manifest does not describe an accelerator.
    #[error("{reason}")]
    Bundle {
        /// The session's words.
        reason: String,
    },
    /// The manifest's hashes are none.
    #[error("manifest: structure_hash `{structure}` and parameter_hash `{parameter}` are not both 32 hexadecimal digits; compile the model again")]
    Hashes {
        /// As the manifest has it.
        structure: String,
        /// As the manifest has it.
        parameter: String,
    },
    /// The shell's constants contradict each other, the bundle or the transport.
    #[error("register {register} reads {value}: {reason}; program the board with this bundle's bitstream")]
    Geometry {
        /// The register.
        register: &'static str,
        /// What it reads.
        value: u32,
        /// What is wrong with that.
        reason: String,
    },
    /// A soft reset does not end.
    #[error("the board's soft reset did not end within {0:?} (STATUS {1:#x}); power it off and on")]
    ResetStuck(Duration, u32),
}

/// Why the stream of frames broke off, so that the board had to be reset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A transfer failed.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// What came back is not the answer that is due.
    #[error("answer: {0}")]
    Frame(#[from] FrameError),
    /// Bytes behind a sample's beats are not zero.
    #[error("answer: byte {byte} of sample {sample} lies behind its beats and is not zero")]
    Padding {
        /// In its frame, counted from 0.
        sample: usize,
        /// In its sample, counted from 0.
        byte: usize,
    },
    /// The shell halted.
    #[error("the board halted with ERROR {} at frame {sequence}", error_names(*.bits))]
    Halted {
        /// The register ERROR.
        bits: u32,
        /// The register FIRST_ERROR_SEQ.
        sequence: u32,
    },
    /// An answer reports errors.
    #[error("answer {sequence} reports ERROR {}", error_names(*.bits))]
    Reported {
        /// Of its header.
        bits: u32,
        /// Of its header.
        sequence: u32,
    },
    /// The board has more beats than were sent to it, or holds some back, with all frames answered.
    #[error(
        "all frames are answered, and the board has taken {found} beats where {wanted} were sent (STATUS {state:#x})"
    )]
    Surplus {
        /// The shell's counter of input beats.
        found: u64,
        /// What it should read.
        wanted: u64,
        /// The register STATUS.
        state: u32,
    },
    /// Nothing moved.
    #[error("no beat moved for {0:?} with frames on the board")]
    Stall(Duration),
}

/// How a request ends without an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Its deadline passed.
    #[error("no answer within {0:?}; give more time, or look at the board's statistics for stalls")]
    Deadline(Duration),
    /// The caller took it back.
    #[error("cancelled")]
    Cancelled,
    /// The stream broke as often as allowed when this request was next to be answered.
    #[error("no answer in {attempts} attempts, the last ended by {fault}")]
    Retries {
        /// Times that the stream broke when it was next to be answered.
        attempts: u32,
        /// What stopped the last attempt.
        fault: Box<Fault>,
    },
    /// The board was given up.
    #[error("the board was given up after {fault}: {error}")]
    Failed {
        /// What began it.
        fault: Box<Fault>,
        /// Why it could not be brought back.
        error: Box<BoardError>,
    },
    /// The frame is none that the board takes.
    #[error("{samples} samples in {bytes} bytes: the board takes 1 to {most} samples of {sample_bytes} bytes a frame")]
    Size {
        /// Samples asked for.
        samples: u32,
        /// Bytes given.
        bytes: usize,
        /// Samples at most.
        most: u32,
        /// Bytes of a sample.
        sample_bytes: usize,
    },
    /// The board was closed in the meantime.
    #[error("the board was closed")]
    Closed,
    /// No board is left.
    #[error("no board is left of {boards}; the last one: {last}")]
    NoBoard {
        /// Boards there were.
        boards: usize,
        /// How the last attempt ended.
        last: Box<RequestError>,
    },
}
