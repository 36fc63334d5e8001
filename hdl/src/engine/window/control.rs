//! Control of a window engine: the ring's write side, fold counters, tap addresses, padding masks.

use super::address::Addresses;
use super::position::{by_index, by_position, select};
use super::write::WriteSide;
use super::{BankReads, FoldOrder, Progress, WindowSpec};
use crate::engine::matrix::{advance, counter, credit_inputs, delay, is_zero};
use crate::engine::results::CreditGate;
use crate::stream::bits_for;
use crate::typed::{bit, uint, Expr, HdlError, Module, ModuleBuilder, Signal};
use std::sync::Arc;

/// The control of an engine that reads windows.
#[derive(Clone, Debug)]
pub(crate) struct WindowControl<'a> {
    /// What it walks through.
    pub spec: &'a WindowSpec,
    /// Room for its results.
    pub gate: CreditGate<'a>,
}

/// Names of the control's outputs that come once a tap lane.
pub(crate) struct WindowWires;

impl WindowWires {
    /// Address of a tap lane's word in a bank.
    pub fn address(spec: &WindowSpec, lane: usize, bank: usize) -> String {
        match spec.banks() {
            1 => format!("read_address_{lane}"),
            _ => format!("read_address_{lane}_bank_{bank}"),
        }
    }

    /// For each pixel lane, whether the word that it reads in a tap lane is padding.
    pub fn mask(lane: usize) -> String {
        format!("padding_{lane}")
    }

    /// The bank that the first pixel lane reads in a tap lane, where it is not always the same.
    pub fn turn(lane: usize) -> String {
        format!("first_bank_{lane}")
    }
}

