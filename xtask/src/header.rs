//! `cargo xtask header`: what is generated from the driver's and the board's definitions.

use crate::step;

/// Writes `include/systole.h` and the tables of `docs/board.md`: the tests that compare them write
/// them when they are told to.
///
/// # Errors
/// If they cannot be written, or the C crate exports something that C does not know.
pub fn run() -> Result<(), String> {
    let mut update = step::cargo(&["test", "--release", "--package", "systole-c", "--test", "generated"]);
    step::run(update.env("SYSTOLE_UPDATE", "1"))
}
