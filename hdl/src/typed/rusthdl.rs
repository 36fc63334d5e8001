//! Modules as RustHDL sees them: blocks of signals (`Atom`s), children, and a body.
//!
//! A module's children are its instances (`Verilog::Blackbox`: a name, the definition is elsewhere),
//! its memories (`Verilog::Wrapper`: the array's declaration and its write process) and its groups
//! of registers (`Verilog::Custom`: one clocked process). The ports of the last two have the names
//! of the module's own signals, so that their text can stand in the module itself. The body is
//! `Verilog::Combinatorial`: the assignments in order of dependence, and the bindings of children
//! written as RustHDL does, `child$port`.

use super::clocked::{self, Group};
use super::lower::raw;
use super::module::{Combinational, Direction, Driver, Instance, MemoryBlock, Module, Role};
use super::HwType;
use rust_hdl::core::ast::{BlackBox, Verilog, VerilogExpression, VerilogLiteral, VerilogStatement, Wrapper};
use rust_hdl::core::atom::{Atom, AtomKind};
use rust_hdl::core::block::Block;
use rust_hdl::core::constraint::PinConstraint;
use rust_hdl::core::logic::Logic;
use rust_hdl::core::probe::Probe;
use rust_hdl::core::signal::get_signal_id;
use rust_hdl::core::synth::VCDValue;
use rust_hdl::core::type_descriptor::{TypeDescriptor, TypeKind};

/// A signal whose width is known at run time. It has no value: modules are simulated by
/// [`Evaluator`](super::Evaluator) or as Verilog, not by RustHDL's simulator.
struct RuntimeAtom {
    kind: AtomKind,
    ty: HwType,
    driven: bool,
    id: usize,
}

impl RuntimeAtom {
    fn new(kind: AtomKind, ty: HwType, driven: bool) -> Self {
        RuntimeAtom { kind, ty, driven, id: get_signal_id() }
    }
}

impl Atom for RuntimeAtom {
    fn bits(&self) -> usize {
        self.ty.width as usize
    }

    fn connected(&self) -> bool {
        self.driven
    }

    fn changed(&self) -> bool {
        false
    }

    fn kind(&self) -> AtomKind {
        self.kind
    }

    fn descriptor(&self) -> TypeDescriptor {
        let width = self.bits();
        let kind = if self.ty.signed { TypeKind::Signed(width) } else { TypeKind::Bits(width) };
        TypeDescriptor { name: self.ty.to_string(), kind }
    }

    fn vcd(&self) -> VCDValue {
        VCDValue::String(String::new())
    }

    fn id(&self) -> usize {
        self.id
    }

    fn verilog(&self) -> VerilogLiteral {
        VerilogLiteral::from(0u32)
    }

    fn constraints(&self) -> Vec<PinConstraint> {
        Vec::new()
    }
}

/// The signals, children and body of a module never change: what RustHDL's simulator would need of
/// [`Logic`] and [`Block`] does nothing.
macro_rules! static_block {
    () => {
        fn connect_all(&mut self) {}

        fn update_all(&mut self) {}

        fn has_changed(&self) -> bool {
            false
        }
    };
}

impl Logic for Module {
    fn update(&mut self) {}

    fn hdl(&self) -> Verilog {
        let mut body: Vec<VerilogStatement> = self.comments.iter().cloned().map(VerilogStatement::Comment).collect();
        let name = |signal: u32| raw(&self.decl(signal).name);
        let port = |child: &str, port: &str| raw(format!("{child}${port}"));
        let mut set = |target: VerilogExpression, value: VerilogExpression| {
            body.push(VerilogStatement::Assignment(target, value));
        };
        let groups = clocked::groups(self);
        for (index, group) in groups.iter().enumerate() {
            for item in &group.items {
                set(name(item.q), port(&group_name(index), &self.decl(item.q).name));
            }
        }
        for instance in &self.instances {
            for (output, target) in &instance.outputs {
                set(name(*target), port(&instance.name, output));
            }
        }
        for combinational in &self.combinational {
            match combinational {
                Combinational::Assign(assign) => set(name(assign.target), self.lower(&assign.value)),
                Combinational::Read { memory, read } => {
                    let block = &self.memories[*memory];
                    let read = &block.reads[*read];
                    let (array, address) = (Box::new(raw(&block.spec.name)), Box::new(self.lower(&read.address)));
                    set(name(read.q), VerilogExpression::Index(array, address));
                }
            }
        }
        for instance in &self.instances {
            for (input, value) in &instance.inputs {
                set(port(&instance.name, input), self.lower(value));
            }
        }
        for (index, group) in groups.iter().enumerate() {
            for &input in &group.reads {
                set(port(&group_name(index), &self.decl(input).name), name(input));
            }
        }
        for memory in &self.memories {
            for input in clocked::memory_reads(memory) {
                set(port(&memory.spec.name, &self.decl(input).name), name(input));
            }
        }
        Verilog::Combinatorial(body)
    }
}

