//! `cargo xtask demo`: the digits network from model file to answers.

use crate::{setup, step};

/// Compiles, verifies and runs the digits network, and says where everything lies.
///
/// # Errors
/// If a step fails.
pub fn run() -> Result<(), String> {
    setup::run()?;
    step::run(&mut step::cargo(&["build", "--release", "--package", "systole", "--bins", "--examples"]))?;
    let bundle = "target/demo/digits";
    let vectors = "examples/digits/test.npz";
    let answers = "target/demo/digits_output.npy";
    step::run(&mut step::systole(&["compile", "examples/digits/digits.onnx", "-o", bundle]))?;
    step::run(&mut step::systole(&[
        "verify",
        bundle,
        "--vectors",
        vectors,
        "--input-key",
        "input",
        "--expect-key",
        "output",
    ]))?;
    step::run(&mut step::systole(&["run", bundle, "--input", vectors, "--input-key", "input", "--output", answers]))?;
    step::run(&mut step::cargo(&[
        "run",
        "--quiet",
        "--release",
        "--example",
        "digits",
        "--",
        bundle,
        vectors,
        answers,
    ]))?;
    println!("\nVerilog  {bundle}/rtl\nreport   {bundle}/report.md\nanswers  {answers}");
    Ok(())
}
