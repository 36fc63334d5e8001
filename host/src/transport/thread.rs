//! Threads that move data.
#![allow(unsafe_code)] // Signal masks have no safe interface.

use super::TransferError;
use std::thread::JoinHandle;

/// Starts a thread on which all signals are blocked: a signal would abort the transfer that the thread is in.
///
/// # Errors
/// If the system has no more threads.
pub fn spawn_io<F>(name: &str, body: F) -> Result<JoinHandle<()>, TransferError>
where
    F: FnOnce() + Send + 'static,
{
    let work = move || {
        block_signals();
        body();
    };
    std::thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(|error| TransferError::Io { what: format!("starting the thread `{name}`"), reason: error.to_string() })
}

#[cfg(unix)]
fn block_signals() {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: sigfillset initializes the set it is given, and pthread_sigmask reads that set and
    // changes only the mask of the calling thread.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
    }
}

#[cfg(not(unix))]
fn block_signals() {}
