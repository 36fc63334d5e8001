//! Frames: a header of 64 bytes, then `samples` times the bytes of one sample, each way.
//!
//! All numbers are little-endian. A frame is delimited by the header's payload length, never by
//! TLAST: the DMA engine sets TLAST where its descriptor chains end.

use crate::registers::error;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 64;
/// First word of a header: `S`, `Y`, `S`, `F` in memory.
pub const MAGIC: u32 = 0x4653_5953;
/// Version of the header's layout.
pub const VERSION: u16 = 1;
/// Bit of `flags` in answers.
pub const FLAG_ANSWER: u16 = 1;

/// One field of the header, for those who lay it out in hardware or in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderField {
    /// Byte offset.
    pub offset: usize,
    /// Bytes.
    pub bytes: usize,
    /// Name, lower case.
    pub name: &'static str,
    /// What it holds, in one line.
    pub meaning: &'static str,
}

impl HeaderField {
    const fn new(offset: usize, bytes: usize, name: &'static str, meaning: &'static str) -> HeaderField {
        HeaderField { offset, bytes, name, meaning }
    }
}

/// Where each number of a header lies.
pub mod field {
    use super::HeaderField;
    /// [`super::MAGIC`].
    pub const MAGIC: HeaderField = HeaderField::new(0, 4, "magic", "`SYSF` in memory");
    /// [`super::VERSION`].
    pub const VERSION: HeaderField = HeaderField::new(4, 2, "version", "1");
    /// Request or answer.
    pub const FLAGS: HeaderField = HeaderField::new(6, 2, "flags", "bit 0: an answer");
    /// Number of the reset since which sequences count.
    pub const EPOCH: HeaderField = HeaderField::new(8, 4, "epoch", "the register EPOCH; answers echo it");
    /// Number of the frame in its epoch.
    pub const SEQUENCE: HeaderField =
        HeaderField::new(12, 4, "sequence", "counted from 0 in each epoch; answers echo it");
    /// Samples in the payload.
    pub const SAMPLES: HeaderField = HeaderField::new(16, 4, "samples", "1 to MAX_SAMPLES; answers echo it");
    /// Bytes behind the header.
    pub const LENGTH: HeaderField =
        HeaderField::new(20, 4, "length", "bytes behind the header: samples x IN_BYTES, in answers x OUT_BYTES");
    /// Hash of the design.
    pub const DESIGN: HeaderField =
        HeaderField::new(24, 4, "design", "word 0 of STRUCTURE_HASH xor word 0 of PARAMETER_HASH");
    /// Reserved.
    pub const NETWORK: HeaderField = HeaderField::new(28, 4, "network", "0");
    /// Errors so far.
    pub const STATUS: HeaderField = HeaderField::new(32, 4, "status", "0; in answers the bits of ERROR");
    /// Reserved.
    pub const RESERVED: HeaderField = HeaderField::new(36, 24, "reserved", "0");
    /// Checksum of everything before.
    pub const CRC: HeaderField = HeaderField::new(60, 4, "crc", "CRC-32 of bytes 0 to 59");
    /// All of them, by offset.
    pub const FIELDS: &[HeaderField] =
        &[MAGIC, VERSION, FLAGS, EPOCH, SEQUENCE, SAMPLES, LENGTH, DESIGN, NETWORK, STATUS, RESERVED, CRC];
}

/// What a header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameHeader {
    /// From the board to the host.
    pub answer: bool,
    /// Number of the reset since which sequences count.
    pub epoch: u32,
    /// Number of the frame in its epoch.
    pub sequence: u32,
    /// Samples in the payload.
    pub samples: u32,
    /// Bytes behind the header.
    pub length: u32,
    /// [`crate::DesignHash::word`].
    pub design: u32,
    /// Reserved, 0.
    pub network: u32,
    /// Bits of the register ERROR in answers, else 0.
    pub status: u32,
}

/// What a receiver expects of the next header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// From the board to the host.
    pub answer: bool,
    /// [`crate::DesignHash::word`].
    pub design: u32,
    /// The current epoch.
    pub epoch: u32,
    /// The next sequence.
    pub sequence: u32,
    /// Bytes of one sample in this direction.
    pub sample_bytes: u32,
    /// Samples that a frame can have.
    pub max_samples: u32,
}

