//! One hop of the systolic chain: a bank of the replay buffer and a column of multipliers.

use super::{MatrixSpec, ProductKind};
use crate::engine::number::number;
use crate::stream::bits_for;
use crate::typed::{bit, uint, Expr, HdlError, MemorySpec, MemoryStyle, Module, ModuleBuilder, Signal};
use std::sync::Arc;
use systole_arith::IntType;

impl MatrixSpec {
    /// Hop `index` of the chain: stores its lanes of each input beat, multiplies them with the
    /// weights of every PE and adds the sums to those that come from the hop before.
    ///
    /// Ports: `write`, `write_address`, `write_data`, `read_address`, `padding` (where the window has any:
    /// the word at the address is padding), `weights`, `sums_in`, `sums_out` (PE partial sums of the
    /// accumulators' width, the first PE low).
    ///
    /// # Errors
    /// If the module breaks a guarantee of the typed layer: our bug.
    pub(crate) fn hop_module(&self, index: usize) -> Result<Arc<Module>, HdlError> {
        let lanes = self.lanes_of_hop(index);
        let (input_bits, weight_bits) = (self.input.bits(), self.weight.bits());
        let depth = self.replay_depth();
        let mut m = ModuleBuilder::new(format!(
            "mac_hop_pe{}_lanes{lanes}_{}x{}_acc{}_depth{depth}_level{}{}",
            self.pe,
            self.input,
            self.weight,
            self.accumulator_bits,
            self.tree_levels(),
            if self.masks() { format!("_pad{}", self.input.encode(self.padding)) } else { String::new() }
        ));
        m.comment(format!(
            "One hop of the systolic chain: {} PE x {lanes} lanes, {} by {}.",
            self.pe, self.input, self.weight
        ));
        m.comment(format!("Bank of {depth} input beats; partial sums of {} bits.", self.accumulator_bits));
        let address_type = uint(bits_for(depth as u64 - 1));
        let write = m.input("write", bit());
        let write_address = m.input("write_address", address_type);
        let write_data = m.input("write_data", uint(lanes as u32 * input_bits));
        let read_address = m.input("read_address", address_type);
        let padding = self.masks().then(|| m.input("padding", bit()));
        let weights = m.input("weights", uint((self.pe * lanes) as u32 * weight_bits));
        let sums_type = uint(self.pe as u32 * self.accumulator_bits);
        let sums_in = m.input("sums_in", sums_type);
        let sums_out = m.output("sums_out", sums_type);

        let bank_bits = depth as u64 * (lanes as u64) * u64::from(input_bits);
        let style = match bank_bits <= self.cells.distributed_limit_bits || depth <= 64 {
            true => MemoryStyle::Distributed,
            false => MemoryStyle::Block,
        };
        let bank =
            m.memory(MemorySpec { name: "bank".into(), width: lanes as u32 * input_bits, depth, style, init: None });
        m.write_port(bank, write.expr(), write_address.expr(), write_data.expr());
        let read = m.read_port(bank, "bank_read", read_address.expr(), None);
        let mut inputs = match padding {
            None => read,
            Some(padding) => {
                let read_padding = m.register("bank_read_padding", bit());
                m.clock(read_padding, padding.expr());
                let lane = Expr::lit(uint(input_bits), self.input.encode(self.padding));
                let zero_points = Expr::concat(&vec![lane; lanes]);
                m.let_("masked", Expr::mux(read_padding.expr(), zero_points, read.expr()))
            }
        };
        for stage in 1..self.cells.memory_read_latency {
            let register = m.register(format!("inputs_{stage}"), inputs.ty());
            m.clock(register, inputs.expr());
            inputs = register;
        }

        let mut sums = Vec::with_capacity(self.pe);
        for pe in 0..self.pe {
            let products: Vec<Signal> =
                (0..lanes).map(|lane| self.product(&mut m, pe, lane, lanes, inputs, weights)).collect();
            let total = self.adder_tree(&mut m, pe, products);
            let width = self.accumulator_bits;
            let carried = sums_in.expr().slice(pe as u32 * width, width);
            let sum = m.register(format!("sum_{pe}"), uint(width));
            m.clock(sum, carried.add(total.expr().resize(width).as_unsigned()));
            sums.push(sum.expr());
        }
        sums.reverse();
        m.assign(sums_out, Expr::concat(&sums));
        m.build()
    }

    /// Whether hops mask padding.
    pub(crate) fn masks(&self) -> bool {
        self.window.is_some_and(|window| window.reads_padding())
    }

    /// The registered product of one lane.
    fn product(
        &self,
        m: &mut ModuleBuilder,
        pe: usize,
        lane: usize,
        lanes: usize,
        inputs: Signal,
        weights: Signal,
    ) -> Signal {
        let (input_bits, weight_bits) = (self.input.bits(), self.weight.bits());
        let x = inputs.expr().slice(lane as u32 * input_bits, input_bits);
        let w = weights.expr().slice((pe * lanes + lane) as u32 * weight_bits, weight_bits);
        let value = product_value(self.input, self.weight, &x, &w);
        let name = format!("product_{pe}_{lane}");
        let mut product = m.register(name.clone(), value.ty());
        m.clock(product, value);
        for stage in 1..self.cells.multiplier_latency {
            let later = m.register(format!("{name}_{stage}"), product.ty());
            m.clock(later, product.expr());
            product = later;
        }
        product
    }

    /// Sums the products of one PE, a register after each addition; every hop has the tree of a
    /// full one, so that all take the same time.
    fn adder_tree(&self, m: &mut ModuleBuilder, pe: usize, mut level: Vec<Signal>) -> Signal {
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
                let register = m.register(format!("tree_{pe}_{depth}_{index}"), value.ty());
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
        let width = self.accumulator_bits;
        let mut m = ModuleBuilder::new(format!("accumulators_pe{}_acc{width}", self.pe));
        m.comment(format!("{} accumulators of {width} bits, restarted at the first fold of each group.", self.pe));
        let valid = m.input("valid", bit());
        let first = m.input("first", bit());
        let last = m.input("last", bit());
        let sums = m.input("sums", uint(self.pe as u32 * width));
        let out_valid = m.output("out_valid", bit());
        let out_data = m.output("out_data", uint(self.pe as u32 * width));
        let done = m.register("done", bit());
        m.reset(done, 0);
        m.clock(done, valid.expr().and(last.expr()));
        m.assign(out_valid, done.expr());
        let mut results = Vec::with_capacity(self.pe);
        for pe in 0..self.pe {
            let accumulator = m.register(format!("accumulator_{pe}"), uint(width));
            let held = Expr::mux(first.expr(), Expr::lit(uint(width), 0), accumulator.expr());
            let sum = sums.expr().slice(pe as u32 * width, width);
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
