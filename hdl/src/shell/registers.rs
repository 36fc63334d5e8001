//! The register bank, generated from the register map.

use super::axi_lite::{self, WORD_BITS};
use super::counters::{self, COUNTERS};
use super::interrupt::IRQ_BITS;
use super::parser::ERROR_BITS;
use super::{ShellSpec, FIFO_DEPTH};
use crate::typed::{bit, uint, Expr, HdlError, HwType, Module, ModuleBuilder, Signal};
use std::sync::Arc;
use systole_bundle::registers::{self, caps, ctrl, status, Access, Field, Register, Reset, REGISTERS};

/// Ports that the bank drives for the rest of the shell: name and bits. The last three hold for one
/// cycle what was written to registers that do not keep it.
pub(super) const CONTROLS: [(&str, u32); 12] = [
    ("enable", 1),
    ("drain", 1),
    ("credit", 1),
    ("soft_reset", 1),
    ("latch_counters", 1),
    ("epoch", 32),
    ("watchdog_cycles", 32),
    ("irq_mask", IRQ_BITS),
    ("irq_coalesce", 32),
    ("clear_error", ERROR_BITS),
    ("clear_irq", IRQ_BITS),
    ("add_credit", 32),
];

/// Ports that it shows to the host.
pub(super) fn shown() -> Vec<(String, u32)> {
    let mut ports: Vec<(String, u32)> = vec![
        ("status".into(), status::FIELDS.len() as u32),
        ("error".into(), ERROR_BITS),
        ("first_error_seq".into(), 32),
        ("out_credit".into(), 32),
        ("irq_status".into(), IRQ_BITS),
    ];
    ports.extend(COUNTERS.iter().map(|(counter, _)| (counters::port(counter), 32 * counter.words)));
    ports
}

impl ShellSpec {
    /// What a register of the design reads; 0 of those that are no constants.
    fn constant(&self, register: &Register) -> Vec<u32> {
        let capabilities = [(caps::CHANNELS, 1), (caps::CREDIT, 1), (caps::HEADER_CRC, 1), (caps::INTERRUPT, 1)];
        match *register {
            registers::STRUCTURE_HASH => self.hash.structure.to_vec(),
            registers::PARAMETER_HASH => self.hash.parameter.to_vec(),
            registers::CAPS => vec![capabilities.iter().fold(0, |word, (field, value)| word | value << field.low)],
            registers::BEAT_BYTES => vec![self.beat_bytes as u32],
            registers::IN_BYTES => vec![self.in_bytes() as u32],
            registers::OUT_BYTES => vec![self.out_bytes() as u32],
            registers::MAX_SAMPLES => vec![self.max_samples() as u32],
            registers::FIFO_DEPTH => vec![FIFO_DEPTH as u32],
            _ => match register.reset {
                Reset::Value(value) => vec![value; register.words as usize],
                Reset::Design => vec![0; register.words as usize],
            },
        }
    }

    /// The bank behind its AXI4-Lite port. Ports: `s_axi_*`, those of [`CONTROLS`] (driven) and of
    /// [`shown`] (read).
    pub(super) fn registers(&self) -> Result<Arc<Module>, HdlError> {
        let mut m = ModuleBuilder::new(self.part("registers"));
        m.comment(format!("Register bank of the shell around `{}`, version {}:", self.design, registers::ABI_VERSION));
        for register in REGISTERS {
            m.comment(format!(
                "  {:02x} {:<15} {:<3} {}",
                register.offset,
                register.name,
                register.access.code(),
                register.meaning
            ));
        }
        let mut bank = Bank::new(&mut m)?;
        for register in REGISTERS {
            let words = match register.access {
                Access::ReadWrite => vec![bank.stored(&mut m, register)],
                Access::ReadOnly | Access::WriteOneToClear | Access::Add => match bank.shown(register) {
                    Some(value) => (0..register.words).map(|word| part(&value, word)).collect(),
                    None => self.constant(register).into_iter().map(|value| Expr::lit(uint(32), value)).collect(),
                },
            };
            bank.words.extend(words.into_iter().enumerate().map(|(word, value)| (register.word(word as u32), value)));
        }
        bank.pulses(&mut m);
        let none = Expr::zero(uint(32));
        let read = bank.words.iter().rev().fold(none, |others, (offset, value)| {
            Expr::mux(bank.read_word.expr().eq(word_index(*offset)), value, others)
        });
        m.assign(bank.read_data, read);
        m.build()
    }
}

