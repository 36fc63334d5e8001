//! The frame parser: headers in, payload beats out.

use super::flag::{constant, drive_flag, up};
use super::{crc, ShellSpec};
use crate::stream::bits_for;
use crate::typed::{bit, uint, Expr, HdlError, Module, ModuleBuilder, Signal};
use std::sync::Arc;
use systole_bundle::frame::{field, HeaderField, FLAG_ANSWER, HEADER_BYTES, MAGIC, VERSION};
use systole_bundle::registers::{error, Field};

/// Bits of the register ERROR.
pub(super) const ERROR_BITS: u32 = error::FIELDS.len() as u32;

impl ShellSpec {
    /// Bits that count the samples of a frame.
    pub(super) fn samples_bits(&self) -> u32 {
        bits_for(self.max_samples() as u64)
    }

    /// The parser.
    ///
    /// Ports: `in_*` (with `in_keep`) and `out_*`; `admit`: a new frame may begin; `halt`: take nothing;
    /// `epoch` that headers must carry; `account_ready`: there is room for another frame, which
    /// `accept` enters with `sequence_number` and `samples`; `fault`: bits of ERROR, for one cycle, of the
    /// frame `sequence_number`; `mid_frame`: a frame has begun and has not ended.
    ///
    /// A header is checked in the two cycles behind its last beat, in the order of
    /// `FrameHeader::decode` and `FrameHeader::validate`: the first difference is reported, and the
    /// parser stops until its reset. A beat with bytes missing is taken, goes nowhere, and stops the
    /// parser too.
    pub(super) fn parser(&self) -> Result<Arc<Module>, HdlError> {
        let mut m = ModuleBuilder::new(self.part("parser"));
        m.comment(format!(
            "Frame parser: headers of {} beats of {} bytes, each followed by as many payload beats as it says.",
            self.header_beats(),
            self.beat_bytes
        ));
        m.comment("A header is checked in the two cycles behind its last beat: the first difference stops the parser.");
        let ports = Ports::new(&mut m, self);
        let state = State::new(&mut m);
        let sequence = m.output_register("sequence_number", uint(32));

        let beats = self.header_counter(&mut m);
        let may_begin = ports.admit & ports.account_ready;
        let header_ready = m.let_("header_ready", state.header & (&beats.begun | may_begin));
        let ready = m.let_("ready", !ports.halt & (header_ready | (state.payload & ports.out_ready)));
        m.assign(ports.in_ready, ready);
        let taken = m.let_("taken", ports.in_valid & ready);
        let whole = m.let_("whole", ports.in_keep.expr().reduce_and());
        let hole = m.let_("hole", taken & !whole);
        let header_beat = m.let_("header_beat", taken & whole & state.header);
        let payload_beat = m.let_("payload_beat", taken & whole & state.payload);
        m.assign(ports.out_valid, ports.in_valid & state.payload & whole & !ports.halt);
        m.assign(ports.out_data, ports.in_data);
        if let Some(count) = beats.count {
            m.clock_if(count, header_beat, up(count));
        }

        let header = self.header(&mut m, ports.in_data, header_beat);
        let crc = self.running_crc(&mut m, ports.in_data, header_beat, state.decision)?;
        let length = self.expected_length(&mut m, header);
        let faults = self.faults(&mut m, header, &Context { crc, length, sequence, epoch: ports.epoch });
        let good = m.let_("header_good", !faults.any);
        m.assign(ports.accept, state.decision & good);
        m.assign(ports.samples, word(header, field::SAMPLES).truncate(self.samples_bits()));

        let left_type = uint(bits_for((self.max_samples() * self.in_bytes() / self.beat_bytes) as u64));
        let left = m.register("beats_left", left_type);
        let all = length.expr().slice(self.beat_bytes.ilog2(), left_type.width);
        let fewer = left - Expr::lit(left_type, 1);
        m.clock_if(left, state.decision | payload_beat, Expr::mux(state.decision, all, fewer));
        let last = m.let_("last_beat", payload_beat & left.expr().eq(Expr::lit(left_type, 1)));
        m.reset(sequence, 0);
        m.clock_if(sequence, last, up(sequence));

        let header_end = m.let_("header_end", header_beat & &beats.at_last);
        drive_flag(&mut m, state.header, last, header_end | hole);
        m.clock(state.check, header_end);
        m.clock(state.decision, state.check);
        drive_flag(&mut m, state.payload, state.decision & good, last | hole);
        drive_flag(&mut m, state.stopped, (state.decision & !good) | hole, constant(false));

        let fault = |at: u32| match at {
            _ if at == error::TKEEP_HOLE.low => hole.expr(),
            _ => state.decision & &faults.bits[at as usize],
        };
        m.assign(ports.fault, Expr::concat(&(0..ERROR_BITS).rev().map(fault).collect::<Vec<_>>()));
        m.assign(ports.mid_frame, !state.stopped & (!state.header | beats.begun));
        m.build()
    }

