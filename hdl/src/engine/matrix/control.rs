//! Fold control of the matrix engine: replay addresses, fold counters, credits.

use super::MatrixSpec;
use crate::engine::results::CreditGate;
use crate::stream::bits_for;
use crate::typed::{bit, uint, Expr, HdlError, Module, ModuleBuilder, Signal};
use std::sync::Arc;

/// The control of a matrix engine whose results become output beats of `lanes` elements.
#[derive(Clone, Debug)]
pub(crate) struct ControlSpec<'a> {
    /// The engine.
    pub matrix: &'a MatrixSpec,
    /// Room for its results.
    pub gate: CreditGate<'a>,
}

/// A counter that runs from 0 to `count - 1` and wraps.
pub(crate) struct Wrapping {
    pub value: Signal,
    pub at_last: Expr,
}

impl ControlSpec<'_> {
    /// Address bits of the replay buffer.
    pub fn replay_address_bits(&self) -> u32 {
        bits_for(self.matrix.replay_depth() as u64 - 1)
    }

    /// Address bits of the weights.
    pub fn weight_address_bits(&self) -> u32 {
        bits_for(self.matrix.cycles_per_step() - 1)
    }

    /// The block. Ports: `in_valid`, `in_ready`, `credit` (an output beat was taken), `write`,
    /// `write_address`, `issue`, `first`, `last`, `read_address`, `weight_address`.
    ///
    /// # Errors
    /// If the module breaks a guarantee of the typed layer: our bug.
    pub fn module(&self) -> Result<Arc<Module>, HdlError> {
        let matrix = self.matrix;
        let (groups, folds, depth) = (matrix.groups(), matrix.folds(), matrix.replay_depth());
        let mut m = ModuleBuilder::new(format!(
            "fold_control_m{}_pe{}_f{folds}_h{}_{}",
            matrix.outputs,
            matrix.pe,
            matrix.hops(),
            self.gate.suffix()
        ));
        m.comment(format!("Starts folds: {groups} groups of {folds} folds a pixel, replayed from {depth} entries."));
        m.comment("A fold starts unless its input is missing or, at the start of a group, the");
        m.comment(format!("group's output beats of {} elements have no room behind the stage.", self.gate.lanes));
        let in_valid = m.input("in_valid", bit());
        let in_ready = m.output("in_ready", bit());
        let returned = credit_inputs(&mut m, self.gate.depths.len());

        let replay_type = uint(self.replay_address_bits());
        let fold = counter(&mut m, "fold", folds);
        let group = counter(&mut m, "group", groups);
        let first_fold = m.let_("first_fold", is_zero(&fold));
        let last_fold = m.let_("last_fold", fold.at_last.clone());
        let first_group = m.let_("first_group", is_zero(&group));
        let last_group = m.let_("last_group", group.at_last.clone());

        // Entries that the first group has yet to read, and entries that can be overwritten.
        let level_type = uint(bits_for(depth as u64));
        let present = m.register("present", level_type);
        let space = m.register("space", level_type);
        m.reset(present, 0);
        m.reset(space, depth as u64);
        let zero = Expr::lit(level_type, 0);
        let room = m.let_("room", space.expr().ne(&zero));
        m.assign(in_ready, room.expr());
        let write = m.let_("write_beat", in_valid.expr().and(room.expr()));

        let gate = self.gate.build(&mut m, &returned, &last_group.expr());
        let supplied = first_group.expr().not().or(present.expr().ne(&zero));
        let issue = m.let_("issue_fold", supplied.and(first_fold.expr().not().or(&gate.funded)));

        let starts = m.let_("starts_group", issue.expr().and(first_fold.expr()));
        let ends = m.let_("ends_group", issue.expr().and(last_fold.expr()));
        gate.spend(&mut m, &starts.expr());

        let reads = m.let_("reads_new", issue.expr().and(first_group.expr()));
        up_down(&mut m, present, write, reads);
        let frees = m.let_("frees", issue.expr().and(last_group.expr()));
        // The last hop reads an entry so many cycles after the fold has started.
        let freed = delay(&mut m, "freed", frees, matrix.hops() - 1, true);
        up_down(&mut m, space, freed, write);

        advance(&mut m, &fold, issue.expr());
        advance(&mut m, &group, ends.expr());
        let write_address = counter(&mut m, "next_write", depth);
        advance(&mut m, &write_address, write.expr());

        let read = m.register("next_read", replay_type);
        m.reset(read, 0);
        let at = |value: usize| Expr::lit(replay_type, value as i64);
        let following = match depth.is_power_of_two() {
            true => read.expr().add(at(1)),
            false => Expr::mux(read.expr().eq(at(depth - 1)), at(0), read.expr().add(at(1))),
        };
        let following = m.let_("following_read", following);
        let next_read = match groups {
            1 => following.expr(),
            _ => {
                // The first entry of the pixel, to which every group but the last returns.
                let base = m.register("pixel_base", replay_type);
                m.reset(base, 0);
                let pixel_ends = ends.expr().and(last_group.expr());
                m.clock_if(base, pixel_ends, following.expr());
                let returns = last_fold.expr().and(last_group.expr().not());
                Expr::mux(&returns, base.expr(), following.expr())
            }
        };
        m.clock_if(read, issue.expr(), next_read);
        let weight = counter(&mut m, "next_weight", groups * folds);
        advance(&mut m, &weight, issue.expr());

        for (name, value) in [
            ("write", write.expr()),
            ("write_address", write_address.value.expr()),
            ("issue", issue.expr()),
            ("first", first_fold.expr()),
            ("last", last_fold.expr()),
            ("read_address", read.expr()),
            ("weight_address", weight.value.expr()),
        ] {
            let port = m.output(name, value.ty());
            m.assign(port, value);
        }
        m.build()
    }
}

