//! Stored elements as numbers.

use crate::typed::{sint, Expr};
use systole_arith::IntType;

/// Two's-complement bits that hold every number of a type.
pub(super) fn number_bits(ty: IntType) -> u32 {
    ty.range().signed_bits()
}

/// The number behind stored bits, in [`number_bits`]: an unsigned one gains a bit, a sign becomes -1 or 1.
pub(super) fn number(stored: &Expr, ty: IntType) -> Expr {
    match ty {
        IntType::Signed(_) => stored.as_signed(),
        IntType::Unsigned(bits) => stored.extend(bits + 1).as_signed(),
        IntType::Bipolar => Expr::mux(stored, Expr::lit(sint(2), 1), Expr::lit(sint(2), -1)),
    }
}
