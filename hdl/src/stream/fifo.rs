//! FIFO buffers between stages.

use crate::cells::Cells;

/// Memory that a FIFO is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FifoMemory {
    /// Flip-flops: up to [`FifoSpec::REGISTER_DEPTH`] entries.
    Registers,
    /// Distributed (look-up table) RAM.
    Distributed,
    /// Block RAM.
    Block,
}

impl FifoMemory {
    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            FifoMemory::Registers => "registers",
            FifoMemory::Distributed => "distributed",
            FifoMemory::Block => "block",
        }
    }
}

/// A first-in first-out buffer of `depth` beats.
///
/// ```text
///  in_valid  +----------------+ out_valid
///  in_data ->|  depth entries |-> out_data
///            +----------------+<- out_ready
///  in_ready = not full (registered)
/// ```
///
/// *Timing*: a beat stored at edge t can leave at edge t + 1, whatever the memory: block RAM is
/// read ahead into an output register, and an entry that arrives at an empty buffer goes straight
/// there. A beat taken at edge t leaves a place that can be filled at edge t + 1. *Reset* empties it.
///
/// Behind a free-running pipeline `in_ready` is left out (`credited`): whoever starts work there
/// holds credits, one an entry, and never overfills it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FifoSpec {
    /// Entries, at least 1.
    pub depth: usize,
    /// Bits an entry.
    pub width: u64,
    /// Without `in_ready`.
    pub credited: bool,
}

impl FifoSpec {
    /// Entries up to which flip-flops are used.
    pub const REGISTER_DEPTH: usize = 2;

    /// Clock edges from storing a beat to the first edge at which it can leave.
    pub const LATENCY: u64 = 1;

    /// Memory that suits the size.
    pub fn memory(&self, cells: &Cells) -> FifoMemory {
        let bits = self.depth as u64 * self.width;
        if self.depth <= Self::REGISTER_DEPTH {
            FifoMemory::Registers
        } else if self.depth <= 64 || bits <= cells.distributed_limit_bits {
            FifoMemory::Distributed
        } else {
            FifoMemory::Block
        }
    }

    /// Entries that the memory's geometry has at least.
    pub fn rounded_depth(&self, cells: &Cells) -> usize {
        match self.memory(cells) {
            FifoMemory::Registers => self.depth,
            FifoMemory::Distributed => self.depth.next_multiple_of(32),
            FifoMemory::Block => self.depth.next_power_of_two().max(512),
        }
    }
}
