//! The driver for applications in C and C++.
//!
//! `include/systole.h` is made from this file: constants, structures and functions with their
//! comments. Every function catches panics, gives a status, and leaves the error's text for
//! [`systole_last_error`]. Functions may be called from several threads at once, except that a handle
//! must not be used while it is closed.
#![allow(unsafe_code)] // A C caller hands over raw pointers.
#![allow(non_camel_case_types)] // Types have the names that C programs use.

mod boards;
mod elements;
mod failure;

use boards::{open, Handle, Waiting};
use failure::{guard, last_error, null, Failure};
use std::ffi::{c_char, c_void, CStr};
use std::slice;

/// Done.
pub const SYSTOLE_OK: i32 = 0;
/// The call itself is wrong: a null pointer, a length, a name.
pub const SYSTOLE_ERROR_USAGE: i32 = 1;
/// The bundle cannot be read, or the data do not fit its network.
pub const SYSTOLE_ERROR_BUNDLE: i32 = 2;
/// A board cannot be opened, or holds another design.
pub const SYSTOLE_ERROR_BOARD: i32 = 3;
/// No answer within the time given.
pub const SYSTOLE_ERROR_DEADLINE: i32 = 4;
/// The batch was cancelled.
pub const SYSTOLE_ERROR_CANCELLED: i32 = 5;
/// The boards failed while the batch was under way.
pub const SYSTOLE_ERROR_FAILED: i32 = 6;
/// A defect of this library.
pub const SYSTOLE_ERROR_INTERNAL: i32 = 7;

/// Dimensions that a tensor can have.
pub const SYSTOLE_MAX_RANK: usize = 8;

/// Open boards behind one queue.
pub struct systole_boards {
    handle: Handle,
}

/// A batch under way.
pub struct systole_pending {
    waiting: Waiting,
}

/// A tensor on the host's side. Batches hold its samples one after another, row-major.
#[repr(C)]
pub struct systole_tensor {
    /// Element type: "float32", "int8", "uint8", "int16" ... or "bool" (a byte, 0 or 1).
    pub element: [c_char; 16],
    /// Bytes of one element.
    pub element_bytes: usize,
    /// Number of dimensions of one sample.
    pub rank: usize,
    /// Dimensions of one sample, outermost first.
    pub shape: [usize; SYSTOLE_MAX_RANK],
    /// Bytes of one sample.
    pub sample_bytes: usize,
}

/// What the driver has counted since the boards were opened, over all of them.
#[repr(C)]
pub struct systole_statistics {
    /// Frames that ended with an answer.
    pub answered: u64,
    /// Frames that ended with an error on one board; another may have answered them.
    pub failed: u64,
    /// Samples in answers.
    pub samples: u64,
    /// Frames that were sent again.
    pub replays: u64,
    /// Times that a board was reset after a fault.
    pub recoveries: u64,
    /// Boards that were given up.
    pub boards_failed: u64,
    /// Samples a second, from the first request to the latest answer.
    pub samples_per_second: f64,
    /// Half of the frames took at most about so many microseconds.
    pub latency_median_us: f64,
    /// All but a hundredth of the frames took at most about so many microseconds.
    pub latency_p99_us: f64,
}

/// Opens boards for a bundle. Each name is "xdma:" and the prefix of the device nodes, such as
/// "xdma:/dev/xdma0". A board that holds another design is refused with both hashes in the text.
///
/// # Safety
/// `bundle` and the `count` entries of `boards` are strings that end with 0; `opened` takes the handle.
#[no_mangle]
pub unsafe extern "C" fn systole_open(
    bundle: *const c_char,
    boards: *const *const c_char,
    count: usize,
    opened: *mut *mut systole_boards,
) -> i32 {
    guard(|| {
        // SAFETY: as this function's caller promises; null pointers are refused.
        let (bundle, names, opened) = unsafe {
            let names = slice(boards, count, "boards")?.iter().map(|&name| string(name, "boards"));
            (string(bundle, "bundle")?, names.collect::<Result<Vec<_>, _>>()?, place(opened, "opened")?)
        };
        opened.set(std::ptr::null_mut());
        opened.set(Box::into_raw(Box::new(systole_boards { handle: open(bundle, &names)? })));
        Ok(())
    })
}

