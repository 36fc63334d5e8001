//! The block around the lanes: beat counter, addresses, valid bits, masking of idle lanes.

use super::lane::{Lane, LaneBuilder, Level};
use super::ports::{field_groups, table_port_name, FieldGroup};
use super::RequantizeSpec;
use crate::typed::{address_bits, bit, uint, Expr, HdlError, HwType, Module, ModuleBuilder, Signal};
use std::sync::Arc;

pub(super) fn module(spec: &RequantizeSpec, lane: &dyn Lane) -> Result<Arc<Module>, HdlError> {
    let mut m = ModuleBuilder::new(&spec.name);
    m.comment(format!("Requantizes {} channels in beats of {}: {}.", spec.channels, spec.lanes, lane.describe()));
    m.comment(format!(
        "Raw accumulators of {} bits to {}; interval 1, latency {} cycles.",
        spec.raw_bits,
        spec.output,
        lane.latency()
    ));
    let in_valid = m.input("in_valid", bit());
    let in_data = m.input("in_data", uint(spec.lanes as u32 * spec.raw_bits));
    let out_valid = m.output("out_valid", bit());
    let out_data = m.output("out_data", uint(spec.lanes as u32 * spec.output.bits()));

    let latency = lane.latency();
    let groups = field_groups(lane, spec);
    let mut beats = Beats::new(&mut m, spec, lane, in_valid);
    let valid = match latency {
        0 => in_valid.expr(),
        edges => {
            let valid = history(&mut m, "valid", &in_valid.expr(), edges);
            m.reset(valid, 0);
            valid.expr().msb()
        }
    };
    m.assign(out_valid, valid);

    let words: Vec<(FieldGroup, Signal)> =
        groups.into_iter().map(|group| group_port(&mut m, &mut beats, group, spec)).collect();
    let results = lanes(&mut m, &mut beats, lane, (spec, in_data, &words))?;
    let rest = spec.channels % spec.lanes;
    let masked = (spec.beats() > 1 && rest > 0).then(|| beats.last_at(&mut m, latency));
    let zero = Expr::lit(uint(spec.output.bits()), 0);
    let mut leaving: Vec<Expr> = (0..spec.lanes)
        .map(|lane| match (results.get(lane), &masked) {
            (None, _) => zero.clone(),
            (Some(result), Some(last)) if lane >= rest => Expr::mux(last, &zero, result),
            (Some(result), _) => result.clone(),
        })
        .collect();
    leaving.reverse();
    m.assign(out_data, Expr::concat(&leaving));
    m.build()
}

/// Instances of the lane module; returns their results, lane 0 first.
fn lanes(
    m: &mut ModuleBuilder,
    beats: &mut Beats,
    lane: &dyn Lane,
    (spec, in_data, words): (&RequantizeSpec, Signal, &[(FieldGroup, Signal)]),
) -> Result<Vec<Expr>, HdlError> {
    let raw = |at: usize| in_data.expr().slice(at as u32 * spec.raw_bits, spec.raw_bits).as_signed();
    if let Some(wires) = (0..spec.lanes_used()).map(|at| lane.wiring(&raw(at))).collect() {
        return Ok(wires);
    }
    let comments = [format!("One lane of {}: {}.", spec.name, lane.describe())];
    let mut builder = LaneBuilder::new(&format!("{}_lane", spec.name), &comments, spec.raw_bits, &lane.fields());
    let result = lane.build(&mut builder);
    let definition = builder.finish(&result, lane.latency())?;
    let mut results = Vec::new();
    for at in 0..spec.lanes_used() {
        let mut bindings: Vec<(String, Expr)> = vec![("raw".into(), raw(at))];
        for (group, data) in words {
            let mut lo = at as u32 * group.lane_bits();
            for field in &group.fields {
                let ty = field.ty();
                bindings.push((field.name.clone(), typed(&data.expr().slice(lo, ty.width), ty)));
                lo += ty.width;
            }
        }
        for (number, level) in lane.levels().iter().enumerate() {
            let name = table_port_name(level, at);
            let address = m.output(format!("{name}_address"), uint(address_bits(level.words(spec.beats()))));
            let data = m.input(format!("{name}_data"), uint(level.ty.width));
            let index = (level.index_bits > 0).then(|| {
                let index = m.wire(format!("{name}_index"), uint(level.index_bits));
                bindings.push((Level::index_port(number), index.expr()));
                index.expr()
            });
            let beat = (level.by_beat && spec.beats() > 1).then(|| beats.at(m, level.address_at));
            let parts: Vec<Expr> = beat.into_iter().chain(index).collect();
            let parts = if parts.is_empty() { vec![Expr::lit(bit(), 0)] } else { parts };
            m.assign(address, Expr::concat(&parts));
            bindings.push((level.word_port(number), typed(&data.expr(), level.ty)));
        }
        let result = m.wire(format!("result_{at}"), uint(spec.output.bits()));
        bindings.push(("result".into(), result.expr()));
        let bindings: Vec<(&str, Expr)> = bindings.iter().map(|(port, value)| (port.as_str(), value.clone())).collect();
        m.instance(format!("lane_{at}"), &definition, &bindings);
        results.push(result.expr());
    }
    Ok(results)
}

