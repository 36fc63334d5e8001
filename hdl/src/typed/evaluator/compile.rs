//! From a hierarchy of modules to instructions on one flat state.

use super::super::expr::{Binary, Compare, Expr, Op, Reduce};
use super::super::module::{Combinational, Module, Role, RESET};
use super::super::HwType;
use super::code::{MemoryState, Operation, Place, Step};
use super::words;
use num_bigint::BigUint;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

/// A flat design.
pub(super) struct Program {
    pub steps: Vec<Step>,
    pub state: Vec<u64>,
    pub memories: Vec<MemoryState>,
    pub registers: Vec<RegisterStep>,
    pub reads: Vec<ReadStep>,
    pub writes: Vec<WriteStep>,
    /// Signals by path: `signal`, `instance.signal`, ...
    pub names: HashMap<String, (Place, HwType)>,
}

/// What a register takes at an edge.
pub(super) struct RegisterStep {
    pub q: Place,
    pub next: Place,
    pub enable: Option<Place>,
    /// The reset and the value that it loads.
    pub reset: Option<(Place, Place)>,
}

/// A synchronous read port.
pub(super) struct ReadStep {
    pub memory: usize,
    pub q: Place,
    pub address: Place,
    pub enable: Option<Place>,
}

/// A write port.
pub(super) struct WriteStep {
    pub memory: usize,
    pub enable: Place,
    pub address: Place,
    pub data: Place,
}

/// One module in the hierarchy.
struct Scope {
    module: Arc<Module>,
    path: String,
    /// Number of its first signal in the design.
    first: usize,
    /// Number of its first memory.
    memories: usize,
}

/// A combinational driver somewhere in the design.
struct Driver {
    scope: usize,
    target: usize,
    value: Expr,
    /// The memory, if the value is an address.
    memory: Option<usize>,
}

/// Signals that are one and the same, through instances.
struct Aliases(Vec<usize>);

impl Aliases {
    fn find(&mut self, signal: usize) -> usize {
        let mut root = signal;
        while self.0[root] != root {
            self.0[root] = self.0[self.0[root]];
            root = self.0[root];
        }
        root
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[b] = a;
    }
}

/// Flattens and compiles a hierarchy.
pub(super) fn compile(top: &Arc<Module>) -> Program {
    let mut scopes = Vec::new();
    let mut drivers = Vec::new();
    let mut aliases = Aliases(Vec::new());
    let mut memories = Vec::new();
    flatten(top, String::new(), &mut scopes, &mut drivers, &mut aliases, &mut memories);

    let mut places = vec![None; aliases.0.len()];
    let mut state: Vec<u64> = Vec::new();
    let mut names = HashMap::new();
    for scope in &scopes {
        for (index, decl) in scope.module.signals.iter().enumerate() {
            let root = aliases.find(scope.first + index);
            let place = *places[root].get_or_insert_with(|| {
                let place = Place { at: state.len() as u32, width: decl.ty.width };
                state.resize(state.len() + words::count(decl.ty.width), 0);
                place
            });
            if decl.role != Role::Absent {
                names.insert(format!("{}{}", scope.path, decl.name), (place, decl.ty));
            }
        }
    }
    let mut place_of = |signal: usize| places[aliases.find(signal)];
    let of_scope: Vec<Vec<Place>> = scopes
        .iter()
        .map(|scope| (0..scope.module.signals.len()).filter_map(|index| place_of(scope.first + index)).collect())
        .collect();
    let targets: Vec<Option<Place>> = drivers.iter().map(|driver| place_of(driver.target)).collect();

    let mut compiler = Compiler { state, steps: Vec::new(), constants: HashMap::new() };
    for index in order(&drivers, &targets, &of_scope) {
        let driver = &drivers[index];
        let (Some(to), signals) = (targets[index], &of_scope[driver.scope]) else { continue };
        match driver.memory {
            None => compiler.compute(&driver.value, to, signals),
            Some(memory) => {
                let a = compiler.value(&driver.value, signals);
                compiler.push(Operation::Read, to, a, a, memory as u32);
            }
        }
    }
    let (mut registers, mut reads, mut writes) = (Vec::new(), Vec::new(), Vec::new());
    for (scope, signals) in scopes.iter().zip(&of_scope) {
        for register in &scope.module.registers {
            let q = signals[register.q as usize];
            let reset = register.reset.as_ref();
            registers.push(RegisterStep {
                q,
                next: compiler.value(&register.next, signals),
                enable: register.enable.as_ref().map(|enable| compiler.value(enable, signals)),
                reset: reset.map(|bits| (signals[RESET as usize], compiler.constant(q.width, bits))),
            });
        }
        for (index, memory) in scope.module.memories.iter().enumerate() {
            let number = scope.memories + index;
            for read in memory.reads.iter().filter(|read| read.clocked) {
                reads.push(ReadStep {
                    memory: number,
                    q: signals[read.q as usize],
                    address: compiler.value(&read.address, signals),
                    enable: read.enable.as_ref().map(|enable| compiler.value(enable, signals)),
                });
            }
            if let Some(write) = &memory.write {
                writes.push(WriteStep {
                    memory: number,
                    enable: compiler.value(&write.enable, signals),
                    address: compiler.value(&write.address, signals),
                    data: compiler.value(&write.data, signals),
                });
            }
        }
    }
    Program { steps: compiler.steps, state: compiler.state, memories, registers, reads, writes, names }
}