/// Closes boards. Batches under way end with an error; they must still be waited for or cancelled.
///
/// # Safety
/// `boards` is null or comes from systole_open, and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn systole_close(boards: *mut systole_boards) {
    let _ = guard(|| {
        if !boards.is_null() {
            // SAFETY: made by Box::into_raw in systole_open, and closed once, as the caller promises.
            drop(unsafe { Box::from_raw(boards) });
        }
        Ok(())
    });
}

/// The text of this thread's latest error; empty if there was none. Valid until the thread's next call.
#[no_mangle]
pub extern "C" fn systole_last_error() -> *const c_char {
    last_error()
}

/// Describes the network's input.
///
/// # Safety
/// `boards` comes from systole_open; `tensor` takes the description.
#[no_mangle]
pub unsafe extern "C" fn systole_input(boards: *const systole_boards, tensor: *mut systole_tensor) -> i32 {
    guard(|| {
        // SAFETY: as this function's caller promises; null pointers are refused.
        let (boards, tensor) = unsafe { (shared(boards, "boards")?, place(tensor, "tensor")?) };
        tensor.set(boards.handle.input()?);
        Ok(())
    })
}

/// Describes the network's output.
///
/// # Safety
/// `boards` comes from systole_open; `tensor` takes the description.
#[no_mangle]
pub unsafe extern "C" fn systole_output(boards: *const systole_boards, tensor: *mut systole_tensor) -> i32 {
    guard(|| {
        // SAFETY: as this function's caller promises; null pointers are refused.
        let (boards, tensor) = unsafe { (shared(boards, "boards")?, place(tensor, "tensor")?) };
        tensor.set(boards.handle.output()?);
        Ok(())
    })
}

/// Computes a batch and waits for it. Both lengths are in bytes and fit the number of samples.
///
/// # Safety
/// `boards` comes from systole_open; `input` has `input_bytes` bytes and `output` takes `output_bytes`.
#[no_mangle]
pub unsafe extern "C" fn systole_infer(
    boards: *const systole_boards,
    input: *const c_void,
    input_bytes: usize,
    output: *mut c_void,
    output_bytes: usize,
    samples: usize,
    timeout_ms: u32,
) -> i32 {
    guard(|| {
        // SAFETY: as this function's caller promises; null pointers are refused.
        let (boards, input, output) = unsafe {
            let output = room(output.cast::<u8>(), output_bytes, "output")?;
            (shared(boards, "boards")?, slice(input.cast::<u8>(), input_bytes, "input")?, output)
        };
        boards.handle.check_output(samples, output.length)?;
        output.set(&boards.handle.begin(input, samples, timeout_ms)?.wait(output.length)?);
        Ok(())
    })
}

/// Sends a batch off and returns; `input` is free again afterwards. Several may be under way.
///
/// # Safety
/// `boards` comes from systole_open; `input` has `input_bytes` bytes; `pending` takes the handle.
#[no_mangle]
pub unsafe extern "C" fn systole_begin(
    boards: *const systole_boards,
    input: *const c_void,
    input_bytes: usize,
    samples: usize,
    timeout_ms: u32,
    pending: *mut *mut systole_pending,
) -> i32 {
    guard(|| {
        // SAFETY: as this function's caller promises; null pointers are refused.
        let (boards, input, pending) = unsafe {
            let input = slice(input.cast::<u8>(), input_bytes, "input")?;
            (shared(boards, "boards")?, input, place(pending, "pending")?)
        };
        pending.set(std::ptr::null_mut());
        let waiting = boards.handle.begin(input, samples, timeout_ms)?;
        pending.set(Box::into_raw(Box::new(systole_pending { waiting })));
        Ok(())
    })
}

