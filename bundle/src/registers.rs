//! The register map of the board shell: the one definition from which the shell's register bank, the
//! driver, the C header and the table in `docs/board.md` come.
//!
//! Registers are 32 bits wide on AXI4-Lite, at byte offsets that are multiples of 4. Unknown offsets
//! read 0 and ignore writes. A quantity of several words lies low word first.

/// Who may change a register, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only; writes are ignored.
    ReadOnly,
    /// Holds what was written.
    ReadWrite,
    /// Bits are set by the shell; writing 1 to a bit clears it.
    WriteOneToClear,
    /// What is written is added to what is left; reads give what is left.
    Add,
}

impl Access {
    /// The usual abbreviation: `ro`, `rw`, `w1c`, `add`.
    pub const fn code(self) -> &'static str {
        match self {
            Access::ReadOnly => "ro",
            Access::ReadWrite => "rw",
            Access::WriteOneToClear => "w1c",
            Access::Add => "add",
        }
    }
}

/// What a register reads after reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The same in every design.
    Value(u32),
    /// A constant of the design, which the shell is built with.
    Design,
}

/// Some bits of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name, upper case.
    pub name: &'static str,
    /// Lowest bit.
    pub low: u32,
    /// Number of bits, 1 to 32.
    pub width: u32,
    /// What it means, in one line.
    pub meaning: &'static str,
}

impl Field {
    const fn bit(name: &'static str, low: u32, meaning: &'static str) -> Field {
        Field { name, low, width: 1, meaning }
    }

    /// The field's bits in place.
    pub const fn mask(self) -> u32 {
        (u32::MAX >> (32 - self.width)) << self.low
    }

    /// The field's value in a register's.
    pub const fn get(self, register: u32) -> u32 {
        (register & self.mask()) >> self.low
    }

    /// Whether any bit of the field is set.
    pub const fn is_set(self, register: u32) -> bool {
        register & self.mask() != 0
    }
}

/// A register, or several words of one quantity at consecutive offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// Byte offset of the first word.
    pub offset: u32,
    /// Number of 32-bit words.
    pub words: u32,
    /// Name, upper case, unique.
    pub name: &'static str,
    /// Who may change it.
    pub access: Access,
    /// What it reads after reset, each word.
    pub reset: Reset,
    /// What it is, in one line.
    pub meaning: &'static str,
    /// Its fields, from the lowest bit; empty where the register is one number.
    pub fields: &'static [Field],
}

impl Register {
    const fn new(offset: u32, name: &'static str, access: Access, reset: Reset, meaning: &'static str) -> Register {
        Register { offset, words: 1, name, access, reset, meaning, fields: &[] }
    }

    const fn wide(self, words: u32) -> Register {
        Register { words, ..self }
    }

    const fn with(self, fields: &'static [Field]) -> Register {
        Register { fields, ..self }
    }

    /// Byte offset of word `index`, counted from 0.
    pub const fn word(self, index: u32) -> u32 {
        self.offset + 4 * index
    }

    /// Byte offset behind the last word.
    pub const fn end(self) -> u32 {
        self.offset + 4 * self.words
    }
}

/// What `MAGIC` reads: `S`, `Y`, `S`, `T` from the most significant byte.
pub const MAGIC_VALUE: u32 = 0x5359_5354;
/// Major version of this map; a driver refuses another.
pub const ABI_MAJOR: u32 = 1;
/// Minor version: later ones add registers.
pub const ABI_MINOR: u32 = 0;
/// What `ABI` reads.
pub const ABI_VALUE: u32 = ABI_MAJOR << 16 | ABI_MINOR;
/// The version as the manifest gives it.
pub const ABI_VERSION: &str = "1.0";
/// Bytes of address space that the map takes.
pub const SPACE_BYTES: u32 = 0x1000;

/// Fields of [`CAPS`].
pub mod caps {
    use super::Field;
    /// Stream channels each way.
    pub const CHANNELS: Field = Field { name: "CHANNELS", low: 0, width: 4, meaning: "stream channels each way" };
    /// Answers can be limited by credit.
    pub const CREDIT: Field = Field::bit("CREDIT", 8, "answers can be limited by credit");
    /// Headers carry a CRC that the shell checks.
    pub const HEADER_CRC: Field = Field::bit("HEADER_CRC", 9, "the header CRC is checked and made");
    /// There is an interrupt line.
    pub const INTERRUPT: Field = Field::bit("INTERRUPT", 10, "there is an interrupt line");
    /// All of them.
    pub const FIELDS: &[Field] = &[CHANNELS, CREDIT, HEADER_CRC, INTERRUPT];
}