    /// Counts the beats of a header.
    fn header_counter(&self, m: &mut ModuleBuilder) -> HeaderBeats {
        if self.header_beats() == 1 {
            return HeaderBeats { count: None, begun: constant(false), at_last: constant(true) };
        }
        let count = m.register("header_count", uint(self.header_beats().ilog2()));
        m.reset(count, 0);
        HeaderBeats { count: Some(count), begun: count.expr().reduce_or(), at_last: count.expr().reduce_and() }
    }

    /// The header's bytes, byte 0 lowest: each beat enters above, shifting those before it down.
    fn header(&self, m: &mut ModuleBuilder, data: Signal, beat: Signal) -> Signal {
        let header = m.register("header", uint(HEADER_BYTES as u32 * 8));
        let kept = header.ty().width - self.beat_bits();
        let shifted = match kept {
            0 => data.expr(),
            _ => Expr::concat(&[data.expr(), header.expr().slice(self.beat_bits(), kept)]),
        };
        m.clock_if(header, beat, shifted);
        header
    }

    /// The checksum of the header's beats so far, started anew by `restart`.
    fn running_crc(
        &self,
        m: &mut ModuleBuilder,
        data: Signal,
        beat: Signal,
        restart: Signal,
    ) -> Result<Signal, HdlError> {
        let crc = m.register("crc", uint(32));
        let next = m.wire("crc_next", uint(32));
        m.instance("crc_step", &crc::step(self.beat_bytes)?, &[("crc", crc), ("data", data), ("next", next)]);
        m.reset(crc, u32::MAX);
        m.clock_if(crc, restart | beat, Expr::mux(restart, Expr::lit(uint(32), u32::MAX), next));
        Ok(crc)
    }

    /// The payload bytes that the header's samples take, one cycle later.
    fn expected_length(&self, m: &mut ModuleBuilder, header: Signal) -> Signal {
        let samples = word(header, field::SAMPLES).truncate(self.samples_bits());
        let bytes = Expr::lit(uint(bits_for(self.in_bytes() as u64)), self.in_bytes() as u64);
        let width = bits_for((self.max_samples() * self.in_bytes()) as u64);
        m.registered("expected_length", samples.mul(bytes).resize(width))
    }

    /// What is wrong with the header: registers, compared in the check and valid in the decision.
    fn faults(&self, m: &mut ModuleBuilder, header: Signal, context: &Context) -> Faults {
        let differs =
            |place: HeaderField, value: u32| word(header, place).ne(Expr::lit(uint(place.bytes as u32 * 8), value));
        let samples = word(header, field::SAMPLES);
        let too_many = samples.gt(Expr::lit(uint(32), self.max_samples() as u64));
        let answer = word(header, field::FLAGS).bit(FLAG_ANSWER.trailing_zeros());
        let wrong_length = word(header, field::LENGTH).ne(context.length.expr().resize(32));
        let conditions: [(&str, Field, Expr); 7] = [
            ("magic_differs", error::HEADER, differs(field::MAGIC, MAGIC) | differs(field::VERSION, VERSION.into())),
            ("crc_differs", error::CRC, context.crc.expr().ne(Expr::lit(uint(32), crc::residue()))),
            ("is_answer", error::HEADER, answer),
            ("design_differs", error::HASH, differs(field::DESIGN, self.hash.word())),
            ("epoch_differs", error::EPOCH, word(header, field::EPOCH).ne(context.epoch)),
            ("samples_differ", error::HEADER, samples.is_zero() | too_many),
            ("sequence_differs", error::SEQUENCE, word(header, field::SEQUENCE).ne(context.sequence)),
        ];
        let mut faults = Faults { bits: vec![constant(false); ERROR_BITS as usize], any: constant(false), count: 0 };
        for (name, field, condition) in conditions {
            // The product that the length is compared with is a register itself.
            if field == error::SEQUENCE {
                let wrong = m.let_("length_differs", wrong_length.clone());
                faults.or_else(m, error::LENGTH, wrong);
            }
            let wrong = m.registered(name, condition);
            faults.or_else(m, field, wrong);
        }
        faults
    }
}

