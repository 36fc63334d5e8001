//! Requantizers: from raw accumulators to the stored outputs of a stage.

mod affine;
mod affine_rtl;
mod block;
mod interval;
mod lane;
mod levels;
mod linear;
mod ports;
mod product;
mod search;
mod sum;
mod table;
#[cfg(test)]
mod tests;
mod thresholds;

pub use ports::ParameterPort;

use crate::cells::Cells;
use crate::typed::{HdlError, Module};
use lane::{Lane, Level};
use std::sync::Arc;
use systole_arith::{IntType, Requantizer};

/// Requantizes a stream of raw accumulators, `lanes` a beat.
///
/// ```text
///                        +------------------+
///  in_valid, in_data ===>| lane 0 .. lane R |===> out_valid, out_data
///                        +------------------+
///        *_address <---- beat counter   ^
///        *_data    ---------------------+
/// ```
///
/// Lane r of beat b handles channel b * R + r; a pixel takes ceil(M / R) beats, which come in
/// order with any number of idle cycles between. Idle lanes of a pixel's last beat leave as 0.
///
/// Ports: `in_valid`, `in_data` (R * `raw_bits`, lane 0 in the low bits), `out_valid`, `out_data`
/// (R * output bits), and an address output and a data input for each [`ParameterPort`]. A
/// constant that all channels share is part of the logic; the others are fields of the port's
/// words, lane 0 in the low bits, in each lane the fields in the order
///
/// - linear: offset;
/// - thresholds: threshold 0 and up, sense (1 counts thresholds not reached), then base;
/// - affine: multiplier, pivot, `at` and `delta` of each correction, then the bias or the biases
///   below the pivot and from it on;
/// - search: sense, base; and one table a level and lane, addressed by beat and partial index;
/// - table: one table a lane, addressed by beat (where channels differ) and the low bits of the raw number.
///
/// Fields that are read at different times have ports of their own (`param`, `param2`, ...). A
/// field is as wide as its values need, unsigned where none is negative.
///
/// *Timing*: a free pipeline without back-pressure or clock enable, interval 1;
/// [`RequantizeSpec::latency`]. *Reset* clears valid bits and the beat counter.
#[derive(Clone, Debug, PartialEq)]
pub struct RequantizeSpec {
    /// Name of the module: an identifier, unique in the design.
    pub name: String,
    /// Accumulators a beat: R.
    pub lanes: usize,
    /// Channels of a pixel: M.
    pub channels: usize,
    /// Two's-complement width of a raw accumulator.
    pub raw_bits: u32,
    /// The function.
    pub form: Requantizer,
    /// Type of the outputs.
    pub output: IntType,
    /// Technology.
    pub cells: Cells,
}

impl RequantizeSpec {
    /// Beats a pixel.
    pub fn beats(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// The block's module; each of its lanes is an instance of `<name>_lane`.
    ///
    /// # Errors
    /// If a guarantee of the typed layer is broken, for instance by a name that is no identifier.
    pub fn module(&self) -> Result<Arc<Module>, HdlError> {
        block::module(self, self.lane().as_ref())
    }

    /// The ports through which the block reads its constants, with the words behind them; none
    /// where all channels share them.
    pub fn parameter_ports(&self) -> Vec<ParameterPort> {
        ports::parameter_ports(self.lane().as_ref(), self)
    }

    /// Clock edges from the one that accepts a beat (`in_valid` high before it) to the first one
    /// with its `out_valid` high before it: 0 for plain wires.
    pub fn latency(&self) -> u64 {
        self.lane().latency()
    }

    /// Hardware multipliers.
    pub fn multipliers(&self) -> u64 {
        self.lane().multipliers() * self.lanes_used() as u64
    }

    /// Bits of the memories behind the parameter ports.
    pub fn memory_bits(&self) -> u64 {
        let lane = self.lane();
        let used = self.lanes_used() as u64;
        let fields = lane.fields().into_iter().filter(|field| field.shared().is_none());
        let field_bits: u64 = fields.map(|field| u64::from(field.ty().width)).sum();
        let words = |level: &Level| level.words(self.beats()) as u64;
        let table_bits: u64 = lane.levels().iter().map(|level| u64::from(level.ty.width) * words(level)).sum();
        (field_bits * self.beats() as u64 + table_bits) * used
    }

    /// Look-up tables, roughly, for comparing lane counts.
    pub fn lut_cost(&self) -> u64 {
        self.lane().lut_cost() * self.lanes_used() as u64
    }

    /// Lanes that ever carry a channel.
    pub(crate) fn lanes_used(&self) -> usize {
        self.lanes.min(self.channels)
    }

    fn lane(&self) -> Box<dyn Lane> {
        match &self.form {
            Requantizer::Linear(form) => Box::new(linear::LinearLane::new(form, self.output, &self.cells)),
            Requantizer::Thresholds(form) => {
                Box::new(thresholds::ThresholdsLane::new(form, self.raw_bits, self.output, &self.cells))
            }
            Requantizer::Affine(form) => {
                Box::new(affine::AffineLane::new(form, self.raw_bits, self.output, &self.cells))
            }
            Requantizer::Search(form) => {
                Box::new(search::SearchLane::new(form, self.raw_bits, self.output, &self.cells))
            }
            Requantizer::Table(form) => Box::new(table::TableLane::new(form, self.raw_bits, self.output, &self.cells)),
        }
    }
}
