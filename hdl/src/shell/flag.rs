//! One-bit registers that are set and cleared, and numbers that count.

use crate::typed::{bit, Expr, ModuleBuilder, Signal};

/// A flag that `set` sets and, where it does not, `clear` clears. Reset to 0.
pub(super) fn flag(m: &mut ModuleBuilder, name: &str, set: impl Into<Expr>, clear: impl Into<Expr>) -> Signal {
    let flag = m.register(name, bit());
    m.reset(flag, 0);
    drive_flag(m, flag, set, clear);
    flag
}

/// Drives a register as [`flag`] does.
pub(super) fn drive_flag(m: &mut ModuleBuilder, flag: Signal, set: impl Into<Expr>, clear: impl Into<Expr>) {
    let (set, clear) = (set.into(), clear.into());
    m.clock_if(flag, set.or(clear), set);
}

/// `value` plus 1, modulo its width.
pub(super) fn up(value: Signal) -> Expr {
    value + Expr::lit(value.ty(), 1)
}

/// A constant bit.
pub(super) fn constant(value: bool) -> Expr {
    Expr::lit(bit(), u8::from(value))
}
