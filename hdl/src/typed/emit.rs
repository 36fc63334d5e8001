//! Verilog of a whole design: one file a module.

use super::memory::RomImage;
use super::module::Module;
use super::HdlError;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// One Verilog file: the module of that name and nothing else. The file is named `<module>.v`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerilogFile {
    /// The module.
    pub module: String,
    /// Its text.
    pub text: String,
}

/// One memory image, to lie in the folder `rom` beside the Verilog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RomFile {
    /// File name.
    pub file: String,
    /// Its text, as `$readmemh` reads it.
    pub text: String,
}

/// The Verilog of `top` and of every module below it, leaves first and `top` last; modules of equal
/// name and text once.
///
/// # Errors
/// If two modules of one name differ.
pub fn emit(top: &Module) -> Result<Vec<VerilogFile>, HdlError> {
    let mut files: Vec<VerilogFile> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for_each(top, &mut |module| {
        let text = module.verilog();
        match places.entry(module.name.clone()) {
            Entry::Vacant(place) => {
                place.insert(files.len());
                files.push(VerilogFile { module: module.name.clone(), text });
                Ok(())
            }
            Entry::Occupied(place) => same_text(&files[*place.get()], &text),
        }
    })?;
    Ok(files)
}

fn same_text(file: &VerilogFile, text: &str) -> Result<(), HdlError> {
    if file.text == text {
        return Ok(());
    }
    let (mut first, mut second) = (file.text.lines(), text.lines());
    loop {
        match (first.next(), second.next()) {
            (Some(a), Some(b)) if a == b => {}
            (a, b) => {
                let line = |line: Option<&str>| line.unwrap_or("the end").trim().to_string();
                return Err(HdlError::ModuleClash { module: file.module.clone(), first: line(a), second: line(b) });
            }
        }
    }
}

/// The memory images of `top` and of every module below it, by file name; equal ones once.
///
/// # Errors
/// If two images of one name differ.
pub fn rom_files(top: &Module) -> Result<Vec<RomFile>, HdlError> {
    let mut images: BTreeMap<String, (u32, RomImage)> = BTreeMap::new();
    for_each(top, &mut |module| {
        for memory in &module.memories {
            let Some(image) = &memory.spec.init else { continue };
            let entry = (memory.spec.width, image.clone());
            let kept = images.entry(image.file.clone()).or_insert_with(|| entry.clone());
            let shared = kept.0 == entry.0 && Arc::ptr_eq(&kept.1.words, &image.words);
            if !shared && *kept != entry {
                return Err(HdlError::ImageClash { file: image.file.clone() });
            }
        }
        Ok(())
    })?;
    Ok(images.into_values().map(|(width, image)| RomFile { text: image.hex(width), file: image.file }).collect())
}

/// Visits each module object below `top` once, leaves first.
fn for_each<'a>(top: &'a Module, visit: &mut impl FnMut(&'a Module) -> Result<(), HdlError>) -> Result<(), HdlError> {
    fn walk<'a>(
        module: &'a Module,
        seen: &mut std::collections::HashSet<*const Module>,
        visit: &mut impl FnMut(&'a Module) -> Result<(), HdlError>,
    ) -> Result<(), HdlError> {
        if !seen.insert(module as *const Module) {
            return Ok(());
        }
        for instance in &module.instances {
            walk(&instance.module, seen, visit)?;
        }
        visit(module)
    }
    walk(top, &mut std::collections::HashSet::new(), visit)
}
