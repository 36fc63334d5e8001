//! Technology cells: what the target's multipliers and memories are, and how long they take.

/// Figures of the technology cells that blocks are built from. Blocks read their latencies here;
/// none has a constant of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cells {
    /// Signed operand width in bits of a hardware multiplier's wide port.
    pub multiplier_a_bits: u32,
    /// Signed operand width in bits of its narrow port.
    pub multiplier_b_bits: u32,
    /// Clock edges from a multiplier's registered operands to its registered product, at least 1.
    pub multiplier_latency: u64,
    /// Clock edges from a memory's address to its registered data, at least 1: a read register, an
    /// output register, and one behind the choice among banks.
    pub memory_read_latency: u64,
    /// Words of one block RAM at its usual width; deeper memories are banks of so many.
    pub block_words: usize,
    /// Multiplier lanes that share one hop of the systolic chain: an adder tree of this width feeds
    /// each hop. More lanes shorten the chain and deepen the tree.
    pub lanes_per_hop: usize,
    /// The same for lanes made of logic (XNOR, add/subtract).
    pub logic_lanes_per_hop: usize,
    /// Bits up to which a memory is built from distributed RAM rather than block RAM.
    pub distributed_limit_bits: u64,
}

impl Default for Cells {
    /// Cells that every current FPGA family has: 18 x 18 signed multipliers, block RAM with an
    /// output register.
    fn default() -> Self {
        Cells {
            multiplier_a_bits: 18,
            multiplier_b_bits: 18,
            multiplier_latency: 1,
            memory_read_latency: 3,
            block_words: 1024,
            lanes_per_hop: 4,
            logic_lanes_per_hop: 16,
            distributed_limit_bits: 1024,
        }
    }
}
