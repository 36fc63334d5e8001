//! The vector engine's hardware.

use super::{VectorEngine, VectorOp, VectorSpec};
use crate::engine::matrix::{credit_name, delay, product_value};
use crate::engine::number::number;
use crate::engine::window::{BankReads, WindowControl, WindowSpec, WindowWires};
use crate::engine::{Beats, CreditGate, EnginePort, Offered, Reduction};
use crate::stream::{bits_for, RegroupBuildError};
use crate::typed::{bit, uint, Expr, HdlError, MemorySpec, MemoryStyle, Module, ModuleBuilder, Signal};
use std::sync::Arc;

impl VectorSpec {
    /// Lanes, banks, products, trees and accumulators.
    ///
    /// Ports: `write`, `write_address`, `write_data`; for each tap lane [`WindowWires`]; `weights` (where
    /// there are any); `issue`, `first`, `last` with the addresses; `out_valid`, `out_data`.
    ///
    /// # Errors
    /// If the module breaks a guarantee of the typed layer: our bug.
    fn module(&self) -> Result<Arc<Module>, HdlError> {
        let (lanes, taps, input_bits) = (self.lanes, self.tap_lanes, self.input.bits());
        let lines = self.line_buffer();
        let depth = lines.depth();
        let masks = self.window.reads_padding();
        let op = match self.op {
            VectorOp::Multiply(weight) => format!("multiply_{weight}"),
            VectorOp::Reduce(reduction) => reduction.name().to_string(),
        };
        let padding = if masks { format!("_pad{}", self.input.encode(self.padding)) } else { String::new() };
        let (pixels, banks, together) = (self.pixel_lanes, lines.banks(), self.beat_pixels);
        let parallel = match banks {
            1 => String::new(),
            _ => format!("_q{pixels}_in{together}_{}", self.turns_name(&lines)),
        };
        let mut m = ModuleBuilder::new(format!(
            "vector_{op}_{}_lanes{lanes}_taps{taps}_acc{}_depth{depth}{padding}{parallel}",
            self.input, self.accumulator_bits
        ));
        m.comment(format!("{lanes} channels x {taps} taps in parallel, {op}, {} bits.", self.accumulator_bits));
        if banks > 1 {
            m.comment(format!("{pixels} neighbouring windows at once from {banks} banks."));
        }
        let word_type = uint(lanes as u32 * input_bits);
        let address_type = uint(bits_for(depth as u64 - 1));
        let write = m.input("write", uint((banks / together) as u32));
        let write_address = m.input("write_address", address_type);
        let write_data = m.input("write_data", uint(together as u32 * word_type.width));
        let issue = m.input("issue", bit());
        let first = m.input("first", bit());
        let last = m.input("last", bit());
        let weights = match self.op {
            VectorOp::Multiply(weight) => {
                Some((m.input("weights", uint((lanes * taps) as u32 * weight.bits())), weight))
            }
            VectorOp::Reduce(_) => None,
        };
        let bank_bits = depth as u64 * u64::from(word_type.width);
        let style = match bank_bits <= self.cells.distributed_limit_bits || depth <= 64 {
            true => MemoryStyle::Distributed,
            false => MemoryStyle::Block,
        };
        // `[tap][pixel]`.
        let mut inputs: Vec<Vec<Signal>> = Vec::with_capacity(taps);
        for tap in 0..taps {
            let reads = BankReads::of(&lines, tap);
            let mut words = Vec::with_capacity(banks);
            for bank in 0..banks {
                let address = m.input(WindowWires::address(&lines, tap, bank), address_type);
                let name = if banks == 1 { format!("bank_{tap}") } else { format!("bank_{tap}_{bank}") };
                let width = word_type.width;
                let memory = m.memory(MemorySpec { name: name.clone(), width, depth, style, init: None });
                let (beat, pixel) = (bank / together, bank % together);
                let word = write_data.expr().slice(pixel as u32 * width, width);
                m.write_port(memory, write.expr().bit(beat as u32), write_address.expr(), word);
                words.push(m.read_port(memory, format!("{name}_read"), address.expr(), None));
            }
            let first = reads.turns().then(|| m.input(WindowWires::turn(tap), uint(bits_for(banks as u64 - 1))));
            let first = first.map(|first| delay(&mut m, &WindowWires::turn(tap), first, 1, false));
            let mask = masks.then(|| m.input(WindowWires::mask(tap), uint(pixels as u32)));
            let mask = mask.map(|mask| delay(&mut m, &format!("mask_{tap}"), mask, 1, false));
            let mut of_pixels = Vec::with_capacity(pixels);
            for pixel in 0..pixels {
                let named = |name: String| if pixels == 1 { name } else { format!("{name}_of_{pixel}") };
                let mut word = match first {
                    None => words[reads.bank(reads.first[0], pixel)],
                    Some(first) => {
                        let word = reads.select(&first.expr(), pixel, &words);
                        m.let_(named(format!("turned_{tap}")), word)
                    }
                };
                if let Some(mask) = mask {
                    let lane = Expr::lit(uint(input_bits), self.input.encode(self.padding));
                    let padded = mask.expr().bit(pixel as u32);
                    let value = Expr::mux(padded, Expr::concat(&vec![lane; lanes]), word.expr());
                    word = m.let_(named(format!("masked_{tap}")), value);
                }
                let later = self.cells.memory_read_latency as usize - 1;
                of_pixels.push(delay(&mut m, &named(format!("input_{tap}")), word, later, false));
            }
            inputs.push(of_pixels);
        }
        let mut results = Vec::with_capacity(pixels * lanes);
        let wait = self.sum_latency() as usize;
        let valid = delay(&mut m, "sums_valid", issue, wait, true);
        let first = delay(&mut m, "sums_first", first, wait, false);
        let last = delay(&mut m, "sums_last", last, wait, false);
        for (pixel, lane) in (0..pixels).flat_map(|pixel| (0..lanes).map(move |lane| (pixel, lane))) {
            let row = pixel * lanes + lane;
            let values: Vec<Expr> = (0..taps)
                .map(|tap| {
                    let x = inputs[tap][pixel].expr().slice(lane as u32 * input_bits, input_bits);
                    match weights {
                        None => number(&x, self.input),
                        Some((weights, weight)) => {
                            let at = (tap * lanes + lane) as u32 * weight.bits();
                            let w = weights.expr().slice(at, weight.bits());
                            let value = product_value(self.input, weight, &x, &w);
                            let product = m.registered(format!("product_{row}_{tap}"), value);
                            let later = self.cells.multiplier_latency as usize - 1;
                            delay(&mut m, &format!("product_{row}_{tap}_later"), product, later, false).expr()
                        }
                    }
                })
                .collect();
            let total = self.tree(&mut m, row, values);
            results.push(self.accumulator(&mut m, row, &total, valid, first));
        }
        let done = m.register("done", bit());
        m.reset(done, 0);
        m.clock(done, valid.expr().and(last.expr()));
        let out_valid = m.output("out_valid", bit());
        m.assign(out_valid, done.expr());
        let out_data = m.output("out_data", uint((pixels * lanes) as u32 * self.accumulator_bits));
        results.reverse();
        m.assign(out_data, Expr::concat(&results));
        m.build()
    }

