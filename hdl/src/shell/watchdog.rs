//! The watchdog.

use super::flag::up;
use crate::typed::{bit, uint, Expr, HdlError, Module, ModuleBuilder};
use std::sync::Arc;

/// The watchdog. Ports: `limit` in cycles (0: off), `occupied`: there is work, `moved`: a beat moved
/// somewhere, `halted`; `expired`, for one cycle: there has been work and no beat for `limit` cycles.
pub(super) fn module() -> Result<Arc<Module>, HdlError> {
    let mut m = ModuleBuilder::new("shell_watchdog");
    m.comment("Watchdog: counts the cycles in a row with work inside in which no beat moved.");
    let limit = m.input("limit", uint(32));
    let inside = m.input("occupied", bit());
    let moved = m.input("moved", bit());
    let halted = m.input("halted", bit());
    let expired = m.output("expired", bit());
    let still = m.register("still_cycles", uint(32));
    m.reset(still, 0);
    let reached = m.let_("reached", still.expr().ge(limit) & limit.expr().ne(Expr::zero(limit.ty())));
    let waiting = m.let_("waiting", inside & !moved & !halted & !reached);
    m.clock(still, Expr::mux(waiting, up(still), Expr::zero(still.ty())));
    m.assign(expired, reached & !halted);
    m.build()
}
