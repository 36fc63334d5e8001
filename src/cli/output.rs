//! Standard output and standard error.

use super::failure::Failure;
use miette::{GraphicalReportHandler, GraphicalTheme};
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write};

/// Columns of a diagnostic on a terminal.
const TERMINAL_WIDTH: usize = 100;

/// Writes `text` to standard output.
///
/// # Errors
/// If it cannot be written; [`Failure::OutputClosed`] if its reader has gone.
pub fn text(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::io("standard output", error),
    })
}

/// Writes `value` to standard output as one JSON object on a line.
///
/// # Errors
/// As [`text`].
pub fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let mut line = serde_json::to_string(value).map_err(|error| Failure::io("standard output", error.into()))?;
    line.push('\n');
    text(&line)
}

/// Writes a message to standard error. That it cannot be written changes no result.
pub fn message(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{message}");
}

/// Renders a diagnostic on standard error: in colour and wrapped on a terminal, else plain with
/// every message on a line of its own, so that a search finds it.
pub fn diagnostic(failure: &Failure) {
    // Messages hold their causes already.
    let handler = match std::io::stderr().is_terminal() {
        true => GraphicalReportHandler::new_themed(GraphicalTheme::unicode()).with_width(TERMINAL_WIDTH),
        false => GraphicalReportHandler::new_themed(GraphicalTheme::none()).with_wrap_lines(false),
    };
    let handler = handler.without_cause_chain();
    let mut rendered = String::new();
    match handler.render_report(&mut rendered, failure) {
        Ok(()) => message(rendered.trim_end()),
        Err(_) => message(&failure.to_string()),
    }
}