/// Appends a module and everything below it.
fn flatten(
    module: &Arc<Module>,
    path: String,
    scopes: &mut Vec<Scope>,
    drivers: &mut Vec<Driver>,
    aliases: &mut Aliases,
    memories: &mut Vec<MemoryState>,
) -> usize {
    let (scope, first) = (scopes.len(), aliases.0.len());
    aliases.0.extend(first..first + module.signals.len());
    let own_memories = memories.len();
    scopes.push(Scope { module: module.clone(), path: path.clone(), first, memories: own_memories });
    for memory in &module.memories {
        let spec = &memory.spec;
        let stride = words::count(spec.width);
        let mut contents = vec![0; stride * spec.depth];
        let image = spec.init.iter().flat_map(|image| image.words.iter());
        for (word, out) in image.zip(contents.chunks_mut(stride)) {
            out.iter_mut().zip(word.iter_u64_digits()).for_each(|(out, digit)| *out = digit);
        }
        memories.push(MemoryState { words: contents, depth: spec.depth, width: spec.width });
    }
    for combinational in &module.combinational {
        drivers.push(match combinational {
            Combinational::Assign(assign) => {
                Driver { scope, target: first + assign.target as usize, value: assign.value.clone(), memory: None }
            }
            Combinational::Read { memory, read } => {
                let port = &module.memories[*memory].reads[*read];
                let (target, value) = (first + port.q as usize, port.address.clone());
                Driver { scope, target, value, memory: Some(own_memories + memory) }
            }
        });
    }
    for instance in &module.instances {
        let below = format!("{path}{}.", instance.name);
        let child = flatten(&instance.module, below, scopes, drivers, aliases, memories);
        let child_first = scopes[child].first;
        let port = |name: &str| instance.module.signals.iter().position(|decl| decl.name == name);
        for (name, value) in &instance.inputs {
            let Some(target) = port(name).map(|index| child_first + index) else { continue };
            match value.as_signal() {
                Some(signal) => aliases.join(first + signal.index as usize, target),
                None => drivers.push(Driver { scope, target, value: value.clone(), memory: None }),
            }
        }
        for (name, target) in &instance.outputs {
            if let Some(index) = port(name) {
                aliases.join(first + *target as usize, child_first + index);
            }
        }
    }
    scope
}

/// An order in which each driver follows those that it reads; modules have no loops.
fn order(drivers: &[Driver], targets: &[Option<Place>], signals: &[Vec<Place>]) -> Vec<usize> {
    let by_target: HashMap<u32, usize> =
        targets.iter().enumerate().filter_map(|(index, to)| to.map(|to| (to.at, index))).collect();
    let mut waits = vec![0usize; drivers.len()];
    let mut feeds = vec![Vec::new(); drivers.len()];
    for (index, driver) in drivers.iter().enumerate() {
        driver.value.for_each_signal(&mut |signal| {
            let place = signals[driver.scope][signal.index as usize];
            if let Some(&source) = by_target.get(&place.at) {
                feeds[source].push(index);
                waits[index] += 1;
            }
        });
    }
    let mut ready: BinaryHeap<_> =
        (0..drivers.len()).filter(|&index| waits[index] == 0).map(std::cmp::Reverse).collect();
    let mut order = Vec::with_capacity(drivers.len());
    while let Some(std::cmp::Reverse(index)) = ready.pop() {
        order.push(index);
        for &next in &feeds[index] {
            waits[next] -= 1;
            if waits[next] == 0 {
                ready.push(std::cmp::Reverse(next));
            }
        }
    }
    order
}

struct Compiler {
    state: Vec<u64>,
    steps: Vec<Step>,
    constants: HashMap<(u32, BigUint), Place>,
}

