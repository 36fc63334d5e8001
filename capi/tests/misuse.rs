//! What a C program can do wrong without touching memory that is not its own.
#![allow(unsafe_code)] // The functions are C's.

use std::ffi::{CStr, CString};
use std::ptr::{null, null_mut};
use systole_c::*;

fn text() -> String {
    // SAFETY: the text of this thread, before its next call.
    unsafe { CStr::from_ptr(systole_last_error()) }.to_string_lossy().into_owned()
}

#[test]
fn null_pointers_and_missing_bundles_are_told_by_name() {
    let (bundle, board) = (CString::new("/no/such/bundle").unwrap(), CString::new("xdma:/dev/xdma0").unwrap());
    let names = [board.as_ptr()];
    let mut boards = null_mut();
    // SAFETY: null or strings and places that outlive the calls.
    unsafe {
        assert_eq!(systole_open(null(), names.as_ptr(), 1, &mut boards), SYSTOLE_ERROR_USAGE);
        assert_eq!(text(), "`bundle` is a null pointer");
        assert_eq!(systole_open(bundle.as_ptr(), null(), 1, &mut boards), SYSTOLE_ERROR_USAGE);
        assert_eq!(systole_open(bundle.as_ptr(), names.as_ptr(), 1, null_mut()), SYSTOLE_ERROR_USAGE);
        assert_eq!(text(), "`opened` is a null pointer");
        assert_eq!(systole_open(bundle.as_ptr(), names.as_ptr(), 1, &mut boards), SYSTOLE_ERROR_BUNDLE);
        assert!(text().contains("/no/such/bundle/manifest.json"), "{}", text());
        assert!(boards.is_null());
        assert_eq!(systole_input(null(), null_mut()), SYSTOLE_ERROR_USAGE);
        assert_eq!(systole_wait(null_mut(), null_mut(), 0), SYSTOLE_ERROR_USAGE);
        systole_cancel(null_mut());
        systole_close(null_mut());
    }
}