/// The parser's states, one of them at a time.
struct State {
    /// Takes a header.
    header: Signal,
    /// Compares its fields.
    check: Signal,
    /// Decides.
    decision: Signal,
    /// Takes payload.
    payload: Signal,
    /// Has found a fault.
    stopped: Signal,
}

impl State {
    fn new(m: &mut ModuleBuilder) -> State {
        let mut state = |name: &str, first: bool| {
            let state = m.register(name, bit());
            m.reset(state, u8::from(first));
            state
        };
        State {
            header: state("in_header", true),
            check: state("in_check", false),
            decision: state("in_decision", false),
            payload: state("in_payload", false),
            stopped: state("stopped", false),
        }
    }
}

/// The counter of a header's beats, if it has several.
struct HeaderBeats {
    count: Option<Signal>,
    /// Some are there.
    begun: Expr,
    /// All but one are there.
    at_last: Expr,
}

/// What a header is compared with.
struct Context {
    crc: Signal,
    length: Signal,
    sequence: Signal,
    epoch: Signal,
}

/// Bits of ERROR, of which the first fault sets one.
struct Faults {
    bits: Vec<Expr>,
    /// Any of those added so far.
    any: Expr,
    count: usize,
}

impl Faults {
    /// Adds a fault that counts only where none before it holds.
    fn or_else(&mut self, m: &mut ModuleBuilder, field: Field, wrong: Signal) {
        let first = !&self.any & wrong;
        if let Some(bit) = self.bits.get_mut(field.low as usize) {
            *bit = &*bit | first;
        }
        self.count += 1;
        self.any = m.let_(format!("wrong_in_first_{}", self.count), &self.any | wrong).expr();
    }
}

/// A field of a header that lies in a register, byte 0 lowest.
fn word(header: Signal, place: HeaderField) -> Expr {
    header.expr().slice(place.offset as u32 * 8, place.bytes as u32 * 8)
}

struct Ports {
    in_valid: Signal,
    in_data: Signal,
    in_keep: Signal,
    in_ready: Signal,
    admit: Signal,
    halt: Signal,
    epoch: Signal,
    account_ready: Signal,
    accept: Signal,
    samples: Signal,
    out_valid: Signal,
    out_data: Signal,
    out_ready: Signal,
    fault: Signal,
    mid_frame: Signal,
}

impl Ports {
    fn new(m: &mut ModuleBuilder, spec: &ShellSpec) -> Ports {
        Ports {
            in_valid: m.input("in_valid", bit()),
            in_data: m.input("in_data", uint(spec.beat_bits())),
            in_keep: m.input("in_keep", uint(spec.beat_bytes as u32)),
            in_ready: m.output("in_ready", bit()),
            admit: m.input("admit", bit()),
            halt: m.input("halt", bit()),
            epoch: m.input("epoch", uint(32)),
            account_ready: m.input("account_ready", bit()),
            accept: m.output("accept", bit()),
            samples: m.output("samples", uint(spec.samples_bits())),
            out_valid: m.output("out_valid", bit()),
            out_data: m.output("out_data", uint(spec.beat_bits())),
            out_ready: m.input("out_ready", bit()),
            fault: m.output("fault", uint(ERROR_BITS)),
            mid_frame: m.output("mid_frame", bit()),
        }
    }
}
