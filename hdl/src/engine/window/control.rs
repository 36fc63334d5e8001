//! Control of a window engine: the ring's write side, fold counters, tap addresses, padding masks.

use super::position::{by_index, by_position, select};
use super::{FoldOrder, Progress, WindowSpec};
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
    /// Address of a tap lane's word.
    pub fn address(lane: usize) -> String {
        format!("read_address_{lane}")
    }

    /// High where a tap lane's word is padding.
    pub fn mask(lane: usize) -> String {
        format!("padding_{lane}")
    }
}

impl WindowControl<'_> {
    /// Bits of a word's address in the ring.
    pub fn address_bits(&self) -> u32 {
        bits_for(self.spec.depth() as u64 - 1)
    }

    /// Bits of the address of a window's fold: of its weights.
    pub fn fold_bits(&self) -> u32 {
        bits_for(self.spec.cycles_per_window() - 1)
    }

    fn name(&self) -> String {
        let WindowSpec { window, words, tap_lanes, order, .. } = self.spec;
        let pair = |[a, b]: [usize; 2]| format!("{a}x{b}");
        let order = match order {
            FoldOrder::Matrix { .. } => "matrix",
            FoldOrder::Vector => "vector",
        };
        format!(
            "window_control_{}_k{}_s{}_d{}_p{}_{}_w{words}_t{tap_lanes}_r{}_{order}_m{}_pe{}_{}",
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
    /// stage), `write`, `write_address`; and, [`WindowSpec::ADDRESS_LATENCY`] edges behind a fold's
    /// start, `issue`, `first`, `last` (of its group), `weight_address`, and [`WindowWires`].
    ///
    /// # Errors
    /// If the module breaks a guarantee of the typed layer: our bug.
    pub fn module(&self) -> Result<Arc<Module>, HdlError> {
        let spec = self.spec;
        let (depth, words) = (spec.depth(), spec.words);
        let (groups, folds) = (spec.groups(), spec.folds());
        let progress = Progress::new(&spec.window);
        let mut m = ModuleBuilder::new(self.name());
        m.comment(format!("Window {}: {groups} groups of {folds} folds each.", spec.window));
        m.comment(format!("Ring of {depth} words, {words} a pixel; {} taps at once.", spec.tap_lanes));
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

        // Pixels that have arrived beyond those needed so far, and words that can be written.
        let pixels_type = uint(bits_for((depth / words) as u64));
        let arrived = m.register("arrived", pixels_type);
        // As if the unread end of a sample before the first were there.
        m.reset(arrived, progress.unread() as u64);
        let space_type = uint(bits_for(depth as u64));
        let space = m.register("space", space_type);
        m.reset(space, (depth - progress.unread() * words) as u64);
        let room = m.let_("room", space.expr().ne(Expr::lit(space_type, 0)));
        m.assign(in_ready, room.expr());
        let write = m.let_("write_word", in_valid.expr().and(room.expr()));

        let place = Place::new(&mut m, spec);
        let (needs, frees) = place.steps(&mut m, &progress, pixels_type);

        let gate = self.gate.build(&mut m, &returned, &last_group.expr());
        let first_of_window = m.let_("first_of_window", first_group.expr().and(first_fold.expr()));
        let supplied = first_of_window.expr().not().or(arrived.expr().ge(needs.expr()));
        let issue = m.let_("issue_fold", supplied.and(first_fold.expr().not().or(&gate.funded)));
        let starts = m.let_("starts_group", issue.expr().and(first_fold.expr()));
        let ends = m.let_("ends_group", issue.expr().and(last_fold.expr()));
        gate.spend(&mut m, &starts.expr());
        let starts_window = m.let_("starts_window", issue.expr().and(first_of_window.expr()));
        let ends_window = m.let_("ends_window", ends.expr().and(last_group.expr()));

        // The write side.
        let write_word = counter(&mut m, "write_in_pixel", words);
        advance(&mut m, &write_word, write.expr());
        let arrives = write.expr().and(&write_word.at_last);
        let zero = Expr::lit(pixels_type, 0);
        let used = Expr::mux(starts_window.expr(), needs.expr(), &zero);
        m.clock(arrived, arrived.expr().add(arrives.extend(pixels_type.width)).sub(&used));
        let write_address = counter(&mut m, "next_write", depth);
        advance(&mut m, &write_address, write.expr());
        let freed = Expr::mux(ends_window.expr(), frees.expr(), &zero);
        let freed = m.let_("freed_pixels", freed);
        let wait = WindowSpec::ADDRESS_LATENCY + spec.read_span - 1;
        let freed = delay(&mut m, "freed", freed, wait as usize, true);
        let freed_words = times(&freed.expr(), words, space_type.width);
        m.clock(space, space.expr().add(&freed_words).sub(write.expr().extend(space_type.width)));

        if let Some(word) = &within {
            advance(&mut m, word, issue.expr());
        }
        advance(&mut m, &tap, issue.expr().and(&word_ends));
        advance(&mut m, &group, ends.expr());
        let base = place.advance(&mut m, &ends_window.expr());
        let weight = counter(&mut m, "next_weight", groups * folds);
        advance(&mut m, &weight, issue.expr());

        // Addresses: base + tap offset, modulo the ring, + word; one register a step.
        let word_now = within.as_ref().map_or(group.value, |word| word.value).expr();
        let word_now = if words == 1 { None } else { Some(m.registered("word_1", word_now)) };
        let word_now = word_now.map(|word| m.registered("word_2", word.expr()));
        let base = m.registered("base_1", base.expr());
        let address_type = uint(self.address_bits());
        let wide = uint(address_type.width + 1);
        for lane in 0..spec.tap_lanes {
            let taps: Vec<usize> =
                (0..spec.tap_folds()).map(|fold| (fold * spec.tap_lanes + lane).min(spec.window.taps() - 1)).collect();
            let offsets: Vec<i64> = taps.iter().map(|&tap| place.offset(tap)).collect();
            let offset = select(&tap.value.expr(), &offsets, &|&at| Expr::lit(address_type, at));
            let offset = m.registered(format!("offset_{lane}"), offset);
            let sum = base.expr().extend(wide.width).add(offset.expr().extend(wide.width));
            let sum = m.let_(format!("sum_{lane}"), sum);
            let over = sum.expr().ge(Expr::lit(wide, depth as i64));
            let wrapped = Expr::mux(over, sum.expr().sub(Expr::lit(wide, depth as i64)), sum.expr());
            let pixel = m.registered(format!("pixel_{lane}"), wrapped.truncate(address_type.width));
            let address = match &word_now {
                Some(word) => pixel.expr().add(word.expr().extend(address_type.width)),
                None => pixel.expr(),
            };
            let address = m.registered(format!("address_{lane}"), address);
            let port = m.output(WindowWires::address(lane), address_type);
            m.assign(port, address.expr());
            if spec.window.reads_padding() {
                let mask = select(&tap.value.expr(), &taps, &|&tap| place.is_padding(tap));
                let mask = m.let_(format!("mask_{lane}"), mask);
                let mask = delay(&mut m, &format!("mask_{lane}"), mask, WindowSpec::ADDRESS_LATENCY as usize, false);
                let port = m.output(WindowWires::mask(lane), bit());
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
        for (name, value) in [("write", write.expr()), ("write_address", write_address.value.expr())] {
            let port = m.output(name, value.ty());
            m.assign(port, value);
        }
        m.build()
    }
}

/// Where the window stands, and what follows from it.
struct Place<'a> {
    spec: &'a WindowSpec,
    row: crate::engine::matrix::Wrapping,
    column: crate::engine::matrix::Wrapping,
    base: Signal,
    /// Whether tap row (column) k is padding, where it ever is.
    padding: [Vec<Option<Signal>>; 2],
    steps: std::cell::RefCell<Vec<(Signal, Expr)>>,
}

impl<'a> Place<'a> {
    fn new(m: &mut ModuleBuilder, spec: &'a WindowSpec) -> Self {
        let [rows, columns] = spec.window.output();
        let row = counter(m, "row", rows);
        let column = counter(m, "column", columns);
        let ty = uint(bits_for(spec.depth() as u64 - 1));
        let base = m.register("window_base", ty);
        m.reset(base, Self::ring(spec, -Self::origin(spec)));
        let padding = [0, 1].map(|axis| {
            let along = |tap: usize| -> Vec<i64> {
                let at = |position: usize| i64::from(spec.window.position(axis, position, tap).is_none());
                (0..spec.window.output()[axis]).map(at).collect()
            };
            (0..spec.window.kernel[axis])
                .map(|tap| {
                    let table = along(tap);
                    table.contains(&1).then(|| {
                        let side = ["row", "column"][axis];
                        let signal = m.register(format!("{side}_{tap}_is_padding"), bit());
                        m.reset(signal, table[0]);
                        signal
                    })
                })
                .collect()
        });
        Place { spec, row, column, base, padding, steps: std::cell::RefCell::default() }
    }

    /// Words of padding in front of the first pixel, as if it were stored.
    fn origin(spec: &WindowSpec) -> i64 {
        let window = &spec.window;
        ((window.pad_before[0] * window.input[1] + window.pad_before[1]) * spec.words) as i64
    }

    /// A distance in words, within the ring.
    fn ring(spec: &WindowSpec, words: i64) -> i64 {
        words.rem_euclid(spec.depth() as i64)
    }

    /// Distance of a tap from the window's first, within the ring.
    fn offset(&self, tap: usize) -> i64 {
        let window = &self.spec.window;
        let (row, column) = (tap / window.kernel[1], tap % window.kernel[1]);
        let pixels = row * window.dilation[0] * window.input[1] + column * window.dilation[1];
        Self::ring(self.spec, (pixels * self.spec.words) as i64)
    }

    /// Whether a tap of the present window is padding.
    fn is_padding(&self, tap: usize) -> Expr {
        let columns = self.spec.window.kernel[1];
        let parts = [self.padding[0][tap / columns], self.padding[1][tap % columns]];
        let parts = parts.into_iter().flatten().map(|signal| signal.expr());
        parts.reduce(|a, b| a.or(b)).unwrap_or_else(|| Expr::lit(bit(), 0))
    }

    /// Registers of the pixels that the present window needs and frees; they follow the window.
    fn steps(&self, m: &mut ModuleBuilder, progress: &Progress, ty: crate::typed::HwType) -> (Signal, Signal) {
        let [rows, columns] = self.spec.window.output();
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
        (follow("needs", &|pixel| progress.needs(pixel)), follow("frees", &|pixel| progress.frees(pixel)))
    }

    /// Moves to the next window where `ends` is high; gives the base of the present one.
    fn advance(&self, m: &mut ModuleBuilder, ends: &Expr) -> Signal {
        let spec = self.spec;
        let window = &spec.window;
        let ends_row = m.let_("ends_row", ends.and(&self.column.at_last));
        for (register, next) in self.steps.borrow_mut().drain(..) {
            m.clock_if(register, ends.clone(), next);
        }
        for (axis, (counter, enable)) in
            [(&self.row, ends_row.expr()), (&self.column, ends.clone())].into_iter().enumerate()
        {
            let count = window.output()[axis];
            for (tap, signal) in self.padding[axis].iter().enumerate() {
                let Some(signal) = signal else { continue };
                let next: Vec<i64> =
                    (0..count).map(|at| i64::from(window.position(axis, (at + 1) % count, tap).is_none())).collect();
                m.clock_if(*signal, enable.clone(), by_index(&next, &counter.value.expr(), bit()));
            }
        }
        let [rows, columns] = window.output();
        let along = |pixels: usize| (pixels * spec.words) as i64;
        let step = along(window.stride[1]);
        let row_step = along(window.stride[0] * window.input[1]) - step * (columns as i64 - 1);
        let back = row_step * (rows as i64 - 1) + step * (columns as i64 - 1) * rows as i64;
        let sample_step = along(window.input_pixels()) - back;
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
