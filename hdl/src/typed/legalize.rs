//! Naming what Verilog cannot express inside an expression.
//!
//! Verilog selects bits of names only, cannot share a subexpression, and widens the factors of a
//! product to the assignment's left side. This pass gives such subexpressions wires of their own, so
//! that each remaining expression prints as it stands and no width is decided by its context.

use super::builder::ModuleBuilder;
use super::constants::Constants;
use super::expr::{Expr, Op, Signal};
use super::module::{Assign, Driver, Instance, MemoryBlock, Register, Role, SignalDecl};
use super::types::address_bits;
use super::{uint, HwType};
use std::collections::{HashMap, HashSet};

/// Rewrites all expressions of `builder`, its `registers` and its `instances`.
pub(super) fn legalize(
    builder: &mut ModuleBuilder,
    registers: &mut [Register],
    instances: &mut [Instance],
    constants: Constants,
) {
    let assigns = std::mem::take(&mut builder.assigns);
    let mut memories = std::mem::take(&mut builder.memories);
    let mut pass = Legalizer {
        builder,
        constants,
        uses: HashMap::new(),
        alive: Vec::new(),
        named: HashMap::new(),
        assigns: Vec::new(),
    };
    pass.count(&assigns, registers, &memories, instances);
    for assign in &assigns {
        if !is_cheap(&assign.value) && pass.is_shared(&assign.value) {
            let target = Signal::new(pass.builder.builder, assign.target, assign.value.ty());
            pass.named.entry(assign.value.id()).or_insert(target);
        }
    }
    for Assign { target, value } in assigns {
        let base = pass.name_of(target);
        let value = match pass.named.get(&value.id()) {
            Some(signal) if signal.index != target => signal.expr(),
            _ => pass.at_root(&value, &base),
        };
        pass.assigns.push(Assign { target, value });
    }
    for register in registers {
        let base = pass.name_of(register.q);
        register.next = pass.root(&register.next, &format!("{base}_next"));
        register.enable = register.enable.as_ref().map(|enable| pass.nested(enable, &format!("{base}_enable")));
    }
    for memory in &mut memories {
        pass.memory(memory);
    }
    for instance in instances {
        for (port, value) in &mut instance.inputs {
            let base = format!("{}_{port}", instance.name);
            *value = match is_connectable(value) {
                true => pass.nested(value, &base),
                false => pass.name(value, base.clone()),
            };
        }
    }
    let assigns = std::mem::take(&mut pass.assigns);
    builder.assigns = assigns;
    builder.memories = memories;
}

/// Whether repeating the expression costs nothing to read or build.
fn is_cheap(expr: &Expr) -> bool {
    match expr.op() {
        Op::Literal(_) => true,
        Op::Not(of) | Op::Extend(of) => of.as_part().is_some(),
        Op::Reinterpret(of) => is_cheap(of),
        _ => expr.as_part().is_some(),
    }
}

/// Whether the expression reads well as an instance's binding.
fn is_connectable(expr: &Expr) -> bool {
    match expr.op() {
        Op::Concat(parts) => parts.iter().all(is_cheap),
        Op::Extend(_) => false,
        Op::Reinterpret(of) => is_connectable(of),
        _ => is_cheap(expr),
    }
}

struct Legalizer<'a> {
    builder: &'a mut ModuleBuilder,
    constants: Constants,
    /// Places in which a node is used.
    uses: HashMap<usize, u32>,
    /// The original expressions: while they live, no new node has the identity of an old one.
    alive: Vec<Expr>,
    /// Nodes that have a wire.
    named: HashMap<usize, Signal>,
    assigns: Vec<Assign>,
}

