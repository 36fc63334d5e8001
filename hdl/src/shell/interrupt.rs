//! Interrupts.

use super::flag::up;
use crate::typed::{bit, uint, Expr, HdlError, Module, ModuleBuilder};
use std::sync::Arc;
use systole_bundle::registers::irq;

/// Bits of IRQ_STATUS.
pub(super) const IRQ_BITS: u32 = irq::FIELDS.len() as u32;

/// The register IRQ_STATUS and the interrupt line. Ports: `answer_sent`, `raised` (an error) and
/// `reset_finished`, each for one cycle; `drained`: told to drain and nothing is inside; `occupied`;
/// `coalesce` (0 is taken as 1), `mask`, `clear`; `status` and `irq`.
///
/// ANSWER is set when `coalesce` answers have left since it was set last, and when the last answer
/// inside has left: coalescing delays no answer that nothing follows.
pub(super) fn module() -> Result<Arc<Module>, HdlError> {
    let mut m = ModuleBuilder::new("shell_interrupt");
    m.comment("Interrupts: answers (coalesced while more are inside), errors, drained or reset.");
    let answer_sent = m.input("answer_sent", bit());
    let raised = m.input("raised", bit());
    let reset_finished = m.input("reset_finished", bit());
    let drained = m.input("drained", bit());
    let inside = m.input("occupied", bit());
    let coalesce = m.input("coalesce", uint(32));
    let mask = m.input("mask", uint(IRQ_BITS));
    let clear = m.input("clear", uint(IRQ_BITS));
    let status = m.output_register("status", uint(IRQ_BITS));
    let line = m.output_register("irq", bit());

    let untold = m.register("untold_answers", uint(32));
    m.reset(untold, 0);
    let more = m.let_("more", up(untold));
    let enough = answer_sent & more.expr().ge(coalesce);
    let last = !answer_sent & !inside & untold.expr().ne(Expr::zero(untold.ty()));
    let tell = m.let_("tell", enough | last);
    m.clock_if(untold, answer_sent | tell, Expr::mux(tell, Expr::zero(untold.ty()), more));
    let was_drained = m.register("was_drained", bit());
    m.reset(was_drained, 0);
    m.clock(was_drained, drained);

    let done = reset_finished | (drained & !was_drained);
    let set = |at: u32| match at {
        _ if at == irq::ANSWER.low => tell.expr(),
        _ if at == irq::ERROR.low => raised.expr(),
        _ => done.clone(),
    };
    let set = m.let_("set", Expr::concat(&(0..IRQ_BITS).rev().map(set).collect::<Vec<_>>()));
    m.reset(status, 0);
    m.clock(status, (status & !clear) | set);
    m.reset(line, 0);
    m.clock(line, (status & mask).reduce_or());
    m.build()
}