impl WindowControl<'_> {
    /// Bits of a word's address in the ring.
    pub fn address_bits(&self) -> u32 {
        bits_for(self.spec.depth() as u64 - 1)
    }

    /// Bits of the address of a step's fold: of its weights.
    pub fn fold_bits(&self) -> u32 {
        bits_for(self.spec.cycles_per_step() - 1)
    }

    fn name(&self) -> String {
        let WindowSpec { window, words, tap_lanes, pixel_lanes, beat_pixels, order, .. } = self.spec;
        let pair = |[a, b]: [usize; 2]| format!("{a}x{b}");
        let order = match order {
            FoldOrder::Matrix { .. } => "matrix",
            FoldOrder::Vector => "vector",
        };
        let parallel = match self.spec.banks() {
            1 => String::new(),
            _ => format!("_q{pixel_lanes}_in{beat_pixels}"),
        };
        format!(
            "window_control_{}_k{}_s{}_d{}_p{}_{}_w{words}_t{tap_lanes}{parallel}_r{}_{order}_m{}_pe{}_{}",
            pair(window.input),
            pair(window.kernel),
            pair(window.stride),
            pair(window.dilation),
            pair(window.pad_before),
            pair(window.pad_after),
            self.spec.read_span,
            self.gate.results.channels,
            self.gate.results.pe,
            self.gate.suffix()
        )
    }

    /// The block. Ports: `in_valid`, `in_ready`, `credit` (and `credit_1` ...: a beat was taken behind the
    /// stage), `write` (a bit for each of the beats of a strip, whose banks take the word), `write_address`; and,
    /// [`WindowSpec::ADDRESS_LATENCY`] edges behind a fold's start, `issue`, `first`, `last` (of its group),
    /// `weight_address`, and [`WindowWires`].
    ///
    /// # Errors
    /// If the module breaks a guarantee of the typed layer: our bug.
    pub fn module(&self) -> Result<Arc<Module>, HdlError> {
        let spec = self.spec;
        let (depth, words) = (spec.depth(), spec.words);
        let (groups, folds) = (spec.groups(), spec.folds());
        let progress = Progress::new(spec);
        let mut m = ModuleBuilder::new(self.name());
        m.comment(format!("Window {}: {groups} groups of {folds} folds each.", spec.window));
        m.comment(format!("Ring of {depth} words, {words} a pixel; {} taps at once.", spec.tap_lanes));
        if spec.banks() > 1 {
            let (windows, banks) = (spec.pixel_lanes, spec.banks());
            m.comment(format!(
                "{windows} neighbouring windows at once from {banks} banks, one for each pixel of a strip."
            ));
        }
        let in_valid = m.input("in_valid", bit());
        let in_ready = m.output("in_ready", bit());
        let returned = credit_inputs(&mut m, self.gate.depths.len());

        // Fold counters: word and tap within a group, or tap alone.
        let tap = counter(&mut m, "tap_fold", spec.tap_folds());
        let group = counter(&mut m, "group", groups);
        let within = match spec.order {
            FoldOrder::Matrix { .. } => Some(counter(&mut m, "word", words)),
            FoldOrder::Vector => None,
        };
        let word_begins = within.as_ref().map_or_else(|| Expr::lit(bit(), 1), is_zero);
        let word_ends = within.as_ref().map_or_else(|| Expr::lit(bit(), 1), |word| word.at_last.clone());
        let first_fold = m.let_("first_fold", is_zero(&tap).and(&word_begins));
        let last_fold = m.let_("last_fold", tap.at_last.and(&word_ends));
        let first_group = m.let_("first_group", is_zero(&group));
        let last_group = m.let_("last_group", group.at_last.clone());

        // Strips that have arrived beyond those needed so far, and beats that can be written.
        let (strip_beats, ring) = (spec.strip_beats(), spec.ring_strips());
        let strips_type = uint(bits_for(ring as u64));
        let arrived = m.register("arrived", strips_type);
        // As if the unread end of a sample before the first were there.
        m.reset(arrived, progress.unread() as u64);
        let space_type = uint(bits_for((ring * strip_beats) as u64));
        let space = m.register("space", space_type);
        m.reset(space, ((ring - progress.unread()) * strip_beats) as u64);
        let room = m.let_("room", space.expr().ne(Expr::lit(space_type, 0)));
        m.assign(in_ready, room.expr());
        let write = m.let_("write_word", in_valid.expr().and(room.expr()));

        let place = Place::new(&mut m, spec);
        let (needs, frees) = place.steps(&mut m, &progress, strips_type);

        let gate = self.gate.build(&mut m, &returned, &last_group.expr());
        let first_of_step = m.let_("first_of_step", first_group.expr().and(first_fold.expr()));
        let supplied = first_of_step.expr().not().or(arrived.expr().ge(needs.expr()));
        let issue = m.let_("issue_fold", supplied.and(first_fold.expr().not().or(&gate.funded)));
        let starts = m.let_("starts_group", issue.expr().and(first_fold.expr()));
        let ends = m.let_("ends_group", issue.expr().and(last_fold.expr()));
        gate.spend(&mut m, &starts.expr());
        let starts_step = m.let_("starts_step", issue.expr().and(first_of_step.expr()));
        let ends_step = m.let_("ends_step", ends.expr().and(last_group.expr()));

        // The write side.
        let side = WriteSide::new(&mut m, spec, write);
        let zero = Expr::lit(strips_type, 0);
        let used = Expr::mux(starts_step.expr(), needs.expr(), &zero);
        m.clock(arrived, arrived.expr().add(side.arrives.extend(strips_type.width)).sub(&used));
        let freed = Expr::mux(ends_step.expr(), frees.expr(), &zero);
        let freed = m.let_("freed_strips", freed);
        let wait = WindowSpec::ADDRESS_LATENCY + spec.read_span - 1;
        let freed = delay(&mut m, "freed", freed, wait as usize, true);
        let freed_beats = times(&freed.expr(), strip_beats, space_type.width);
        let used = side.used_space(spec, write, space_type);
        m.clock(space, space.expr().add(&freed_beats).sub(&used));

        if let Some(word) = &within {
            advance(&mut m, word, issue.expr());
        }
        advance(&mut m, &tap, issue.expr().and(&word_ends));
        advance(&mut m, &group, ends.expr());
        let base = place.advance(&mut m, &ends_step.expr());
        let weight = counter(&mut m, "next_weight", groups * folds);
        advance(&mut m, &weight, issue.expr());

        // Addresses: base + tap offset, modulo the ring, + word; one register a step.
        let word_now = within.as_ref().map_or(group.value, |word| word.value).expr();
        let word_now = if words == 1 { None } else { Some(m.registered("word_1", word_now)) };
        let word_now = word_now.map(|word| m.registered("word_2", word.expr()));
        let base = m.registered("base_1", base.expr());
        let mut addresses = Addresses::new(base, word_now, depth);
        for lane in 0..spec.tap_lanes {
            let taps: Vec<usize> = spec.taps_of_lane(lane).collect();
            for bank in 0..spec.banks() {
                let offsets = taps.iter().map(|&tap| Place::ring(spec, spec.bank_strip(bank, tap) * words as i64));
                let address = addresses.of(&mut m, &tap.value.expr(), offsets.collect());
                let port = m.output(WindowWires::address(spec, lane, bank), address.ty());
                m.assign(port, address.expr());
            }
            let later = WindowSpec::ADDRESS_LATENCY as usize;
            let reads = BankReads::of(spec, lane);
            if reads.turns() {
                let ty = uint(bits_for(spec.banks() as u64 - 1));
                let first = select(&tap.value.expr(), &reads.first, &|&bank| Expr::lit(ty, bank as i64));
                let first = m.let_(format!("turn_{lane}"), first);
                let first = delay(&mut m, &format!("turn_{lane}"), first, later, false);
                let port = m.output(WindowWires::turn(lane), ty);
                m.assign(port, first.expr());
            }
            if spec.window.reads_padding() {
                let masks = (0..spec.pixel_lanes)
                    .rev()
                    .map(|pixel| select(&tap.value.expr(), &taps, &|&tap| place.is_padding(pixel, tap)));
                let mask = m.let_(format!("mask_{lane}"), Expr::concat(&masks.collect::<Vec<_>>()));
                let mask = delay(&mut m, &format!("mask_{lane}"), mask, later, false);
                let port = m.output(WindowWires::mask(lane), mask.ty());
                m.assign(port, mask.expr());
            }
        }
        let later = WindowSpec::ADDRESS_LATENCY as usize;
        for (name, signal, resets) in [
            ("issue", issue, true),
            ("first", first_fold, false),
            ("last", last_fold, false),
            ("weight_address", weight.value, false),
        ] {
            let delayed = delay(&mut m, name, signal, later, resets);
            let port = m.output(name, signal.ty());
            m.assign(port, delayed.expr());
        }
        for (name, value) in [("write", side.enables), ("write_address", side.address.expr())] {
            let port = m.output(name, value.ty());
            m.assign(port, value);
        }
        m.build()
    }
}

