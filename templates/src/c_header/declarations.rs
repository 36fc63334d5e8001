//! What a Rust source exports to C, read from its text: public constants, structures with their
//! layout in C or without one, and `extern "C"` functions, each with its documentation.

use serde::Serialize;

/// A `#define`.
#[derive(Debug, Serialize)]
pub struct Constant {
    name: String,
    value: String,
    comment: String,
}

/// A structure; without fields an opaque one.
#[derive(Debug, Serialize)]
pub struct Structure {
    name: String,
    comment: String,
    fields: Vec<Member>,
}

/// A field of a structure.
#[derive(Debug, Serialize)]
pub struct Member {
    declaration: String,
    comment: String,
}

/// A function.
#[derive(Debug, Serialize)]
pub struct Function {
    name: String,
    comment: String,
    /// With a blank behind it where the name needs one.
    result: String,
    parameters: Vec<String>,
}

/// Everything that a source exports, in its order.
#[derive(Debug, Default)]
pub struct Declarations {
    pub constants: Vec<Constant>,
    pub structures: Vec<Structure>,
    pub functions: Vec<Function>,
}

impl Constant {
    pub fn new(name: impl Into<String>, value: impl Into<String>, comment: impl Into<String>) -> Constant {
        Constant { name: name.into(), value: value.into(), comment: comment.into() }
    }
}

impl Declarations {
    /// Reads a formatted source.
    ///
    /// # Errors
    /// Names the item that C has no counterpart for.
    pub fn read(source: &str) -> Result<Declarations, String> {
        let mut found = Declarations::default();
        let (mut comment, mut layout) = (Vec::new(), false);
        let mut lines = source.lines().map(str::trim_end);
        while let Some(line) = lines.next() {
            if let Some(text) = line.strip_prefix("///") {
                comment.push(text.trim());
                continue;
            }
            if line == "#[repr(C)]" {
                layout = true;
                continue;
            }
            if line.starts_with("#[") {
                continue;
            }
            if let Some(item) = line.strip_prefix("pub const ") {
                found.constants.push(constant(item, sentence(&comment))?);
            } else if let Some(name) = line.strip_prefix("pub struct ").and_then(|item| item.strip_suffix(" {")) {
                let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "}").collect();
                let fields = if layout { fields(&body)? } else { Vec::new() };
                found.structures.push(Structure { name: name.into(), comment: sentence(&comment), fields });
            } else if let Some(item) = function_item(line) {
                let mut signature = item.to_string();
                while !signature.ends_with('{') {
                    let Some(line) = lines.next() else { return Err(format!("`{item}` does not end")) };
                    signature.push_str(line.trim());
                }
                found.functions.push(function(&signature, sentence(&comment))?);
            }
            comment.clear();
            layout = false;
        }
        Ok(found)
    }
}

fn function_item(line: &str) -> Option<&str> {
    ["pub unsafe extern \"C\" fn ", "pub extern \"C\" fn "].iter().find_map(|start| line.strip_prefix(start))
}

/// The documentation up to its first heading, in lines of at most 100 characters; without Rust's links.
fn sentence(comment: &[&str]) -> String {
    let words = comment.iter().take_while(|line| !line.starts_with('#')).flat_map(|line| line.split_whitespace());
    let mut text = String::new();
    let mut width = 0;
    for word in words {
        let word = word.replace("[`", "").replace("`]", "").replace('`', "");
        if width + word.len() > 100 {
            text.push_str("\n * ");
            width = 0;
        } else if !text.is_empty() {
            text.push(' ');
        }
        width += word.len() + 1;
        text.push_str(&word);
    }
    text
}

/// `NAME: type = value;`
fn constant(item: &str, comment: String) -> Result<Constant, String> {
    let parts = item.strip_suffix(';').and_then(|item| item.split_once(" = "));
    match parts.and_then(|(name, value)| Some((name.split_once(':')?.0, value))) {
        Some((name, value)) => Ok(Constant::new(name, value, comment)),
        None => Err(format!("constant `{item}` is not of one line")),
    }
}

/// `pub name: type,` and documentation.
fn fields(body: &[&str]) -> Result<Vec<Member>, String> {
    let (mut members, mut comment) = (Vec::new(), Vec::new());
    for line in body.iter().map(|line| line.trim()) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.trim());
        } else if let Some(field) = line.strip_prefix("pub ").and_then(|line| line.strip_suffix(',')) {
            members.push(Member { declaration: declaration(field)?, comment: sentence(&comment) });
            comment.clear();
        } else {
            return Err(format!("field `{line}` is private or has an attribute"));
        }
    }
    Ok(members)
}

