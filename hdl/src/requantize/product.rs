//! Products wider than a hardware multiplier, split into partial products.

use super::interval::Interval;
use super::sum::Term;
use crate::cells::Cells;

/// A slice of a two's-complement operand that fits one multiplier port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Least significant bit.
    pub lo: u32,
    pub bits: u32,
    /// Whether it carries the operand's sign: only the uppermost.
    pub signed: bool,
}

impl Chunk {
    /// Splits an operand of `bits` bits for a signed port of `port` bits: a chunk without sign has
    /// one bit less, since the port's sign bit stays 0.
    fn split(bits: u32, port: u32) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let mut lo = 0;
        while bits - lo > port {
            chunks.push(Chunk { lo, bits: port - 1, signed: false });
            lo += port - 1;
        }
        chunks.push(Chunk { lo, bits: bits - lo, signed: true });
        chunks
    }

    /// Values of the chunk of an operand in `operand`.
    fn interval(self, operand: Interval) -> Interval {
        match self.signed {
            true => operand.shifted_right(self.lo),
            false => Interval { lo: 0, hi: (1i128 << self.bits) - 1 },
        }
    }
}

/// One hardware multiplier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partial {
    pub raw: Chunk,
    pub constant: Chunk,
    /// Values of the product.
    pub interval: Interval,
}

impl Partial {
    /// The product as a term that is there at `ready`, in a sum of `width` bits.
    pub fn term(&self, ready: u64, width: u32) -> Term {
        let shift = self.raw.lo + self.constant.lo;
        let room = width.saturating_sub(shift).max(1);
        let interval = match self.interval.signed_bits() <= room {
            true => self.interval,
            false => Interval::of_signed(room),
        };
        Term { shift, interval, bits: interval.signed_bits(), ready }
    }
}

/// How `raw * M` is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Factor {
    /// Every M is 0.
    Zero,
    /// Every M is the same power of two.
    PowerOfTwo(u32),
    /// Partial products, at most one for each pair of chunks.
    Multiply(Vec<Partial>),
}

impl Factor {
    /// The fewest multipliers for a raw accumulator in `raw` and multipliers in `constants`,
    /// whichever operand takes the wider port.
    pub fn new(raw: Interval, constants: Interval, cells: &Cells) -> Self {
        let only = (constants.lo == constants.hi).then_some(constants.lo);
        match only {
            Some(0) => return Factor::Zero,
            Some(m) if m > 0 && m & (m - 1) == 0 => return Factor::PowerOfTwo(m.trailing_zeros()),
            _ => {}
        }
        let (wide, narrow) = (cells.multiplier_a_bits, cells.multiplier_b_bits);
        let split = |raw_port, constant_port| {
            let mut partials = Vec::new();
            for &constant in &Chunk::split(constants.signed_bits(), constant_port) {
                for &chunk in &Chunk::split(raw.signed_bits(), raw_port) {
                    let interval = chunk.interval(raw).times(constant.interval(constants));
                    partials.push(Partial { raw: chunk, constant, interval });
                }
            }
            partials
        };
        let (one, other) = (split(wide, narrow), split(narrow, wide));
        Factor::Multiply(if other.len() < one.len() { other } else { one })
    }

    /// Multipliers used.
    pub fn multipliers(&self) -> u64 {
        match self {
            Factor::Multiply(partials) => partials.len() as u64,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(raw_bits: u32, constant: i128, cells: &Cells) -> u64 {
        Factor::new(Interval::of_signed(raw_bits), Interval { lo: 0, hi: constant }, cells).multipliers()
    }

    #[test]
    fn chunks_that_the_widths_do_not_need_are_dropped() {
        let cells = Cells::default();
        assert_eq!(count(18, (1 << 17) - 1, &cells), 1);
        assert_eq!(count(19, (1 << 17) - 1, &cells), 2);
        assert_eq!(count(24, (1 << 21) - 1, &cells), 4);
        assert_eq!(count(36, (1 << 21) - 1, &cells), 6);
    }

    #[test]
    fn the_wider_port_takes_the_operand_that_saves_multipliers() {
        let cells = Cells { multiplier_a_bits: 25, multiplier_b_bits: 18, ..Cells::default() };
        assert_eq!(count(24, (1 << 17) - 1, &cells), 1);
        assert_eq!(count(16, (1 << 24) - 1, &cells), 1);
        assert_eq!(count(24, (1 << 20) - 1, &cells), 2);
    }

    #[test]
    fn a_common_power_of_two_needs_no_multiplier() {
        let factor = Factor::new(Interval::of_signed(12), Interval::point(4), &Cells::default());
        assert_eq!(factor, Factor::PowerOfTwo(2));
    }

    #[test]
    fn chunks_put_together_are_the_operand() {
        for bits in 1..70 {
            for port in 2..20 {
                let chunks = Chunk::split(bits, port);
                assert_eq!(chunks.iter().map(|chunk| chunk.bits).sum::<u32>(), bits);
                let port_bits = |chunk: &Chunk| chunk.bits + u32::from(!chunk.signed);
                assert!(chunks.iter().all(|chunk| port_bits(chunk) <= port), "{bits} bits on a {port}-bit port");
            }
        }
    }
}