/// Fields of [`CTRL`].
pub mod ctrl {
    use super::Field;
    /// Take frames.
    pub const ENABLE: Field = Field::bit("ENABLE", 0, "take frames");
    /// Take no new frame, finish those inside.
    pub const DRAIN: Field = Field::bit("DRAIN", 1, "take no new frame, finish those inside");
    /// Reset core, parser and builder.
    pub const SOFT_RESET: Field = Field::bit("SOFT_RESET", 2, "reset core, parser and builder; clears itself");
    /// Copy the running counters to the latched ones.
    pub const LATCH_COUNTERS: Field =
        Field::bit("LATCH_COUNTERS", 3, "copy the running counters to 80 and up; clears itself");
    /// An answer leaves only against a credit.
    pub const CREDIT: Field = Field::bit("CREDIT", 4, "an answer leaves only against a credit");
    /// All of them.
    pub const FIELDS: &[Field] = &[ENABLE, DRAIN, SOFT_RESET, LATCH_COUNTERS, CREDIT];
}

/// Fields of [`STATUS`].
pub mod status {
    use super::Field;
    /// No frame inside.
    pub const IDLE: Field = Field::bit("IDLE", 0, "no frame inside");
    /// Frames are taken.
    pub const RUN: Field = Field::bit("RUN", 1, "frames are taken");
    /// `DRAIN` is set and a frame is inside.
    pub const DRAINING: Field = Field::bit("DRAINING", 2, "DRAIN is set and a frame is inside");
    /// Stopped by an error.
    pub const HALTED: Field = Field::bit("HALTED", 3, "stopped by an error until SOFT_RESET");
    /// The last soft reset is complete.
    pub const RESET_DONE: Field = Field::bit("RESET_DONE", 4, "the last soft reset is complete");
    /// A beat waits at the input.
    pub const IN_STALL: Field = Field::bit("IN_STALL", 5, "a beat waits at the input and is not taken");
    /// A beat waits at the output.
    pub const OUT_STALL: Field = Field::bit("OUT_STALL", 6, "a beat waits at the output and is not taken");
    /// All of them.
    pub const FIELDS: &[Field] = &[IDLE, RUN, DRAINING, HALTED, RESET_DONE, IN_STALL, OUT_STALL];
}

/// Fields of [`ERROR`], and of an answer's status.
pub mod error {
    use super::Field;
    /// Magic, version or number of samples of a header.
    pub const HEADER: Field = Field::bit("HEADER", 0, "a header's magic, version or number of samples");
    /// A header's design hash.
    pub const HASH: Field = Field::bit("HASH", 1, "a header's design hash");
    /// A header's epoch.
    pub const EPOCH: Field = Field::bit("EPOCH", 2, "a header's epoch is not EPOCH");
    /// A header's payload length.
    pub const LENGTH: Field = Field::bit("LENGTH", 3, "a header's payload length is not samples x IN_BYTES");
    /// A header's sequence.
    pub const SEQUENCE: Field = Field::bit("SEQUENCE", 4, "a header's sequence is not the next one");
    /// An input beat with bytes missing.
    pub const TKEEP_HOLE: Field = Field::bit("TKEEP_HOLE", 5, "an input beat with bytes missing");
    /// A header's CRC.
    pub const CRC: Field = Field::bit("CRC", 6, "a header's CRC");
    /// More credits than OUT_CREDIT can count.
    pub const OVERFLOW: Field = Field::bit("OVERFLOW", 7, "more credits than OUT_CREDIT can count");
    /// Work inside and no beat moved for `WATCHDOG_CYCLES`.
    pub const WATCHDOG: Field = Field::bit("WATCHDOG", 8, "work inside and no beat moved for WATCHDOG_CYCLES");
    /// All of them.
    pub const FIELDS: &[Field] = &[HEADER, HASH, EPOCH, LENGTH, SEQUENCE, TKEEP_HOLE, CRC, OVERFLOW, WATCHDOG];
}

/// Fields of [`IRQ_STATUS`] and [`IRQ_MASK`].
pub mod irq {
    use super::Field;
    /// `IRQ_COALESCE` answers have left.
    pub const ANSWER: Field = Field::bit("ANSWER", 0, "IRQ_COALESCE answers have left");
    /// An `ERROR` bit was set.
    pub const ERROR: Field = Field::bit("ERROR", 1, "an ERROR bit was set");
    /// Drained, or a soft reset is complete.
    pub const DONE: Field = Field::bit("DONE", 2, "drained, or a soft reset is complete");
    /// All of them.
    pub const FIELDS: &[Field] = &[ANSWER, ERROR, DONE];
}

