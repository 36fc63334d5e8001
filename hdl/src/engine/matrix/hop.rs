//! One hop of the systolic chain: a bank of the replay buffer and a column of multipliers.

use super::{MatrixSpec, ProductKind};
use crate::engine::number::number;
use crate::engine::window::BankReads;
use crate::stream::bits_for;
use crate::typed::{bit, uint, Expr, HdlError, MemorySpec, MemoryStyle, Module, ModuleBuilder, Signal};
use std::sync::Arc;
use systole_arith::IntType;

impl MatrixSpec {
    /// Hop `index` of the chain: stores its lanes of each input beat, multiplies them with the
    /// weights of every PE and adds the sums to those that come from the hop before.
    ///
    /// Ports: `write` (a bit for each beat of a strip), `write_address`, `write_data`, `read_address` (of each
    /// bank, [`MatrixSpec::bank_address`]), `first_bank` (where the bank of the first pixel lane changes), `padding`
    /// (where the window has any: for each pixel lane, whether its word is padding), `weights`, `sums_in`, `sums_out`
    /// (partial sums of the accumulators' width: those of the first pixel first, its first PE low).
    ///
    /// # Errors
    /// If the module breaks a guarantee of the typed layer: our bug.
    pub(crate) fn hop_module(&self, index: usize) -> Result<Arc<Module>, HdlError> {
        let lanes = self.lanes_of_hop(index);
        let (input_bits, weight_bits) = (self.input.bits(), self.weight.bits());
        let depth = self.replay_depth();
        let reads = self.bank_reads(self.place_of_hop(index).0);
        let mut m = ModuleBuilder::new(format!(
            "mac_hop_pe{}_lanes{lanes}_{}x{}_acc{}_depth{depth}_level{}{}{}",
            self.pe,
            self.input,
            self.weight,
            self.accumulator_bits,
            self.tree_levels(),
            if self.masks() { format!("_pad{}", self.input.encode(self.padding)) } else { String::new() },
            reads.suffix()
        ));
        m.comment(format!(
            "One hop of the systolic chain: {} PE x {lanes} lanes, {} by {}.",
            self.pe, self.input, self.weight
        ));
        m.comment(format!("Bank of {depth} input beats; partial sums of {} bits.", self.accumulator_bits));
        if reads.banks > 1 {
            m.comment(format!("{} pixels at once from {} such banks.", self.pixel_lanes, reads.banks));
        }
        let address_type = uint(bits_for(depth as u64 - 1));
        let write = m.input("write", uint((reads.banks / self.beat_pixels) as u32));
        let write_address = m.input("write_address", address_type);
        let word_type = uint(lanes as u32 * input_bits);
        let write_data = m.input("write_data", uint(self.beat_pixels as u32 * word_type.width));
        let addresses: Vec<Signal> =
            (0..reads.banks).map(|bank| m.input(self.bank_address(bank), address_type)).collect();
        let first_bank = reads.turns().then(|| m.input("first_bank", uint(bits_for(reads.banks as u64 - 1))));
        let padding = self.masks().then(|| m.input("padding", uint(self.pixel_lanes as u32)));
        let weights = m.input("weights", uint((self.pe * lanes) as u32 * weight_bits));
        let sums_type = uint((self.pixel_lanes * self.pe) as u32 * self.accumulator_bits);
        let sums_in = m.input("sums_in", sums_type);
        let sums_out = m.output("sums_out", sums_type);

        let bank_bits = depth as u64 * (lanes as u64) * u64::from(input_bits);
        let style = match bank_bits <= self.cells.distributed_limit_bits || depth <= 64 {
            true => MemoryStyle::Distributed,
            false => MemoryStyle::Block,
        };
        let mut words = Vec::with_capacity(reads.banks);
        for (bank, address) in addresses.iter().enumerate() {
            let name = if reads.banks == 1 { "bank".to_string() } else { format!("bank_{bank}") };
            let memory = m.memory(MemorySpec { name: name.clone(), width: word_type.width, depth, style, init: None });
            let (beat, pixel) = (bank / self.beat_pixels, bank % self.beat_pixels);
            let word = write_data.expr().slice(pixel as u32 * word_type.width, word_type.width);
            m.write_port(memory, write.expr().bit(beat as u32), write_address.expr(), word);
            words.push(m.read_port(memory, format!("{name}_read"), address.expr(), None));
        }
        let first_bank = first_bank.map(|first| m.registered("first_bank_read", first.expr()));
        let padding = padding.map(|padding| {
            let read_padding = m.register("bank_read_padding", padding.ty());
            m.clock(read_padding, padding.expr());
            read_padding
        });
        let mut inputs = Vec::with_capacity(self.pixel_lanes);
        for pixel in 0..self.pixel_lanes {
            let named =
                |name: &str| if self.pixel_lanes == 1 { name.to_string() } else { format!("{name}_of_{pixel}") };
            let mut word = match first_bank {
                None => words[reads.bank(reads.first[0], pixel)],
                Some(first) => {
                    let word = reads.select(&first.expr(), pixel, &words);
                    m.let_(named("turned"), word)
                }
            };
            if let Some(padding) = padding {
                let lane = Expr::lit(uint(input_bits), self.input.encode(self.padding));
                let zero_points = Expr::concat(&vec![lane; lanes]);
                let padded = padding.expr().bit(pixel as u32);
                word = m.let_(named("masked"), Expr::mux(padded, zero_points, word.expr()));
            }
            for stage in 1..self.cells.memory_read_latency {
                let register = m.register(named(&format!("inputs_{stage}")), word.ty());
                m.clock(register, word.expr());
                word = register;
            }
            inputs.push(word);
        }

        let mut sums = Vec::with_capacity(self.pixel_lanes * self.pe);
        for (pixel, &inputs) in inputs.iter().enumerate() {
            for pe in 0..self.pe {
                let row = pixel * self.pe + pe;
                let products: Vec<Signal> = (0..lanes)
                    .map(|lane| self.product(&mut m, (row, lane), inputs, (weights, pe * lanes + lane)))
                    .collect();
                let total = self.adder_tree(&mut m, row, products);
                let width = self.accumulator_bits;
                let carried = sums_in.expr().slice(row as u32 * width, width);
                let sum = m.register(format!("sum_{row}"), uint(width));
                m.clock(sum, carried.add(total.expr().resize(width).as_unsigned()));
                sums.push(sum.expr());
            }
        }
        sums.reverse();
        m.assign(sums_out, Expr::concat(&sums));
        m.build()
    }

