//! The FIFO's hardware.

use super::bits_for;
use super::fifo::{FifoMemory, FifoSpec};
use crate::cells::Cells;
use crate::typed::{bit, uint, Expr, HdlError, MemorySpec, MemoryStyle, Module, ModuleBuilder, Signal};
use std::sync::Arc;

impl FifoSpec {
    /// The block. Ports: `in_valid`, `in_data`, `in_ready` (unless credited), `out_valid`,
    /// `out_data`, `out_ready`.
    ///
    /// # Errors
    /// If the module breaks a guarantee of the typed layer: our bug.
    pub fn module(&self, cells: &Cells) -> Result<Arc<Module>, HdlError> {
        let memory = self.memory(cells);
        let credited = if self.credited { "_credited" } else { "" };
        let mut m = ModuleBuilder::new(format!("fifo_{}x{}{credited}", self.depth, self.width));
        m.comment(format!(
            "First-in first-out buffer of {} beats of {} bits in {}.",
            self.depth,
            self.width,
            memory.name()
        ));
        m.comment("A beat stored at edge t can leave at edge t + 1.");
        let ports = Ports {
            in_valid: m.input("in_valid", bit()),
            in_data: m.input("in_data", uint(self.width as u32)),
            out_valid: m.output("out_valid", bit()),
            out_data: m.output("out_data", uint(self.width as u32)),
            out_ready: m.input("out_ready", bit()),
        };
        let count_type = uint(bits_for(self.depth as u64));
        let count = m.register("count", count_type);
        m.reset(count, 0);
        let level = |value: usize| Expr::lit(count_type, value as i64);
        let filled = m.let_("filled", count.expr().ne(level(0)));
        m.assign(ports.out_valid, filled.expr());
        let take = m.let_("take", filled.expr().and(ports.out_ready.expr()));
        let store = match self.credited {
            true => ports.in_valid,
            false => {
                let in_ready = m.output("in_ready", bit());
                let room = m.let_("room", count.expr().ne(level(self.depth)));
                m.assign(in_ready, room.expr());
                m.let_("store", ports.in_valid.expr().and(room.expr()))
            }
        };
        let up = count.expr().add(level(1));
        let down = count.expr().sub(level(1));
        let changes = store.expr().xor(take.expr());
        m.clock_if(count, changes, Expr::mux(store.expr(), &up, &down));
        match self.depth {
            1 => self.single(&mut m, &ports, store),
            _ => self.circular(&mut m, &ports, store, take, memory),
        }
        m.build()
    }

    fn single(&self, m: &mut ModuleBuilder, ports: &Ports, store: Signal) {
        let entry = m.register("entry", uint(self.width as u32));
        m.clock_if(entry, store.expr(), ports.in_data.expr());
        m.assign(ports.out_data, entry.expr());
    }

    /// A circular memory whose read register always holds the entry at the read pointer; an entry
    /// stored at that very edge comes from a bypass register instead.
    fn circular(&self, m: &mut ModuleBuilder, ports: &Ports, store: Signal, take: Signal, memory: FifoMemory) {
        let pointer_type = uint(bits_for(self.depth as u64 - 1));
        let at = |value: usize| Expr::lit(pointer_type, value as i64);
        let after = |m: &mut ModuleBuilder, name: &str, pointer: Signal| {
            let up = pointer.expr().add(at(1));
            let next = match self.depth.is_power_of_two() {
                true => up,
                false => Expr::mux(pointer.expr().eq(at(self.depth - 1)), at(0), &up),
            };
            m.let_(name, next)
        };
        let write_pointer = m.register("write_pointer", pointer_type);
        let read_pointer = m.register("read_pointer", pointer_type);
        m.reset(write_pointer, 0);
        m.reset(read_pointer, 0);
        let write_next = after(m, "write_next", write_pointer);
        m.clock_if(write_pointer, store.expr(), write_next.expr());
        let read_next = after(m, "read_next", read_pointer);
        let reading = m.let_("reading", Expr::mux(take.expr(), read_next.expr(), read_pointer.expr()));
        m.clock(read_pointer, reading.expr());

        let style = match memory {
            FifoMemory::Registers => MemoryStyle::Registers,
            FifoMemory::Distributed => MemoryStyle::Distributed,
            FifoMemory::Block => MemoryStyle::Block,
        };
        let entries = m.memory(MemorySpec {
            name: "entries".into(),
            width: self.width as u32,
            depth: self.depth,
            style,
            init: None,
        });
        m.write_port(entries, store.expr(), write_pointer.expr(), ports.in_data.expr());
        let stored = m.read_port(entries, "stored", reading.expr(), None);
        let bypass = m.register("bypass", uint(self.width as u32));
        let bypassing = m.register("bypassing", bit());
        m.clock(bypass, ports.in_data.expr());
        m.clock(bypassing, store.expr().and(reading.expr().eq(write_pointer.expr())));
        m.assign(ports.out_data, Expr::mux(bypassing.expr(), bypass.expr(), stored.expr()));
    }
}

struct Ports {
    in_valid: Signal,
    in_data: Signal,
    out_valid: Signal,
    out_data: Signal,
    out_ready: Signal,
}
