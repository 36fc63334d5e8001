//! `systole board`: a simulated board behind the device nodes of a PCIe driver.

use super::{Failure, Verdict};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `systole board`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Bundle to simulate
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Folder in which the device nodes appear
    #[arg(long, value_name = "DIR")]
    mount: PathBuf,
}

/// Says that there is no simulated board yet.
///
/// # Errors
/// Always.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    Err(Failure::usage(
        format!(
            "the simulated board is not there yet: nothing was mounted at {} for {}",
            arguments.mount.display(),
            arguments.bundle.display()
        ),
        "simulate the accelerator in process with `systole run DIR --board sim`",
    ))
}
