//! Verilog of one module, by a walk of RustHDL's `Probe` over it.

use super::layout;
use super::module::Module;
use super::print::text;
use rust_hdl::core::ast::{Verilog, VerilogExpression, VerilogStatement};
use rust_hdl::core::atom::{is_atom_signed, Atom, AtomKind};
use rust_hdl::core::block::Block;
use rust_hdl::core::probe::Probe;
use std::collections::{HashMap, HashSet};
use std::fmt;

use super::HwType;

/// What the walk finds: the module's scope and, one level down, its children.
#[derive(Default)]
struct ModuleText {
    depth: usize,
    ports: Vec<(String, HwType, AtomKind)>,
    locals: Vec<(String, HwType)>,
    declarations: String,
    processes: String,
    /// Names of the clocked children and of the memories.
    cells: HashSet<String>,
    /// Whether the child under way is an instance.
    in_instance: bool,
    /// Name, definition and ports of each instance, with what each port is bound to.
    instances: Vec<InstanceText>,
    text: String,
}

struct InstanceText {
    name: String,
    definition: String,
    ports: Vec<String>,
    bindings: HashMap<String, String>,
}

impl Probe for ModuleText {
    fn visit_start_scope(&mut self, name: &str, node: &dyn Block) {
        self.depth += 1;
        if self.depth != 2 {
            return;
        }
        let hdl = node.hdl();
        self.in_instance = matches!(hdl, Verilog::Blackbox(_));
        match hdl {
            Verilog::Blackbox(definition) => self.instances.push(InstanceText {
                name: name.to_string(),
                definition: definition.name,
                ports: Vec::new(),
                bindings: HashMap::new(),
            }),
            Verilog::Wrapper(memory) => {
                self.cells.insert(name.to_string());
                self.declarations += &memory.cores;
                self.process(&memory.code);
            }
            Verilog::Custom(process) => {
                self.cells.insert(name.to_string());
                self.process(&process);
            }
            Verilog::Combinatorial(_) | Verilog::Empty => {}
        }
    }

    fn visit_atom(&mut self, name: &str, signal: &dyn Atom) {
        let ty = HwType { width: signal.bits() as u32, signed: is_atom_signed(signal) };
        match (self.depth, signal.kind()) {
            (1, AtomKind::LocalSignal) => self.locals.push((name.to_string(), ty)),
            (1, kind) => self.ports.push((name.to_string(), ty, kind)),
            _ if self.in_instance => {
                if let Some(instance) = self.instances.last_mut() {
                    instance.ports.push(name.to_string());
                }
            }
            _ => {}
        }
    }

    fn visit_end_scope(&mut self, name: &str, node: &dyn Block) {
        self.depth -= 1;
        if self.depth > 0 {
            return;
        }
        if let Verilog::Combinatorial(body) = node.hdl() {
            self.finish(name, &body);
        }
    }
}

impl ModuleText {
    fn process(&mut self, text: &str) {
        if !text.is_empty() {
            self.processes.push('\n');
            self.processes += text;
        }
    }

    fn finish(&mut self, name: &str, body: &[VerilogStatement]) {
        let mut comments = Vec::new();
        let mut registers: HashSet<String> = HashSet::new();
        let mut assigns = String::new();
        for statement in body {
            match statement {
                VerilogStatement::Comment(line) => comments.push(line.clone()),
                VerilogStatement::Assignment(target, value) => {
                    let target = text(target);
                    match (child_port(&target), source(value)) {
                        (Some((child, port)), _) => self.bind(child, port, || text(value)),
                        (None, Some((child, port))) => {
                            if self.is_cell(child) {
                                registers.insert(target);
                            } else {
                                self.bind(child, port, || target.clone());
                            }
                        }
                        (None, None) => {
                            assigns += &layout::assignment(0, &format!("assign {target} = "), &text(value));
                        }
                    }
                }
                _ => {}
            }
        }
        let mut out = layout::comment(&comments);
        out += &format!("module {name} (\n{});\n", self.port_list(&registers));
        for section in self.nets(&registers) {
            out += &section_text(&section);
        }
        out += &section_text(&self.declarations);
        out += &section_text(&assigns);
        for instance in &self.instances {
            out += &section_text(&instance.text());
        }
        out += &layout::indent(&self.processes, 4);
        out += "\nendmodule\n";
        self.text = out;
    }

    fn is_cell(&self, child: &str) -> bool {
        self.cells.contains(child)
    }

    fn bind(&mut self, child: &str, port: &str, value: impl FnOnce() -> String) {
        if let Some(instance) = self.instances.iter_mut().find(|instance| instance.name == child) {
            instance.bindings.insert(port.to_string(), value());
        }
    }

    fn port_list(&self, registers: &HashSet<String>) -> String {
        let row = |(name, ty, kind): &(String, HwType, AtomKind)| {
            let direction = if *kind == AtomKind::InputParameter { "input" } else { "output" };
            let net = if registers.contains(name) { "reg" } else { "wire" };
            vec![direction.to_string(), net.to_string(), sign(*ty), layout::range(*ty), name.clone()]
        };
        let rows: Vec<Vec<String>> = self.ports.iter().map(row).collect();
        let mut lines = layout::columns(&rows, &[3]);
        let count = lines.len();
        for line in lines.iter_mut().take(count.saturating_sub(1)) {
            line.push(',');
        }
        lines.iter().map(|line| format!("    {line}\n")).collect()
    }

    /// Declarations of wires, then of registers.
    fn nets(&self, registers: &HashSet<String>) -> [String; 2] {
        let section = |net: &str, is_register: bool| {
            let locals = self.locals.iter().filter(|(name, _)| registers.contains(name) == is_register);
            let row = |(name, ty): &(String, HwType)| {
                vec![net.to_string(), sign(*ty), layout::range(*ty), format!("{name};")]
            };
            let lines = layout::columns(&locals.map(row).collect::<Vec<_>>(), &[2]);
            lines.iter().map(|line| format!("{line}\n")).collect::<String>()
        };
        [section("wire", false), section("reg", true)]
    }
}

impl InstanceText {
    fn text(&self) -> String {
        let row = |port: &String| {
            let value = self.bindings.get(port).map_or("", String::as_str);
            vec![format!(".{port}"), format!("({value})")]
        };
        let lines = layout::columns(&self.ports.iter().map(row).collect::<Vec<_>>(), &[]);
        let body: Vec<String> = lines.iter().map(|line| format!("    {line}")).collect();
        format!("{} {} (\n{}\n);\n", self.definition, self.name, body.join(",\n"))
    }
}

fn sign(ty: HwType) -> String {
    if ty.signed { "signed" } else { "" }.to_string()
}

/// A blank line and the text, indented; nothing if there is none.
fn section_text(text: &str) -> String {
    match text.is_empty() {
        true => String::new(),
        false => format!("\n{}", layout::indent(text, 4)),
    }
}

/// Child and port of `child$port`.
fn child_port(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('$')
}

/// Child and port of a value that is a child's output.
fn source(value: &VerilogExpression) -> Option<(&str, &str)> {
    match value {
        VerilogExpression::Signal(name) if is_path(name) => child_port(name),
        _ => None,
    }
}

fn is_path(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$')
}

impl Module {
    /// The module's Verilog-2001, without its children's.
    pub fn verilog(&self) -> String {
        let mut walk = ModuleText::default();
        self.accept(&self.name, &mut walk);
        walk.text
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.verilog())
    }
}