/// Where the step stands, and what follows from it.
struct Place<'a> {
    spec: &'a WindowSpec,
    row: crate::engine::matrix::Wrapping,
    column: crate::engine::matrix::Wrapping,
    base: Signal,
    /// Whether tap row (column) k of pixel lane j is padding, where it ever is: `[axis][j][k]`, rows for lane 0 alone.
    padding: [Vec<Vec<Option<Signal>>>; 2],
    steps: std::cell::RefCell<Vec<(Signal, Expr)>>,
}

impl<'a> Place<'a> {
    fn new(m: &mut ModuleBuilder, spec: &'a WindowSpec) -> Self {
        let steps = spec.steps();
        let row = counter(m, "row", steps[0]);
        let column = counter(m, "column", steps[1]);
        let ty = uint(bits_for(spec.depth() as u64 - 1));
        let base = m.register("window_base", ty);
        // The padding above the first pixel, as if it were stored.
        let above = spec.window.pad_before[0] * spec.strips()[1] * spec.words;
        m.reset(base, Self::ring(spec, -(above as i64)));
        let mut follow = |axis: usize, lane: usize, tap: usize| {
            let along: Vec<bool> = (0..steps[axis]).map(|step| spec.is_padding(axis, step, lane, tap)).collect();
            along.contains(&true).then(|| {
                let name = match (axis, spec.pixel_lanes) {
                    (0, _) => format!("row_{tap}_is_padding"),
                    (_, 1) => format!("column_{tap}_is_padding"),
                    _ => format!("column_{tap}_of_{lane}_is_padding"),
                };
                let signal = m.register(name, bit());
                m.reset(signal, u64::from(along[0]));
                signal
            })
        };
        let mut of_lanes = |axis: usize, lanes: usize| -> Vec<Vec<Option<Signal>>> {
            let taps = spec.window.kernel[axis];
            (0..lanes).map(|lane| (0..taps).map(|tap| follow(axis, lane, tap)).collect()).collect()
        };
        let padding = [of_lanes(0, 1), of_lanes(1, spec.pixel_lanes)];
        Place { spec, row, column, base, padding, steps: std::cell::RefCell::default() }
    }

    /// A distance in words, within the ring.
    fn ring(spec: &WindowSpec, words: i64) -> i64 {
        words.rem_euclid(spec.depth() as i64)
    }

