//! Building a module.

use super::expr::{Expr, Op, Signal};
use super::memory::{MemorySpec, MemoryStyle};
use super::module::{
    Assign, Driver, Instance, MemoryBlock, Module, ReadPort, Register, Role, SignalDecl, WritePort, CLOCK, RESET,
};
use super::types::address_bits;
use super::{bit, names, uint, HdlError, HwType};
use num_bigint::{BigInt, BigUint};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

/// Tells the signals of one builder from those of another.
static BUILDERS: AtomicU32 = AtomicU32::new(0);

/// A memory of the module under construction.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    builder: u32,
    index: usize,
}

/// A module under construction.
///
/// Clock and reset are implicit: `aclk` (rising edge) is there when something is clocked, `areset`
/// (synchronous, active high) when a register has a reset value; instances pass both on.
///
/// Methods panic on what is a bug of the hardware's author: types that differ, names that are no
/// identifiers or taken. What only the whole shows (drivers, loops, bindings) is checked by
/// [`ModuleBuilder::build`].
pub struct ModuleBuilder {
    pub(super) name: String,
    pub(super) comments: Vec<String>,
    pub(super) builder: u32,
    pub(super) signals: Vec<SignalDecl>,
    pub(super) names: HashSet<String>,
    pub(super) assigns: Vec<Assign>,
    pub(super) registers: Vec<RegisterDraft>,
    pub(super) memories: Vec<MemoryBlock>,
    pub(super) instances: Vec<InstanceDraft>,
    /// Inputs that are meant to be unread.
    pub(super) ignored: HashSet<u32>,
}

/// A register that may still lack its parts.
pub(super) struct RegisterDraft {
    pub q: u32,
    pub nexts: Vec<(Expr, Option<Expr>)>,
    pub reset: Option<BigUint>,
}

/// An instance with its bindings as given.
pub(super) struct InstanceDraft {
    pub name: String,
    pub module: Arc<Module>,
    pub bindings: Vec<(String, Expr)>,
}

