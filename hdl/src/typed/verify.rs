//! Guarantees that only the whole module shows: drivers, bindings, loops.

use super::builder::ModuleBuilder;
use super::expr::{Expr, Op};
use super::module::{Assign, Combinational, Direction, Driver, Instance, MemoryBlock, Module, Role, SignalDecl};
use super::HdlError;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

/// Finds the driver of every signal and records its kind.
pub(super) fn drivers(builder: &mut ModuleBuilder) -> Result<(), HdlError> {
    let mut found: HashMap<u32, String> = HashMap::new();
    let (module, signals) = (&builder.name, &mut builder.signals);
    let mut drive = |target: u32, kind: Driver, what: String| {
        let decl = &mut signals[target as usize];
        let earlier = match decl.driver {
            Driver::Outside => Some("the module's surroundings".to_string()),
            _ => found.get(&target).cloned(),
        };
        if let Some(first) = earlier {
            let (module, signal) = (module.clone(), decl.name.clone());
            return Err(HdlError::MultiplyDriven { module, signal, first, second: what });
        }
        decl.driver = kind;
        found.insert(target, what);
        Ok(())
    };
    for assign in &builder.assigns {
        drive(assign.target, Driver::Assign, "an assignment".into())?;
    }
    for register in &builder.registers {
        for _ in &register.nexts {
            drive(register.q, Driver::Clocked, "a register".into())?;
        }
    }
    for memory in &builder.memories {
        for read in &memory.reads {
            let kind = if read.clocked { Driver::Clocked } else { Driver::Assign };
            drive(read.q, kind, format!("a read port of memory `{}`", memory.spec.name))?;
        }
        if memory.write.is_none() && memory.spec.init.is_none() {
            let (module, memory) = (builder.name.clone(), memory.spec.name.clone());
            return Err(HdlError::EmptyMemory { module, memory });
        }
    }
    for instance in &builder.instances {
        for port in instance.module.ports() {
            let bound: Vec<&Expr> =
                instance.bindings.iter().filter(|(name, _)| *name == port.name).map(|(_, value)| value).collect();
            let implicit = port.name == "aclk" || port.name == "areset";
            if bound.len() != usize::from(!implicit) {
                return Err(HdlError::PortBinding {
                    module: builder.name.clone(),
                    instance: instance.name.clone(),
                    child: instance.module.name.clone(),
                    port: port.name,
                    times: bound.len(),
                });
            }
            if let (Direction::Output, [value]) = (port.direction, bound.as_slice()) {
                if let Op::Signal(signal) = value.op() {
                    let what = format!("port `{}` of instance `{}`", port.name, instance.name);
                    drive(signal.index, Driver::Instance, what)?;
                }
            }
        }
    }
    match builder.signals.iter().find(|decl| decl.driver == Driver::None) {
        Some(decl) => {
            let (module, signal) = (builder.name.clone(), decl.name.clone());
            Err(HdlError::Undriven { module, signal, ty: decl.ty })
        }
        None => Ok(()),
    }
}

/// What a module computes within a cycle.
pub(super) struct Dataflow {
    /// Combinational drivers, each after what it reads.
    pub order: Vec<Combinational>,
    /// Inputs that each output depends on.
    pub paths: BTreeMap<String, BTreeSet<String>>,
}

/// A combinational driver: of which signal, reading which.
struct Edge {
    target: u32,
    reads: Vec<u32>,
    what: Option<Combinational>,
}

