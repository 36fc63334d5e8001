//! `cargo xtask cocotb`: the emitted shell of the digits network under cocotb, which shares no line
//! with the compiler, its simulation or its driver.

use crate::{setup, step};
use std::process::Command;

/// Compiles the digits network with a shell and drives it in Icarus Verilog with cocotbext-axi's models of
/// AXI, against the answers stored with the network.
///
/// # Errors
/// If a tool is missing and cannot be installed, or a test fails.
pub fn run() -> Result<(), String> {
    setup::cocotb()?;
    step::run(&mut step::cargo(&["build", "--release", "--package", "systole", "--bins"]))?;
    let folder = step::target().join("cocotb");
    let (bundle, environment) = (folder.join("digits"), folder.join("venv"));
    let mut compile = step::systole(&["compile", "examples/digits/digits.onnx", "--shell", "axi", "-o"]);
    step::run(compile.arg(&bundle))?;

    let python = environment.join("bin").join("python");
    let tests = step::root().join("tests").join("cocotb");
    if !python.is_file() {
        step::run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    let requirements = tests.join("requirements.txt");
    step::run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements))?;
    let vectors = step::root().join("examples").join("digits").join("test.npz");
    step::run(Command::new(&python).arg(tests.join("run.py")).arg(&bundle).arg(vectors).arg(folder.join("build")))
}
