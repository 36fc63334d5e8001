//! The matrix engine with its weights, as it stands in a stage.

use super::matrix::{credit_name, delay, ControlSpec};
use super::window::{BankReads, WindowControl, WindowWires};
use super::{Beats, CreditGate, EnginePort, MatrixSpec, Offered, WindowSpec};
use crate::memory::RomSpec;
use crate::stream::{bits_for, RegroupBuildError};
use crate::typed::{bit, uint, Expr, ModuleBuilder, Signal};
use std::sync::Arc;

/// A matrix engine with its weight memories.
#[derive(Clone, Debug)]
pub struct MatrixEngine {
    /// Name of the stage, which its weight memories take.
    pub name: String,
    /// The engine.
    pub spec: MatrixSpec,
    /// Weights, `[M][T * C]`.
    pub weights: Arc<ndarray::Array2<i64>>,
}

/// Wires from the control to the chain.
struct Control {
    write: Signal,
    write_address: Signal,
    issue: Signal,
    first: Signal,
    last: Signal,
    /// For each tap lane, of each bank.
    read_addresses: Vec<Vec<Signal>>,
    /// For each tap lane, the bank of the first pixel lane where it changes.
    first_banks: Vec<Option<Signal>>,
    /// One a tap lane, where there is padding.
    padding: Vec<Signal>,
    weight_address: Signal,
}

impl MatrixEngine {
    /// The stream it reads.
    pub fn port(&self) -> EnginePort {
        let together = self.spec.beat_pixels;
        EnginePort {
            pixels: self.spec.input_pixels() / together,
            channels: self.spec.inputs * together,
            lanes: self.spec.simd * together,
            element_bits: self.spec.input.bits(),
        }
    }

    pub(super) fn build(
        &self,
        m: &mut ModuleBuilder,
        input: Offered,
        gate: CreditGate<'_>,
        returned: &[Expr],
    ) -> Result<Beats, RegroupBuildError> {
        let spec = &self.spec;
        let lines = spec.line_buffer();
        let control = match &lines {
            None => self.dense_control(m, input, gate, returned)?,
            Some(lines) => self.window_control(m, input, &WindowControl { spec: lines, gate }, returned)?,
        };
        let sums = self.hops(m, input.data, &control)?;
        let address = if lines.is_some() { WindowSpec::ADDRESS_LATENCY } else { 0 };
        let wait = (spec.latency() - address) as usize - 1;
        let valid = delay(m, "sums_valid", control.issue, wait, true);
        let first = delay(m, "sums_first", control.first, wait, false);
        let last = delay(m, "sums_last", control.last, wait, false);
        let results = Beats::wires(m, "results", (spec.pixel_lanes * spec.pe) as u32 * spec.accumulator_bits);
        m.instance(
            "accumulators",
            &spec.accumulator_module()?,
            &[
                ("valid", valid.expr()),
                ("first", first.expr()),
                ("last", last.expr()),
                ("sums", sums.expr()),
                ("out_valid", results.valid.expr()),
                ("out_data", results.data.expr()),
            ],
        );
        Ok(results)
    }

    fn dense_control(
        &self,
        m: &mut ModuleBuilder,
        input: Offered,
        gate: CreditGate<'_>,
        returned: &[Expr],
    ) -> Result<Control, RegroupBuildError> {
        let control = ControlSpec { matrix: &self.spec, gate };
        let (address, weight) = (control.replay_address_bits(), control.weight_address_bits());
        let wires = Control::wires(m, &self.spec, address, weight);
        let mut ports = wires.ports(input, returned);
        ports.push(("read_address".into(), wires.read_addresses[0][0].expr()));
        m.instance("control", &control.module()?, &ports);
        Ok(wires)
    }

    fn window_control(
        &self,
        m: &mut ModuleBuilder,
        input: Offered,
        control: &WindowControl<'_>,
        returned: &[Expr],
    ) -> Result<Control, RegroupBuildError> {
        let wires = Control::wires(m, &self.spec, control.address_bits(), control.fold_bits());
        let mut ports = wires.ports(input, returned);
        for (lane, banks) in wires.read_addresses.iter().enumerate() {
            let addresses = banks.iter().enumerate();
            ports.extend(addresses.map(|(bank, at)| (WindowWires::address(control.spec, lane, bank), at.expr())));
        }
        let turns = wires.first_banks.iter().enumerate();
        ports.extend(turns.filter_map(|(lane, bank)| Some((WindowWires::turn(lane), (*bank)?.expr()))));
        let masks = wires.padding.iter().enumerate();
        ports.extend(masks.map(|(lane, signal)| (WindowWires::mask(lane), signal.expr())));
        m.instance("control", &control.module()?, &ports);
        Ok(wires)
    }