use Access::{Add, ReadOnly, ReadWrite, WriteOneToClear};
use Reset::{Design, Value};

/// [`MAGIC_VALUE`]: a shell answers here.
pub const MAGIC: Register = Register::new(0x00, "MAGIC", ReadOnly, Value(MAGIC_VALUE), "a shell answers here");
/// Version of the map.
pub const ABI: Register =
    Register::new(0x04, "ABI", ReadOnly, Value(ABI_VALUE), "version of this map: major << 16 | minor");
/// First 16 bytes of the manifest's structure hash.
pub const STRUCTURE_HASH: Register =
    Register::new(0x08, "STRUCTURE_HASH", ReadOnly, Design, "the manifest's structure hash, first byte lowest").wide(4);
/// First 16 bytes of the manifest's parameter hash.
pub const PARAMETER_HASH: Register =
    Register::new(0x18, "PARAMETER_HASH", ReadOnly, Design, "the manifest's parameter hash, first byte lowest").wide(4);
/// What the shell can do.
pub const CAPS: Register = Register::new(0x28, "CAPS", ReadOnly, Design, "what the shell can do").with(caps::FIELDS);
/// Bytes of a beat.
pub const BEAT_BYTES: Register = Register::new(0x2c, "BEAT_BYTES", ReadOnly, Design, "bytes of a beat, both ways");
/// Payload bytes of a sample towards the board.
pub const IN_BYTES: Register =
    Register::new(0x30, "IN_BYTES", ReadOnly, Design, "payload bytes of a sample to the board, whole beats");
/// Payload bytes of a sample from the board.
pub const OUT_BYTES: Register =
    Register::new(0x34, "OUT_BYTES", ReadOnly, Design, "payload bytes of a sample from the board, whole beats");
/// Samples a frame can have.
pub const MAX_SAMPLES: Register = Register::new(0x38, "MAX_SAMPLES", ReadOnly, Design, "samples that a frame can have");
/// Frames inside at once.
pub const FIFO_DEPTH: Register =
    Register::new(0x3c, "FIFO_DEPTH", ReadOnly, Design, "frames that the shell keeps account of at once");
/// What the shell shall do.
pub const CTRL: Register =
    Register::new(0x40, "CTRL", ReadWrite, Value(0), "what the shell shall do").with(ctrl::FIELDS);
/// What the shell does.
pub const STATUS: Register =
    Register::new(0x44, "STATUS", ReadOnly, Value(1), "what the shell does").with(status::FIELDS);
/// What went wrong.
pub const ERROR: Register =
    Register::new(0x48, "ERROR", WriteOneToClear, Value(0), "what went wrong").with(error::FIELDS);
/// Sequence of the frame at the first error.
pub const FIRST_ERROR_SEQ: Register =
    Register::new(0x4c, "FIRST_ERROR_SEQ", ReadOnly, Value(0), "sequence of the frame at the first error");
/// The epoch that headers must carry.
pub const EPOCH: Register = Register::new(0x50, "EPOCH", ReadWrite, Value(0), "the epoch that headers must carry");
/// Cycles without a beat after which the watchdog halts the core.
pub const WATCHDOG_CYCLES: Register = Register::new(
    0x54,
    "WATCHDOG_CYCLES",
    ReadWrite,
    Value(0),
    "cycles without a beat until the watchdog halts; 0: off",
);
/// Answers that may leave while `CTRL.CREDIT` is set.
pub const OUT_CREDIT: Register =
    Register::new(0x58, "OUT_CREDIT", Add, Value(0), "answers that may leave while CTRL.CREDIT is set");
/// Interrupts that are pending.
pub const IRQ_STATUS: Register =
    Register::new(0x5c, "IRQ_STATUS", WriteOneToClear, Value(0), "interrupts that are pending").with(irq::FIELDS);
/// Interrupts that raise the line.
pub const IRQ_MASK: Register =
    Register::new(0x60, "IRQ_MASK", ReadWrite, Value(0), "interrupts that raise the line").with(irq::FIELDS);
/// Answers an interrupt.
pub const IRQ_COALESCE: Register =
    Register::new(0x64, "IRQ_COALESCE", ReadWrite, Value(1), "answers until IRQ_STATUS.ANSWER is set");
/// Holds what was written, for tests of the link.
pub const SCRATCH: Register =
    Register::new(0x70, "SCRATCH", ReadWrite, Value(0), "holds what was written, for tests of the link");