    /// A part of the module's name: the banks that each tap lane reads.
    fn turns_name(&self, lines: &WindowSpec) -> String {
        let turns = |tap: usize| {
            let reads = BankReads::of(lines, tap);
            if reads.turns() {
                "t".to_string()
            } else {
                reads.first[0].to_string()
            }
        };
        let all: Vec<String> = (0..self.tap_lanes).map(turns).collect();
        format!("s{}_from{}", self.window.stride[1], all.join("_"))
    }

    /// Sum or maximum of the taps of one lane, a register after each level.
    fn tree(&self, m: &mut ModuleBuilder, lane: usize, mut level: Vec<Expr>) -> Expr {
        for depth in 1..=self.tree_levels() {
            let mut next = Vec::with_capacity(level.len().div_ceil(2));
            for (index, pair) in level.chunks(2).enumerate() {
                let value = match (pair, self.op) {
                    ([a, b], VectorOp::Reduce(Reduction::Max)) => Expr::mux(a.ge(b), a, b),
                    ([a, b], _) => {
                        let width = (a.ty().width.max(b.ty().width) + 1).min(self.accumulator_bits.max(a.ty().width));
                        a.resize(width).add(b.resize(width))
                    }
                    ([single, ..], _) => single.clone(),
                    ([], _) => continue,
                };
                next.push(m.registered(format!("tree_{lane}_{depth}_{index}"), value).expr());
            }
            level = next;
        }
        level.swap_remove(0)
    }

