//! Credits: answers that the host has room for.

use crate::typed::{bit, uint, Expr, HdlError, Module, ModuleBuilder};
use std::sync::Arc;

/// The register OUT_CREDIT. Ports: `add` (0 where nothing was written), `limits`: answers need
/// credit; `spend`: an answer begins; `restart` by a soft reset; `left`, `allowed`: an answer may
/// begin; `overflow`, for one cycle: an addition went beyond 32 bits and was refused.
pub(super) fn module() -> Result<Arc<Module>, HdlError> {
    let mut m = ModuleBuilder::new("shell_credit");
    m.comment("Credits: each answer takes one, where they limit answers. A soft reset takes all.");
    let add = m.input("add", uint(32));
    let limits = m.input("limits", bit());
    let spend = m.input("spend", bit());
    let restart = m.input("restart", bit());
    let left = m.output_register("left", uint(32));
    let allowed = m.output("allowed", bit());
    let overflow = m.output("overflow", bit());
    let spent = m.let_("spent", left - (spend & limits).extend(32));
    let sum = m.let_("sum", spent.expr().extend(33) + add.expr().extend(33));
    m.assign(overflow, sum.expr().msb() & !restart);
    m.reset(left, 0);
    let kept = Expr::mux(overflow, spent, sum.expr().truncate(32));
    m.clock(left, Expr::mux(restart, Expr::zero(uint(32)), kept));
    m.assign(allowed, !limits | left.expr().ne(Expr::zero(uint(32))));
    m.build()
}
