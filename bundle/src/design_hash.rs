//! The hashes by which driver and board recognise each other.

use crate::manifest::Manifest;
use std::fmt;

/// The first 128 bits of the manifest's two hashes, as the register words hold them: word `k` holds
/// bytes `4k` to `4k + 3`, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DesignHash {
    /// Of the hardware's structure.
    pub structure: [u32; 4],
    /// Of the parameters.
    pub parameter: [u32; 4],
}

impl DesignHash {
    /// The hashes of a manifest; none if they are not hexadecimal numbers of at least 128 bits.
    pub fn of(manifest: &Manifest) -> Option<DesignHash> {
        Some(DesignHash { structure: words(&manifest.structure_hash)?, parameter: words(&manifest.parameter_hash)? })
    }

    /// The 32 bits that each frame header carries.
    pub const fn word(&self) -> u32 {
        self.structure[0] ^ self.parameter[0]
    }
}

/// As the manifest writes them, in hexadecimal, first byte first.
impl fmt::Display for DesignHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |words: [u32; 4]| words.map(|word| format!("{:08x}", word.swap_bytes())).concat();
        write!(f, "structure {} parameters {}", hex(self.structure), hex(self.parameter))
    }
}

fn words(hex: &str) -> Option<[u32; 4]> {
    let mut words = [0; 4];
    for (index, word) in words.iter_mut().enumerate() {
        let digits = hex.get(8 * index..8 * index + 8).filter(|text| text.bytes().all(|c| c.is_ascii_hexdigit()))?;
        *word = u32::from_str_radix(digits, 16).ok()?.swap_bytes();
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_of_a_hash_is_the_lowest_byte_of_the_first_word() {
        assert_eq!(
            words("000102030405060708090a0b0c0d0e0f10"),
            Some([0x0302_0100, 0x0706_0504, 0x0b0a_0908, 0x0f0e_0d0c])
        );
    }

    #[test]
    fn what_is_no_hash_is_none() {
        assert_eq!(words(""), None);
        assert_eq!(words("000102030405060708090a0b0c0d0e"), None);
        assert_eq!(words("+00102030405060708090a0b0c0d0e0f"), None);
        assert_eq!(words("0001020é0405060708090a0b0c0d0e0f"), None);
    }

    #[test]
    fn a_hash_is_shown_as_the_manifest_writes_it() {
        let words = words("000102030405060708090a0b0c0d0e0f").unwrap();
        let hash = DesignHash { structure: words, parameter: [1, 0, 0, 0] };
        assert_eq!(
            hash.to_string(),
            "structure 000102030405060708090a0b0c0d0e0f parameters 01000000000000000000000000000000"
        );
        assert_eq!(hash.word(), 0x0302_0101);
    }
}