/// Orders combinational drivers by dependence.
///
/// # Errors
/// If a signal depends on itself, through assignments, asynchronous reads or instances.
pub(super) fn dataflow(
    name: &str,
    signals: &[SignalDecl],
    assigns: &[Assign],
    memories: &[MemoryBlock],
    instances: &[Instance],
) -> Result<Dataflow, HdlError> {
    let mut edges = Vec::new();
    for instance in instances {
        edges.extend(instance_edges(instance));
    }
    for (memory, block) in memories.iter().enumerate() {
        for (read, port) in block.reads.iter().enumerate().filter(|(_, port)| !port.clocked) {
            let what = Some(Combinational::Read { memory, read });
            edges.push(Edge { target: port.q, reads: signals_of([&port.address]), what });
        }
    }
    for assign in assigns {
        let (target, reads) = (assign.target, signals_of([&assign.value]));
        edges.push(Edge { target, reads, what: Some(Combinational::Assign(assign.clone())) });
    }

    // Topological order (A. B. Kahn, 1962) that keeps the given order where it can.
    let mut driver: HashMap<u32, usize> = HashMap::new();
    for (index, edge) in edges.iter().enumerate() {
        driver.insert(edge.target, index);
    }
    let mut waits = vec![0usize; edges.len()];
    let mut feeds: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
    for (index, edge) in edges.iter().enumerate() {
        for &source in edge.reads.iter().filter_map(|read| driver.get(read)) {
            feeds[source].push(index);
            waits[index] += 1;
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> =
        waits.iter().enumerate().filter(|(_, &waits)| waits == 0).map(|(index, _)| Reverse(index)).collect();
    let mut sequence = Vec::with_capacity(edges.len());
    while let Some(Reverse(index)) = ready.pop() {
        sequence.push(index);
        for &next in &feeds[index] {
            waits[next] -= 1;
            if waits[next] == 0 {
                ready.push(Reverse(next));
            }
        }
    }
    if sequence.len() < edges.len() {
        let path = cycle(&edges, &driver, &waits);
        let path = path.into_iter().map(|signal| signals[signal as usize].name.clone()).collect();
        return Err(HdlError::CombinationalLoop { module: name.to_string(), path });
    }

    let paths = paths(signals, &edges, &sequence);
    let mut whats: Vec<Option<Combinational>> = edges.into_iter().map(|edge| edge.what).collect();
    let order = sequence.into_iter().filter_map(|index| whats[index].take()).collect();
    Ok(Dataflow { order, paths })
}

/// The signals that the expressions read, ascending, each once.
fn signals_of<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> Vec<u32> {
    let mut signals = BTreeSet::new();
    exprs.into_iter().for_each(|expr| {
        expr.for_each_signal(&mut |signal| {
            signals.insert(signal.index);
        })
    });
    signals.into_iter().collect()
}

fn instance_edges(instance: &Instance) -> impl Iterator<Item = Edge> + '_ {
    instance.outputs.iter().map(|(port, target)| {
        let inputs = instance.module.paths.get(port);
        let bound = instance.inputs.iter().filter(|(input, _)| inputs.is_some_and(|inputs| inputs.contains(input)));
        Edge { target: *target, reads: signals_of(bound.map(|(_, value)| value)), what: None }
    })
}

/// Walks back from a driver that waits for ever until a signal recurs.
fn cycle(edges: &[Edge], driver: &HashMap<u32, usize>, waits: &[usize]) -> Vec<u32> {
    let blocked = |signal: &u32| driver.get(signal).copied().filter(|&index| waits[index] > 0);
    let mut path: Vec<u32> = Vec::new();
    let mut next = waits.iter().position(|&waits| waits > 0);
    while let Some(index) = next {
        let target = edges[index].target;
        if let Some(start) = path.iter().position(|&signal| signal == target) {
            path.drain(..start);
            path.push(target);
            break;
        }
        path.push(target);
        next = edges[index].reads.iter().find_map(blocked);
    }
    path.reverse();
    path
}

/// The inputs on which each output depends.
fn paths(signals: &[SignalDecl], edges: &[Edge], sequence: &[usize]) -> BTreeMap<String, BTreeSet<String>> {
    let inputs: Vec<usize> = (0..signals.len()).filter(|&index| signals[index].role == Role::Input).collect();
    let words = inputs.len().div_ceil(64);
    let mut reach = vec![0u64; words * signals.len()];
    for (place, &input) in inputs.iter().enumerate() {
        reach[input * words + place / 64] |= 1 << (place % 64);
    }
    for &index in sequence {
        let edge = &edges[index];
        for &read in &edge.reads {
            for word in 0..words {
                reach[edge.target as usize * words + word] |= reach[read as usize * words + word];
            }
        }
    }
    let outputs = signals.iter().enumerate().filter(|(_, decl)| decl.role == Role::Output);
    let of = |signal: usize| {
        let reached = inputs.iter().enumerate();
        let reached = reached.filter(|(place, _)| reach[signal * words + place / 64] >> (place % 64) & 1 == 1);
        reached.map(|(_, &input)| signals[input].name.clone()).collect()
    };
    outputs.map(|(index, decl)| (decl.name.clone(), of(index))).collect()
}

/// Runs RustHDL's own checks (connection, logic loops, writes to inputs) on the module.
pub(super) fn rust_hdl(module: &Module) -> Result<(), HdlError> {
    rust_hdl::core::check_error::check_all(module)
        .map_err(|error| HdlError::RustHdl { module: module.name.clone(), reason: format!("{error:?}") })
}