    /// One accumulator, restarted at the first fold of each group.
    fn accumulator(&self, m: &mut ModuleBuilder, lane: usize, total: &Expr, valid: Signal, first: Signal) -> Expr {
        let ty = uint(self.accumulator_bits);
        let accumulator = m.register(format!("accumulator_{lane}"), ty);
        let fresh = total.resize(self.accumulator_bits).as_unsigned();
        let next = match self.op {
            VectorOp::Reduce(Reduction::Max) => {
                let greater = fresh.as_signed().gt(accumulator.expr().as_signed());
                Expr::mux(first.expr().or(greater), &fresh, accumulator.expr())
            }
            VectorOp::Multiply(_) | VectorOp::Reduce(Reduction::Sum) => {
                let held = Expr::mux(first.expr(), Expr::lit(ty, 0), accumulator.expr());
                held.add(&fresh)
            }
        };
        m.clock_if(accumulator, valid.expr(), next);
        accumulator.expr()
    }
}

impl VectorEngine {
    /// The stream it reads.
    pub fn port(&self) -> EnginePort {
        let together = self.spec.beat_pixels;
        EnginePort {
            pixels: self.spec.window.input_pixels() / together,
            channels: self.spec.channels * together,
            lanes: self.spec.lanes * together,
            element_bits: self.spec.input.bits(),
        }
    }

    pub(in crate::engine) fn build(
        &self,
        m: &mut ModuleBuilder,
        input: Offered,
        gate: CreditGate<'_>,
        returned: &[Expr],
    ) -> Result<Beats, RegroupBuildError> {
        let spec = &self.spec;
        let lines = spec.line_buffer();
        let control = WindowControl { spec: &lines, gate };
        let results = Beats::wires(m, "results", (spec.pixel_lanes * spec.lanes) as u32 * spec.accumulator_bits);
        let mut control_ports =
            vec![("in_valid".to_string(), input.valid.expr()), ("in_ready".into(), input.ready.expr())];
        control_ports.extend(returned.iter().enumerate().map(|(index, credit)| (credit_name(index), credit.clone())));
        let mut shared = Vec::new();
        let banks = lines.banks();
        let beats = uint((banks / spec.beat_pixels) as u32);
        for (name, ty) in [("write", beats), ("issue", bit()), ("first", bit()), ("last", bit())] {
            shared.push((name.to_string(), m.wire(name, ty).expr()));
        }
        let address_type = uint(control.address_bits());
        shared.push(("write_address".into(), m.wire("write_address", address_type).expr()));
        for tap in 0..spec.tap_lanes {
            for bank in 0..banks {
                let name = WindowWires::address(&lines, tap, bank);
                shared.push((name.clone(), m.wire(name, address_type).expr()));
            }
            if BankReads::of(&lines, tap).turns() {
                let name = WindowWires::turn(tap);
                shared.push((name.clone(), m.wire(name, uint(bits_for(banks as u64 - 1))).expr()));
            }
            if spec.window.reads_padding() {
                let name = WindowWires::mask(tap);
                shared.push((name.clone(), m.wire(name, uint(spec.pixel_lanes as u32)).expr()));
            }
        }
        let weight_address = m.wire("weight_address", uint(control.fold_bits()));
        control_ports.extend(shared.iter().cloned());
        control_ports.push(("weight_address".into(), weight_address.expr()));
        m.instance("control", &control.module()?, &control_ports);
        let mut lanes = shared;
        lanes.push(("write_data".into(), input.data.expr()));
        lanes.push(("out_valid".into(), results.valid.expr()));
        lanes.push(("out_data".into(), results.data.expr()));
        if let Some(rom) = self.weight_rom() {
            let weights = m.wire("weights", uint(rom.width));
            m.instance("weight_rom_0", &rom.module()?, &[("address", weight_address.expr()), ("data", weights.expr())]);
            lanes.push(("weights".into(), weights.expr()));
        }
        m.instance("lanes", &spec.module()?, &lanes);
        Ok(results)
    }
}