const fn counter(offset: u32, name: &'static str, meaning: &'static str) -> Register {
    Register::new(offset, name, ReadOnly, Value(0), meaning).wide(2)
}

/// Cycles since reset.
pub const CYCLES: Register = counter(0x80, "CYCLES", "latched: cycles since reset");
/// Answers sent.
pub const FRAMES: Register = counter(0x88, "FRAMES", "latched: answers sent");
/// Beats taken from the host.
pub const BEATS_IN: Register = counter(0x90, "BEATS_IN", "latched: beats taken from the host");
/// Beats sent to the host.
pub const BEATS_OUT: Register = counter(0x98, "BEATS_OUT", "latched: beats sent to the host");
/// Cycles in which an input beat waited.
pub const STALLS_IN: Register = counter(0xa0, "STALLS_IN", "latched: cycles in which an input beat waited");
/// Cycles in which an output beat waited.
pub const STALLS_OUT: Register = counter(0xa8, "STALLS_OUT", "latched: cycles in which an output beat waited");
/// Beats discarded during soft resets.
pub const DROPPED: Register = counter(0xb0, "DROPPED", "latched: input beats discarded during soft resets");

/// The whole map, by offset.
pub const REGISTERS: &[Register] = &[
    MAGIC,
    ABI,
    STRUCTURE_HASH,
    PARAMETER_HASH,
    CAPS,
    BEAT_BYTES,
    IN_BYTES,
    OUT_BYTES,
    MAX_SAMPLES,
    FIFO_DEPTH,
    CTRL,
    STATUS,
    ERROR,
    FIRST_ERROR_SEQ,
    EPOCH,
    WATCHDOG_CYCLES,
    OUT_CREDIT,
    IRQ_STATUS,
    IRQ_MASK,
    IRQ_COALESCE,
    SCRATCH,
    CYCLES,
    FRAMES,
    BEATS_IN,
    BEATS_OUT,
    STALLS_IN,
    STALLS_OUT,
    DROPPED,
];

/// The register that a byte offset belongs to.
pub fn at(offset: u32) -> Option<&'static Register> {
    REGISTERS.iter().find(|register| (register.offset..register.end()).contains(&offset))
}

/// The names of the [`ERROR`] bits that are set, `none` without any.
pub fn error_names(bits: u32) -> String {
    let mut names: Vec<String> =
        error::FIELDS.iter().filter(|field| field.is_set(bits)).map(|field| field.name.to_lowercase()).collect();
    let known = error::FIELDS.iter().fold(0, |mask, field| mask | field.mask());
    if bits & !known != 0 {
        names.push(format!("{:#x}", bits & !known));
    }
    if names.is_empty() {
        names.push("none".into());
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_lie_in_order_without_overlap_on_whole_words() {
        let mut end = 0;
        for register in REGISTERS {
            assert!(register.offset >= end && register.offset % 4 == 0, "{register:?}");
            assert!(register.words > 0, "{register:?}");
            end = register.end();
        }
        assert!(end <= SPACE_BYTES);
    }

    #[test]
    fn fields_lie_in_order_without_overlap_inside_their_word() {
        for register in REGISTERS {
            let mut end = 0;
            for field in register.fields {
                assert!(field.low >= end && field.width > 0 && field.low + field.width <= 32, "{register:?} {field:?}");
                end = field.low + field.width;
            }
        }
    }

    #[test]
    fn offsets_are_those_of_the_written_contract() {
        let contract = [
            (0x00, "MAGIC"),
            (0x14, "STRUCTURE_HASH"),
            (0x24, "PARAMETER_HASH"),
            (0x28, "CAPS"),
            (0x2c, "BEAT_BYTES"),
            (0x3c, "FIFO_DEPTH"),
            (0x40, "CTRL"),
            (0x44, "STATUS"),
            (0x48, "ERROR"),
            (0x50, "EPOCH"),
            (0x58, "OUT_CREDIT"),
            (0x64, "IRQ_COALESCE"),
            (0x70, "SCRATCH"),
            (0x84, "CYCLES"),
            (0xb4, "DROPPED"),
        ];
        for (offset, name) in contract {
            assert_eq!(at(offset).map(|register| register.name), Some(name), "{offset:#x}");
        }
        assert_eq!(at(0x68), None);
        assert_eq!(at(0xb8), None);
    }

    #[test]
    fn error_bits_are_named() {
        assert_eq!(error_names(0), "none");
        assert_eq!(error_names(0x101), "header, watchdog");
        assert_eq!(error_names(0x8000_0000), "0x80000000");
    }
}