    /// The systolic chain and the weight memories beside it. Returns the last hop's sums.
    fn hops(&self, m: &mut ModuleBuilder, data: Signal, control: &Control) -> Result<Signal, RegroupBuildError> {
        let spec = &self.spec;
        let sums_type = uint((spec.pixel_lanes * spec.pe) as u32 * spec.accumulator_bits);
        let input_bits = spec.input.bits();
        let mut read_addresses = control.read_addresses.clone();
        let mut first_banks = control.first_banks.clone();
        let mut padding = control.padding.clone();
        let mut weight_address = control.weight_address;
        let mut sums: Option<Signal> = None;
        for hop in 0..spec.hops() {
            let (tap_lane, first_lane) = spec.place_of_hop(hop);
            if hop > 0 {
                // What later hops still read moves on with them.
                let single = spec.tap_lanes == 1;
                let named = |what: &str, lane: usize| match single {
                    true => format!("{what}_{hop}"),
                    false => format!("{what}_{hop}_tap{lane}"),
                };
                for (lane, banks) in read_addresses.iter_mut().enumerate().skip(tap_lane) {
                    for (bank, address) in banks.iter_mut().enumerate() {
                        *address = m.registered(named(&spec.bank_address(bank), lane), *address);
                    }
                }
                for (lane, bank) in first_banks.iter_mut().enumerate().skip(tap_lane) {
                    if let Some(bank) = bank {
                        *bank = m.registered(named("first_bank", lane), *bank);
                    }
                }
                for (lane, mask) in padding.iter_mut().enumerate().skip(tap_lane) {
                    *mask = m.registered(named("padding", lane), *mask);
                }
                weight_address = m.registered(format!("weight_address_{hop}"), weight_address);
            }
            let lanes = spec.lanes_of_hop(hop);
            let rom = self.weight_rom(hop);
            let weights = m.wire(format!("weights_{hop}"), uint(rom.width));
            m.instance(
                format!("weight_rom_{hop}"),
                &rom.module()?,
                &[("address", weight_address.expr()), ("data", weights.expr())],
            );
            let after = m.wire(format!("sums_{hop}"), sums_type);
            let word = |pixel: usize| {
                let low = (pixel * spec.simd + first_lane) as u32 * input_bits;
                data.expr().slice(low, lanes as u32 * input_bits)
            };
            let words: Vec<Expr> = (0..spec.beat_pixels).rev().map(word).collect();
            let mut ports = vec![
                ("write".to_string(), control.write.expr()),
                ("write_address".into(), control.write_address.expr()),
                ("write_data".into(), Expr::concat(&words)),
                ("weights".into(), weights.expr()),
                ("sums_in".into(), sums.map_or(Expr::lit(sums_type, 0), |signal| signal.expr())),
                ("sums_out".into(), after.expr()),
            ];
            let addresses = read_addresses[tap_lane].iter().enumerate();
            ports.extend(addresses.map(|(bank, address)| (spec.bank_address(bank), address.expr())));
            ports.extend(first_banks[tap_lane].map(|bank| ("first_bank".to_string(), bank.expr())));
            if let Some(mask) = padding.get(tap_lane) {
                ports.push(("padding".into(), mask.expr()));
            }
            m.instance(format!("hop_{hop}"), &spec.hop_module(hop)?, &ports);
            sums = Some(after);
        }
        Ok(sums.expect("a chain has at least one hop"))
    }

    /// The weight memory beside hop `hop`.
    pub fn weight_rom(&self, hop: usize) -> RomSpec {
        let words = self.spec.weight_words(hop, &|output, input| self.weights[[output, input]]);
        let width = (self.spec.pe * self.spec.lanes_of_hop(hop)) as u32 * self.spec.weight.bits();
        RomSpec::new(format!("{}_weights_{hop}", self.name), words, width, &self.spec.cells)
    }
}

impl Control {
    fn wires(m: &mut ModuleBuilder, spec: &MatrixSpec, address: u32, weight: u32) -> Self {
        let tap_lanes = spec.tap_lanes;
        let named =
            |name: &str, lane: usize| if tap_lanes == 1 { name.to_string() } else { format!("{name}_tap{lane}") };
        let masked = if spec.masks() { tap_lanes } else { 0 };
        let lines = spec.line_buffer();
        let banks = lines.map_or(1, |lines| lines.banks());
        let mut first_bank = |lane: usize| {
            let turns = lines.is_some_and(|lines| BankReads::of(&lines, lane).turns());
            turns.then(|| m.wire(named("first_bank", lane), uint(bits_for(banks as u64 - 1))))
        };
        let first_banks = (0..tap_lanes).map(&mut first_bank).collect();
        let mut addresses =
            |lane| (0..banks).map(|bank| m.wire(named(&spec.bank_address(bank), lane), uint(address))).collect();
        Control {
            read_addresses: (0..tap_lanes).map(&mut addresses).collect(),
            first_banks,
            write: m.wire("write", uint((banks / spec.beat_pixels) as u32)),
            issue: m.wire("issue", bit()),
            first: m.wire("first", bit()),
            last: m.wire("last", bit()),
            write_address: m.wire("write_address", uint(address)),
            padding: (0..masked).map(|lane| m.wire(named("padding", lane), uint(spec.pixel_lanes as u32))).collect(),
            weight_address: m.wire("weight_address", uint(weight)),
        }
    }

    /// Connections that both kinds of control have.
    fn ports(&self, input: Offered, returned: &[Expr]) -> Vec<(String, Expr)> {
        let mut ports = vec![
            ("in_valid".to_string(), input.valid.expr()),
            ("in_ready".into(), input.ready.expr()),
            ("write".into(), self.write.expr()),
            ("write_address".into(), self.write_address.expr()),
            ("issue".into(), self.issue.expr()),
            ("first".into(), self.first.expr()),
            ("last".into(), self.last.expr()),
            ("weight_address".into(), self.weight_address.expr()),
        ];
        ports.extend(returned.iter().enumerate().map(|(index, credit)| (credit_name(index), credit.clone())));
        ports
    }
}
