//! `cargo xtask test`: every test, with a closing account.

use crate::builds::Builds;
use crate::tally::Tally;
use crate::{cocotb, setup, step};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// File of the closing account, for those who print it once more at the end of a longer log.
pub fn summary_path() -> PathBuf {
    step::target().join("test-summary.txt")
}

/// Runs every test of the workspace: all packages in one build, so that nothing is built twice.
///
/// # Errors
/// If a test fails, or none ran.
pub fn run(full: bool) -> Result<(), String> {
    setup::run()?;
    let _ = std::fs::remove_file(summary_path());

    let start = Instant::now();
    step::run(&mut step::cargo(&["test", "--release", "--workspace", "--no-run"]))?;
    let mut tally = Tally::new(start.elapsed());

    let before = Builds::now();
    let mut workspace = step::cargo(&["test", "--release", "--workspace", "--no-fail-fast"]);
    if full {
        workspace.env("SYSTOLE_FULL", "1");
    }
    let everything = follow(workspace, &mut tally)?;
    let feature = follow(static_runtime(), &mut tally)?;
    if full {
        cocotb::run()?;
    }

    let mut account = tally.account(Builds::now().since(&before));
    // Their own words are captured with the output of tests that pass.
    if !step::root().join("../shared/models").is_dir() {
        account.insert_str(0, "not checked, for want of ../shared/models: real networks (their tests pass without)\n");
    }
    println!("\n{account}");
    std::fs::write(summary_path(), &account).map_err(|error| format!("{}: {error}", summary_path().display()))?;
    match everything && feature && tally.passed() > 0 && tally.failed() == 0 {
        true => Ok(()),
        false => Err(format!("tests: {} passed, {} failed", tally.passed(), tally.failed())),
    }
}

/// The optional feature `verilated` of `systole-sim`, whose dependency is compiled against the
/// installed Verilator with a header of ours in front.
fn static_runtime() -> Command {
    let mut command = step::cargo(&[
        "test",
        "--release",
        "--package",
        "systole-sim",
        "--features",
        "verilated",
        "--test",
        "static_runtime",
    ]);
    command.env("CXXFLAGS", "-include systole_verilated_compat.h");
    command.env("CPLUS_INCLUDE_PATH", step::root().join("sim").join("verilated"));
    command
}

/// Runs a test command, showing and counting its lines; whether it succeeded.
fn follow(mut command: Command, tally: &mut Tally) -> Result<bool, String> {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    println!("\n$ cargo {}", words.join(" "));
    // One pipe for both, so that the order of lines tells which program a result belongs to.
    let io = |error: std::io::Error| format!("cargo test cannot be started: {error}");
    let (reader, writer) = std::io::pipe().map_err(io)?;
    command.env("SYSTOLE_CACHE", step::cache());
    command.stdout(writer.try_clone().map_err(io)?).stderr(writer);
    let mut child = command.spawn().map_err(io)?;
    drop(command);
    for line in BufReader::new(reader).lines().map_while(Result::ok) {
        println!("{line}");
        tally.line(&line, Instant::now());
    }
    child.wait().map(|status| status.success()).map_err(|error| format!("cargo test: {error}"))
}
