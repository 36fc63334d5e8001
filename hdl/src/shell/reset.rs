//! The soft reset.

use super::flag::{drive_flag, up};
use crate::typed::{bit, uint, Expr, HdlError, Module, ModuleBuilder};
use std::sync::Arc;

/// Bits of the counter of quiet cycles: the reset lasts until the input has been quiet for
/// 2^`QUIET_BITS` cycles.
const QUIET_BITS: u32 = 6;

/// The soft reset. Ports: `request` (for one cycle), `in_valid` of the input stream; `resetting`,
/// while which core, parser and builder are in reset and what arrives is discarded; `done`: the last
/// one is complete; `finished`, for one cycle.
///
/// It ends when nothing has arrived for 64 cycles, so that a transfer which was held up in front of
/// a halted shell is gone before the next frame is looked for.
pub(super) fn module() -> Result<Arc<Module>, HdlError> {
    let mut m = ModuleBuilder::new("shell_reset");
    m.comment(format!("Soft reset: from a request until the input has been quiet for {} cycles.", 1 << QUIET_BITS));
    let request = m.input("request", bit());
    let in_valid = m.input("in_valid", bit());
    let resetting = m.output_register("resetting", bit());
    let done = m.output_register("done", bit());
    let finished = m.output("finished", bit());
    let quiet = m.register("quiet_cycles", uint(QUIET_BITS));
    m.reset(quiet, 0);
    let restarts = m.let_("restarts", request | in_valid);
    let zero = Expr::zero(quiet.ty());
    m.clock_if(quiet, resetting | request, Expr::mux(restarts, zero, up(quiet)));
    let ends = m.let_("ends", resetting & !restarts & quiet.expr().reduce_and());
    m.reset(resetting, 0);
    drive_flag(&mut m, resetting, request, ends);
    m.reset(done, 0);
    drive_flag(&mut m, done, ends, request);
    m.assign(finished, ends);
    m.build()
}
