//! What every requantizer lane is made of: fields, words with a known time, delays in between.

use super::interval::Interval;
use crate::typed::{sint, uint, Expr, HdlError, HwType, Module, ModuleBuilder};
use std::collections::BTreeMap;
use std::sync::Arc;
use systole_arith::IntType;

/// A constant of each channel that a lane reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// Name of the lane's port.
    pub name: String,
    /// One a channel.
    pub values: Vec<i64>,
    /// Clock edges after the raw accumulator's at which the lane reads it.
    pub needed_at: u64,
}

impl Field {
    pub fn new(name: impl Into<String>, values: Vec<i64>, needed_at: u64) -> Self {
        Field { name: name.into(), values, needed_at }
    }

    /// The value that all channels share: it becomes part of the logic.
    pub fn shared(&self) -> Option<i64> {
        let first = *self.values.first()?;
        self.values.iter().all(|&value| value == first).then_some(first)
    }

    /// Least interval of the values.
    pub fn interval(&self) -> Interval {
        Interval::hull_of(self.values.iter().copied())
    }

    /// Type of the port: unsigned where no value is negative.
    pub fn ty(&self) -> HwType {
        field_type(self.interval())
    }
}

/// The narrowest type of a field with values in `interval`.
pub(crate) fn field_type(interval: Interval) -> HwType {
    match interval.lo < 0 {
        true => sint(interval.signed_bits()),
        false => uint((interval.signed_bits() - 1).max(1)),
    }
}

/// A table that a lane reads, of a search level for instance, through a parameter port of each lane's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    /// Begins the name of the parameter port.
    pub table: String,
    /// Name of what it holds, which begins the name of the lane's input.
    pub word: &'static str,
    /// Bits of the partial index that select within a channel; none where there is one word.
    pub index_bits: u32,
    /// Type of a word.
    pub ty: HwType,
    /// Clock edges after the raw accumulator's at which the address is presented.
    pub address_at: u64,
    /// Whether the beat is part of the address: channels have words of their own.
    pub by_beat: bool,
}

impl Level {
    pub fn index_port(level: usize) -> String {
        format!("index_{level}")
    }

    pub fn word_port(&self, level: usize) -> String {
        format!("{}_{level}", self.word)
    }

    /// Words of `beats` beats.
    pub fn words(&self, beats: usize) -> usize {
        (if self.by_beat { beats } else { 1 }) << self.index_bits
    }
}

/// One form of requantization for one lane.
pub(crate) trait Lane {
    /// Words of the design's header comment.
    fn describe(&self) -> String;
    /// Constants that it reads, those shared by all channels included.
    fn fields(&self) -> Vec<Field>;
    /// Tables that it reads.
    fn levels(&self) -> Vec<Level> {
        Vec::new()
    }
    /// Word of level `level` for `channel` at partial index `index`.
    fn level_word(&self, _level: usize, _channel: usize, _index: usize) -> i64 {
        0
    }
    /// Clock edges from the one that accepts the raw accumulator to the one that stores the output.
    fn latency(&self) -> u64;
    /// Hardware multipliers.
    fn multipliers(&self) -> u64 {
        0
    }
    /// Look-up tables, roughly.
    fn lut_cost(&self) -> u64;
    /// Output words as plain wires, where nothing is computed.
    fn wiring(&self, _raw: &Expr) -> Option<Expr> {
        None
    }
    /// Builds the lane; the result is the stored output.
    fn build(&self, lane: &mut LaneBuilder) -> Timed;
}

/// A word that is there a known number of clock edges after the raw accumulator.
#[derive(Clone)]
pub(crate) struct Timed {
    name: String,
    value: Expr,
    /// None for a constant, which is always there.
    time: Option<u64>,
}

impl Timed {
    pub fn constant(value: Expr) -> Self {
        Timed { name: String::new(), value, time: None }
    }

    pub fn time(&self) -> Option<u64> {
        self.time
    }

    /// What wires make of this word at its time; `name` begins the names of its delays.
    pub fn view(&self, name: &str, make: impl FnOnce(&Expr) -> Expr) -> Timed {
        Timed { name: name.into(), value: make(&self.value), time: self.time }
    }
}

/// Builds a lane's module; delays words to wherever they are read.
pub(crate) struct LaneBuilder {
    module: ModuleBuilder,
    raw: Timed,
    fields: BTreeMap<String, Timed>,
    delays: BTreeMap<String, Vec<Expr>>,
}

