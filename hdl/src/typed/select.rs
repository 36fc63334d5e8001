//! Selecting, joining, extending and reinterpreting bits: checks, and simplification of what selects
//! from a selection.

use super::expr::{Expr, Op};
use super::ops::{flag, ones};
use super::types::address_bits;
use super::{bit, sint, uint, HwType};

/// Parts of a concatenation, with neighbouring bits of one signal, and neighbouring constants, in one.
fn joined(parts: Vec<Expr>) -> Vec<Expr> {
    let mut out: Vec<Expr> = Vec::with_capacity(parts.len());
    for part in parts {
        let width = part.ty().width;
        let merged = out.last().and_then(|above| match (above.as_part(), part.as_part()) {
            (Some((high, at)), Some((low, lo))) if high == low && at == lo + width => {
                Some(high.expr().slice(lo, above.ty().width + width))
            }
            _ => match (above.as_literal(), part.as_literal()) {
                (Some(high), Some(low)) => Some(Expr::literal(uint(above.ty().width + width), (high << width) | low)),
                _ => None,
            },
        });
        match (merged, out.last_mut()) {
            (Some(merged), Some(last)) => *last = merged,
            _ => out.push(part),
        }
    }
    out
}

impl Expr {
    /// Bits `lo..lo + width`, unsigned.
    ///
    /// # Panics
    /// If they are not all there.
    pub fn slice(&self, lo: u32, width: u32) -> Expr {
        let ty = self.ty();
        assert!(
            width > 0 && u64::from(lo) + u64::from(width) <= u64::from(ty.width),
            "slice of {width} bits from bit {lo} of {ty} {self:?}"
        );
        if width == ty.width {
            return self.as_unsigned();
        }
        match self.op() {
            Op::Literal(bits) => Expr::literal(uint(width), (bits >> lo) & ones(width)),
            Op::Slice { of, lo: inner } => of.slice(inner + lo, width),
            Op::Reinterpret(of) => of.slice(lo, width),
            Op::Extend(of) => {
                let (ty, narrow) = (of.ty(), of.ty().width);
                let fill = |part: Expr| if ty.signed { part.as_signed() } else { part };
                match () {
                    _ if lo + width <= narrow => of.slice(lo, width),
                    _ if lo < narrow => fill(of.slice(lo, narrow - lo)).extend(width).as_unsigned(),
                    _ if ty.signed => of.msb().as_signed().extend(width).as_unsigned(),
                    _ => Expr::zero(uint(width)),
                }
            }
            Op::ShiftRight(of, by) if lo + by + width <= ty.width => of.slice(lo + by, width),
            Op::Concat(parts) => {
                let mut low = 0;
                for part in parts.iter().rev() {
                    let end = low + part.ty().width;
                    if low <= lo && lo + width <= end {
                        return part.slice(lo - low, width);
                    }
                    low = end;
                }
                Expr::node(uint(width), Op::Slice { of: self.clone(), lo })
            }
            _ => Expr::node(uint(width), Op::Slice { of: self.clone(), lo }),
        }
    }

    /// Bit `index`.
    ///
    /// # Panics
    /// If there is no such bit.
    pub fn bit(&self, index: u32) -> Expr {
        self.slice(index, 1)
    }

    /// The uppermost bit: the sign of a signed value.
    pub fn msb(&self) -> Expr {
        self.bit(self.ty().width - 1)
    }

    /// The bit that `index` chooses, 0 where there is none.
    ///
    /// # Panics
    /// If `index` is not unsigned with exactly ceil(log2 width) bits (at least 1).
    pub fn index(&self, index: impl Into<Expr>) -> Expr {
        let index = index.into();
        let want = uint(address_bits(self.ty().width as usize));
        assert!(index.ty() == want, "index of {} into {}, which takes {want}", index.ty(), self.ty());
        match index.as_literal().map(|bits| bits.iter_u32_digits().next().unwrap_or(0)) {
            Some(at) if at < self.ty().width => self.bit(at),
            Some(_) => flag(false),
            None => Expr::node(bit(), Op::Index { of: self.clone(), index }),
        }
    }

    /// Concatenation, uppermost first: unsigned, as wide as all together.
    ///
    /// # Panics
    /// If there are no parts.
    pub fn concat<E: Into<Expr> + Clone>(parts: &[E]) -> Expr {
        let parts: Vec<Expr> = parts.iter().cloned().map(Into::into).collect();
        assert!(!parts.is_empty(), "concatenation of nothing");
        let parts = joined(parts);
        if let [part] = parts.as_slice() {
            return part.as_unsigned();
        }
        let width = parts.iter().map(|part| part.ty().width).sum();
        Expr::node(uint(width), Op::Concat(parts))
    }

    /// The same value in `width` bits of the same sign: sign or zero extension.
    ///
    /// # Panics
    /// If `width` is less than its own.
    pub fn extend(&self, width: u32) -> Expr {
        let ty = self.ty();
        assert!(width >= ty.width, "extension of {ty} to {width} bits; truncate it");
        let wide = HwType { width, ..ty };
        match self.op() {
            _ if width == ty.width => self.clone(),
            Op::Literal(bits) => Expr::literal(wide, wide.bits_of(&ty.value_of(bits))),
            Op::Extend(of) if of.ty().signed == ty.signed => of.extend(width),
            _ => Expr::node(wide, Op::Extend(self.clone())),
        }
    }

    /// The lower `width` bits, of the same sign: the value modulo `2^width`.
    ///
    /// # Panics
    /// If `width` is more than its own.
    pub fn truncate(&self, width: u32) -> Expr {
        let low = self.slice(0, width);
        if self.ty().signed {
            low.as_signed()
        } else {
            low
        }
    }

    /// The same bits, read as two's complement.
    pub fn as_signed(&self) -> Expr {
        self.reinterpret(sint(self.ty().width))
    }

    /// The same bits, read as unsigned.
    pub fn as_unsigned(&self) -> Expr {
        self.reinterpret(uint(self.ty().width))
    }

    pub(super) fn reinterpret(&self, ty: HwType) -> Expr {
        match self.op() {
            _ if self.ty() == ty => self.clone(),
            Op::Literal(bits) => Expr::literal(ty, bits.clone()),
            Op::Reinterpret(of) => of.reinterpret(ty),
            _ => Expr::node(ty, Op::Reinterpret(self.clone())),
        }
    }
}
