//! Small modules: the golden texts, the lint and the behaviour are of these.

use num_bigint::BigUint;
use std::sync::Arc;
use systole_hdl::typed::{bit, sint, uint, Expr, HdlError, MemorySpec, MemoryStyle, Module, ModuleBuilder, RomImage};

/// Counts the beats of a stream and offers the count on another: a register with valid and ready.
pub fn beat_counter() -> Result<Arc<Module>, HdlError> {
    let mut m = ModuleBuilder::new("beat_counter");
    m.comment("Counts the beats it takes and offers each count, in one register.");
    let in_valid = m.input("in_valid", bit());
    let in_ready = m.output("in_ready", bit());
    let out_valid = m.output_register("out_valid", bit());
    let out_ready = m.input("out_ready", bit());
    let out_count = m.output("out_count", uint(8));

    let room = m.let_("room", out_ready | !out_valid);
    let take = m.let_("take", in_valid & room);
    m.assign(in_ready, room);
    m.reset(out_valid, 0);
    m.clock_if(out_valid, room, in_valid);
    let count = m.register("count", uint(8));
    m.reset(count, 0);
    m.clock_if(count, take, count + Expr::lit(uint(8), 1));
    m.assign(out_count, count);
    m.build()
}

/// A table of signed factors, a product, an arithmetic shift and a clamp.
pub fn scaler() -> Result<Arc<Module>, HdlError> {
    let mut m = ModuleBuilder::new("scaler");
    m.comment("y = clamp((x * factor[channel]) >> 4, -128, 127), three cycles later.");
    let x = m.input("x", sint(12));
    let channel = m.input("channel", uint(2));
    let y = m.output("y", sint(8));
    let words = [3i64, -7, 100, -128].map(|factor| sint(8).bits_of(&factor.into()));
    let factors = m.memory(MemorySpec {
        name: "factors".into(),
        width: 8,
        depth: 4,
        style: MemoryStyle::Distributed,
        init: Some(RomImage { file: "scaler_factors.hex".into(), words: Arc::new(words.to_vec()) }),
    });
    let factor = m.read_sync(factors, "factor", channel);
    let x_delayed = m.register("x_delayed", sint(12));
    m.clock(x_delayed, x);
    let product = m.register("product", sint(20));
    m.clock(product, x_delayed.expr().mul(factor.expr().as_signed()));
    let shifted = m.let_("shifted", product.expr().shr_const(4));
    let limit = |value: i64| Expr::lit(sint(20), value);
    let low = Expr::mux(shifted.expr().lt(limit(-128)), limit(-128), shifted);
    let clamped = m.let_("clamped", Expr::mux(shifted.expr().gt(limit(127)), limit(127), low));
    let result = m.register("result", sint(8));
    m.clock(result, clamped.expr().truncate(8));
    m.assign(y, result);
    m.build()
}

/// Two counters behind an active-low reset, a write-first-in-time memory, bits that nobody reads.
pub fn board() -> Result<Arc<Module>, HdlError> {
    let counter = beat_counter()?;
    let mut m = ModuleBuilder::new("board");
    m.comment("Two beat counters and a log of their sums.");
    let resetting = m.active_low_reset("aresetn");
    m.drive_reset(resetting);
    let ticks = m.input("ticks", uint(4));
    m.ignored_input("spare", uint(3));
    let address = m.input("address", uint(4));
    let logged = m.output("logged", uint(9));
    let mut counts = Vec::new();
    for index in 0..2 {
        let valid = m.wire(format!("valid_{index}"), bit());
        let ready = m.wire(format!("ready_{index}"), bit());
        let count = m.wire(format!("count_{index}"), uint(8));
        m.instance(
            format!("counter_{index}"),
            &counter,
            &[
                ("in_valid", ticks.expr().bit(index)),
                ("in_ready", ready.expr()),
                ("out_valid", valid.expr()),
                ("out_ready", Expr::lit(bit(), 1)),
                ("out_count", count.expr()),
            ],
        );
        counts.push((valid, count));
    }
    let sum = m.let_("sum", counts[0].1.expr().extend(9) + counts[1].1.expr().extend(9));
    let both = m.let_("both", counts[0].0 & counts[1].0);
    let spec = MemorySpec { name: "entries".into(), width: 9, depth: 16, style: MemoryStyle::Block, init: None };
    let entries = m.memory(spec);
    m.write_port(entries, both, counts[0].1.expr().slice(0, 4), sum);
    let entry = m.read_port(entries, "entry", address, Some(ticks.expr().bit(2)));
    m.assign(logged, entry);
    m.build()
}

/// The image that [`scaler`] reads.
pub fn scaler_words() -> Vec<BigUint> {
    [3u32, 0xf9, 100, 0x80].map(BigUint::from).to_vec()
}
