//! A cycle-accurate interpreter of modules: unit tests of hardware without a simulator.

mod code;
mod compile;
mod words;

use super::module::{Module, Role};
use super::HwType;
use code::Place;
use compile::Program;
use num_bigint::{BigInt, BigUint};
use num_traits::ToPrimitive;
use std::collections::HashSet;
use std::sync::Arc;

/// Runs a module and everything below it, cycle by cycle.
///
/// Registers and memories without an image start at 0, where hardware starts at anything.
/// Combinational values are brought up to date when they are read.
///
/// # Panics
/// Methods panic if a name is unknown or a value does not fit: a bug of the test.
pub struct Evaluator {
    program: Program,
    inputs: HashSet<String>,
    scratch: Vec<u64>,
    /// Values that registers take at the edge under way.
    staged: Vec<u64>,
    stale: bool,
}

impl Evaluator {
    /// A design at rest: inputs, registers and memories 0.
    pub fn new(top: &Arc<Module>) -> Self {
        let inputs = top.signals.iter().filter(|decl| decl.role == Role::Input).map(|decl| decl.name.clone());
        Evaluator {
            program: compile::compile(top),
            inputs: inputs.collect(),
            scratch: Vec::new(),
            staged: Vec::new(),
            stale: true,
        }
    }

    fn find(&self, path: &str) -> (Place, HwType) {
        match self.program.names.get(path) {
            Some(&found) => found,
            None => panic!("no signal `{path}`"),
        }
    }

    /// Sets an input port to a value of its type, or to stored bits.
    pub fn set(&mut self, port: &str, value: impl Into<BigInt>) {
        assert!(self.inputs.contains(port), "no input port `{port}`");
        let (place, ty) = self.find(port);
        let value = value.into();
        let is_pattern = HwType { signed: false, ..ty }.contains(&value);
        assert!(is_pattern || ty.contains(&value), "input `{port}`: {value} does not fit {ty}");
        let words = place.of_mut(&mut self.program.state);
        words.fill(0);
        words.iter_mut().zip(ty.bits_of(&value).iter_u64_digits()).for_each(|(word, digit)| *word = digit);
        self.stale = true;
    }

    /// The stored bits of a port, or of a signal below: `instance.signal`.
    pub fn get(&mut self, path: &str) -> BigUint {
        let (place, _) = self.find(path);
        self.eval();
        let digits = place.of(&self.program.state).iter().flat_map(|word| [*word as u32, (word >> 32) as u32]);
        BigUint::new(digits.collect())
    }

    /// The value of a port or signal, by its type.
    pub fn get_value(&mut self, path: &str) -> BigInt {
        let (_, ty) = self.find(path);
        ty.value_of(&self.get(path))
    }

    /// The stored bits of a port or signal of at most 64 bits.
    pub fn get_u64(&mut self, path: &str) -> u64 {
        let bits = self.get(path);
        match bits.to_u64() {
            Some(value) => value,
            None => panic!("`{path}` holds {bits}, more than 64 bits"),
        }
    }

    /// The value of a port or signal, where it fits.
    pub fn get_i64(&mut self, path: &str) -> i64 {
        let value = self.get_value(path);
        match value.to_i64() {
            Some(value) => value,
            None => panic!("`{path}` holds {value}, more than 64 bits"),
        }
    }

    /// Brings combinational values up to date.
    pub fn eval(&mut self) {
        if self.stale {
            let program = &mut self.program;
            code::run(&program.steps, &mut program.state, &program.memories, &mut self.scratch);
            self.stale = false;
        }
    }

    /// One rising edge of the clock.
    pub fn clock(&mut self) {
        self.eval();
        let program = &mut self.program;
        let state = &mut program.state;
        let on = |place: Place, state: &[u64]| state[place.at as usize] != 0;
        self.staged.clear();
        for register in &program.registers {
            let source = match register.reset {
                Some((reset, value)) if on(reset, state) => value,
                _ if register.enable.is_none_or(|enable| on(enable, state)) => register.next,
                _ => register.q,
            };
            self.staged.extend_from_slice(source.of(state));
        }
        for read in &program.reads {
            let start = self.staged.len();
            self.staged.extend_from_slice(read.q.of(state));
            if read.enable.is_none_or(|enable| on(enable, state)) {
                program.memories[read.memory].read(read.address.of(state), &mut self.staged[start..]);
            }
        }
        for write in program.writes.iter().filter(|write| on(write.enable, state)) {
            let memory = &mut program.memories[write.memory];
            let stride = words::count(memory.width);
            if let Some(index) = memory.place(write.address.of(state)) {
                memory.words[index * stride..(index + 1) * stride].copy_from_slice(write.data.of(state));
            }
        }
        let mut staged = self.staged.as_slice();
        let registers = program.registers.iter().map(|register| register.q);
        for q in registers.chain(program.reads.iter().map(|read| read.q)) {
            let target = q.of_mut(state);
            let (now, later) = staged.split_at(target.len());
            target.copy_from_slice(now);
            staged = later;
        }
        self.stale = true;
    }

    /// One rising edge with the reset `areset`, if the design has that port.
    pub fn reset(&mut self) {
        if self.inputs.contains("areset") {
            self.set("areset", 1);
            self.clock();
            self.set("areset", 0);
        }
    }
}
