//! Who answers at the registers, and what it can do.

use super::BoardError;
use crate::session::Session;
use crate::transport::{TransferError, Transport, TransportCaps};
use systole_bundle::registers::{self, caps, Register, ABI_MAJOR, MAGIC_VALUE};
use systole_bundle::{frame::HEADER_BYTES, DesignHash, Manifest};

/// What a link that is down reads everywhere.
pub const ALL_ONES: u32 = u32::MAX;

/// A shell's constants, checked against the bundle and the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of a beat.
    pub beat_bytes: u32,
    /// Payload bytes of a sample to the board.
    pub in_bytes: u32,
    /// Payload bytes of a sample from the board.
    pub out_bytes: u32,
    /// Samples that a frame can have.
    pub max_samples: u32,
    /// Frames that the shell keeps account of at once.
    pub fifo_depth: u32,
    /// Whether answers can be limited by credit.
    pub credit: bool,
    /// Whether there is an interrupt line.
    pub interrupt: bool,
}

/// The hashes that a board must have for a bundle.
pub fn expected(manifest: &Manifest) -> Result<DesignHash, BoardError> {
    DesignHash::of(manifest).ok_or_else(|| BoardError::Hashes {
        structure: manifest.structure_hash.clone(),
        parameter: manifest.parameter_hash.clone(),
    })
}

/// Checks that a shell answers with a register map of this driver's version and the design `wanted`.
pub fn check(transport: &dyn Transport, wanted: &DesignHash) -> Result<(), BoardError> {
    match transport.reg_read32(registers::MAGIC.offset)? {
        MAGIC_VALUE => (),
        ALL_ONES => return Err(TransferError::Gone { what: "register MAGIC reads all ones".into() }.into()),
        other => return Err(BoardError::NotAShell(other)),
    }
    let abi = transport.reg_read32(registers::ABI.offset)?;
    let (major, minor) = (abi >> 16, abi & 0xffff);
    // Later minor versions only add registers.
    if major != ABI_MAJOR {
        return Err(BoardError::Abi { major, minor });
    }
    let board = DesignHash {
        structure: words(transport, registers::STRUCTURE_HASH)?,
        parameter: words(transport, registers::PARAMETER_HASH)?,
    };
    let differs = match (board.structure == wanted.structure, board.parameter == wanted.parameter) {
        (true, true) => return Ok(()),
        (true, false) => "parameters",
        (false, true) => "structure",
        (false, false) => "structure and parameters",
    };
    Err(BoardError::WrongDesign { differs, bundle: *wanted, board })
}

fn words(transport: &dyn Transport, register: Register) -> Result<[u32; 4], TransferError> {
    let mut words = [0; 4];
    for (index, word) in (0..).zip(&mut words) {
        *word = transport.reg_read32(register.word(index))?;
    }
    Ok(words)
}

impl Geometry {
    /// Reads the shell's constants.
    pub fn read(transport: &dyn Transport, session: &Session) -> Result<Geometry, BoardError> {
        let read = |register: Register| transport.reg_read32(register.offset);
        let capabilities = read(registers::CAPS)?;
        let geometry = Geometry {
            beat_bytes: read(registers::BEAT_BYTES)?,
            in_bytes: read(registers::IN_BYTES)?,
            out_bytes: read(registers::OUT_BYTES)?,
            max_samples: read(registers::MAX_SAMPLES)?,
            fifo_depth: read(registers::FIFO_DEPTH)?,
            credit: caps::CREDIT.is_set(capabilities),
            interrupt: caps::INTERRUPT.is_set(capabilities),
        };
        if caps::CHANNELS.get(capabilities) == 0 {
            return Err(misfit(registers::CAPS, capabilities, "no stream channel".into()));
        }
        geometry.check(&transport.caps(), session.input_wire_bytes(), session.output_wire_bytes())?;
        Ok(geometry)
    }

    /// Whether the constants make sense with a transport and a network whose samples take so many
    /// bytes of beats each way.
    fn check(&self, transport: &TransportCaps, input: usize, output: usize) -> Result<(), BoardError> {
        let header = HEADER_BYTES as u32;
        if self.beat_bytes == 0 || !header.is_multiple_of(self.beat_bytes) {
            let reason = format!("a header of {header} bytes is not made of such beats");
            return Err(misfit(registers::BEAT_BYTES, self.beat_bytes, reason));
        }
        if !(self.beat_bytes as usize).is_multiple_of(transport.granule.max(1)) {
            let reason = format!("the transport moves multiples of {} bytes", transport.granule);
            return Err(misfit(registers::BEAT_BYTES, self.beat_bytes, reason));
        }
        let sides = [(registers::IN_BYTES, self.in_bytes, input), (registers::OUT_BYTES, self.out_bytes, output)];
        for (register, bytes, needed) in sides {
            if !bytes.is_multiple_of(self.beat_bytes) {
                return Err(misfit(register, bytes, format!("no whole beats of {} bytes", self.beat_bytes)));
            }
            if (bytes as usize) < needed {
                return Err(misfit(register, bytes, format!("a sample's beats take {needed} bytes")));
            }
        }
        if self.max_samples == 0 {
            return Err(misfit(registers::MAX_SAMPLES, 0, "a frame has at least one sample".into()));
        }
        if self.fifo_depth == 0 {
            return Err(misfit(registers::FIFO_DEPTH, 0, "a shell keeps account of at least one frame".into()));
        }
        Ok(())
    }
}

fn misfit(register: Register, value: u32, reason: String) -> BoardError {
    BoardError::Geometry { register: register.name, value, reason }
}
