//! Integer types of tensors and closed integer intervals.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A closed interval `lo..=hi` of integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Range {
    /// Least value.
    pub lo: i64,
    /// Greatest value; never below `lo`.
    pub hi: i64,
}

impl Range {
    /// The interval `lo..=hi`.
    ///
    /// # Panics
    /// If `lo > hi`, which is a bug of the caller.
    pub fn new(lo: i64, hi: i64) -> Self {
        assert!(lo <= hi, "empty range {lo}..={hi}");
        Range { lo, hi }
    }

    /// The single value `v`.
    pub fn point(v: i64) -> Self {
        Range { lo: v, hi: v }
    }

    /// Whether `v` lies in the interval.
    pub fn contains(self, v: i64) -> bool {
        self.lo <= v && v <= self.hi
    }

    /// The least interval that holds both.
    pub fn hull(self, other: Range) -> Range {
        Range { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    /// Whether every value of `other` lies in `self`.
    pub fn contains_range(self, other: Range) -> bool {
        self.lo <= other.lo && other.hi <= self.hi
    }

    /// Bits of the narrowest two's-complement word that holds the interval (at least 1).
    pub fn signed_bits(self) -> u32 {
        let magnitude = |v: i64| 64 - (if v < 0 { !v } else { v }).leading_zeros() + 1;
        magnitude(self.lo).max(magnitude(self.hi))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.lo, self.hi)
    }
}

/// The integer type of a tensor's elements, and so of a stream's lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntType {
    /// Unsigned binary of 1 to 32 bits.
    Unsigned(u32),
    /// Two's complement of 1 to 48 bits.
    Signed(u32),
    /// The two values -1 and +1, stored as the bits 0 and 1.
    Bipolar,
}

impl IntType {
    /// Bits an element takes in a stream or memory.
    pub fn bits(self) -> u32 {
        match self {
            IntType::Unsigned(bits) | IntType::Signed(bits) => bits,
            IntType::Bipolar => 1,
        }
    }

    /// Whether the stored bits are two's complement.
    pub fn is_signed(self) -> bool {
        matches!(self, IntType::Signed(_))
    }

    /// All values of the type (for `Bipolar` the hull of its two values).
    pub fn range(self) -> Range {
        match self {
            IntType::Unsigned(bits) => Range::new(0, (1i64 << bits) - 1),
            IntType::Signed(bits) => Range::new(-(1i64 << (bits - 1)), (1i64 << (bits - 1)) - 1),
            IntType::Bipolar => Range::new(-1, 1),
        }
    }

    /// [`IntType::range`] of a type of supported width: none where a file says otherwise.
    pub fn checked_range(self) -> Option<Range> {
        let supported = match self {
            IntType::Unsigned(bits) => (1..=32).contains(&bits),
            IntType::Signed(bits) => (1..=48).contains(&bits),
            IntType::Bipolar => true,
        };
        supported.then(|| self.range())
    }

    /// Whether the type has the value `v`.
    pub fn contains(self, v: i64) -> bool {
        match self {
            IntType::Bipolar => v == 1 || v == -1,
            _ => self.range().contains(v),
        }
    }

    /// The narrowest `Unsigned` or `Signed` type that holds `range`; unsigned when nothing is negative.
    pub fn smallest_for(range: Range) -> IntType {
        if range.lo >= 0 {
            IntType::Unsigned((64 - range.hi.leading_zeros()).max(1))
        } else {
            IntType::Signed(range.signed_bits())
        }
    }

    /// The stored bits of `value`, zero above [`IntType::bits`]. `value` must be of the type.
    pub fn encode(self, value: i64) -> u64 {
        debug_assert!(self.contains(value), "{value} is not a {self}");
        match self {
            IntType::Bipolar => u64::from(value > 0),
            _ => (value as u64) & (u64::MAX >> (64 - self.bits())),
        }
    }

    /// The value of stored bits; bits above [`IntType::bits`] are ignored.
    pub fn decode(self, stored: u64) -> i64 {
        let shift = 64 - self.bits();
        match self {
            IntType::Unsigned(_) => ((stored << shift) >> shift) as i64,
            IntType::Signed(_) => ((stored << shift) as i64) >> shift,
            IntType::Bipolar => {
                if stored & 1 == 1 {
                    1
                } else {
                    -1
                }
            }
        }
    }
}

impl fmt::Display for IntType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IntType::Unsigned(bits) => write!(f, "uint{bits}"),
            IntType::Signed(bits) => write!(f, "int{bits}"),
            IntType::Bipolar => write!(f, "bipolar"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn widths_outside_the_supported_ones_have_no_range() {
        assert_eq!(IntType::Unsigned(0).checked_range(), None);
        assert_eq!(IntType::Unsigned(64).checked_range(), None);
        assert_eq!(IntType::Signed(49).checked_range(), None);
        assert_eq!(IntType::Signed(8).checked_range(), Some(Range::new(-128, 127)));
    }

    #[test]
    fn signed_bits_are_counted_at_powers_of_two() {
        assert_eq!([Range::new(0, 0), Range::new(-1, 0), Range::new(0, 127)].map(Range::signed_bits), [1, 1, 8]);
        assert_eq!([Range::new(-128, 5), Range::new(-129, 5), Range::new(0, 128)].map(Range::signed_bits), [8, 9, 9]);
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(bits in 1u32..=32, raw in any::<u64>()) {
            for ty in [IntType::Unsigned(bits), IntType::Signed(bits), IntType::Bipolar] {
                let value = ty.decode(raw);
                prop_assert!(ty.contains(value));
                prop_assert_eq!(ty.decode(ty.encode(value)), value);
                prop_assert_eq!(ty.encode(value) >> ty.bits(), 0);
            }
        }

        #[test]
        fn the_smallest_type_holds_its_range_and_no_narrower_one_does(lo in -(1i64 << 40)..(1i64 << 31), width in 0i64..(1 << 31)) {
            let range = Range::new(lo, lo + width);
            let ty = IntType::smallest_for(range);
            prop_assert!(ty.range().contains_range(range));
            let narrower = match ty {
                IntType::Signed(bits) if bits > 1 => IntType::Signed(bits - 1),
                IntType::Unsigned(bits) if bits > 1 => IntType::Unsigned(bits - 1),
                _ => return Ok(()),
            };
            prop_assert!(!narrower.range().contains_range(range));
        }
    }
}
