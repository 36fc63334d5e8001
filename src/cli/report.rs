//! `systole report`: prints a bundle's report.

use super::{output, Failure, Verdict};
use clap::Args;
use std::path::PathBuf;
use systole::bundle::Manifest;

/// Arguments of `systole report`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Bundle to report on
    #[arg(value_name = "DIR")]
    bundle: PathBuf,
}

/// Prints `report.md` of a bundle.
///
/// # Errors
/// If the folder is no bundle or its report cannot be read.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    Manifest::read(&arguments.bundle)?;
    let path = arguments.bundle.join("report.md");
    let report = std::fs::read_to_string(&path).map_err(|error| Failure::io(&path, error))?;
    output::text(&report)?;
    Ok(Verdict::Done)
}