/// `name(parameter: type, ...) -> type {`
fn function(signature: &str, comment: String) -> Result<Function, String> {
    let shape = || format!("function `{signature}` is not `name(parameters) -> result {{`");
    let (name, rest) = signature.split_once('(').ok_or_else(shape)?;
    let (parameters, result) = rest.strip_suffix('{').and_then(|rest| rest.rsplit_once(')')).ok_or_else(shape)?;
    let result = match result.trim().strip_prefix("->") {
        Some(result) => declared(result.trim(), "")?,
        None => "void ".into(),
    };
    let parameters = parameters.split(',').map(str::trim).filter(|parameter| !parameter.is_empty());
    let parameters: Vec<String> = parameters.map(declaration).collect::<Result<_, _>>()?;
    let parameters = if parameters.is_empty() { vec!["void".into()] } else { parameters };
    Ok(Function { name: name.into(), comment, result, parameters })
}

/// `name: type` as C declares it.
fn declaration(item: &str) -> Result<String, String> {
    let (name, ty) = item.split_once(": ").ok_or_else(|| format!("`{item}` is not `name: type`"))?;
    declared(ty, name)
}

/// A name of a type as C declares it; without a name, what stands before one.
fn declared(ty: &str, name: &str) -> Result<String, String> {
    if let Some(pointee) = ty.strip_prefix("*const ") {
        // C reads from the name outwards: what is constant is the pointee, whatever it is.
        return match pointee.starts_with('*') {
            true => declared(pointee, &format!("const *{name}")),
            false => declared(pointee, &format!("*{name}")).map(|text| format!("const {text}")),
        };
    }
    if let Some(pointee) = ty.strip_prefix("*mut ") {
        return declared(pointee, &format!("*{name}"));
    }
    if let Some((element, length)) = ty.strip_prefix('[').and_then(|ty| ty.strip_suffix(']')?.split_once("; ")) {
        return declared(element, &format!("{name}[{length}]"));
    }
    let ty = match ty {
        "c_char" => "char",
        "c_void" => "void",
        "bool" => "bool",
        "usize" => "size_t",
        "i32" => "int32_t",
        "i64" => "int64_t",
        "u32" => "uint32_t",
        "u64" => "uint64_t",
        "f32" => "float",
        "f64" => "double",
        own if own.starts_with("systole_") => own,
        other => return Err(format!("type `{other}` has no counterpart in C")),
    };
    Ok(format!("{ty} {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_declared_as_c_does() {
        for (item, expected) in [
            ("name: u32", "uint32_t name"),
            ("text: *const c_char", "const char *text"),
            ("texts: *const *const c_char", "const char *const *texts"),
            ("place: *mut *mut systole_boards", "systole_boards **place"),
            ("shape: [usize; LENGTH]", "size_t shape[LENGTH]"),
        ] {
            assert_eq!(declaration(item).unwrap(), expected);
        }
        assert!(declaration("name: String").unwrap_err().contains("`String`"));
    }

    #[test]
    fn items_are_found_with_their_documentation() {
        let source = "/// Ready.\npub const DONE: i32 = 0;\n\n/// Hidden.\npub struct systole_x {\n    y: u8,\n}\n\n\
            /// Does it.\n///\n/// # Safety\n/// None.\n#[no_mangle]\npub unsafe extern \"C\" fn systole_do(\n    \
            x: *mut systole_x,\n) -> i32 {\n    0\n}\n\n/// Plain.\n#[repr(C)]\npub struct systole_z {\n    \
            /// Count.\n    pub n: u64,\n}\n";
        let found = Declarations::read(source).unwrap();
        assert_eq!((found.constants[0].name.as_str(), found.constants[0].value.as_str()), ("DONE", "0"));
        assert!(found.structures[0].fields.is_empty());
        assert_eq!(found.structures[1].fields[0].declaration, "uint64_t n");
        let function = &found.functions[0];
        assert_eq!((function.result.as_str(), function.name.as_str()), ("int32_t ", "systole_do"));
        assert_eq!(
            (function.comment.as_str(), function.parameters.as_slice()),
            ("Does it.", &["systole_x *x".to_string()][..])
        );
    }
}