    /// Port of a hop with the address of a bank.
    pub(crate) fn bank_address(&self, bank: usize) -> String {
        match self.line_buffer().map_or(1, |lines| lines.banks()) {
            1 => "read_address".to_string(),
            _ => format!("read_address_{bank}"),
        }
    }

    /// How pixel lanes read their banks for a tap lane.
    fn bank_reads(&self, tap_lane: usize) -> BankReads {
        match self.line_buffer() {
            None => BankReads { banks: 1, stride: 1, first: vec![0] },
            Some(lines) => BankReads::of(&lines, tap_lane),
        }
    }

    /// Whether hops mask padding.
    pub(crate) fn masks(&self) -> bool {
        self.window.is_some_and(|window| window.reads_padding())
    }

    /// The registered product of one lane of a row with one of the weights.
    fn product(
        &self,
        m: &mut ModuleBuilder,
        (row, lane): (usize, usize),
        inputs: Signal,
        (weights, weight): (Signal, usize),
    ) -> Signal {
        let (input_bits, weight_bits) = (self.input.bits(), self.weight.bits());
        let x = inputs.expr().slice(lane as u32 * input_bits, input_bits);
        let w = weights.expr().slice(weight as u32 * weight_bits, weight_bits);
        let value = product_value(self.input, self.weight, &x, &w);
        let name = format!("product_{row}_{lane}");
        let mut product = m.register(name.clone(), value.ty());
        m.clock(product, value);
        for stage in 1..self.cells.multiplier_latency {
            let later = m.register(format!("{name}_{stage}"), product.ty());
            m.clock(later, product.expr());
            product = later;
        }
        product
    }

