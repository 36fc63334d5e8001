//! Types of signals and expressions: a width and a sign.

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::{One, Signed, Zero};
use std::fmt;

/// Type of a signal or an expression: an integer of `width` bits, two's complement if `signed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HwType {
    /// Bits, at least 1.
    pub width: u32,
    /// Whether the uppermost bit weighs `-2^(width - 1)`.
    pub signed: bool,
}

/// Unsigned integer of `width` bits.
///
/// # Panics
/// If `width` is 0.
pub fn uint(width: u32) -> HwType {
    HwType { width, signed: false }.checked()
}

/// Two's-complement integer of `width` bits.
///
/// # Panics
/// If `width` is 0.
pub fn sint(width: u32) -> HwType {
    HwType { width, signed: true }.checked()
}

/// A single bit: `uint(1)`.
pub fn bit() -> HwType {
    uint(1)
}

/// Bits of an address that reaches `depth` words: ceil(log2 depth), at least 1.
pub fn address_bits(depth: usize) -> u32 {
    (usize::BITS - depth.saturating_sub(1).leading_zeros()).max(1)
}

impl HwType {
    /// The type itself.
    ///
    /// # Panics
    /// If it has no bits: a bug of the hardware's author.
    pub(crate) fn checked(self) -> Self {
        assert!(self.width > 0, "a signal of 0 bits; leave it out or give it one bit");
        self
    }

    /// Least value.
    pub fn min(self) -> BigInt {
        if self.signed {
            -(BigInt::one() << (self.width - 1))
        } else {
            BigInt::zero()
        }
    }

    /// Greatest value.
    pub fn max(self) -> BigInt {
        (BigInt::one() << (self.width - u32::from(self.signed))) - 1
    }

    /// Whether the type holds `value`.
    pub fn contains(self, value: &BigInt) -> bool {
        self.min() <= *value && *value <= self.max()
    }

    /// The stored bits of `value` modulo `2^width`.
    pub fn bits_of(self, value: &BigInt) -> BigUint {
        let modulus = BigInt::one() << self.width;
        let wrapped = ((value % &modulus) + &modulus) % &modulus;
        wrapped.magnitude().clone()
    }

    /// The value of stored bits, which must fit the width.
    pub fn value_of(self, bits: &BigUint) -> BigInt {
        let value = BigInt::from_biguint(Sign::Plus, bits.clone());
        if self.signed && bits.bit(u64::from(self.width - 1)) {
            value - (BigInt::one() << self.width)
        } else {
            value
        }
    }

    /// Whether `value` is the least one and negative, which has no positive counterpart.
    pub(crate) fn is_most_negative(self, value: &BigInt) -> bool {
        value.is_negative() && *value == self.min()
    }
}

impl fmt::Display for HwType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.signed { 's' } else { 'u' }, self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_bits_and_values_are_inverse_over_the_whole_range() {
        for ty in [uint(1), sint(1), uint(5), sint(5)] {
            let mut value = ty.min();
            while value <= ty.max() {
                assert_eq!(ty.value_of(&ty.bits_of(&value)), value, "{ty}");
                value += 1;
            }
        }
    }

    #[test]
    fn addresses_reach_every_word_and_have_at_least_one_bit() {
        for (depth, bits) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (1024, 10), (1025, 11)] {
            assert_eq!(address_bits(depth), bits, "{depth} words");
        }
    }

    #[test]
    #[should_panic(expected = "0 bits")]
    fn a_type_without_bits_is_refused() {
        uint(0);
    }
}
