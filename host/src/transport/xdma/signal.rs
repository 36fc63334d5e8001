//! Ending a system call that another thread is in.
//!
//! The XDMA driver aborts a transfer when its thread gets a signal. Its threads have all signals
//! blocked but one, whose handler does nothing.
#![allow(unsafe_code)] // Signals have no safe interface.

use std::os::unix::thread::JoinHandleExt;
use std::sync::OnceLock;
use std::thread::JoinHandle;

extern "C" fn nothing(_: libc::c_int) {}

/// The signal, if its handler could be set: one from the middle of the real-time range that nobody
/// else has a handler for.
fn abort_signal() -> Option<libc::c_int> {
    static SIGNAL: OnceLock<Option<libc::c_int>> = OnceLock::new();
    *SIGNAL.get_or_init(|| (libc::SIGRTMIN() + 8..libc::SIGRTMAX()).find(|&signal| install(signal)))
}

fn install(signal: libc::c_int) -> bool {
    // SAFETY: sigaction reads and writes initialized structures that outlive the calls; a zeroed
    // sigaction is a valid one (default handler, empty mask, no flags, so that calls are not
    // restarted); the handler touches nothing.
    unsafe {
        let mut present: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(signal, std::ptr::null(), &mut present) != 0 || present.sa_sigaction != libc::SIG_DFL {
            return false;
        }
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as libc::sighandler_t;
        libc::sigaction(signal, &action, std::ptr::null_mut()) == 0
    }
}

/// Lets this thread's system calls be ended by [`interrupt`].
pub fn allow() {
    let Some(signal) = abort_signal() else { return };
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: sigemptyset initializes the set before it is read; only this thread's mask changes.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// Ends the system call that a thread is in; without effect on one that is in none.
pub fn interrupt(thread: &JoinHandle<()>) {
    if let Some(signal) = abort_signal() {
        // SAFETY: a thread whose handle has not been joined or detached keeps its identifier.
        unsafe {
            libc::pthread_kill(thread.as_pthread_t(), signal);
        }
    }
}