/// Why bytes are no header, or not the one that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than a header has.
    #[error("{0} bytes of a header of {HEADER_BYTES}")]
    Short(usize),
    /// Another first word.
    #[error("header magic {0:#010x}, not {MAGIC:#010x}")]
    Magic(u32),
    /// Another layout.
    #[error("header version {0}, not {VERSION}")]
    Version(u16),
    /// The checksum differs.
    #[error("header CRC {found:#010x}, its bytes give {computed:#010x}")]
    Crc {
        /// In the header.
        found: u32,
        /// Of its bytes.
        computed: u32,
    },
    /// A request where an answer is due, or the reverse.
    #[error("header flags say {}", if *.0 { "answer where a request is due" } else { "request where an answer is due" })]
    Direction(bool),
    /// Another design.
    #[error("header design hash {found:#010x}, not {wanted:#010x}")]
    Design {
        /// In the header.
        found: u32,
        /// Expected.
        wanted: u32,
    },
    /// Another epoch.
    #[error("header epoch {found}, not {wanted}")]
    Epoch {
        /// In the header.
        found: u32,
        /// Expected.
        wanted: u32,
    },
    /// No samples, or too many.
    #[error("header of {found} samples, 1 to {most} can be")]
    Samples {
        /// In the header.
        found: u32,
        /// At most.
        most: u32,
    },
    /// The payload length is not that of the samples.
    #[error("header payload of {found} bytes, {samples} samples take {wanted}")]
    Length {
        /// In the header.
        found: u32,
        /// In the header.
        samples: u32,
        /// What they take.
        wanted: u64,
    },
    /// A frame lost, doubled or out of order.
    #[error("header sequence {found}, not {wanted}")]
    Sequence {
        /// In the header.
        found: u32,
        /// Expected.
        wanted: u32,
    },
}

impl FrameError {
    /// The bit of the register ERROR with which the shell reports it.
    pub const fn error_bit(&self) -> u32 {
        match self {
            FrameError::Short(_)
            | FrameError::Magic(_)
            | FrameError::Version(_)
            | FrameError::Direction(_)
            | FrameError::Samples { .. } => error::HEADER.mask(),
            FrameError::Crc { .. } => error::CRC.mask(),
            FrameError::Design { .. } => error::HASH.mask(),
            FrameError::Epoch { .. } => error::EPOCH.mask(),
            FrameError::Length { .. } => error::LENGTH.mask(),
            FrameError::Sequence { .. } => error::SEQUENCE.mask(),
        }
    }
}

impl FrameHeader {
    /// The header's 64 bytes, checksum included.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let flags = if self.answer { FLAG_ANSWER } else { 0 };
        let words = [
            (field::MAGIC, MAGIC),
            (field::VERSION, u32::from(VERSION) | u32::from(flags) << 16),
            (field::EPOCH, self.epoch),
            (field::SEQUENCE, self.sequence),
            (field::SAMPLES, self.samples),
            (field::LENGTH, self.length),
            (field::DESIGN, self.design),
            (field::NETWORK, self.network),
            (field::STATUS, self.status),
        ];
        for (at, word) in words {
            bytes[at.offset..at.offset + 4].copy_from_slice(&word.to_le_bytes());
        }
        let crc = crc32(&bytes[..field::CRC.offset]);
        bytes[field::CRC.offset..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header at the start of `bytes`.
    ///
    /// # Errors
    /// If there are too few bytes, or magic, version or checksum are wrong. Whether the frame is the
    /// one that is due, [`FrameHeader::validate`] tells.
    pub fn decode(bytes: &[u8]) -> Result<FrameHeader, FrameError> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(FrameError::Short(bytes.len()))?;
        let word = |at: HeaderField| {
            let byte = |index: usize| u32::from(header[at.offset + index]);
            byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24
        };
        let half = |at: HeaderField| u16::from(header[at.offset]) | u16::from(header[at.offset + 1]) << 8;
        if word(field::MAGIC) != MAGIC {
            return Err(FrameError::Magic(word(field::MAGIC)));
        }
        if half(field::VERSION) != VERSION {
            return Err(FrameError::Version(half(field::VERSION)));
        }
        let (found, computed) = (word(field::CRC), crc32(&header[..field::CRC.offset]));
        if found != computed {
            return Err(FrameError::Crc { found, computed });
        }
        Ok(FrameHeader {
            answer: half(field::FLAGS) & FLAG_ANSWER != 0,
            epoch: word(field::EPOCH),
            sequence: word(field::SEQUENCE),
            samples: word(field::SAMPLES),
            length: word(field::LENGTH),
            design: word(field::DESIGN),
            network: word(field::NETWORK),
            status: word(field::STATUS),
        })
    }

    /// Whether this is the header that is due.
    ///
    /// # Errors
    /// The first difference, in the order direction, design, epoch, samples, length, sequence.
    pub fn validate(&self, expected: &Expected) -> Result<(), FrameError> {
        if self.answer != expected.answer {
            return Err(FrameError::Direction(self.answer));
        }
        if self.design != expected.design {
            return Err(FrameError::Design { found: self.design, wanted: expected.design });
        }
        if self.epoch != expected.epoch {
            return Err(FrameError::Epoch { found: self.epoch, wanted: expected.epoch });
        }
        if self.samples == 0 || self.samples > expected.max_samples {
            return Err(FrameError::Samples { found: self.samples, most: expected.max_samples });
        }
        let wanted = u64::from(self.samples) * u64::from(expected.sample_bytes);
        if u64::from(self.length) != wanted {
            return Err(FrameError::Length { found: self.length, samples: self.samples, wanted });
        }
        if self.sequence != expected.sequence {
            return Err(FrameError::Sequence { found: self.sequence, wanted: expected.sequence });
        }
        Ok(())
    }
}

