//! Project commands: `cargo xtask demo | test [--full] | cocotb | setup | fuzz [MODEL...] | header`.
//!
//! They need git and Rust only; what else is missing they install through the system's package
//! manager, and say so.

mod builds;
mod cocotb;
mod demo;
mod fuzz;
mod header;
mod setup;
mod step;
mod tally;
mod test;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND
  demo             compile the digits network, verify it bit-exactly, run its test split
  test [--full]    every test; --full adds stall seeds on the autoencoder
  cocotb           drive the digits network's shell with cocotb in Icarus Verilog
  setup            install Verilator and a C++ compiler if they are missing
  fuzz [MODEL...]  the full set of damaged model files against the compiler
  header           include/systole.h and the tables of docs/board.md from their definitions";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["demo"] => demo::run(),
        ["test"] => test::run(false),
        ["test", "--full"] => test::run(true),
        ["cocotb"] => cocotb::run(),
        ["setup"] => setup::run(),
        ["fuzz", models @ ..] => fuzz::run(models),
        ["header"] => header::run(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