impl Legalizer<'_> {
    fn count(&mut self, assigns: &[Assign], registers: &[Register], memories: &[MemoryBlock], instances: &[Instance]) {
        let mut seen = HashSet::new();
        let (uses, alive) = (&mut self.uses, &mut self.alive);
        let mut root = |expr: &Expr| {
            alive.push(expr.clone());
            *uses.entry(expr.id()).or_insert(0) += 1;
            expr.for_each_node(&mut seen, &mut |node| {
                for operand in node.operands() {
                    *uses.entry(operand.id()).or_insert(0) += 1;
                }
            });
        };
        assigns.iter().for_each(|assign| root(&assign.value));
        for register in registers {
            root(&register.next);
            register.enable.iter().for_each(&mut root);
        }
        for memory in memories {
            if let Some(write) = &memory.write {
                [&write.enable, &write.address, &write.data].into_iter().for_each(&mut root);
            }
            for read in &memory.reads {
                root(&read.address);
                read.enable.iter().for_each(&mut root);
            }
        }
        instances.iter().flat_map(|instance| &instance.inputs).for_each(|(_, value)| root(value));
    }

    fn is_shared(&self, expr: &Expr) -> bool {
        self.uses.get(&expr.id()).is_some_and(|&uses| uses > 1)
    }

    fn name_of(&self, index: u32) -> String {
        self.builder.signals[index as usize].name.clone()
    }

    fn memory(&mut self, memory: &mut MemoryBlock) {
        let name = memory.spec.name.clone();
        if let Some(write) = &mut memory.write {
            write.enable = self.nested(&write.enable, &format!("{name}_write"));
            write.address = self.nested(&write.address, &format!("{name}_write_address"));
            write.data = self.root(&write.data, &format!("{name}_write_data"));
        }
        for read in &mut memory.reads {
            let base = self.name_of(read.q);
            read.address = self.nested(&read.address, &format!("{base}_address"));
            read.enable = read.enable.as_ref().map(|enable| self.nested(enable, &format!("{base}_enable")));
        }
    }

    /// An expression that stands alone on the right of an assignment of its own width.
    fn root(&mut self, expr: &Expr, base: &str) -> Expr {
        if self.is_shared(expr) && !is_cheap(expr) {
            return self.name(expr, format!("{base}_common"));
        }
        self.at_root(expr, base)
    }

    fn at_root(&mut self, expr: &Expr, base: &str) -> Expr {
        match expr.op() {
            Op::Mul(a, b) => {
                let operands = vec![self.factor(a, &format!("{base}_a")), self.factor(b, &format!("{base}_b"))];
                expr.with_operands(operands)
            }
            Op::ShiftRight(of, by) if expr.ty().signed => {
                let of = self.nested(of, base);
                match of.op() {
                    Op::Signal(signal) if signal.ty().signed => Expr::node(expr.ty(), Op::ShiftRight(of, *by)),
                    _ => self.arithmetic_shift(of, expr.ty(), *by, base),
                }
            }
            Op::Reinterpret(of) => {
                let inner = self.at_root(of, base);
                Expr::node(expr.ty(), Op::Reinterpret(inner))
            }
            _ => self.rebuild(expr, base),
        }
    }

    /// A factor of a product: nothing that its wider context could change.
    fn factor(&mut self, expr: &Expr, base: &str) -> Expr {
        let selects = |parts: &[Expr]| parts.iter().all(|part| part.as_part().is_some() || part.as_literal().is_some());
        let is_safe = match expr.op() {
            Op::Literal(_) => true,
            Op::Reinterpret(of) => match of.op() {
                Op::Concat(parts) => selects(parts),
                Op::Extend(of) => !of.ty().signed && of.as_part().is_some(),
                _ => of.as_part().is_some(),
            },
            Op::Concat(parts) => selects(parts),
            _ => expr.as_part().is_some(),
        };
        match is_safe {
            true => self.nested(expr, base),
            false => self.name(expr, base.to_string()),
        }
    }

    /// An expression inside another.
    fn nested(&mut self, expr: &Expr, base: &str) -> Expr {
        if let Some(signal) = self.named.get(&expr.id()) {
            return signal.expr();
        }
        match expr.op() {
            Op::Mul(..) => self.name(expr, format!("{base}_product")),
            _ if self.is_shared(expr) && !is_cheap(expr) => self.name(expr, format!("{base}_common")),
            Op::ShiftRight(of, by) if expr.ty().signed => {
                let of = self.nested(of, base);
                self.arithmetic_shift(of, expr.ty(), *by, base)
            }
            _ => self.rebuild(expr, base),
        }
    }

    /// Rewrites operands, and names those of which bits are selected.
    fn rebuild(&mut self, expr: &Expr, base: &str) -> Expr {
        if let Some(constant) = self.constants.decides(expr) {
            return constant;
        }
        match expr.op() {
            Op::Slice { of, .. } => {
                let of = self.selectable(of, base);
                expr.with_operands(vec![of])
            }
            Op::Extend(of) if of.ty().signed => {
                let of = self.nested(of, base);
                let of = if of.as_part().is_some() { of } else { self.name(&of, format!("{base}_narrow")) };
                expr.with_operands(vec![of])
            }
            Op::Index { of, index } => {
                let reach = 1u32 << address_bits(of.ty().width as usize).min(31);
                let of = match of.ty().width == reach {
                    true => self.selectable(of, base),
                    false => {
                        let padded = of.as_unsigned().extend(reach);
                        self.name(&padded, format!("{base}_choices"))
                    }
                };
                let index = self.nested(index, base);
                of.index(index)
            }
            _ => {
                let operands: Vec<Expr> =
                    expr.operands().into_iter().map(|operand| self.nested(operand, base)).collect();
                let decided = |(old, new): (&Expr, &Expr)| old.as_literal().is_none() && new.as_literal().is_some();
                match expr.operands().into_iter().zip(&operands).any(decided) {
                    true => expr.rebuilt(&operands),
                    false => expr.with_operands(operands),
                }
            }
        }
    }

    fn selectable(&mut self, expr: &Expr, base: &str) -> Expr {
        let expr = self.nested(expr, base);
        match expr.as_signal() {
            Some(_) => expr,
            None => self.name(&expr, format!("{base}_word")),
        }
    }

    /// An arithmetic shift written as selection and sign extension, which no context changes.
    fn arithmetic_shift(&mut self, of: Expr, ty: HwType, by: u32, base: &str) -> Expr {
        let of = match of.as_part() {
            Some(_) => of,
            None => self.name(&of, format!("{base}_unshifted")),
        };
        of.slice(by, ty.width - by).as_signed().extend(ty.width)
    }

    /// Gives the expression a wire.
    fn name(&mut self, expr: &Expr, base: String) -> Expr {
        if let Some(signal) = self.named.get(&expr.id()) {
            return signal.expr();
        }
        let mut name = base.clone();
        let mut count = 1;
        while !self.builder.names.insert(name.clone()) {
            count += 1;
            name = format!("{base}_{count}");
        }
        let index = self.builder.signals.len() as u32;
        let (ty, role, driver) = (expr.ty(), Role::Local, Driver::Assign);
        self.builder.signals.push(SignalDecl { name: name.clone(), ty, role, driver });
        let signal = Signal::new(self.builder.builder, index, ty);
        if self.uses.contains_key(&expr.id()) {
            self.named.insert(expr.id(), signal);
        }
        let value = self.at_root(expr, &name);
        self.assigns.push(Assign { target: index, value });
        signal.expr()
    }
}

/// One unsigned bit that depends on all `parts`, to mark them as meant to be unread.
pub(super) fn sink(parts: Vec<Expr>) -> Expr {
    let zero = Expr::zero(uint(1));
    let parts = std::iter::once(zero).chain(parts).collect::<Vec<_>>();
    Expr::concat(&parts).reduce_and()
}
