//! Why a transfer or a register access failed.

use std::io;

/// A failure of the link to a board. `what` names the operation and, where there is one, the device node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// Nothing moved in time.
    #[error("{what}: no progress in time")]
    Timeout {
        /// The operation.
        what: String,
    },
    /// The DMA engine or the operating system reports an error.
    #[error("{what}: {reason}")]
    Io {
        /// The operation.
        what: String,
        /// The system's words.
        reason: String,
    },
    /// The device is in use elsewhere or switched off.
    #[error("{what}: the device is busy or offline; check that no other program has it open")]
    Offline {
        /// The operation.
        what: String,
    },
    /// There is no device, or its registers read all ones: the link is down.
    #[error("{what}: the board does not answer; check its power and link, then rescan the bus")]
    Gone {
        /// The operation.
        what: String,
    },
    /// An access that the hardware does not take: alignment, length, offset.
    #[error("{what}: {reason}")]
    Protocol {
        /// The operation.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Fewer bytes moved than asked for.
    #[error("{what}: {moved} of {wanted} bytes moved")]
    Short {
        /// The operation.
        what: String,
        /// Bytes that moved.
        moved: usize,
        /// Bytes asked for.
        wanted: usize,
    },
    /// Stopped by the driver itself.
    #[error("{what}: aborted")]
    Aborted {
        /// The operation.
        what: String,
    },
}

impl TransferError {
    /// The error of a system call on a device node, as the XDMA driver means it.
    pub fn from_io(what: impl Into<String>, error: &io::Error) -> TransferError {
        let what = what.into();
        #[cfg(unix)]
        match error.raw_os_error() {
            Some(libc::ETIMEDOUT) => return TransferError::Timeout { what },
            Some(libc::EBUSY | libc::EAGAIN) => return TransferError::Offline { what },
            Some(libc::ENODEV | libc::ENXIO | libc::ENOTCONN | libc::ESHUTDOWN | libc::ENOENT) => {
                return TransferError::Gone { what }
            }
            Some(libc::EPROTO | libc::EINVAL) => {
                let reason = format!("{error}: alignment or length");
                return TransferError::Protocol { what, reason };
            }
            _ => (),
        }
        match error.kind() {
            io::ErrorKind::TimedOut => TransferError::Timeout { what },
            io::ErrorKind::NotFound | io::ErrorKind::NotConnected => TransferError::Gone { what },
            _ => TransferError::Io { what, reason: error.to_string() },
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_mean_what_the_xdma_driver_means_by_them() {
        type Expected = fn(&TransferError) -> bool;
        let cases: [(i32, Expected); 8] = [
            (libc::EIO, |error| matches!(error, TransferError::Io { .. })),
            (libc::ETIMEDOUT, |error| matches!(error, TransferError::Timeout { .. })),
            (libc::EBUSY, |error| matches!(error, TransferError::Offline { .. })),
            (libc::ENODEV, |error| matches!(error, TransferError::Gone { .. })),
            (libc::ENOENT, |error| matches!(error, TransferError::Gone { .. })),
            (libc::EINVAL, |error| matches!(error, TransferError::Protocol { .. })),
            (libc::EPROTO, |error| matches!(error, TransferError::Protocol { .. })),
            (libc::EACCES, |error| matches!(error, TransferError::Io { .. })),
        ];
        for (number, expected) in cases {
            let error = TransferError::from_io("/dev/xdma0_c2h_0", &io::Error::from_raw_os_error(number));
            assert!(expected(&error), "{number}: {error:?}");
            assert!(error.to_string().starts_with("/dev/xdma0_c2h_0: "), "{error}");
        }
    }
}