impl ModuleBuilder {
    /// An empty module.
    ///
    /// # Panics
    /// If the name is no identifier.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        names::check("module", &name);
        let implicit =
            |name: &str| SignalDecl { name: name.into(), ty: bit(), role: Role::Absent, driver: Driver::Outside };
        ModuleBuilder {
            name,
            comments: Vec::new(),
            builder: BUILDERS.fetch_add(1, Ordering::Relaxed),
            signals: vec![implicit("aclk"), implicit("areset")],
            names: ["aclk", "areset", "unused"].map(String::from).into(),
            assigns: Vec::new(),
            registers: Vec::new(),
            memories: Vec::new(),
            instances: Vec::new(),
            ignored: HashSet::new(),
        }
    }

    /// Adds lines to the comment at the head of the module.
    pub fn comment(&mut self, text: impl Into<String>) {
        self.comments.extend(text.into().lines().map(|line| line.trim_end().to_string()));
    }

    fn declare(&mut self, name: String, ty: HwType, role: Role, driver: Driver) -> Signal {
        self.take_name("signal", &name);
        let index = self.signals.len() as u32;
        self.signals.push(SignalDecl { name, ty: ty.checked(), role, driver });
        Signal::new(self.builder, index, ty)
    }

    fn take_name(&mut self, kind: &str, name: &str) {
        names::check(kind, name);
        assert!(self.names.insert(name.to_string()), "module `{}`: the name `{name}` is taken", self.name);
    }

    /// Adds an input port.
    pub fn input(&mut self, name: impl Into<String>, ty: HwType) -> Signal {
        self.declare(name.into(), ty, Role::Input, Driver::Outside)
    }

    /// Adds an input port that is there for the sake of a protocol and not read.
    pub fn ignored_input(&mut self, name: impl Into<String>, ty: HwType) -> Signal {
        let signal = self.input(name, ty);
        self.ignored.insert(signal.index);
        signal
    }

    /// Adds an active-low reset port and returns its complement, for [`ModuleBuilder::drive_reset`].
    pub fn active_low_reset(&mut self, name: impl Into<String>) -> Expr {
        self.input(name, bit()).expr().not()
    }

    /// Adds an output port, to be assigned or bound to an instance's output. The module may read it.
    pub fn output(&mut self, name: impl Into<String>, ty: HwType) -> Signal {
        self.declare(name.into(), ty, Role::Output, Driver::None)
    }

    /// Adds a wire, to be assigned or bound to an instance's output.
    pub fn wire(&mut self, name: impl Into<String>, ty: HwType) -> Signal {
        self.declare(name.into(), ty, Role::Local, Driver::None)
    }

    /// Drives a wire or an output.
    ///
    /// # Panics
    /// If the types differ.
    pub fn assign(&mut self, target: Signal, value: impl Into<Expr>) {
        let value = value.into();
        self.own(&target.expr());
        self.own(&value);
        assert!(value.ty() == target.ty(), "{}: assignment of {}: {value:?}", self.place(target), value.ty());
        self.assigns.push(Assign { target: target.index, value });
    }

    /// Adds a wire of that value.
    pub fn let_(&mut self, name: impl Into<String>, value: impl Into<Expr>) -> Signal {
        let value = value.into();
        let wire = self.wire(name, value.ty());
        self.assign(wire, value);
        wire
    }

    /// Adds a register; [`clock`](Self::clock) or [`clock_if`](Self::clock_if) gives its input.
    pub fn register(&mut self, name: impl Into<String>, ty: HwType) -> Signal {
        let q = self.declare(name.into(), ty, Role::Local, Driver::None);
        self.registers.push(RegisterDraft { q: q.index, nexts: Vec::new(), reset: None });
        q
    }

    /// A register that holds what `value` was before the last clock edge.
    pub fn registered(&mut self, name: impl Into<String>, value: impl Into<Expr>) -> Signal {
        let value = value.into();
        let register = self.register(name, value.ty());
        self.clock(register, value);
        register
    }

    /// Adds an output port that is itself a register.
    pub fn output_register(&mut self, name: impl Into<String>, ty: HwType) -> Signal {
        let q = self.declare(name.into(), ty, Role::Output, Driver::None);
        self.registers.push(RegisterDraft { q: q.index, nexts: Vec::new(), reset: None });
        q
    }

    fn draft(&mut self, q: Signal) -> &mut RegisterDraft {
        self.own(&q.expr());
        let place = self.place(q);
        match self.registers.iter_mut().rev().find(|register| register.q == q.index) {
            Some(register) => register,
            None => panic!("{place}: not a register"),
        }
    }

    /// The register takes `next` at every rising edge.
    pub fn clock(&mut self, q: Signal, next: impl Into<Expr>) {
        self.clocked(q, next.into(), None);
    }

    /// The register takes `next` at each rising edge with `enable`, and otherwise holds.
    pub fn clock_if(&mut self, q: Signal, enable: impl Into<Expr>, next: impl Into<Expr>) {
        let enable = enable.into();
        self.own(&enable);
        assert!(enable.ty() == bit(), "{}: enable of {}", self.place(q), enable.ty());
        let always = enable.as_literal().is_some_and(|bits| bits.bit(0));
        self.clocked(q, next.into(), (!always).then_some(enable));
    }

    fn clocked(&mut self, q: Signal, next: Expr, enable: Option<Expr>) {
        self.own(&next);
        assert!(next.ty() == q.ty(), "{}: next value of {}: {next:?}", self.place(q), next.ty());
        self.draft(q).nexts.push((next, enable));
    }

    /// The register takes `value` at each rising edge with `areset`, whatever its enable.
    ///
    /// # Panics
    /// If the register's type does not hold the value.
    pub fn reset(&mut self, q: Signal, value: impl Into<BigInt>) {
        let bits = match Expr::lit(q.ty(), value).as_literal() {
            Some(bits) => bits.clone(),
            None => return,
        };
        self.draft(q).reset = Some(bits);
        self.need_reset();
    }

    /// The reset as a signal.
    pub fn areset(&mut self) -> Signal {
        self.need_reset();
        Signal::new(self.builder, RESET, bit())
    }

    fn need_reset(&mut self) {
        let decl = &mut self.signals[RESET as usize];
        if decl.role == Role::Absent {
            decl.role = Role::Input;
        }
    }

    fn need_clock(&mut self) {
        self.signals[CLOCK as usize].role = Role::Input;
    }

    /// Derives the module's reset from `value` instead of a port `areset`.
    pub fn drive_reset(&mut self, value: impl Into<Expr>) {
        let decl = &mut self.signals[RESET as usize];
        decl.role = Role::Local;
        decl.driver = Driver::None;
        self.assign(Signal::new(self.builder, RESET, bit()), value);
    }

    /// Adds a memory.
    ///
    /// # Panics
    /// If its figures do not fit each other.
    pub fn memory(&mut self, spec: MemorySpec) -> Memory {
        spec.check();
        self.take_name("memory", &spec.name);
        self.memories.push(MemoryBlock { spec, write: None, reads: Vec::new() });
        Memory { builder: self.builder, index: self.memories.len() - 1 }
    }

    fn address(&mut self, memory: Memory, address: Expr) -> Expr {
        self.own(&address);
        assert!(memory.builder == self.builder, "module `{}`: a memory of another module", self.name);
        let spec = &self.memories[memory.index].spec;
        let want = uint(address_bits(spec.depth));
        assert!(address.ty() == want, "memory `{}`: address of {}, not {want}", spec.name, address.ty());
        address
    }

    /// Gives a memory its write port: stores `data` at each rising edge with `enable`.
    ///
    /// # Panics
    /// If it has one, or the types are not bit, address and word.
    pub fn write_port(
        &mut self,
        memory: Memory,
        enable: impl Into<Expr>,
        address: impl Into<Expr>,
        data: impl Into<Expr>,
    ) {
        let (enable, address, data) = (enable.into(), self.address(memory, address.into()), data.into());
        self.own(&enable);
        self.own(&data);
        let block = &mut self.memories[memory.index];
        let (name, want) = (&block.spec.name, uint(block.spec.width));
        assert!(enable.ty() == bit() && data.ty() == want, "memory `{name}`: write of {}, not {want}", data.ty());
        assert!(block.write.is_none(), "memory `{name}`: a second write port");
        block.write = Some(WritePort { enable, address, data });
        self.need_clock();
    }

    fn read(&mut self, memory: Memory, name: String, address: Expr, enable: Option<Expr>, clocked: bool) -> Signal {
        let address = self.address(memory, address);
        if let Some(enable) = &enable {
            self.own(enable);
            assert!(enable.ty() == bit(), "read `{name}`: enable of {}", enable.ty());
        }
        let enable = enable.filter(|enable| enable.as_literal().is_none_or(|bits| !bits.bit(0)));
        let width = self.memories[memory.index].spec.width;
        let q = self.declare(name, uint(width), Role::Local, Driver::None);
        self.memories[memory.index].reads.push(ReadPort { q: q.index, address, enable, clocked });
        q
    }

    /// Adds a synchronous read port: a register `name` that takes the addressed word at each rising
    /// edge with `enable` (every one if `None`).
    pub fn read_port(
        &mut self,
        memory: Memory,
        name: impl Into<String>,
        address: impl Into<Expr>,
        enable: Option<Expr>,
    ) -> Signal {
        self.need_clock();
        self.read(memory, name.into(), address.into(), enable, true)
    }

    /// Adds a synchronous read port without an enable.
    pub fn read_sync(&mut self, memory: Memory, name: impl Into<String>, address: impl Into<Expr>) -> Signal {
        self.read_port(memory, name, address, None)
    }

    /// Adds an asynchronous read port: a wire `name` that always shows the addressed word.
    ///
    /// # Panics
    /// If the memory is a block RAM, which has none.
    pub fn read_async(&mut self, memory: Memory, name: impl Into<String>, address: impl Into<Expr>) -> Signal {
        let name = name.into();
        let spec = &self.memories[memory.index].spec;
        assert!(spec.style != MemoryStyle::Block, "memory `{}`: block RAM is not read asynchronously", spec.name);
        self.read(memory, name, address.into(), None, false)
    }

    /// Adds an instance. Each port but `aclk` and `areset` is bound once: inputs to any expression,
    /// outputs to a signal (a wire or an output) of the module.
    ///
    /// # Panics
    /// If there is no such port, or the types differ.
    pub fn instance<N: AsRef<str>, E: Into<Expr> + Clone>(
        &mut self,
        name: impl Into<String>,
        module: &Arc<Module>,
        bindings: &[(N, E)],
    ) {
        let name = name.into();
        self.take_name("instance", &name);
        let mut bound = Vec::with_capacity(bindings.len());
        for (port, value) in bindings {
            let (port, value): (&str, Expr) = (port.as_ref(), value.clone().into());
            self.own(&value);
            let (child, parent) = (&module.name, &self.name);
            let decl = match module.signals.iter().find(|decl| decl.name == port) {
                Some(decl) if matches!(decl.role, Role::Input | Role::Output) => decl,
                _ => panic!("module `{parent}`: instance `{name}` of `{child}` has no port `{port}`"),
            };
            let clocking = port == module.decl(CLOCK).name || port == module.decl(RESET).name;
            assert!(!clocking, "module `{parent}`: instance `{name}`: `{port}` is bound by itself");
            let ty = value.ty();
            assert!(ty == decl.ty, "module `{parent}`: port `{port}` of `{name}`: {} bound to {ty}", decl.ty);
            let is_signal = matches!(value.op(), Op::Signal(_));
            let output = decl.role == Role::Output;
            assert!(is_signal || !output, "module `{parent}`: output `{port}` of `{name}` is bound to no signal");
            bound.push((port.to_string(), value));
        }
        if module.decl(CLOCK).role == Role::Input {
            self.need_clock();
        }
        if module.decl(RESET).role == Role::Input {
            self.need_reset();
        }
        self.instances.push(InstanceDraft { name, module: module.clone(), bindings: bound });
    }

    /// Checks that an expression reads this module's signals only.
    fn own(&self, expr: &Expr) {
        expr.for_each_signal(&mut |signal| {
            assert!(signal.builder == self.builder, "module `{}`: a signal of another module", self.name);
        });
    }

    fn place(&self, signal: Signal) -> String {
        let name = self.signals.get(signal.index as usize).map_or("?", |decl| &decl.name);
        format!("module `{}`: `{name}` ({})", self.name, signal.ty())
    }

    /// Finishes the module: checks its guarantees and names what Verilog needs named.
    ///
    /// # Errors
    /// If a signal is undriven or driven twice, a port unbound, or a combinational loop closed.
    pub fn build(mut self) -> Result<Arc<Module>, HdlError> {
        if !self.registers.is_empty() {
            self.need_clock();
        }
        super::verify::drivers(&mut self)?;
        let registers = std::mem::take(&mut self.registers);
        let instances = std::mem::take(&mut self.instances);
        let registers = registers.into_iter().flat_map(|draft| {
            let (q, reset) = (draft.q, draft.reset);
            draft.nexts.into_iter().map(move |(next, enable)| Register { q, next, enable, reset: reset.clone() })
        });
        let implicit = [CLOCK, RESET].map(|index| Signal::new(self.builder, index, bit()).expr());
        let instances = instances.into_iter().map(|draft| {
            let child = draft.module.clone();
            let clocking = [CLOCK, RESET].into_iter().zip(&implicit);
            let clocking = clocking.filter(|(index, _)| child.decl(*index).role == Role::Input);
            let mut inputs: Vec<(String, Expr)> =
                clocking.map(|(index, value)| (child.decl(index).name.clone(), value.clone())).collect();
            let mut outputs = Vec::new();
            for decl in &child.signals {
                let binding = draft.bindings.iter().find(|(port, _)| *port == decl.name);
                match (decl.role, binding) {
                    (Role::Input, Some((port, value))) => inputs.push((port.clone(), value.clone())),
                    (Role::Output, Some((port, value))) => {
                        outputs.extend(value.as_signal().map(|signal| (port.clone(), signal.index)));
                    }
                    _ => {}
                }
            }
            Instance { name: draft.name, module: draft.module, inputs, outputs }
        });
        let (registers, instances) = (registers.collect(), instances.collect());
        super::finish::finish(self, registers, instances)
    }
}
