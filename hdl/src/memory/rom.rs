//! Parameter memories: read-only memories whose image is loaded by `$readmemh`.

use crate::cells::Cells;
use crate::typed::{address_bits, uint, Expr, HdlError, MemorySpec, MemoryStyle, Module, ModuleBuilder, RomImage};
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
/// Ports: `address` (ceil(log2 depth) bits, at least 1), `data` (`width` bits). The images lie in
/// `rom/`, one word a line ([`RomSpec::images`]).
///
/// A memory deeper than a block RAM is made of banks, each with a register of its own behind it, so
/// that tools put no multiplexer between a block RAM and its register.
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
    /// Words of one block RAM: deeper memories are banks of so many.
    pub block_words: usize,
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
            block_words: cells.block_words,
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

    /// The memory's hardware.
    ///
    /// # Errors
    /// If a guarantee of the typed layer is broken, for instance by a name that is no identifier.
    pub fn module(&self) -> Result<Arc<Module>, HdlError> {
        let mut m = ModuleBuilder::new(&self.name);
        m.comment(format!("Read-only memory: {} words of {} bits.", self.depth, self.width));
        m.comment(format!("The word of the address at edge t is at `data` before edge t + {}.", self.read_latency));
        let address = m.input("address", uint(self.address_bits()));
        let images = self.images();
        let mut banks = Vec::with_capacity(images.len());
        for (index, image) in images.iter().enumerate() {
            let suffix = if images.len() > 1 { format!("_{index}") } else { String::new() };
            let depth = image.words.len();
            let memory = m.memory(MemorySpec {
                name: format!("words{suffix}"),
                width: self.width,
                depth,
                style: match self.style {
                    RomStyle::Distributed => MemoryStyle::Distributed,
                    RomStyle::Block => MemoryStyle::Block,
                },
                init: Some(image.clone()),
            });
            let within = address.expr().slice(0, address_bits(depth));
            banks.push(m.read_sync(memory, format!("word{suffix}"), within));
        }
        let mut elapsed = 1;
        let mut word = match banks.as_slice() {
            [single] => *single,
            _ => {
                // A register behind each bank and one behind the choice: a block RAM is slow to
                // answer, and nothing may stand between it and its register.
                elapsed += 2;
                let low = self.bank_words().trailing_zeros();
                let chosen = address.expr().slice(low, self.address_bits() - low);
                let chosen = register_chain(&mut m, "bank", chosen, 2);
                let held: Vec<Expr> = banks
                    .iter()
                    .enumerate()
                    .map(|(index, bank)| register_chain(&mut m, &format!("held_{index}"), bank.expr(), 1))
                    .collect();
                let last = held.len() - 1;
                let choose = |rest: Expr, (index, word): (usize, &Expr)| {
                    Expr::mux(chosen.eq(Expr::lit(chosen.ty(), index as u64)), word, &rest)
                };
                let value = held[..last].iter().enumerate().fold(held[last].clone(), choose);
                if elapsed == self.read_latency {
                    let data = m.output_register("data", uint(self.width));
                    m.clock(data, value);
                    return m.build();
                }
                let word = m.register("word", uint(self.width));
                m.clock(word, value);
                word
            }
        };
        if elapsed == self.read_latency {
            let data = m.output("data", uint(self.width));
            m.assign(data, word.expr());
            return m.build();
        }
        for stage in elapsed + 1..self.read_latency {
            let next = m.register(format!("word_d{}", stage - elapsed), uint(self.width));
            m.clock(next, word.expr());
            word = next;
        }
        let data = m.output_register("data", uint(self.width));
        m.clock(data, word.expr());
        m.build()
    }

    /// Words of a bank: a power of two. A memory that answers in fewer than three clock edges is
    /// one bank, since choosing among several takes a register of its own.
    fn bank_words(&self) -> usize {
        match self.style == RomStyle::Block && self.read_latency >= 3 {
            true => self.block_words.next_power_of_two(),
            false => self.depth.next_power_of_two(),
        }
    }

    /// The images, one a bank: `<name>.hex`, or `<name>_<bank>.hex` where there are several.
    pub fn images(&self) -> Vec<RomImage> {
        let words: Vec<BigUint> = (0..self.depth).map(|at| self.words.get(at).cloned().unwrap_or_default()).collect();
        let banks: Vec<&[BigUint]> = words.chunks(self.bank_words()).collect();
        let image = |(index, bank): (usize, &&[BigUint])| RomImage {
            file: if banks.len() > 1 { format!("{}_{index}.hex", self.name) } else { format!("{}.hex", self.name) },
            words: Arc::new(bank.to_vec()),
        };
        banks.iter().enumerate().map(image).collect()
    }
}

/// `value` after `length` registers.
fn register_chain(m: &mut ModuleBuilder, name: &str, value: Expr, length: usize) -> Expr {
    (1..=length).fold(value, |value, stage| {
        let register = m.register(format!("{name}_d{stage}"), value.ty());
        m.clock(register, value);
        register.expr()
    })
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
    fn banks_answer_like_one_memory() {
        for latency in 3..=4 {
            let cells = Cells { memory_read_latency: latency, block_words: 32, ..Cells::default() };
            let spec = RomSpec { style: RomStyle::Block, ..RomSpec::new("constants", words(75), 6, &cells) };
            assert_eq!(spec.images().iter().map(|bank| bank.words.len()).collect::<Vec<_>>(), [32, 32, 11]);
            let mut rom = Evaluator::new(&spec.module().unwrap());
            for cycle in 0..300u64 {
                let address = |cycle: u64| cycle * 29 % 75;
                rom.set("address", address(cycle));
                if let Some(past) = cycle.checked_sub(latency) {
                    assert_eq!(rom.get("data"), spec.words[address(past) as usize], "latency {latency}, cycle {cycle}");
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
