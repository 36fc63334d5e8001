//! The last step of building a module.

use super::builder::ModuleBuilder;
use super::constants::Constants;
use super::expr::{Expr, Op, Signal};
use super::module::{Assign, Combinational, Driver, Instance, Module, Register, Role, SignalDecl};
use super::verify::{dataflow, rust_hdl};
use super::{bit, legalize, HdlError};
use std::collections::HashSet;
use std::sync::Arc;

/// Makes a module of a builder whose drivers are checked.
pub(super) fn finish(
    mut builder: ModuleBuilder,
    mut registers: Vec<Register>,
    mut instances: Vec<Instance>,
) -> Result<Arc<Module>, HdlError> {
    // Before any rewriting, so that a loop is told in the author's names.
    let checked = |builder: &ModuleBuilder, instances: &[Instance]| {
        dataflow(&builder.name, &builder.signals, &builder.assigns, &builder.memories, instances)
    };
    let constants = Constants::find(&checked(&builder, &instances)?.order);
    legalize::legalize(&mut builder, &mut registers, &mut instances, constants);
    let flow = checked(&builder, &instances)?;
    let mut module = Module {
        name: builder.name,
        comments: builder.comments,
        builder: builder.builder,
        signals: builder.signals,
        combinational: flow.order,
        registers,
        memories: builder.memories,
        instances,
        paths: flow.paths,
        unread: Vec::new(),
    };
    sink_unread(&mut module, &builder.ignored);
    rust_hdl(&module)?;
    Ok(Arc::new(module))
}

/// Finds what nothing reads, and ties it to a signal named `unused`, which lint checkers accept.
fn sink_unread(module: &mut Module, ignored: &HashSet<u32>) {
    let reads = Reads::of(module);
    let mut parts = Vec::new();
    for (index, decl) in module.signals.iter().enumerate().skip(2) {
        if !matches!(decl.role, Role::Input | Role::Local) {
            continue;
        }
        let index = index as u32;
        let signal = Signal::new(module.builder, index, decl.ty).expr();
        for (lo, width) in reads.missing(index, decl.ty.width) {
            parts.push(signal.slice(lo, width));
            if !ignored.contains(&index) {
                module.unread.push(match (width == decl.ty.width, width) {
                    (true, _) => decl.name.clone(),
                    (_, 1) => format!("{}[{lo}]", decl.name),
                    _ => format!("{}[{}:{lo}]", decl.name, lo + width - 1),
                });
            }
        }
    }
    if parts.is_empty() {
        return;
    }
    let target = module.signals.len() as u32;
    let (role, driver) = (Role::Local, Driver::Assign);
    module.signals.push(SignalDecl { name: "unused".into(), ty: bit(), role, driver });
    module.combinational.push(Combinational::Assign(Assign { target, value: legalize::sink(parts) }));
}

/// Bits of each signal that something reads.
struct Reads(Vec<Vec<u64>>);

impl Reads {
    fn of(module: &Module) -> Self {
        let words = |decl: &SignalDecl| vec![0; decl.ty.width.div_ceil(64) as usize];
        let mut reads = Reads(module.signals.iter().map(words).collect());
        let mut exprs: Vec<&Expr> = Vec::new();
        for combinational in &module.combinational {
            if let Combinational::Assign(assign) = combinational {
                exprs.push(&assign.value);
            }
        }
        for register in &module.registers {
            exprs.push(&register.next);
            exprs.extend(&register.enable);
        }
        for memory in &module.memories {
            if let Some(write) = &memory.write {
                exprs.extend([&write.enable, &write.address, &write.data]);
            }
            for read in &memory.reads {
                exprs.push(&read.address);
                exprs.extend(&read.enable);
            }
        }
        exprs.extend(module.instances.iter().flat_map(|instance| &instance.inputs).map(|(_, value)| value));
        exprs.into_iter().for_each(|expr| reads.add(expr));
        reads
    }

    fn add(&mut self, expr: &Expr) {
        match (expr.op(), expr.as_part()) {
            (Op::Signal(signal), _) => self.mark(signal.index, 0, signal.ty().width),
            (Op::Slice { .. }, Some((signal, lo))) => self.mark(signal.index, lo, expr.ty().width),
            _ => expr.operands().into_iter().for_each(|operand| self.add(operand)),
        }
    }

    fn mark(&mut self, signal: u32, lo: u32, width: u32) {
        let words = &mut self.0[signal as usize];
        for at in lo..lo + width {
            words[at as usize / 64] |= 1 << (at % 64);
        }
    }

    /// Runs of bits `(lo, width)` that nothing reads, lowest first.
    fn missing(&self, signal: u32, width: u32) -> Vec<(u32, u32)> {
        let words = &self.0[signal as usize];
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for at in (0..width).filter(|&at| words[at as usize / 64] >> (at % 64) & 1 == 0) {
            match runs.last_mut() {
                Some((lo, length)) if *lo + *length == at => *length += 1,
                _ => runs.push((at, 1)),
            }
        }
        runs
    }
}