/// The bank under construction.
struct Bank {
    write: Signal,
    write_word: Signal,
    write_data: Signal,
    write_mask: Signal,
    read_word: Signal,
    read_data: Signal,
    shown: Vec<(String, Signal)>,
    controls: Vec<(&'static str, Signal)>,
    /// Offset and value of every word.
    words: Vec<(u32, Expr)>,
}

impl Bank {
    fn new(m: &mut ModuleBuilder) -> Result<Bank, HdlError> {
        let wire = |m: &mut ModuleBuilder, name: &'static str, ty: HwType| (name, m.wire(name, ty));
        let outside = axi_lite::SIGNALS.map(|(name, bits, driven)| {
            (name, if driven { m.output(name, uint(bits)) } else { m.input(name, uint(bits)) })
        });
        let shown = shown().into_iter().map(|(name, bits)| (name.clone(), m.input(name, uint(bits)))).collect();
        let controls = CONTROLS.map(|(name, bits)| (name, m.output_register(name, uint(bits))));
        let inner = [
            wire(m, "write", bit()),
            wire(m, "write_word", uint(WORD_BITS)),
            wire(m, "write_data", uint(32)),
            wire(m, "write_mask", uint(32)),
            wire(m, "read_word", uint(WORD_BITS)),
            wire(m, "read_data", uint(32)),
        ];
        m.instance("port", &axi_lite::module()?, &[&outside[..], &inner].concat());
        let [write, write_word, write_data, write_mask, read_word, read_data] = inner.map(|(_, signal)| signal);
        Ok(Bank {
            write,
            write_word,
            write_data,
            write_mask,
            read_word,
            read_data,
            shown,
            controls: controls.to_vec(),
            words: Vec::new(),
        })
    }

    fn control(&self, name: &str) -> Signal {
        match self.controls.iter().find(|(control, _)| *control == name) {
            Some((_, signal)) => *signal,
            None => panic!("the register bank has no control `{name}`"),
        }
    }

    /// The port that shows a register's present value.
    fn shown(&self, register: &Register) -> Option<Expr> {
        let name = register.name.to_lowercase();
        self.shown.iter().find(|(port, _)| *port == name).map(|(_, signal)| signal.expr())
    }

    /// Whether the register is written to.
    fn selected(&self, m: &mut ModuleBuilder, register: &Register) -> Signal {
        let name = format!("write_{}", register.name.to_lowercase());
        m.let_(name, self.write & self.write_word.expr().eq(word_index(register.offset)))
    }

    /// A register that holds what was written; what it reads.
    fn stored(&self, m: &mut ModuleBuilder, register: &Register) -> Expr {
        let selected = self.selected(m, register);
        let Reset::Value(reset) = register.reset else { panic!("{} holds what was written", register.name) };
        let hold = |m: &mut ModuleBuilder, q: Signal, low: u32, reset: u32| {
            let (data, mask) = (part_of(self.write_data, low, q), part_of(self.write_mask, low, q));
            m.reset(q, reset);
            m.clock_if(q, selected, (data & &mask) | (q & !mask));
        };
        if *register != registers::CTRL {
            let name = register.name.to_lowercase();
            let q = match self.controls.iter().find(|(control, _)| *control == name) {
                Some((_, signal)) => *signal,
                None => m.register(name, uint(32)),
            };
            hold(m, q, 0, reset);
            return q.expr().extend(32);
        }
        let mut value = Expr::zero(uint(32));
        for (field, name) in [(ctrl::ENABLE, "enable"), (ctrl::DRAIN, "drain"), (ctrl::CREDIT, "credit")] {
            let q = self.control(name);
            hold(m, q, field.low, field.get(reset));
            value = value | q.expr().extend(32).shl_const(field.low);
        }
        for (field, name) in [(ctrl::SOFT_RESET, "soft_reset"), (ctrl::LATCH_COUNTERS, "latch_counters")] {
            let q = self.control(name);
            m.reset(q, 0);
            m.clock(q, selected & written(self, field));
        }
        value
    }

    /// What is written to registers that do not keep it.
    fn pulses(&self, m: &mut ModuleBuilder) {
        for (register, name) in [
            (registers::ERROR, "clear_error"),
            (registers::IRQ_STATUS, "clear_irq"),
            (registers::OUT_CREDIT, "add_credit"),
        ] {
            let selected = self.selected(m, &register);
            let q = self.control(name);
            let written = part_of(self.write_data, 0, q) & part_of(self.write_mask, 0, q);
            m.reset(q, 0);
            m.clock(q, Expr::mux(selected, written, Expr::zero(q.ty())));
        }
    }
}

/// The written bit of a field of one bit.
fn written(bank: &Bank, field: Field) -> Expr {
    bank.write_data.expr().bit(field.low) & bank.write_mask.expr().bit(field.low)
}

/// The bits from `low` on that `like` has.
fn part_of(signal: Signal, low: u32, like: Signal) -> Expr {
    signal.expr().slice(low, like.ty().width)
}

/// Word `word` of a value, lowest first.
fn part(value: &Expr, word: u32) -> Expr {
    let rest = value.ty().width - 32 * word;
    value.slice(32 * word, rest.min(32)).extend(32)
}

fn word_index(offset: u32) -> Expr {
    Expr::lit(uint(WORD_BITS), offset / 4)
}
