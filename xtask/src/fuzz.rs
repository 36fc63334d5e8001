//! `cargo xtask fuzz`: the full set of damaged model files, each compiled in a process of its own.

use crate::step;

/// Runs the full set on `models`, or on those the test suite knows.
///
/// # Errors
/// If any file gives an exit status other than 0 or 2, or breaks a bound.
pub fn run(models: &[&str]) -> Result<(), String> {
    step::run(&mut step::cargo(&["build", "--release", "--package", "systole", "--bins"]))?;
    let mut command = step::cargo(&[
        "test",
        "--release",
        "--test",
        "hostile",
        "--",
        "--ignored",
        "--nocapture",
        "--test-threads",
        "1",
    ]);
    if !models.is_empty() {
        command.env("SYSTOLE_FUZZ_MODELS", models.join(":"));
    }
    step::run(&mut command)
}
