//! Verilator as the judge of emitted Verilog.

use num_bigint::BigUint;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};
use systole_hdl::typed::{emit, rom_files, Module};

/// Runs Verilator.
///
/// # Panics
/// If it is not installed: these tests are never skipped.
fn verilator(folder: &Path, arguments: &[&str]) -> Output {
    let output = Command::new("verilator").current_dir(folder).args(arguments).output();
    output.unwrap_or_else(|error| {
        panic!("cannot run `verilator` ({error}); install it, on Debian and Ubuntu with `apt-get install verilator`")
    })
}

fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Writes the design's files and returns the names of the Verilog files.
fn write_design(folder: &Path, top: &Module) -> Vec<String> {
    let files = emit(top).expect("the design has no clashes");
    for file in &files {
        std::fs::write(folder.join(format!("{}.v", file.module)), &file.text).expect("the folder can be written");
    }
    std::fs::create_dir_all(folder.join("rom")).expect("the folder can be written");
    for rom in rom_files(top).expect("the design has no clashes") {
        std::fs::write(folder.join("rom").join(&rom.file), &rom.text).expect("the folder can be written");
    }
    files.into_iter().map(|file| format!("{}.v", file.module)).collect()
}

/// What `verilator --lint-only -Wall` says about the design; nothing if it is clean.
pub fn lint(top: &Module) -> String {
    lint_with(top, &[])
}

/// The same with more options.
pub fn lint_with(top: &Module, options: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = write_design(folder.path(), top);
    let mut arguments = vec!["--lint-only", "-Wall", "--top-module", top.name()];
    arguments.extend(options);
    arguments.extend(files.iter().map(String::as_str));
    let output = verilator(folder.path(), &arguments);
    let text = text_of(&output);
    match output.status.success() && text.is_empty() {
        true => String::new(),
        false => format!("{}\n{text}", output.status),
    }
}

/// Simulates a module with the ports `aclk`, `areset`, `stimulus` and `response`, each of the last
/// two wider than 64 bits: for each `(reset, stimulus)` the response before the rising edge.
pub fn simulate(top: &Module, stimuli: &[(bool, BigUint)]) -> Vec<BigUint> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = write_design(folder.path(), top);
    std::fs::write(folder.path().join("main.cpp"), MAIN).expect("the folder can be written");
    let mut arguments = vec!["--cc", "--exe", "--build", "-j", "2", "-Wno-lint", "--prefix", "Vtop", "--top-module"];
    arguments.extend([top.name(), "-o", "simulation", "main.cpp"]);
    for unoptimized in ["OPT_FAST=-O0", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0"] {
        arguments.extend(["-MAKEFLAGS", unoptimized]);
    }
    arguments.extend(files.iter().map(String::as_str));
    let output = verilator(folder.path(), &arguments);
    assert!(output.status.success(), "{}", text_of(&output));

    let words = top.port("stimulus").expect("the port").ty.width.div_ceil(32) as usize;
    let mut input = String::new();
    for (reset, stimulus) in stimuli {
        let mut digits = stimulus.to_u32_digits();
        digits.resize(words, 0);
        let digits: Vec<String> = digits.iter().map(|digit| format!("{digit:x}")).collect();
        let _ = writeln!(input, "{} {}", u8::from(*reset), digits.join(" "));
    }
    std::fs::write(folder.path().join("stimuli"), input).expect("the folder can be written");
    let run = Command::new(folder.path().join("obj_dir/simulation")).current_dir(folder.path()).output();
    let run = run.expect("the simulation runs");
    assert!(run.status.success(), "{}", text_of(&run));
    let line =
        |line: &str| BigUint::new(line.split(' ').filter_map(|digit| u32::from_str_radix(digit, 16).ok()).collect());
    String::from_utf8_lossy(&run.stdout).lines().map(line).collect()
}

/// Reads stimuli and prints responses, words of 32 bits with the lowest first.
const MAIN: &str = r##"
#include "Vtop.h"
#include <cstdio>

int main() {
    VerilatedContext context;
    Vtop top{&context};
    const int inputs = sizeof(top.stimulus) / 4, outputs = sizeof(top.response) / 4;
    FILE* file = std::fopen("stimuli", "r");
    if (!file) return 1;
    unsigned reset;
    while (std::fscanf(file, "%u", &reset) == 1) {
        top.areset = reset;
        for (int word = 0; word < inputs; ++word) {
            unsigned value;
            if (std::fscanf(file, "%x", &value) != 1) return 2;
            top.stimulus[word] = value;
        }
        top.aclk = 0;
        top.eval();
        for (int word = 0; word < outputs; ++word) std::printf("%s%x", word ? " " : "", top.response[word]);
        std::printf("\n");
        top.aclk = 1;
        top.eval();
    }
    top.final();
    return 0;
}
"##;
