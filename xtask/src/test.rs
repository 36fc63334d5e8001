//! `cargo xtask test`: every test, with a closing account.

use crate::builds::Builds;
use crate::tally::Tally;
use crate::{setup, step};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
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

    let mut command = step::cargo(&["test", "--release", "--workspace", "--no-fail-fast"]);
    command.env("SYSTOLE_CACHE", step::cache());
    let before = Builds::now();
    if full {
        command.env("SYSTOLE_FULL", "1");
    }
    println!("\n$ cargo test --release --workspace --no-fail-fast");
    // One pipe for both, so that the order of lines tells which program a result belongs to.
    let io = |error: std::io::Error| format!("cargo test cannot be started: {error}");
    let (reader, writer) = std::io::pipe().map_err(io)?;
    command.stdout(writer.try_clone().map_err(io)?).stderr(writer);
    let mut child = command.spawn().map_err(io)?;
    drop(command);
    for line in BufReader::new(reader).lines().map_while(Result::ok) {
        println!("{line}");
        tally.line(&line, Instant::now());
    }
    let status = child.wait().map_err(|error| format!("cargo test: {error}"))?;

    let account = tally.account(Builds::now().since(&before));
    println!("\n{account}");
    std::fs::write(summary_path(), &account).map_err(|error| format!("{}: {error}", summary_path().display()))?;
    match status.success() && tally.passed() > 0 && tally.failed() == 0 {
        true => Ok(()),
        false => Err(format!("tests: {} passed, {} failed ({status})", tally.passed(), tally.failed())),
    }
}
