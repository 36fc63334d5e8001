//! Statuses and their texts.

use std::cell::RefCell;
use std::ffi::{c_char, CString};
use std::panic::{catch_unwind, AssertUnwindSafe};
use systole_host::{BoardError, HostError, InferError, RequestError};

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// Why a call fails.
#[derive(Debug)]
pub struct Failure {
    status: i32,
    text: String,
}

impl Failure {
    pub fn new(status: i32, error: impl ToString) -> Failure {
        Failure { status, text: error.to_string() }
    }

    pub fn usage(text: String) -> Failure {
        Failure { status: crate::SYSTOLE_ERROR_USAGE, text }
    }
}

/// A pointer of this name is null.
pub fn null(name: &str) -> Failure {
    Failure::usage(format!("`{name}` is a null pointer"))
}

impl From<BoardError> for Failure {
    fn from(error: BoardError) -> Failure {
        Failure::new(crate::SYSTOLE_ERROR_BOARD, error)
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Failure {
        Failure::new(crate::SYSTOLE_ERROR_BUNDLE, error)
    }
}

impl From<InferError> for Failure {
    fn from(error: InferError) -> Failure {
        let status = match &error {
            InferError::Host(_) => crate::SYSTOLE_ERROR_BUNDLE,
            InferError::Request { source, .. } => match source {
                RequestError::Deadline(_) => crate::SYSTOLE_ERROR_DEADLINE,
                RequestError::Cancelled => crate::SYSTOLE_ERROR_CANCELLED,
                _ => crate::SYSTOLE_ERROR_FAILED,
            },
        };
        Failure::new(status, error)
    }
}

/// The status of a call; an error's text is kept for this thread, and a panic goes no further.
pub fn guard(call: impl FnOnce() -> Result<(), Failure>) -> i32 {
    let result = catch_unwind(AssertUnwindSafe(call));
    let result = result.unwrap_or_else(|_| {
        Err(Failure::new(
            crate::SYSTOLE_ERROR_INTERNAL,
            "a defect of this library: please report it with the message on stderr",
        ))
    });
    match result {
        Ok(()) => crate::SYSTOLE_OK,
        Err(Failure { status, text }) => {
            let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
            LAST_ERROR.with(|last| *last.borrow_mut() = text);
            status
        }
    }
}

/// The text of this thread's latest error.
pub fn last_error() -> *const c_char {
    LAST_ERROR.with(|last| last.borrow().as_ptr())
}
