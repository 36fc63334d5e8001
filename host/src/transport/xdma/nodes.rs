//! Names of the device nodes, and the one for interrupts.
#![allow(unsafe_code)] // poll(2) has no safe interface in the standard library.

use super::super::{Channel, Direction, TransferError};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The nodes of one board.
pub struct Nodes {
    prefix: PathBuf,
}

impl Nodes {
    pub fn new(prefix: &Path) -> Nodes {
        Nodes { prefix: prefix.into() }
    }

    fn node(&self, suffix: &str) -> PathBuf {
        let mut name = self.prefix.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    /// The register BAR.
    pub fn user(&self) -> PathBuf {
        self.node("_user")
    }

    /// A stream.
    pub fn stream(&self, channel: Channel) -> PathBuf {
        match channel.direction {
            Direction::ToBoard => self.node(&format!("_h2c_{}", channel.index)),
            Direction::FromBoard => self.node(&format!("_c2h_{}", channel.index)),
        }
    }

    /// The interrupt of the shell.
    pub fn events(&self) -> PathBuf {
        self.node("_events_0")
    }

    /// The file of sysfs that resets the function.
    pub fn function_reset(&self) -> PathBuf {
        let name = self.user().file_name().map(PathBuf::from).unwrap_or_default();
        Path::new("/sys/class/xdma").join(name).join("device/reset")
    }
}

/// Waits for an interrupt on an events node; how many there were.
pub fn events_since(path: &Path, deadline: Instant) -> Result<u32, TransferError> {
    let failed = |error: &std::io::Error| TransferError::from_io(path.display().to_string(), error);
    let mut file = File::open(path).map_err(|error| failed(&error))?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let millis = left.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32;
        let mut request = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one initialized pollfd, which outlives the call; its descriptor is open.
        match unsafe { libc::poll(&mut request, 1, millis) } {
            0 => return Err(TransferError::Timeout { what: path.display().to_string() }),
            1.. => break,
            _ => {
                let error = std::io::Error::last_os_error();
                if error.kind() != std::io::ErrorKind::Interrupted {
                    return Err(failed(&error));
                }
            }
        }
    }
    let mut count = [0; 4];
    file.read_exact(&mut count).map_err(|error| failed(&error))?;
    Ok(u32::from_le_bytes(count))
}
