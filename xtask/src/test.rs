//! `cargo xtask test`: every test, with a closing account.

use crate::{setup, step};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

/// Runs every test of the workspace.
///
/// # Errors
/// If a test fails, or none ran.
pub fn run(full: bool) -> Result<(), String> {
    setup::run()?;
    let log = step::root().join("target").join("verilator-builds.log");
    let _ = std::fs::remove_file(&log);
    let mut parts = Vec::new();

    let start = Instant::now();
    step::run(&mut step::cargo(&["test", "--release", "--workspace", "--no-run"]))?;
    parts.push(("build", start.elapsed()));

    let start = Instant::now();
    let mut command = step::cargo(&["test", "--release", "--workspace"]);
    command.env("SYSTOLE_BUILD_LOG", &log).stdout(Stdio::piped());
    if full {
        command.env("SYSTOLE_FULL", "1");
    }
    println!("\n$ cargo test --release --workspace");
    let mut child = command.spawn().map_err(|error| format!("cargo test cannot be started: {error}"))?;
    let (mut passed, mut failed) = (0u64, 0u64);
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            println!("{line}");
            if let Some(counts) = line.strip_prefix("test result: ") {
                passed += count(counts, "passed");
                failed += count(counts, "failed");
            }
        }
    }
    let status = child.wait().map_err(|error| format!("cargo test: {error}"))?;
    parts.push(("tests", start.elapsed()));

    let builds = std::fs::read_to_string(&log).map_or(0, |text| text.lines().count());
    println!();
    for (part, time) in &parts {
        println!("{part}: {:.1} minutes", time.as_secs_f64() / 60.0);
    }
    println!("Verilator builds: {builds}");
    println!("{passed} passed, {failed} failed");
    match status.success() && passed > 0 && failed == 0 {
        true => Ok(()),
        false => Err(format!("tests: {failed} failed, {passed} passed ({status})")),
    }
}

/// The number in front of `word` in `ok. 12 passed; 0 failed; ...`.
fn count(counts: &str, word: &str) -> u64 {
    let number = counts.split([';', '.']).find_map(|part| part.trim().strip_suffix(word));
    number.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}