/// Waits for a batch and frees its handle, whatever the status. It ends within the batch's time.
///
/// # Safety
/// `pending` comes from systole_begin and is not used afterwards; `output` takes `output_bytes` bytes.
#[no_mangle]
pub unsafe extern "C" fn systole_wait(pending: *mut systole_pending, output: *mut c_void, output_bytes: usize) -> i32 {
    guard(|| {
        if pending.is_null() {
            return Err(null("pending"));
        }
        // SAFETY: made by Box::into_raw in systole_begin, and waited for once, as the caller promises.
        let pending = unsafe { Box::from_raw(pending) };
        // SAFETY: as this function's caller promises; null pointers are refused.
        let output = unsafe { room(output.cast::<u8>(), output_bytes, "output")? };
        output.set(&pending.waiting.wait(output.length)?);
        Ok(())
    })
}

/// Takes a batch back and frees its handle.
///
/// # Safety
/// `pending` is null or comes from systole_begin, and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn systole_cancel(pending: *mut systole_pending) {
    let _ = guard(|| {
        if !pending.is_null() {
            // SAFETY: made by Box::into_raw in systole_begin, and freed once, as the caller promises.
            drop(unsafe { Box::from_raw(pending) });
        }
        Ok(())
    });
}

/// Reads what the driver has counted.
///
/// # Safety
/// `boards` comes from systole_open; `statistics` takes the figures.
#[no_mangle]
pub unsafe extern "C" fn systole_read_statistics(
    boards: *const systole_boards,
    statistics: *mut systole_statistics,
) -> i32 {
    guard(|| {
        // SAFETY: as this function's caller promises; null pointers are refused.
        let (boards, statistics) = unsafe { (shared(boards, "boards")?, place(statistics, "statistics")?) };
        statistics.set(boards.handle.statistics());
        Ok(())
    })
}

/// # Safety
/// A pointer that is not null refers to a value that nothing changes meanwhile.
unsafe fn shared<'a, T>(pointer: *const T, name: &str) -> Result<&'a T, Failure> {
    // SAFETY: as the caller promises.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(name))
}

/// Where a caller wants a value, which may hold anything until then.
struct Place<T>(*mut T);

impl<T> Place<T> {
    fn set(&self, value: T) {
        // SAFETY: `place` was promised memory for a value; nothing that lies there is read or dropped.
        unsafe { self.0.write(value) }
    }
}

/// # Safety
/// A pointer that is not null refers to memory for a value that nothing else uses during the call.
unsafe fn place<T>(pointer: *mut T, name: &str) -> Result<Place<T>, Failure> {
    match pointer.is_null() {
        true => Err(null(name)),
        false => Ok(Place(pointer)),
    }
}

/// # Safety
/// A pointer that is not null refers to `length` values that nothing changes meanwhile.
unsafe fn slice<'a, T>(pointer: *const T, length: usize, name: &str) -> Result<&'a [T], Failure> {
    match pointer.is_null() {
        true if length == 0 => Ok(&[]),
        true => Err(null(name)),
        // SAFETY: as the caller promises.
        false => Ok(unsafe { slice::from_raw_parts(pointer, length) }),
    }
}

/// Where a caller wants bytes, which may hold anything until then.
struct Bytes {
    start: *mut u8,
    length: usize,
}

impl Bytes {
    /// Writes as many bytes as there is room for; more never come, since lengths were compared.
    fn set(&self, bytes: &[u8]) {
        let count = bytes.len().min(self.length);
        // SAFETY: `room` was promised memory for `length` bytes, which the driver's own do not overlap.
        unsafe { self.start.copy_from_nonoverlapping(bytes.as_ptr(), count) }
    }
}

/// # Safety
/// A pointer that is not null refers to memory for `length` bytes that nothing else uses during the call.
unsafe fn room(start: *mut u8, length: usize, name: &str) -> Result<Bytes, Failure> {
    match start.is_null() {
        true if length > 0 => Err(null(name)),
        true => Ok(Bytes { start: std::ptr::NonNull::dangling().as_ptr(), length: 0 }),
        false => Ok(Bytes { start, length }),
    }
}

/// # Safety
/// A pointer that is not null refers to a string that ends with 0 and that nothing changes meanwhile.
unsafe fn string<'a>(pointer: *const c_char, name: &str) -> Result<&'a str, Failure> {
    if pointer.is_null() {
        return Err(null(name));
    }
    // SAFETY: as the caller promises.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| Failure::usage(format!("`{name}` is not UTF-8")))
}
