//! What went wrong.

use super::flag::drive_flag;
use super::parser::ERROR_BITS;
use crate::typed::{bit, uint, Expr, HdlError, Module, ModuleBuilder};
use std::sync::Arc;
use systole_bundle::registers::error;

/// The registers ERROR and FIRST_ERROR_SEQ. Ports: `fault` of the parser, at `sequence_number`; `expired` of
/// the watchdog, while the oldest frame is `oldest`; `overflow` of the credits; `clear`: bits of ERROR
/// to clear; `restart` by a soft reset; `error`, `first_sequence`, `halted` until the restart, and
/// `raised`, for one cycle, with a fault.
pub(super) fn module() -> Result<Arc<Module>, HdlError> {
    let mut m = ModuleBuilder::new("shell_errors");
    m.comment("Errors: bits stay until they are cleared, and each halts the shell until a soft reset.");
    let fault = m.input("fault", uint(ERROR_BITS));
    let sequence = m.input("sequence_number", uint(32));
    let expired = m.input("expired", bit());
    let oldest = m.input("oldest", uint(32));
    let overflow = m.input("overflow", bit());
    let clear = m.input("clear", uint(ERROR_BITS));
    let restart = m.input("restart", bit());
    let errors = m.output_register("error", uint(ERROR_BITS));
    let first = m.output_register("first_sequence", uint(32));
    let halted = m.output_register("halted", bit());
    let raised = m.output("raised", bit());

    let other = |at: u32| match at {
        _ if at == error::WATCHDOG.low => fault.expr().bit(at) | expired,
        _ if at == error::OVERFLOW.low => fault.expr().bit(at) | overflow,
        _ => fault.expr().bit(at),
    };
    let faults = m.let_("faults", Expr::concat(&(0..ERROR_BITS).rev().map(other).collect::<Vec<_>>()));
    let any = m.let_("any_fault", faults.expr().reduce_or());
    m.assign(raised, any);
    m.reset(errors, 0);
    m.clock(errors, (errors & !clear) | faults);
    m.reset(first, 0);
    let of_parser = fault.expr().reduce_or();
    m.clock_if(first, any & errors.expr().is_zero(), Expr::mux(of_parser, sequence, oldest));
    m.reset(halted, 0);
    drive_flag(&mut m, halted, any & !restart, restart);
    m.build()
}
