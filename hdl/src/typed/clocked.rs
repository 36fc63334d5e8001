//! Clocked processes: registers grouped by enable and reset, memories and their ports.

use super::expr::Expr;
use super::lower::literal;
use super::memory::MemoryStyle;
use super::module::{MemoryBlock, Module, CLOCK, RESET};
use super::{layout, uint};
use num_bigint::BigUint;
use std::collections::BTreeSet;

/// Registers (and synchronous read ports) that share their enable and whether they are reset.
pub(super) struct Group<'a> {
    pub enable: Option<&'a Expr>,
    pub resets: bool,
    pub items: Vec<Item<'a>>,
    /// Signals that the process reads and does not drive, the clock included, ascending.
    pub reads: Vec<u32>,
}

/// One register of a group.
pub(super) struct Item<'a> {
    pub q: u32,
    pub source: Source<'a>,
    pub reset: Option<&'a BigUint>,
}

/// Where a register's next value comes from.
pub(super) enum Source<'a> {
    Value(&'a Expr),
    Word { memory: &'a str, address: &'a Expr },
}

impl Source<'_> {
    fn expr(&self) -> &Expr {
        match self {
            Source::Value(expr) | Source::Word { address: expr, .. } => expr,
        }
    }
}

/// The groups of a module, in order of their first registers.
pub(super) fn groups(module: &Module) -> Vec<Group<'_>> {
    let mut groups: Vec<Group> = Vec::new();
    let registers = module.registers.iter().map(|register| {
        let item = Item { q: register.q, source: Source::Value(&register.next), reset: register.reset.as_ref() };
        (register.enable.as_ref(), item)
    });
    let reads = module.memories.iter().flat_map(|memory| {
        let clocked = memory.reads.iter().filter(|read| read.clocked);
        clocked.map(|read| {
            let source = Source::Word { memory: &memory.spec.name, address: &read.address };
            (read.enable.as_ref(), Item { q: read.q, source, reset: None })
        })
    });
    for (enable, item) in registers.chain(reads) {
        let resets = item.reset.is_some();
        let fits = |group: &&mut Group| {
            let same = match (group.enable, enable) {
                (Some(a), Some(b)) => a.same(b),
                (a, b) => a.is_none() && b.is_none(),
            };
            group.resets == resets && same
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.items.push(item),
            None => groups.push(Group { enable, resets, items: vec![item], reads: Vec::new() }),
        }
    }
    for group in &mut groups {
        let mut reads = BTreeSet::from([CLOCK]);
        if group.resets {
            reads.insert(RESET);
        }
        let exprs = group.items.iter().map(|item| item.source.expr()).chain(group.enable);
        exprs.for_each(|expr| {
            expr.for_each_signal(&mut |signal| {
                reads.insert(signal.index);
            })
        });
        group.items.iter().for_each(|item| {
            reads.remove(&item.q);
        });
        group.reads = reads.into_iter().collect();
    }
    groups
}

/// The text of a group's process.
pub(super) fn process(module: &Module, group: &Group) -> String {
    let mut text = format!("always @(posedge {}) begin\n", module.decl(CLOCK).name);
    let name = |q: u32| &module.decl(q).name;
    let next = |indent: usize| -> String {
        let line = |item: &Item| {
            let value = match &item.source {
                Source::Value(expr) => module.text(expr),
                Source::Word { memory, address } => format!("{memory}[{}]", module.text(address)),
            };
            layout::assignment(indent, &format!("{} <= ", name(item.q)), &value)
        };
        group.items.iter().map(line).collect()
    };
    let reset = |indent: usize| -> String {
        let line = |item: &Item| {
            item.reset.map(|bits| {
                let ty = module.decl(item.q).ty;
                layout::assignment(indent, &format!("{} <= ", name(item.q)), &literal(ty, bits))
            })
        };
        group.items.iter().filter_map(line).collect()
    };
    let (begin, end) = if group.items.len() > 1 { (" begin", "end ") } else { ("", "") };
    let condition = group.enable.map(|enable| format!("if ({})", module.text(enable)));
    match (group.resets, condition) {
        (false, None) => text += &next(4),
        (false, Some(condition)) => {
            text += &format!("    {condition}{begin}\n{}", next(8));
            if !end.is_empty() {
                text += "    end\n";
            }
        }
        (true, condition) => {
            text += &format!("    if ({}){begin}\n{}", module.decl(RESET).name, reset(8));
            let condition = condition.map_or(String::new(), |condition| format!(" {condition}"));
            text += &format!("    {end}else{condition}{begin}\n{}", next(8));
            if !end.is_empty() {
                text += "    end\n";
            }
        }
    }
    text + "end\n"
}

/// Signals that a memory's write process reads, ascending.
pub(super) fn memory_reads(memory: &MemoryBlock) -> Vec<u32> {
    let mut reads = BTreeSet::new();
    if let Some(write) = &memory.write {
        reads.insert(CLOCK);
        for expr in [&write.enable, &write.address, &write.data] {
            expr.for_each_signal(&mut |signal| {
                reads.insert(signal.index);
            });
        }
    }
    reads.into_iter().collect()
}

/// The array of a memory.
pub(super) fn memory_declaration(memory: &MemoryBlock) -> String {
    let spec = &memory.spec;
    let kind = if memory.write.is_none() && spec.style != MemoryStyle::Registers { "rom" } else { "ram" };
    let range = layout::range(uint(spec.width));
    let space = if range.is_empty() { "" } else { " " };
    // Small ROMs are plain logic: tools map them best without being told, and some have no
    // distributed memory that can be initialized.
    let attribute = match spec.init.is_some() && spec.style != MemoryStyle::Block {
        true => String::new(),
        false => format!("(* {kind}_style = \"{}\" *)\n", spec.style.attribute()),
    };
    format!("{attribute}reg{space}{range} {} [0:{}];\n", spec.name, spec.depth - 1)
}

/// The text that loads a memory's image and writes its words.
pub(super) fn write_process(module: &Module, memory: &MemoryBlock) -> String {
    let spec = &memory.spec;
    let mut text = String::new();
    if let Some(image) = &spec.init {
        text += &format!("initial $readmemh(\"rom/{}\", {});\n", image.file, spec.name);
    }
    if let Some(write) = &memory.write {
        if !text.is_empty() {
            text.push('\n');
        }
        text += &format!("always @(posedge {}) begin\n", module.decl(CLOCK).name);
        let always = write.enable.as_literal().is_some_and(|bits| bits.bit(0));
        let indent = if always { 4 } else { 8 };
        if !always {
            text += &format!("    if ({})\n", module.text(&write.enable));
        }
        let target = format!("{}[{}] <= ", spec.name, module.text(&write.address));
        text += &layout::assignment(indent, &target, &module.text(&write.data));
        text += "end\n";
    }
    text
}
