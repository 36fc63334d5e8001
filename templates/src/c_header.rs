//! `include/systole.h`: the C interface, from the source that exports it and the register map.

mod declarations;

use crate::TemplateError;
use declarations::{Constant, Declarations, Function, Structure};
use minijinja::{syntax::SyntaxConfig, value::Serde, Environment, UndefinedBehavior};
use serde::Serialize;
use systole_bundle::frame;
use systole_bundle::registers::{self, Field, ABI_MAJOR, ABI_MINOR, MAGIC_VALUE, REGISTERS};

/// What `systole.h.j2` is rendered from.
#[derive(Debug, Serialize)]
struct HeaderContext {
    constants: Vec<Constant>,
    structures: Vec<Structure>,
    functions: Vec<Function>,
    version: &'static str,
    register_constants: Vec<Constant>,
    registers: Vec<RegisterRows>,
    frame: Vec<Constant>,
}

#[derive(Debug, Serialize)]
struct RegisterRows {
    name: String,
    value: String,
    comment: String,
    fields: Vec<Constant>,
}

/// The text of `include/systole.h` for the exports in `source`, the text of the C crate's `lib.rs`.
///
/// # Errors
/// If `source` exports something that has no counterpart in C.
pub fn render(source: &str) -> Result<String, TemplateError> {
    let Declarations { constants, structures, functions } =
        Declarations::read(source).map_err(|reason| TemplateError::Source { reason })?;
    let context = HeaderContext {
        constants,
        structures,
        functions,
        version: registers::ABI_VERSION,
        register_constants: vec![
            Constant::new("SYSTOLE_MAGIC_VALUE", format!("{MAGIC_VALUE:#010x}u"), ""),
            Constant::new("SYSTOLE_ABI_VALUE", format!("{:#010x}u", ABI_MAJOR << 16 | ABI_MINOR), ""),
        ],
        registers: REGISTERS.iter().map(register).collect(),
        frame: frame_constants(),
    };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
        .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?);
    Ok(environment.render_named_str("systole.h", include_str!("../systole.h.j2"), Serde(&context))?)
}

fn register(register: &registers::Register) -> RegisterRows {
    let name = format!("SYSTOLE_REG_{}", register.name);
    let words = if register.words > 1 { format!(" ({} words, low word first)", register.words) } else { String::new() };
    let field =
        |field: &Field| Constant::new(format!("{name}_{}", field.name), format!("{:#x}u", field.mask()), field.meaning);
    let fields = register.fields.iter().map(field).collect();
    RegisterRows {
        name,
        value: format!("{:#04x}u", register.offset),
        comment: format!("{}; {}{words}", register.meaning, register.access.code()),
        fields,
    }
}

fn frame_constants() -> Vec<Constant> {
    let fields = frame::field::FIELDS.iter().map(|field| {
        Constant::new(format!("SYSTOLE_FRAME_{}", field.name.to_uppercase()), field.offset.to_string(), field.meaning)
    });
    let whole = [
        Constant::new("SYSTOLE_FRAME_HEADER_BYTES", frame::HEADER_BYTES.to_string(), "bytes of a header"),
        Constant::new("SYSTOLE_FRAME_MAGIC_VALUE", format!("{:#010x}u", frame::MAGIC), "what `magic` holds"),
    ];
    whole.into_iter().chain(fields).collect()
}
