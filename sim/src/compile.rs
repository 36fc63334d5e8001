//! Compiler and linker calls, several at a time.

use crate::error::SimError;
use crate::verilator::Toolchain;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Optimization of code that runs every cycle.
const OPT_FAST: &str = "-O2";
/// Optimization of code that runs once: initialization, the runtime's file handling.
const OPT_SLOW: &str = "-O1";

/// Generated sources are joined up to this many bytes a compiler call: each call costs most of a
/// second for Verilator's headers, and a call's time grows faster than its size.
const UNIT_BYTES: u64 = 250_000;

/// Characters of a failed tool's output that are shown.
const SHOWN_OUTPUT: usize = 8_000;

/// One compiler call.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    /// Source, relative to the working folder.
    pub source: String,
    /// Optimization flag.
    pub opt: &'static str,
}

impl Unit {
    /// A source that runs every cycle.
    pub fn fast(source: impl Into<String>) -> Unit {
        Unit { source: source.into(), opt: OPT_FAST }
    }

    /// A source that runs once.
    pub fn slow(source: impl Into<String>) -> Unit {
        Unit { source: source.into(), opt: OPT_SLOW }
    }
}

/// The names that Verilator's `*_classes.mk` gives to the variable `list`.
pub(crate) fn class_list(make: &str, list: &str) -> Vec<String> {
    let mut lines = make.lines().skip_while(|line| !line.starts_with(&format!("{list} +=")));
    lines.next();
    lines
        .take_while(|line| line.starts_with([' ', '\t']))
        .map(|line| line.trim().trim_end_matches('\\').trim().to_string())
        .filter(|name| !name.is_empty())
        .collect()
}

/// Joins the generated sources that `make` lists into compiler calls of bounded size, writing the
/// joining files into `folder`.
pub(crate) fn translation_units(folder: &Path, make: &str) -> Result<Vec<Unit>, SimError> {
    let mut units = Vec::new();
    let kinds = [
        ("fast", ["VM_CLASSES_FAST", "VM_SUPPORT_FAST"], OPT_FAST),
        ("slow", ["VM_CLASSES_SLOW", "VM_SUPPORT_SLOW"], OPT_SLOW),
    ];
    for (kind, lists, opt) in kinds {
        let mut joined: Vec<(String, u64)> = Vec::new();
        for class in lists.iter().flat_map(|list| class_list(make, list)) {
            let path = folder.join(format!("{class}.cpp"));
            let bytes = fs::metadata(&path).map_err(SimError::io(&path))?.len();
            let include = format!("#include \"{class}.cpp\"\n");
            match joined.last_mut() {
                Some((text, size)) if *size + bytes <= UNIT_BYTES => {
                    text.push_str(&include);
                    *size += bytes;
                }
                _ => joined.push((include, bytes)),
            }
        }
        for (index, (text, _)) in joined.into_iter().enumerate() {
            let source = format!("{kind}_{index}.cpp");
            let path = folder.join(&source);
            fs::write(&path, text).map_err(SimError::io(&path))?;
            units.push(Unit { source, opt });
        }
    }
    Ok(units)
}

/// Compiles `units` in `folder` with as many calls at a time as there are processors; returns the
/// objects' names, relative to `folder`.
pub(crate) fn compile_all(
    toolchain: &Toolchain,
    flags: &[String],
    folder: &Path,
    units: &[Unit],
    on_done: &mut dyn FnMut(usize, usize),
) -> Result<Vec<String>, SimError> {
    on_done(0, units.len());
    let object = |unit: &Unit| unit.source.replace(".cpp", ".o");
    let compile = |unit: &Unit| {
        let mut command = Command::new(&toolchain.compiler);
        command.current_dir(folder).args(flags).args([unit.opt, "-c", "-o", &object(unit), &unit.source]);
        run(command, &format!("compiling `{}`", unit.source))
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(units.len().max(1));
    let next = AtomicUsize::new(0);
    let (sender, results) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (sender, next, compile) = (sender.clone(), &next, &compile);
            scope.spawn(move || {
                while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = compile(unit);
                    let failed = result.is_err();
                    if sender.send(result).is_err() || failed {
                        // No use in compiling the rest.
                        next.store(units.len(), Ordering::Relaxed);
                    }
                }
            });
        }
        drop(sender);
        for (index, result) in results.iter().enumerate() {
            result?;
            on_done(index + 1, units.len());
        }
        Ok::<(), SimError>(())
    })?;
    Ok(units.iter().map(object).collect())
}

/// Links `objects` into the shared object `target`, whose own symbols bind to itself.
pub(crate) fn link(
    toolchain: &Toolchain,
    objects: &[PathBuf],
    libraries: &[&str],
    target: &Path,
) -> Result<(), SimError> {
    let mut command = Command::new(&toolchain.compiler);
    command.args(["-shared", "-pthread", "-Wl,-Bsymbolic", "-Wl,-z,defs", "-s", "-o"]).arg(target).args(objects);
    command.args(libraries);
    run(command, "linking the model")
}

/// Runs a tool to its end; its output becomes the error's text if it fails.
pub(crate) fn run(mut command: Command, step: &str) -> Result<(), SimError> {
    let output = command.output().map_err(SimError::io(command.get_program()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let mut shown: String = said.chars().take(SHOWN_OUTPUT).collect();
    if shown.len() < said.len() {
        shown.push_str("\n...");
    }
    Err(SimError::Build { step: step.into(), status: output.status.to_string(), output: shown })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_lists_are_read_up_to_their_end() {
        let make = "VM_TRACE = 0\nVM_CLASSES_FAST += \\\n\tVm \\\n\tVm__0 \\\n\n# x\nVM_CLASSES_SLOW += \\\n\n";
        assert_eq!(class_list(make, "VM_CLASSES_FAST"), ["Vm", "Vm__0"]);
        assert!(class_list(make, "VM_CLASSES_SLOW").is_empty());
        assert!(class_list(make, "VM_GLOBAL_FAST").is_empty());
    }

    #[test]
    fn small_sources_share_a_compiler_call_and_large_ones_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let make = "VM_CLASSES_FAST += \\\n\ta \\\n\tb \\\n\tc \\\n\n";
        for (name, bytes) in [("a", 10), ("b", 10), ("c", UNIT_BYTES)] {
            fs::write(folder.path().join(format!("{name}.cpp")), "x".repeat(bytes as usize)).unwrap();
        }
        let units = translation_units(folder.path(), make).unwrap();
        let sources: Vec<&str> = units.iter().map(|unit| unit.source.as_str()).collect();
        assert_eq!(sources, ["fast_0.cpp", "fast_1.cpp"]);
        let first = fs::read_to_string(folder.path().join("fast_0.cpp")).unwrap();
        assert_eq!(first, "#include \"a.cpp\"\n#include \"b.cpp\"\n");
    }
}
