//! `systole board`: a simulated board behind the device nodes of a PCIe driver.

use super::{Failure, Verdict};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What stands behind the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Core {
    /// The register shell and the accelerator in Verilator
    Shell,
    /// Software that answers each sample with itself, at once: for the speed of drivers
    Null,
}

/// Arguments of `systole board`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Bundle to simulate
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Folder in which the device nodes appear: xdma0_user, xdma0_h2c_0, xdma0_c2h_0, xdma0_events_0, and control,
    /// which takes faults
    #[arg(long, value_name = "DIR")]
    mount: PathBuf,
    /// What answers
    #[arg(long, value_enum, default_value_t = Core::Shell)]
    core: Core,
    /// Seconds without movement after which a transfer is aborted
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    transfer_timeout: f64,
}

/// Serves the board until it is interrupted, terminated or unmounted.
///
/// # Errors
/// If the bundle cannot be simulated or the nodes cannot be mounted.
#[cfg(all(feature = "fuse", target_os = "linux"))]
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    serve::run(arguments)
}

/// Says that this program serves no board.
///
/// # Errors
/// Always.
#[cfg(not(all(feature = "fuse", target_os = "linux")))]
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    Err(Failure::usage(
        format!(
            "nothing was mounted at {} for {}: boards are served over FUSE, on Linux, by builds with the feature `fuse`",
            arguments.mount.display(),
            arguments.bundle.display()
        ),
        "simulate the board in process with `systole run DIR --board sim-shell`",
    ))
}

#[cfg(all(feature = "fuse", target_os = "linux"))]
mod serve {
    use super::{Arguments, Core, Failure, Verdict};
    use crate::cli::output;
    use crate::cli::progress::Progress;
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::sync::Arc;
    use std::time::Duration;
    use systole::bundle::Manifest;
    use systole::sim::board::fuse::{usable, MountedBoard};
    use systole::sim::board::{Board, BoardOptions, Device, NullDesign, NullDevice};
    use systole::sim::{Cache, ShellSimulator, SimError, Toolchain};

    /// Seed of the noise in the accelerator's state before its reset.
    const NOISE_SEED: u64 = 1;
    /// How often the nodes are looked after.
    const LOOK: Duration = Duration::from_millis(200);

    pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
        // What takes no time is judged before Verilator is asked.
        let manifest = Manifest::read(&arguments.bundle)?;
        let Some(design) = NullDesign::of(&manifest) else {
            return Err(SimError::NoShell { bundle: arguments.bundle.clone() }.into());
        };
        usable()?;
        let timeout = Duration::try_from_secs_f64(arguments.transfer_timeout).ok().filter(|time| !time.is_zero());
        let Some(transfer_timeout) = timeout else {
            let message = format!("--transfer-timeout is {}", arguments.transfer_timeout);
            return Err(Failure::usage(message, "give a positive number of seconds"));
        };
        let device: Box<dyn Device> = match arguments.core {
            Core::Null => Box::new(NullDevice::new(design)),
            Core::Shell => shell(arguments)?,
        };
        // From here on a signal ends the loop below instead of the process.
        let (interrupt, interrupted) = mpsc::channel();
        let handler = ctrlc::set_handler(move || {
            let _ = interrupt.send(());
        });
        handler.map_err(|error| Failure::io("signal handler", std::io::Error::other(error)))?;
        let board = Board::start(device, BoardOptions { transfer_timeout });
        let board = Arc::new(board.map_err(|error| Failure::io("thread of the board", error))?);
        let mounted = MountedBoard::mount(board, &arguments.mount)?;
        output::text(&format!(
            "{bundle} is at {prefix}: systole run {bundle} --board xdma:{prefix}\n\
             faults: {mount}/control; Ctrl-C ends the board\n",
            bundle = arguments.bundle.display(),
            prefix = arguments.mount.join("xdma0").display(),
            mount = arguments.mount.display(),
        ))?;
        while mounted.is_served() {
            match interrupted.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout) => (),
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        mounted.unmount();
        Ok(Verdict::Done)
    }

    fn shell(arguments: &Arguments) -> Result<Box<dyn Device>, Failure> {
        let (toolchain, cache) = (Toolchain::discover()?, Cache::of_user()?);
        let progress = Progress::new("building the simulation");
        let mut step = |step| progress.build_step(step);
        let simulator = ShellSimulator::build(&arguments.bundle, &toolchain, &cache, &mut step)?;
        Ok(Box::new(simulator.start(NOISE_SEED)?))
    }
}
