//! Parameter ports: where a requantizer reads its constants.

use super::lane::{Field, Lane, Level};
use super::RequantizeSpec;
use crate::memory::RomSpec;
use crate::typed::address_bits;
use num_bigint::BigUint;

/// A port through which a block reads constants: an address out, the word in a fixed number of
/// clock edges later ([`RomSpec`]'s read latency).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterPort {
    /// What it reads; begins the names of the ports.
    pub name: String,
    /// Ends the name of its memory, behind the block's. Ports of one memory name have the same words.
    pub memory: String,
    /// Name of the address output.
    pub address_port: String,
    /// Name of the data input.
    pub data_port: String,
    /// The words.
    pub words: Vec<BigUint>,
    /// Bits a word.
    pub width: u32,
}

impl ParameterPort {
    /// The memory that provides the words, named after the block and the port.
    pub fn rom(&self, spec: &RequantizeSpec) -> RomSpec {
        RomSpec::new(format!("{}_{}", spec.name, self.memory), self.words.clone(), self.width, &spec.cells)
    }

    /// Bits of the address.
    pub fn address_bits(&self) -> u32 {
        address_bits(self.words.len())
    }
}

/// The fields that are read at the same time, and so through one port.
pub(super) struct FieldGroup {
    pub name: String,
    pub fields: Vec<Field>,
    /// Clock edges after the raw accumulator's at which the address is presented.
    pub address_at: u64,
}

impl FieldGroup {
    pub fn address_port(&self) -> String {
        format!("{}_address", self.name)
    }

    pub fn data_port(&self) -> String {
        format!("{}_data", self.name)
    }

    /// Bits of one lane's fields.
    pub fn lane_bits(&self) -> u32 {
        self.fields.iter().map(|field| field.ty().width).sum()
    }

    fn port(&self, spec: &RequantizeSpec) -> ParameterPort {
        let lane_bits = self.lane_bits() as usize;
        let word = |beat: usize| {
            let mut word = Word::new(lane_bits * spec.lanes_used());
            for lane in 0..spec.lanes_used() {
                let mut at = lane * lane_bits;
                for field in &self.fields {
                    let width = field.ty().width as usize;
                    let value = field.values.get(beat * spec.lanes + lane).copied().unwrap_or(0);
                    word.put(at, width, value);
                    at += width;
                }
            }
            word.finish()
        };
        ParameterPort {
            name: self.name.clone(),
            memory: self.name.clone(),
            address_port: self.address_port(),
            data_port: self.data_port(),
            words: (0..spec.beats()).map(word).collect(),
            width: (lane_bits * spec.lanes_used()) as u32,
        }
    }
}

/// Fields that differ between channels, grouped by when they are read, the earliest first.
pub(super) fn field_groups(lane: &dyn Lane, spec: &RequantizeSpec) -> Vec<FieldGroup> {
    let mut fields: Vec<Field> = lane.fields().into_iter().filter(|field| field.shared().is_none()).collect();
    fields.sort_by_key(|field| field.needed_at);
    let mut groups: Vec<FieldGroup> = Vec::new();
    for field in fields {
        let address_at = field.needed_at - spec.cells.memory_read_latency;
        match groups.last_mut() {
            Some(group) if group.address_at == address_at => group.fields.push(field),
            previous => {
                let name = match previous {
                    None => "param".into(),
                    Some(_) => format!("param{}", groups.len() + 1),
                };
                groups.push(FieldGroup { name, fields: vec![field], address_at });
            }
        }
    }
    groups
}

/// Name of the port of one lane's table.
pub(super) fn table_port_name(level: &Level, lane: usize) -> String {
    format!("{}_lane{lane}", level.table)
}

/// All parameter ports: those of field groups, then the tables of each level, lane by lane.
pub(super) fn parameter_ports(lane: &dyn Lane, spec: &RequantizeSpec) -> Vec<ParameterPort> {
    let mut ports: Vec<ParameterPort> = field_groups(lane, spec).iter().map(|group| group.port(spec)).collect();
    for (number, level) in lane.levels().iter().enumerate() {
        ports.extend((0..spec.lanes_used()).map(|at| table(lane, spec, number, level, at)));
    }
    ports
}

/// A table: address = beat where it matters, then `index_bits` of index in the low bits.
fn table(form: &dyn Lane, spec: &RequantizeSpec, number: usize, level: &Level, lane: usize) -> ParameterPort {
    let name = table_port_name(level, lane);
    let entries = 1usize << level.index_bits;
    let width = level.ty.width;
    let word = |address: usize| {
        let (beat, index) = (address / entries, address % entries);
        let mut word = Word::new(width as usize);
        word.put(0, width as usize, form.level_word(number, beat * spec.lanes + lane, index));
        word.finish()
    };
    ParameterPort {
        address_port: format!("{name}_address"),
        data_port: format!("{name}_data"),
        words: (0..level.words(spec.beats())).map(word).collect(),
        memory: if level.by_beat { name.clone() } else { level.table.clone() },
        width,
        name,
    }
}

/// A word filled field by field.
struct Word(Vec<u32>);

impl Word {
    fn new(bits: usize) -> Self {
        Word(vec![0; bits.div_ceil(32)])
    }

    /// Stores the low `width` bits of `value` from bit `at` on.
    fn put(&mut self, at: usize, width: usize, value: i64) {
        for bit in 0..width {
            let set = value >> bit.min(63) & 1 == 1;
            self.0[(at + bit) / 32] |= u32::from(set) << ((at + bit) % 32);
        }
    }

    fn finish(self) -> BigUint {
        BigUint::new(self.0)
    }
}