    /// Sums the products of one row, a register after each addition; every hop has the tree of a
    /// full one, so that all take the same time.
    fn adder_tree(&self, m: &mut ModuleBuilder, row: usize, mut level: Vec<Signal>) -> Signal {
        for depth in 1..=self.tree_levels() {
            let mut next = Vec::with_capacity(level.len().div_ceil(2));
            for (index, pair) in level.chunks(2).enumerate() {
                let value = match pair {
                    [a, b] => {
                        let width = (a.ty().width.max(b.ty().width) + 1).min(self.accumulator_bits.max(a.ty().width));
                        a.expr().resize(width).add(b.expr().resize(width))
                    }
                    [single, ..] => single.expr(),
                    [] => continue,
                };
                let register = m.register(format!("tree_{row}_{depth}_{index}"), value.ty());
                m.clock(register, value);
                next.push(register);
            }
            level = next;
        }
        level[0]
    }

    /// The accumulators: add each fold's sums, restart at the first fold of a group, and show the
    /// results of a group in the cycle after its last fold has been added.
    ///
    /// Ports: `valid`, `first`, `last`, `sums`, `out_valid`, `out_data`.
    ///
    /// # Errors
    /// If the module breaks a guarantee of the typed layer: our bug.
    pub(crate) fn accumulator_module(&self) -> Result<Arc<Module>, HdlError> {
        let (width, rows) = (self.accumulator_bits, self.pixel_lanes * self.pe);
        let mut m = ModuleBuilder::new(format!("accumulators_pe{rows}_acc{width}"));
        m.comment(format!("{rows} accumulators of {width} bits, restarted at the first fold of each group."));
        let valid = m.input("valid", bit());
        let first = m.input("first", bit());
        let last = m.input("last", bit());
        let sums = m.input("sums", uint(rows as u32 * width));
        let out_valid = m.output("out_valid", bit());
        let out_data = m.output("out_data", uint(rows as u32 * width));
        let done = m.register("done", bit());
        m.reset(done, 0);
        m.clock(done, valid.expr().and(last.expr()));
        m.assign(out_valid, done.expr());
        let mut results = Vec::with_capacity(rows);
        for row in 0..rows {
            let accumulator = m.register(format!("accumulator_{row}"), uint(width));
            let held = Expr::mux(first.expr(), Expr::lit(uint(width), 0), accumulator.expr());
            let sum = sums.expr().slice(row as u32 * width, width);
            m.clock_if(accumulator, valid.expr(), held.add(&sum));
            results.push(accumulator.expr());
        }
        results.reverse();
        m.assign(out_data, Expr::concat(&results));
        m.build()
    }
}

/// The product of a stored input and a stored weight: for XNOR, whether they agree.
pub(crate) fn product_value(input: IntType, weight: IntType, x: &Expr, w: &Expr) -> Expr {
    match ProductKind::of(input, weight) {
        ProductKind::Xnor => x.xor(w).not(),
        ProductKind::Multiply => number(x, input).mul(number(w, weight)),
        ProductKind::SignedWeight => {
            let weight = number(w, weight);
            let wide = weight.extend(weight.ty().width + 1);
            Expr::mux(x, &wide, wide.neg())
        }
        ProductKind::AddSubtract => select_multiple(weight, &number(x, input), w),
    }
}

/// `x` times a weight of at most 2 bits, without a multiplier.
fn select_multiple(weight: IntType, x: &Expr, w: &Expr) -> Expr {
    let width = x.ty().width + 2;
    let plus = x.extend(width);
    let minus = plus.neg();
    let zero = Expr::lit(plus.ty(), 0);
    match weight {
        IntType::Bipolar => Expr::mux(w, &plus, &minus),
        IntType::Signed(1) => Expr::mux(w, &minus, &zero),
        IntType::Unsigned(1) => Expr::mux(w, &plus, &zero),
        IntType::Signed(_) => {
            let twice_minus = minus.shl_const(1);
            let negative = Expr::mux(w.bit(0), &minus, &twice_minus);
            Expr::mux(w.bit(1), &negative, Expr::mux(w.bit(0), &plus, &zero))
        }
        IntType::Unsigned(_) => {
            let twice = plus.shl_const(1);
            let triple = plus.add(&twice);
            let high = Expr::mux(w.bit(0), &triple, &twice);
            Expr::mux(w.bit(1), &high, Expr::mux(w.bit(0), &plus, &zero))
        }
    }
}