impl Block for Module {
    static_block!();

    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_start_scope(name, self);
        for decl in &self.signals {
            let kind = match decl.role {
                Role::Input => AtomKind::InputParameter,
                Role::Output => AtomKind::OutputParameter,
                Role::Local => AtomKind::LocalSignal,
                Role::Absent => continue,
            };
            let driven = !matches!(decl.driver, Driver::None | Driver::Outside);
            probe.visit_atom(&decl.name, &RuntimeAtom::new(kind, decl.ty, driven));
        }
        for memory in &self.memories {
            MemoryCell { module: self, memory }.accept(&memory.spec.name, probe);
        }
        for instance in &self.instances {
            InstanceCell { instance }.accept(&instance.name, probe);
        }
        for (index, group) in clocked::groups(self).iter().enumerate() {
            RegisterCell { module: self, group }.accept(&group_name(index), probe);
        }
        probe.visit_end_scope(name, self);
    }
}

fn group_name(index: usize) -> String {
    format!("registers${index}")
}

/// An instance of a module that is printed elsewhere.
struct InstanceCell<'a> {
    instance: &'a Instance,
}

impl Logic for InstanceCell<'_> {
    fn update(&mut self) {}

    fn hdl(&self) -> Verilog {
        Verilog::Blackbox(BlackBox { name: self.instance.module.name.clone(), code: String::new() })
    }
}

impl Block for InstanceCell<'_> {
    static_block!();

    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_start_scope(name, self);
        for port in self.instance.module.ports() {
            let kind = match port.direction {
                Direction::Input => AtomKind::InputParameter,
                Direction::Output => AtomKind::OutputParameter,
            };
            probe.visit_atom(&port.name, &RuntimeAtom::new(kind, port.ty, true));
        }
        probe.visit_end_scope(name, self);
    }
}

/// A memory: its array and its write process.
struct MemoryCell<'a> {
    module: &'a Module,
    memory: &'a MemoryBlock,
}

impl Logic for MemoryCell<'_> {
    fn update(&mut self) {}

    fn hdl(&self) -> Verilog {
        Verilog::Wrapper(Wrapper {
            code: clocked::write_process(self.module, self.memory),
            cores: clocked::memory_declaration(self.memory),
        })
    }
}

impl Block for MemoryCell<'_> {
    static_block!();

    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_start_scope(name, self);
        for input in clocked::memory_reads(self.memory) {
            let decl = self.module.decl(input);
            probe.visit_atom(&decl.name, &RuntimeAtom::new(AtomKind::InputParameter, decl.ty, true));
        }
        probe.visit_end_scope(name, self);
    }
}

/// Registers that share an enable.
struct RegisterCell<'a> {
    module: &'a Module,
    group: &'a Group<'a>,
}

impl Logic for RegisterCell<'_> {
    fn update(&mut self) {}

    fn hdl(&self) -> Verilog {
        Verilog::Custom(clocked::process(self.module, self.group))
    }
}

impl Block for RegisterCell<'_> {
    static_block!();

    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_start_scope(name, self);
        let inputs = self.group.reads.iter().map(|&index| (index, AtomKind::InputParameter));
        let outputs = self.group.items.iter().map(|item| (item.q, AtomKind::OutputParameter));
        for (index, kind) in inputs.chain(outputs) {
            let decl = self.module.decl(index);
            probe.visit_atom(&decl.name, &RuntimeAtom::new(kind, decl.ty, true));
        }
        probe.visit_end_scope(name, self);
    }
}
