//! The C interface of a built register shell.
//!
//! The structures mirror `shell_interface.h` of `systole-templates`.
#![allow(unsafe_code)]

use crate::error::SimError;
use crate::ffi::{create, open, Create};
use libloading::Library;
use std::ffi::{c_char, c_void, CStr};
use std::path::Path;
use std::ptr::NonNull;

/// Version of the interface that this module speaks.
const INTERFACE: u32 = 1;

#[repr(C)]
struct CRun {
    cycles: u64,
    input: *const u8,
    input_bytes: u64,
    output: *mut u8,
    room: u64,
    input_last: u32,
    reserved: u32,
}

/// What a call moved, as the harness counts it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CMoved {
    pub cycles: u64,
    pub taken: u64,
    pub given: u64,
    pub interrupts: u64,
    pub ended: u32,
    pub interrupt: u32,
}

struct Functions {
    create: Create,
    destroy: unsafe extern "C" fn(*mut c_void),
    reset: unsafe extern "C" fn(*mut c_void, u32) -> i32,
    run: unsafe extern "C" fn(*mut c_void, *const CRun, *mut CMoved) -> i32,
    read: unsafe extern "C" fn(*mut c_void, u32, *mut u32, *mut CMoved) -> i32,
    write: unsafe extern "C" fn(*mut c_void, u32, u32, *mut CMoved) -> i32,
    stall: unsafe extern "C" fn(*mut c_void, u32, u64),
    error: unsafe extern "C" fn(*mut c_void) -> *const c_char,
}

/// One board of a loaded object.
pub struct RawShell {
    board: NonNull<c_void>,
    functions: Functions,
    /// Keeps the functions' code mapped; dropped after the board.
    _library: Library,
}

impl std::fmt::Debug for RawShell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawShell").finish_non_exhaustive()
    }
}

// SAFETY: a board has no ties to the thread that made it: the harness sets Verilator's thread-local context at the
// start of every call, and `&mut self` keeps calls apart.
unsafe impl Send for RawShell {}

impl RawShell {
    /// Loads `object` and starts a board.
    pub fn start(object: &Path, rom_folder: &Path, seed: u64) -> Result<RawShell, SimError> {
        let load = |reason: String| SimError::Load { path: object.into(), reason };
        let library = open(object, "systole_shell_interface", INTERFACE)?;
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: the type is that of the function's declaration in shell_interface.h, whose version was
                // compared; the copied pointer lives no longer than `_library`.
                *unsafe { library.get(concat!($name, "\0").as_bytes()) }.map_err(|e| load(e.to_string()))?
            };
        }
        let functions = Functions {
            create: symbol!("systole_shell_create"),
            destroy: symbol!("systole_shell_destroy"),
            reset: symbol!("systole_shell_reset"),
            run: symbol!("systole_shell_run"),
            read: symbol!("systole_shell_read"),
            write: symbol!("systole_shell_write"),
            stall: symbol!("systole_shell_stall"),
            error: symbol!("systole_shell_error"),
        };
        // SAFETY: `create` is that of the object, by its interface.
        let board = unsafe { create(functions.create, rom_folder, seed, None) }?;
        Ok(RawShell { board, functions, _library: library })
    }

    /// Holds the reset for `cycles` cycles.
    pub fn reset(&mut self, cycles: u32) -> Result<(), SimError> {
        // SAFETY: `board` is alive for as long as `self`.
        let status = unsafe { (self.functions.reset)(self.board.as_ptr(), cycles) };
        self.check(status)
    }

    /// Runs at most `cycles` cycles with `input` at the input port; output beats are written to the
    /// start of `output`, which takes as many whole beats as fit.
    pub fn run(&mut self, cycles: u64, input: &[u8], last: bool, output: &mut [u8]) -> Result<CMoved, SimError> {
        let run = CRun {
            cycles,
            input: input.as_ptr(),
            input_bytes: input.len() as u64,
            output: output.as_mut_ptr(),
            room: output.len() as u64,
            input_last: last.into(),
            reserved: 0,
        };
        let mut moved = CMoved::default();
        // SAFETY: the harness reads at most `input_bytes` bytes of `input` and writes at most `room` bytes of `output`;
        // both and `moved` outlive the call; no exception crosses it.
        let status = unsafe { (self.functions.run)(self.board.as_ptr(), &raw const run, &raw mut moved) };
        self.check(status).map(|()| moved)
    }

    /// Reads the register at `offset`.
    pub fn read(&mut self, offset: u32) -> Result<(u32, CMoved), SimError> {
        let (mut value, mut moved) = (0, CMoved::default());
        // SAFETY: `value` and `moved` outlive the call.
        let status = unsafe { (self.functions.read)(self.board.as_ptr(), offset, &raw mut value, &raw mut moved) };
        self.check(status).map(|()| (value, moved))
    }

    /// Writes the register at `offset`.
    pub fn write(&mut self, offset: u32, value: u32) -> Result<CMoved, SimError> {
        let mut moved = CMoved::default();
        // SAFETY: `moved` outlives the call.
        let status = unsafe { (self.functions.write)(self.board.as_ptr(), offset, value, &raw mut moved) };
        self.check(status).map(|()| moved)
    }

    /// Stalls both streams at random from now on, or no longer.
    pub fn stall(&mut self, seed: Option<u64>) {
        // SAFETY: `board` is alive for as long as `self`.
        unsafe { (self.functions.stall)(self.board.as_ptr(), seed.is_some().into(), seed.unwrap_or(0)) }
    }

    fn check(&self, status: i32) -> Result<(), SimError> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: a terminated string that lasts until the next call.
        let reason = unsafe { CStr::from_ptr((self.functions.error)(self.board.as_ptr())) };
        Err(SimError::Stopped { reason: reason.to_string_lossy().into_owned() })
    }
}

impl Drop for RawShell {
    fn drop(&mut self) {
        // SAFETY: made by `create`, destroyed nowhere else.
        unsafe { (self.functions.destroy)(self.board.as_ptr()) }
    }
}
