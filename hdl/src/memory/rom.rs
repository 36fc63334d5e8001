//! Parameter memories: read-only memories whose image is loaded by `$readmemh`.

use crate::cells::Cells;
use crate::typed::{address_bits, uint, HdlError, MemorySpec, MemoryStyle, Module, ModuleBuilder, RomImage};
use num_bigint::BigUint;
use std::sync::Arc;

/// What a [`RomSpec`] is built of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RomStyle {
    /// Look-up tables.
    Distributed,
    /// Block RAM.
    Block,
}

/// Words up to which a memory is built from look-up tables whatever its width.
const DISTRIBUTED_DEPTH: usize = 16;

/// A read-only memory behind a parameter port: the provider of weights and requantization constants.
///
/// ```text
///            +-------+   +------+     +-----+
///  address ->| words |-->| read |-..->| data|-> data
///            +-------+   +------+     +-----+
/// ```
///
/// Ports: `address` (ceil(log2 depth) bits, at least 1), `data` (`width` bits). The image is
/// `rom/<name>.hex`, one word a line.
///
/// *Timing*: the word of the address before clock edge t is at `data` before edge t +
/// `read_latency`: a read register and output registers; a new address every cycle, no enable.
/// *Reset* does nothing. Addresses of `depth` and above must not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RomSpec {
    /// Name of the module and of its image: an identifier.
    pub name: String,
    /// The words, the first at address 0; those above [`RomSpec::depth`] do not exist and missing
    /// ones are 0.
    pub words: Vec<BigUint>,
    /// Bits a word.
    pub width: u32,
    /// Words.
    pub depth: usize,
    /// What it is built of.
    pub style: RomStyle,
    /// Clock edges from an address to its word, at least 1.
    pub read_latency: u64,
}

impl RomSpec {
    /// A memory of exactly `words`, in the style that suits its size.
    pub fn new(name: impl Into<String>, words: Vec<BigUint>, width: u32, cells: &Cells) -> Self {
        let depth = words.len().max(1);
        RomSpec {
            name: name.into(),
            words,
            width,
            depth,
            style: Self::style_for(depth, width, cells),
            read_latency: cells.memory_read_latency,
        }
    }

    /// Block RAM above [`Cells::distributed_limit_bits`] and 16 words, else look-up tables.
    pub fn style_for(depth: usize, width: u32, cells: &Cells) -> RomStyle {
        let bits = depth as u64 * u64::from(width);
        if bits > cells.distributed_limit_bits && depth > DISTRIBUTED_DEPTH {
            RomStyle::Block
        } else {
            RomStyle::Distributed
        }
    }

    /// Bits stored.
    pub fn bits(&self) -> u64 {
        self.depth as u64 * u64::from(self.width)
    }

    /// Bits of the address.
    pub fn address_bits(&self) -> u32 {
        address_bits(self.depth)
    }

    /// Name of the image file, relative to the bundle's `rom` folder.
    pub fn image_file(&self) -> String {
        format!("{}.hex", self.name)
    }

    /// The memory's hardware.
    ///
    /// # Errors
    /// If a guarantee of the typed layer is broken, for instance by a name that is no identifier.
    pub fn module(&self) -> Result<Arc<Module>, HdlError> {
        let mut m = ModuleBuilder::new(&self.name);
        m.comment(format!("Read-only memory: {} words of {} bits.", self.depth, self.width));
        m.comment(format!("The word of the address at edge t is at `data` before edge t + {}.", self.read_latency));
        let address = m.input("address", uint(self.address_bits()));
        let words: Vec<BigUint> = (0..self.depth).map(|at| self.words.get(at).cloned().unwrap_or_default()).collect();
        let memory = m.memory(MemorySpec {
            name: "words".into(),
            width: self.width,
            depth: self.depth,
            style: match self.style {
                RomStyle::Distributed => MemoryStyle::Distributed,
                RomStyle::Block => MemoryStyle::Block,
            },
            init: Some(RomImage { file: self.image_file(), words: Arc::new(words) }),
        });
        let mut word = m.read_sync(memory, "word", address.expr());
        if self.read_latency <= 1 {
            let data = m.output("data", uint(self.width));
            m.assign(data, word.expr());
            return m.build();
        }
        for stage in 2..self.read_latency {
            let next = m.register(format!("word_d{}", stage - 1), uint(self.width));
            m.clock(next, word.expr());
            word = next;
        }
        let data = m.output_register("data", uint(self.width));
        m.clock(data, word.expr());
        m.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typed::Evaluator;

    fn words(count: u32) -> Vec<BigUint> {
        (0..count).map(|at| BigUint::from(at * 37 % 64)).collect()
    }

    #[test]
    fn a_word_follows_its_address_by_the_read_latency_every_cycle() {
        for latency in 1..=4 {
            let cells = Cells { memory_read_latency: latency, ..Cells::default() };
            let spec = RomSpec::new("constants", words(11), 6, &cells);
            let mut rom = Evaluator::new(&spec.module().unwrap());
            let addresses = [3u64, 10, 0, 7, 7, 1, 9, 2];
            for cycle in 0..addresses.len() + latency as usize {
                rom.set("address", addresses.get(cycle).copied().unwrap_or(0));
                if let Some(past) = cycle.checked_sub(latency as usize) {
                    let word = &spec.words[addresses[past] as usize];
                    assert_eq!(rom.get("data"), *word, "latency {latency}, cycle {cycle}");
                }
                rom.clock();
            }
        }
    }

    #[test]
    fn missing_words_are_zero() {
        let spec = RomSpec { depth: 3, ..RomSpec::new("constants", words(2), 6, &Cells::default()) };
        let mut rom = Evaluator::new(&spec.module().unwrap());
        rom.set("address", 2u64);
        (0..spec.read_latency).for_each(|_| rom.clock());
        assert_eq!(rom.get_u64("data"), 0);
    }

    #[test]
    fn only_deep_and_large_memories_are_block_ram() {
        let style = |depth, width| RomSpec::style_for(depth, width, &Cells::default());
        assert_eq!(style(16, 4096), RomStyle::Distributed);
        assert_eq!(style(128, 8), RomStyle::Distributed);
        assert_eq!(style(129, 8), RomStyle::Block);
        assert_eq!(style(17, 61), RomStyle::Block);
    }
}
