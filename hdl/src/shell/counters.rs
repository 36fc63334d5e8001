//! Running counters and their latched copies.

use super::flag::up;
use crate::typed::{bit, uint, HdlError, Module, ModuleBuilder};
use std::sync::Arc;
use systole_bundle::registers::{self, Register};

/// The counters of the register map, and the port of the event that each counts; cycles count by
/// themselves.
pub(super) const COUNTERS: [(Register, Option<&str>); 7] = [
    (registers::CYCLES, None),
    (registers::FRAMES, Some("answer_sent")),
    (registers::BEATS_IN, Some("beat_in")),
    (registers::BEATS_OUT, Some("beat_out")),
    (registers::STALLS_IN, Some("stall_in")),
    (registers::STALLS_OUT, Some("stall_out")),
    (registers::DROPPED, Some("beat_dropped")),
];

/// Name of the port that shows a latched counter.
pub(super) fn port(counter: &Register) -> String {
    counter.name.to_lowercase()
}

/// The counters. Ports: the events, `latch`, and the latched counters by their names in lower case.
/// Only the reset of the whole shell clears them.
pub(super) fn module() -> Result<Arc<Module>, HdlError> {
    let mut m = ModuleBuilder::new("shell_counters");
    m.comment("Counters of 64 bits; `latch` copies all of them in one cycle.");
    let latch = m.input("latch", bit());
    for (counter, event) in &COUNTERS {
        let ty = uint(32 * counter.words);
        let running = m.register(format!("{}_running", port(counter)), ty);
        m.reset(running, 0);
        match event {
            None => m.clock(running, up(running)),
            Some(event) => {
                let event = m.input(*event, bit());
                m.clock_if(running, event, up(running));
            }
        }
        let latched = m.output_register(port(counter), ty);
        m.reset(latched, 0);
        m.clock_if(latched, latch, running);
    }
    m.build()
}