/// The reflected polynomial of IEEE 802.3's CRC-32.
pub const CRC_POLYNOMIAL: u32 = 0xedb8_8320;

/// CRC-32 of IEEE 802.3: reflected, initial value and final inversion all ones.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| crc >> 8 ^ CRC_TABLE[usize::from(crc as u8 ^ byte)])
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ CRC_POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REQUEST: FrameHeader = FrameHeader {
        answer: false,
        epoch: 3,
        sequence: 7,
        samples: 2,
        length: 128,
        design: 0x0102_0304,
        network: 0,
        status: 0,
    };
    const EXPECTED: Expected =
        Expected { answer: false, design: 0x0102_0304, epoch: 3, sequence: 7, sample_bytes: 64, max_samples: 4 };

    #[test]
    fn the_checksum_gives_the_check_value_of_its_catalogue() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn fields_fill_the_header_without_overlap() {
        let mut end = 0;
        for field in field::FIELDS {
            assert_eq!(field.offset, end, "{field:?}");
            end += field.bytes;
        }
        assert_eq!(end, HEADER_BYTES);
    }

    #[test]
    fn a_header_lies_in_memory_as_the_contract_says() {
        let bytes = FrameHeader { answer: true, status: 0x100, ..REQUEST }.encode();
        assert_eq!(&bytes[..4], b"SYSF");
        assert_eq!(bytes[4..12], [1, 0, 1, 0, 3, 0, 0, 0]);
        assert_eq!(bytes[12..28], [7, 0, 0, 0, 2, 0, 0, 0, 128, 0, 0, 0, 4, 3, 2, 1]);
        assert_eq!(bytes[28..36], [0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(bytes[36..60], [0; 24]);
        assert_eq!(bytes[60..], crc32(&bytes[..60]).to_le_bytes());
    }

    #[test]
    fn every_difference_has_its_error_and_the_shells_bit() {
        let cases = [
            (FrameHeader { answer: true, ..REQUEST }, FrameError::Direction(true), 1),
            (FrameHeader { design: 1, ..REQUEST }, FrameError::Design { found: 1, wanted: 0x0102_0304 }, 2),
            (FrameHeader { epoch: 2, ..REQUEST }, FrameError::Epoch { found: 2, wanted: 3 }, 4),
            (FrameHeader { samples: 0, length: 0, ..REQUEST }, FrameError::Samples { found: 0, most: 4 }, 1),
            (FrameHeader { samples: 5, length: 320, ..REQUEST }, FrameError::Samples { found: 5, most: 4 }, 1),
            (FrameHeader { length: 127, ..REQUEST }, FrameError::Length { found: 127, samples: 2, wanted: 128 }, 8),
            (FrameHeader { sequence: 8, ..REQUEST }, FrameError::Sequence { found: 8, wanted: 7 }, 16),
        ];
        assert_eq!(REQUEST.validate(&EXPECTED), Ok(()));
        for (header, error, bit) in cases {
            assert_eq!(header.validate(&EXPECTED), Err(error));
            assert_eq!(error.error_bit(), bit, "{error}");
        }
    }

    #[test]
    fn a_payload_longer_than_32_bits_count_is_no_match_for_what_is_left_of_it() {
        let expected = Expected { sample_bytes: 1 << 31, max_samples: 4, ..EXPECTED };
        let header = FrameHeader { samples: 2, length: 0, ..REQUEST };
        assert_eq!(header.validate(&expected), Err(FrameError::Length { found: 0, samples: 2, wanted: 1 << 32 }));
    }

    proptest! {
        #[test]
        fn decoding_gives_what_was_encoded(
            answer: bool, epoch: u32, sequence: u32, samples: u32, length: u32, design: u32, network: u32, status: u32
        ) {
            let header = FrameHeader { answer, epoch, sequence, samples, length, design, network, status };
            prop_assert_eq!(FrameHeader::decode(&header.encode()), Ok(header));
        }

        #[test]
        fn a_header_with_a_bit_changed_or_cut_short_is_refused(bit in 0usize..512, length in 0usize..64) {
            let mut bytes = REQUEST.encode();
            prop_assert_eq!(FrameHeader::decode(&bytes[..length]), Err(FrameError::Short(length)));
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(FrameHeader::decode(&bytes).is_err());
        }
    }
}