impl LaneBuilder {
    /// A lane with ports for the fields that differ between channels.
    pub fn new(name: &str, comments: &[String], raw_bits: u32, fields: &[Field]) -> Self {
        let mut module = ModuleBuilder::new(name);
        for comment in comments {
            module.comment(comment);
        }
        let raw = module.input("raw", sint(raw_bits)).expr();
        let raw = Timed { name: "raw".into(), value: raw, time: Some(0) };
        let mut ports = BTreeMap::new();
        for field in fields {
            let timed = match field.shared() {
                Some(value) => Timed::constant(Expr::lit(field.ty(), value)),
                None => {
                    let value = module.input(&field.name, field.ty()).expr();
                    Timed { name: field.name.clone(), value, time: Some(field.needed_at) }
                }
            };
            ports.insert(field.name.clone(), timed);
        }
        LaneBuilder { module, raw, fields: ports, delays: BTreeMap::new() }
    }

    /// The raw accumulator, at time 0.
    pub fn raw(&self) -> Timed {
        self.raw.clone()
    }

    /// A field that [`Lane::fields`] lists, in its own type.
    ///
    /// # Panics
    /// If it lists none of that name.
    pub fn field(&self, name: &str) -> Timed {
        self.fields.get(name).unwrap_or_else(|| panic!("the lane has no field `{name}`")).clone()
    }

    /// An input that is there at `time`.
    pub fn input(&mut self, name: &str, ty: HwType, time: u64) -> Timed {
        let value = self.module.input(name, ty).expr();
        Timed { name: name.into(), value, time: Some(time) }
    }

    /// An output.
    pub fn output(&mut self, name: &str, value: &Expr) {
        let port = self.module.output(name, value.ty());
        self.module.assign(port, value.clone());
    }

    /// The word as it is at `time`, delayed by as many registers as that takes.
    ///
    /// # Panics
    /// If the word is there only later: a lane's schedule is wrong.
    pub fn at(&mut self, word: &Timed, time: u64) -> Expr {
        let Some(ready) = word.time else { return word.value.clone() };
        assert!(ready <= time, "`{}` is there at {ready}, read at {time}", word.name);
        let mut value = word.value.clone();
        for step in 0..(time - ready) as usize {
            let known = self.delays.get(&word.name).and_then(|delays| delays.get(step)).cloned();
            value = match known {
                Some(delayed) => delayed,
                None => {
                    let name = format!("{}_d{}", word.name, step + 1);
                    let register = self.module.register(name, value.ty());
                    self.module.clock(register, value);
                    self.delays.entry(word.name.clone()).or_default().push(register.expr());
                    register.expr()
                }
            };
        }
        value
    }

    /// A wire that is there at `time`.
    pub fn wire(&mut self, name: impl Into<String>, value: Expr, time: u64) -> Timed {
        let name = name.into();
        let wire = self.module.let_(&name, value);
        Timed { name, value: wire.expr(), time: Some(time) }
    }

    /// A register of `value`, which is computed from words at `time`.
    pub fn register(&mut self, name: impl Into<String>, value: Expr, time: u64) -> Timed {
        let name = name.into();
        let register = self.module.register(&name, value.ty());
        self.module.clock(register, value);
        Timed { name, value: register.expr(), time: Some(time + 1) }
    }

    /// Ends the lane with `result` as its output at time `latency`.
    ///
    /// # Errors
    /// If a guarantee of the typed layer is broken.
    ///
    /// # Panics
    /// If the result is there later than `latency`.
    pub fn finish(mut self, result: &Timed, latency: u64) -> Result<Arc<Module>, HdlError> {
        let value = self.at(result, latency).as_unsigned();
        self.output("result", &value);
        self.module.build()
    }
}

/// Bits of the signed word that holds every value of the type.
pub(crate) fn signed_bits(ty: HwType) -> u32 {
    ty.width + u32::from(!ty.signed)
}

/// The number modulo 2^`bits` as a signed word; extended by its own sign.
pub(crate) fn signed_word(value: &Expr, bits: u32) -> Expr {
    value.resize(bits).as_signed()
}

/// `value * factor` modulo 2^`bits`, by wires where `factor` is a power of two.
pub(crate) fn times_constant(value: &Expr, factor: i64, bits: u32) -> Expr {
    let value = signed_word(value, bits);
    if factor > 0 && factor & (factor - 1) == 0 {
        let shift = factor.trailing_zeros();
        return if shift == 0 { value } else { value.shl_const(shift) };
    }
    let factor = Expr::lit(sint(Interval::point(i128::from(factor)).signed_bits()), factor);
    value.mul(&factor).truncate(bits)
}

/// Bits in which outputs are computed, modulo 2^bits: those stored, but two for the values -1 and
/// +1 of a bipolar output.
pub(crate) fn working_bits(output: IntType) -> u32 {
    match output {
        IntType::Bipolar => 2,
        _ => output.bits(),
    }
}

/// The stored bits of an output computed in [`working_bits`].
pub(crate) fn stored(value: &Expr, output: IntType) -> Expr {
    match output {
        IntType::Bipolar => value.bit(1).not(),
        _ => value.as_unsigned(),
    }
}