impl Compiler {
    fn allocate(&mut self, width: u32) -> Place {
        let at = self.state.len() as u32;
        self.state.resize(self.state.len() + words::count(width), 0);
        Place { at, width }
    }

    fn constant(&mut self, width: u32, bits: &BigUint) -> Place {
        if let Some(&place) = self.constants.get(&(width, bits.clone())) {
            return place;
        }
        let place = self.allocate(width);
        let words = place.of_mut(&mut self.state);
        words.iter_mut().zip(bits.iter_u64_digits()).for_each(|(word, digit)| *word = digit);
        self.constants.insert((width, bits.clone()), place);
        place
    }

    fn push(&mut self, operation: Operation, to: Place, a: Place, b: Place, c: u32) {
        self.steps.push(Step { operation, to, a, b, c });
    }

    /// Where the expression's value lies after its steps.
    fn value(&mut self, expr: &Expr, signals: &[Place]) -> Place {
        match expr.op() {
            Op::Signal(signal) => signals[signal.index as usize],
            Op::Literal(bits) => self.constant(expr.ty().width, bits),
            Op::Reinterpret(of) => self.value(of, signals),
            _ => {
                let to = self.allocate(expr.ty().width);
                self.compute(expr, to, signals);
                to
            }
        }
    }

    /// Steps that leave the expression's value at `to`.
    fn compute(&mut self, expr: &Expr, to: Place, signals: &[Place]) {
        let mut unary = |operation: Operation, of: &Expr, c: u32| {
            let a = self.value(of, signals);
            self.push(operation, to, a, a, c);
        };
        match expr.op() {
            Op::Signal(_) | Op::Literal(_) => unary(Operation::Extend { signed: false }, expr, 0),
            Op::Reinterpret(of) => self.compute(of, to, signals),
            Op::Slice { of, lo } => unary(Operation::Slice, of, *lo),
            Op::Extend(of) => unary(Operation::Extend { signed: of.ty().signed }, of, 0),
            Op::Not(of) => unary(Operation::Not, of, 0),
            Op::Neg(of) => unary(Operation::Neg, of, 0),
            Op::ShiftLeft(of, by) => unary(Operation::ShiftLeft, of, *by),
            Op::ShiftRight(of, by) => unary(Operation::ShiftRight { signed: of.ty().signed }, of, *by),
            Op::Reduce(kind, of) => {
                let operation = match kind {
                    Reduce::And => Operation::ReduceAnd,
                    Reduce::Or => Operation::ReduceOr,
                    Reduce::Xor => Operation::ReduceXor,
                };
                unary(operation, of, 0);
            }
            Op::Index { of, index } => self.binary(Operation::Index, to, of, index, signals),
            Op::Binary(kind, a, b) => {
                let operation = match kind {
                    Binary::Add => Operation::Add,
                    Binary::Sub => Operation::Sub,
                    Binary::And => Operation::And,
                    Binary::Or => Operation::Or,
                    Binary::Xor => Operation::Xor,
                };
                self.binary(operation, to, a, b, signals);
            }
            Op::Compare(kind, a, b) => {
                let signed = a.ty().signed;
                let (operation, a, b) = match kind {
                    Compare::Eq => (Operation::Eq, a, b),
                    Compare::Ne => (Operation::Ne, a, b),
                    Compare::Lt => (Operation::Lt { signed }, a, b),
                    Compare::Le => (Operation::Le { signed }, a, b),
                    Compare::Gt => (Operation::Lt { signed }, b, a),
                    Compare::Ge => (Operation::Le { signed }, b, a),
                };
                self.binary(operation, to, a, b, signals);
            }
            Op::Mul(a, b) => self.binary(Operation::Mul { signed: a.ty().signed }, to, a, b, signals),
            Op::Mux(condition, yes, no) => {
                let condition = self.value(condition, signals);
                let (a, b) = (self.value(yes, signals), self.value(no, signals));
                self.push(Operation::Mux, to, a, b, condition.at);
            }
            Op::Concat(parts) => {
                let mut lo = 0;
                for part in parts.iter().rev() {
                    let a = self.value(part, signals);
                    self.push(Operation::Insert, to, a, a, lo);
                    lo += a.width;
                }
            }
        }
    }

    fn binary(&mut self, operation: Operation, to: Place, a: &Expr, b: &Expr, signals: &[Place]) {
        let (a, b) = (self.value(a, signals), self.value(b, signals));
        self.push(operation, to, a, b, 0);
    }
}
