//! A finished module: typed hardware in which every signal has exactly one driver.

use super::expr::Expr;
use super::memory::MemorySpec;
use super::HwType;
use num_bigint::BigUint;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Index of the implicit clock input among a module's signals.
pub(crate) const CLOCK: u32 = 0;
/// Index of the implicit synchronous reset, active high, among a module's signals.
pub(crate) const RESET: u32 = 1;

/// Direction of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Into the module.
    Input,
    /// Out of the module.
    Output,
}

/// A port of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: HwType,
    /// Its direction.
    pub direction: Direction,
}

/// Where a signal stands in its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Input,
    Output,
    Local,
    /// The implicit clock or reset of a module that needs none.
    Absent,
}

/// What drives a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    None,
    /// The module's surroundings.
    Outside,
    /// `assign`, or an asynchronous read.
    Assign,
    /// A clocked block.
    Clocked,
    Instance,
}

#[derive(Clone, Debug)]
pub(crate) struct SignalDecl {
    pub name: String,
    pub ty: HwType,
    pub role: Role,
    pub driver: Driver,
}

/// `assign target = value`.
#[derive(Clone, Debug)]
pub(crate) struct Assign {
    pub target: u32,
    pub value: Expr,
}

/// A register: `q` takes `next` at a rising edge with `enable`, or `reset` at one with the reset.
#[derive(Clone, Debug)]
pub(crate) struct Register {
    pub q: u32,
    pub next: Expr,
    pub enable: Option<Expr>,
    pub reset: Option<BigUint>,
}

#[derive(Clone, Debug)]
pub(crate) struct WritePort {
    pub enable: Expr,
    pub address: Expr,
    pub data: Expr,
}

/// A read port: a register if `clocked`, else combinational.
#[derive(Clone, Debug)]
pub(crate) struct ReadPort {
    pub q: u32,
    pub address: Expr,
    pub enable: Option<Expr>,
    pub clocked: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct MemoryBlock {
    pub spec: MemorySpec,
    pub write: Option<WritePort>,
    pub reads: Vec<ReadPort>,
}

#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub name: String,
    pub module: Arc<Module>,
    /// Ports of the child and what they are bound to; clock and reset included.
    pub inputs: Vec<(String, Expr)>,
    pub outputs: Vec<(String, u32)>,
}

/// A module whose guarantees hold: every signal is driven exactly once, no signal depends on itself
/// without a register, types fit everywhere. Made by [`ModuleBuilder`](super::ModuleBuilder).
///
/// `Display` prints its Verilog.
pub struct Module {
    pub(crate) name: String,
    pub(crate) comments: Vec<String>,
    pub(crate) builder: u32,
    pub(crate) signals: Vec<SignalDecl>,
    /// In order of dependence, assignments and asynchronous reads mixed.
    pub(crate) combinational: Vec<Combinational>,
    pub(crate) registers: Vec<Register>,
    pub(crate) memories: Vec<MemoryBlock>,
    pub(crate) instances: Vec<Instance>,
    /// Inputs that each output depends on without a register in between.
    pub(crate) paths: BTreeMap<String, BTreeSet<String>>,
    pub(crate) unread: Vec<String>,
}

/// One combinational driver.
#[derive(Clone, Debug)]
pub(crate) enum Combinational {
    Assign(Assign),
    /// Read port `read` of memory `memory`.
    Read {
        memory: usize,
        read: usize,
    },
}

impl Module {
    /// Its name: the Verilog module's and its file's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The header's lines.
    pub fn comments(&self) -> &[String] {
        &self.comments
    }

    /// Its ports in order, `aclk` and `areset` first where the module needs them.
    pub fn ports(&self) -> Vec<Port> {
        let directed = |decl: &SignalDecl| match decl.role {
            Role::Input => Some(Direction::Input),
            Role::Output => Some(Direction::Output),
            Role::Local | Role::Absent => None,
        };
        let port = |decl: &SignalDecl| {
            directed(decl).map(|direction| Port { name: decl.name.clone(), ty: decl.ty, direction })
        };
        self.signals.iter().filter_map(port).collect()
    }

    /// The port of that name.
    pub fn port(&self, name: &str) -> Option<Port> {
        self.ports().into_iter().find(|port| port.name == name)
    }

    /// Instances of other modules, each with its name.
    pub fn instances(&self) -> impl Iterator<Item = (&str, &Arc<Module>)> {
        self.instances.iter().map(|instance| (instance.name.as_str(), &instance.module))
    }

    /// Inputs on which an output depends without a register in between; `None` if there is no such
    /// output. An output whose set lacks an input cannot react to it within a cycle: `valid` of a
    /// stream must not depend on `ready`.
    pub fn combinational_inputs_of(&self, output: &str) -> Option<&BTreeSet<String>> {
        self.paths.get(output)
    }

    /// Signals, and parts of signals, that nothing reads. The Verilog ties them to one signal
    /// named `unused`, so that lint checkers know that it is meant.
    pub fn unread(&self) -> &[String] {
        &self.unread
    }

    pub(crate) fn decl(&self, index: u32) -> &SignalDecl {
        &self.signals[index as usize]
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Module({})", self.name)
    }
}