/// The bits of a word in a field's own type.
fn typed(bits: &Expr, ty: HwType) -> Expr {
    match ty.signed {
        true => bits.as_signed(),
        false => bits.clone(),
    }
}

fn group_port(
    m: &mut ModuleBuilder,
    beats: &mut Beats,
    group: FieldGroup,
    spec: &RequantizeSpec,
) -> (FieldGroup, Signal) {
    let address = m.output(group.address_port(), uint(address_bits(spec.beats())));
    let data = m.input(group.data_port(), uint(group.lane_bits() * spec.lanes_used() as u32));
    let value = beats.at(m, group.address_at);
    m.assign(address, value);
    (group, data)
}

/// A one-bit word of each of the last `edges` clock edges (at least 1), the latest in bit 0.
fn history(m: &mut ModuleBuilder, name: &str, present: &Expr, edges: u64) -> Signal {
    let edges = edges as u32;
    let past = m.register(name, uint(edges));
    let next = match edges {
        1 => present.clone(),
        _ => Expr::concat(&[past.expr().slice(0, edges - 1), present.clone()]),
    };
    m.clock(past, next);
    past
}

/// The beat counter and its delays.
struct Beats {
    /// Beat of the present input, then one clock edge later each.
    beat: Vec<Expr>,
    /// Whether it is the pixel's last.
    last: Expr,
    /// Whether there is but one beat, or nothing reads which it is.
    constant: bool,
}

impl Beats {
    fn new(m: &mut ModuleBuilder, spec: &RequantizeSpec, lane: &dyn Lane, in_valid: Signal) -> Self {
        let ty = uint(address_bits(spec.beats()));
        let read = lane.fields().iter().any(|field| field.shared().is_none())
            || lane.levels().iter().any(|level| level.by_beat);
        if spec.beats() == 1 || (!read && spec.channels.is_multiple_of(spec.lanes)) {
            return Beats { beat: vec![Expr::lit(ty, 0)], last: Expr::lit(bit(), 1), constant: true };
        }
        let beat = m.register("beat", ty);
        m.reset(beat, 0);
        let end = Expr::lit(ty, spec.beats() as i64 - 1);
        let last = m.let_("last_beat", beat.expr().eq(&end));
        let next = beat.expr().add(Expr::lit(ty, 1));
        m.clock_if(beat, in_valid.expr(), Expr::mux(last.expr(), Expr::lit(ty, 0), &next));
        Beats { beat: vec![beat.expr()], last: last.expr(), constant: false }
    }

    /// The beat that came `edges` clock edges ago.
    fn at(&mut self, m: &mut ModuleBuilder, edges: u64) -> Expr {
        if self.constant {
            return self.beat[0].clone();
        }
        while (self.beat.len() as u64) <= edges {
            let before = self.beat[self.beat.len() - 1].clone();
            let next = m.register(format!("beat_d{}", self.beat.len()), before.ty());
            m.clock(next, before);
            self.beat.push(next.expr());
        }
        self.beat[edges as usize].clone()
    }

    /// Whether the beat that came `edges` clock edges ago was its pixel's last. Called once.
    fn last_at(&self, m: &mut ModuleBuilder, edges: u64) -> Expr {
        match edges {
            0 => self.last.clone(),
            _ => history(m, "was_last", &self.last, edges).expr().msb(),
        }
    }
}