    /// Whether a tap of a pixel lane of the present step is padding.
    fn is_padding(&self, lane: usize, tap: usize) -> Expr {
        let columns = self.spec.window.kernel[1];
        let parts = [self.padding[0][0][tap / columns], self.padding[1][lane][tap % columns]];
        let parts = parts.into_iter().flatten().map(|signal| signal.expr());
        parts.reduce(|a, b| a.or(b)).unwrap_or_else(|| Expr::lit(bit(), 0))
    }

    /// Registers of the strips that the present step needs and frees; they follow it.
    fn steps(&self, m: &mut ModuleBuilder, progress: &Progress, ty: crate::typed::HwType) -> (Signal, Signal) {
        let [rows, columns] = self.spec.steps();
        let mut follow = |name: &str, value: &dyn Fn(usize) -> u64| {
            let next = |row: usize, column: usize| value((row * columns + column + 1) % (rows * columns)) as i64;
            let table: Vec<Vec<i64>> =
                (0..rows).map(|row| (0..columns).map(|column| next(row, column)).collect()).collect();
            let register = m.register(name, ty);
            m.reset(register, value(0));
            let next = by_position(&table, &self.row.value.expr(), &self.column.value.expr(), ty);
            self.steps.borrow_mut().push((register, next));
            register
        };
        (follow("needs", &|step| progress.needs(step)), follow("frees", &|step| progress.frees(step)))
    }

    /// Moves to the next step where `ends` is high; gives the base of the present one.
    fn advance(&self, m: &mut ModuleBuilder, ends: &Expr) -> Signal {
        let spec = self.spec;
        let ends_row = m.let_("ends_row", ends.and(&self.column.at_last));
        for (register, next) in self.steps.borrow_mut().drain(..) {
            m.clock_if(register, ends.clone(), next);
        }
        for (axis, (counter, enable)) in
            [(&self.row, ends_row.expr()), (&self.column, ends.clone())].into_iter().enumerate()
        {
            let count = spec.steps()[axis];
            let signals = self.padding[axis].iter().enumerate();
            let signals = signals.flat_map(|(lane, taps)| taps.iter().enumerate().map(move |(tap, s)| (lane, tap, s)));
            for (lane, tap, signal) in signals {
                let Some(signal) = signal else { continue };
                let after = |at: usize| i64::from(spec.is_padding(axis, (at + 1) % count, lane, tap));
                let next: Vec<i64> = (0..count).map(after).collect();
                m.clock_if(*signal, enable.clone(), by_index(&next, &counter.value.expr(), bit()));
            }
        }
        let [rows, columns] = spec.steps();
        let [input_rows, strips] = spec.strips();
        let along = |strips: usize| (strips * spec.words) as i64;
        let step = along(spec.strips_per_step());
        let row_step = along(spec.window.stride[0] * strips) - step * (columns as i64 - 1);
        let back = row_step * (rows as i64 - 1) + step * (columns as i64 - 1) * rows as i64;
        let sample_step = along(input_rows * strips) - back;
        let ty = self.base.ty();
        let wide = uint(ty.width + 1);
        let ring = |words: i64| Expr::lit(wide, Self::ring(spec, words));
        let at_end = Expr::mux(&self.row.at_last, ring(sample_step), ring(row_step));
        let by = m.let_("base_step", Expr::mux(&self.column.at_last, at_end, ring(step)));
        let sum = m.let_("base_sum", self.base.expr().extend(wide.width).add(by.expr()));
        let depth = Expr::lit(wide, spec.depth() as i64);
        let wrapped = Expr::mux(sum.expr().ge(&depth), sum.expr().sub(&depth), sum.expr());
        m.clock_if(self.base, ends.clone(), wrapped.truncate(ty.width));
        advance(m, &self.column, ends.clone());
        advance(m, &self.row, ends_row.expr());
        self.base
    }
}

/// `value * factor` in `width` bits, by shifts and additions.
fn times(value: &Expr, factor: usize, width: u32) -> Expr {
    let wide = if value.ty().width < width { value.extend(width) } else { value.clone() };
    let bits = (0..usize::BITS).filter(|bit| factor >> bit & 1 == 1);
    let terms = bits.map(|bit| if bit == 0 { wide.clone() } else { wide.shl_const(bit) });
    terms.reduce(|a, b| a.add(b)).unwrap_or_else(|| Expr::lit(wide.ty(), 0))
}