/// The inputs that tell when a beat is taken from each FIFO behind a stage: `credit`, `credit_1` ...
pub(crate) fn credit_inputs(m: &mut ModuleBuilder, count: usize) -> Vec<Expr> {
    (0..count).map(|index| m.input(credit_name(index), bit()).expr()).collect()
}

/// Name of the credit input of a FIFO.
pub(crate) fn credit_name(index: usize) -> String {
    if index == 0 {
        "credit".to_string()
    } else {
        format!("credit_{index}")
    }
}

pub(crate) fn counter(m: &mut ModuleBuilder, name: &str, count: usize) -> Wrapping {
    let ty = uint(bits_for(count as u64 - 1));
    let value = m.register(name, ty);
    m.reset(value, 0);
    let at_last = match count {
        1 => Expr::lit(bit(), 1),
        _ => value.expr().eq(Expr::lit(ty, count as i64 - 1)),
    };
    Wrapping { value, at_last }
}

pub(crate) fn is_zero(counter: &Wrapping) -> Expr {
    counter.value.expr().eq(Expr::lit(counter.value.ty(), 0))
}

pub(crate) fn advance(m: &mut ModuleBuilder, counter: &Wrapping, enable: Expr) {
    let ty = counter.value.ty();
    let up = counter.value.expr().add(Expr::lit(ty, 1));
    m.clock_if(counter.value, enable, Expr::mux(&counter.at_last, Expr::lit(ty, 0), &up));
}

/// Counts up on `up`, down on `down`.
pub(crate) fn up_down(m: &mut ModuleBuilder, level: Signal, up: Signal, down: Signal) {
    let one = Expr::lit(level.ty(), 1);
    let changes = up.expr().xor(down.expr());
    let next = Expr::mux(up.expr(), level.expr().add(&one), level.expr().sub(&one));
    m.clock_if(level, changes, next);
}

/// `signal` after `cycles` registers, reset to 0 where asked.
pub(crate) fn delay(m: &mut ModuleBuilder, name: &str, signal: Signal, cycles: usize, reset: bool) -> Signal {
    let mut last = signal;
    for cycle in 1..=cycles {
        let register = m.register(format!("{name}_{cycle}"), signal.ty());
        if reset {
            m.reset(register, 0);
        }
        m.clock(register, last.expr());
        last = register;
    }
    last
}
