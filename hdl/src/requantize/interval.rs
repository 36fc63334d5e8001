//! Intervals of intermediate values, wide enough for any product of two 64-bit numbers.

use systole_arith::Range;

/// A closed interval `lo..=hi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub lo: i128,
    pub hi: i128,
}

impl Interval {
    pub fn point(value: i128) -> Self {
        Interval { lo: value, hi: value }
    }

    /// All two's-complement words of `bits` bits.
    pub fn of_signed(bits: u32) -> Self {
        Interval { lo: -(1i128 << (bits - 1)), hi: (1i128 << (bits - 1)) - 1 }
    }

    /// Least interval that holds all `values`; the point 0 if there are none.
    pub fn hull_of(values: impl IntoIterator<Item = i64>) -> Self {
        let hull = values.into_iter().fold(None, |hull: Option<Interval>, value| {
            let point = Interval::point(i128::from(value));
            Some(hull.map_or(point, |hull| hull.hull(point)))
        });
        hull.unwrap_or(Interval::point(0))
    }

    pub fn hull(self, other: Interval) -> Interval {
        Interval { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    pub fn plus(self, other: Interval) -> Interval {
        Interval { lo: self.lo + other.lo, hi: self.hi + other.hi }
    }

    pub fn times(self, other: Interval) -> Interval {
        let corners = [self.lo * other.lo, self.lo * other.hi, self.hi * other.lo, self.hi * other.hi];
        corners.into_iter().map(Interval::point).reduce(Interval::hull).unwrap_or(self)
    }

    pub fn shifted_left(self, bits: u32) -> Interval {
        Interval { lo: self.lo << bits, hi: self.hi << bits }
    }

    pub fn shifted_right(self, bits: u32) -> Interval {
        Interval { lo: self.lo >> bits, hi: self.hi >> bits }
    }

    pub fn contains_interval(self, other: Interval) -> bool {
        self.lo <= other.lo && other.hi <= self.hi
    }

    /// Bits of the narrowest two's-complement word that holds the interval, at least 1.
    pub fn signed_bits(self) -> u32 {
        let bits = |v: i128| 128 - (if v < 0 { !v } else { v }).leading_zeros() + 1;
        bits(self.lo).max(bits(self.hi))
    }
}

impl From<Range> for Interval {
    fn from(range: Range) -> Self {
        Interval { lo: i128::from(range.lo), hi: i128::from(range.hi) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_the_narrowest_that_hold_both_ends() {
        for (lo, hi, bits) in
            [(0, 0, 1), (-1, 0, 1), (0, 1, 2), (-2, 1, 2), (-128, 127, 8), (-129, 127, 9), (0, 128, 9)]
        {
            assert_eq!(Interval { lo, hi }.signed_bits(), bits, "{lo}..={hi}");
        }
    }

    #[test]
    fn products_take_the_extreme_corners() {
        let product = Interval { lo: -3, hi: 2 }.times(Interval { lo: -5, hi: 7 });
        assert_eq!(product, Interval { lo: -21, hi: 15 });
    }
}
