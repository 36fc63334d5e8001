//! The command line: one file a subcommand, glue only.
//!
//! Exit status: 0 done, 1 a check failed, 2 bad input or usage, 3 a tool is missing. With `--json`
//! standard output carries exactly one object; everything else goes to standard error.

mod board;
mod compile;
mod doctor;
mod failure;
mod input_type;
mod output;
mod progress;
mod report;
mod run;
mod table;
mod verify;

use clap::{Parser, Subcommand};
use failure::Failure;
use std::process::ExitCode;

/// Quantized neural networks to bit-exact FPGA accelerators.
#[derive(Debug, Parser)]
#[command(name = "systole", version, max_term_width = 100, after_help = EXIT_STATUS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUS: &str = "Exit status: 0 done, 1 a check failed, 2 bad input or usage, 3 a tool is missing.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Compile a model file to a bundle: Verilog, manifest, reference network, report
    Compile(compile::Arguments),
    /// Simulate a bundle's Verilog and compare every output and every cycle figure
    Verify(verify::Arguments),
    /// Run a batch through an accelerator
    Run(run::Arguments),
    /// Serve a simulated board behind the device nodes of a PCIe driver
    Board(board::Arguments),
    /// Print a bundle's report
    Report(report::Arguments),
    /// Say which tools are installed and what each missing one costs
    Doctor,
}

/// How a command ended that ran to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Done; every check passed.
    Done,
    /// A check failed; the command has said which.
    CheckFailed,
    /// What the command looked for is not installed; it has said what.
    ToolMissing,
}

/// Runs the command of the process's arguments. Usage errors end the process with status 2.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Compile(arguments) => compile::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Board(arguments) => board::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Doctor => doctor::run(),
    };
    match result {
        Ok(Verdict::Done) => ExitCode::SUCCESS,
        Ok(Verdict::CheckFailed) => ExitCode::from(1),
        Ok(Verdict::ToolMissing) => ExitCode::from(3),
        // Whoever read standard output has closed it: nobody is left to tell.
        Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(failure) => {
            output::diagnostic(&failure);
            ExitCode::from(failure.exit_status())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
