//! The C interface of a built model. All unsafe code of the crate is here and in [`crate::board`]'s
//! counterpart for register shells.
//!
//! The structures mirror `interface.h` of `systole-templates`. A [`RawModel`] owns one model of
//! a loaded object; every pointer that the object hands out is copied from before the call that
//! ends its life.
#![allow(unsafe_code)]

use crate::error::SimError;
use libloading::Library;
use std::ffi::{c_char, c_void, CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

/// Version of the interface that this module speaks.
const INTERFACE: u32 = 1;

/// Rules counted for each stream.
pub const RULES: usize = 5;

/// Called with the cycle and the output beats; `false` ends the run.
pub type ProgressFn<'a> = dyn FnMut(u64, u64) -> bool + 'a;

type ProgressCallback = unsafe extern "C" fn(*mut c_void, u64, u64) -> i32;

#[repr(C)]
struct CRunSpec {
    input: *const u32,
    samples: u64,
    hang_cycles: u64,
    drain_cycles: u64,
    interval_cycles: u64,
    latency_cycles: u64,
    stall_seed: u64,
    stall: u32,
    probe: u32,
    capture: u32,
    reserved: u32,
    progress_cycles: u64,
    progress: Option<ProgressCallback>,
    user: *mut c_void,
}

/// Figures of a run as the harness counts them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RunReport {
    pub cycles: u64,
    pub first_cycle: u64,
    pub stalled_source: u64,
    pub stalled_sink: u64,
    pub source_mode: u32,
    pub sink_mode: u32,
}

/// Figures of one stream as the harness counts them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamReport {
    pub beats: u64,
    pub waiting: u64,
    pub count: [u64; RULES],
    pub cycle: [u64; RULES],
}

/// Settings of a run.
#[derive(Clone, Debug)]
pub struct RawSpec {
    pub samples: u64,
    pub hang_cycles: u64,
    pub drain_cycles: u64,
    pub interval_cycles: u64,
    pub latency_cycles: u64,
    pub stall_seed: Option<u64>,
    pub probe: bool,
    pub capture: bool,
    pub progress_cycles: u64,
}

/// How an object starts a model: ROM folder, seed, waveform file or null, buffer for a message and its size.
pub type Create = unsafe extern "C" fn(*const c_char, u64, *const c_char, *mut c_char, u64) -> *mut c_void;

/// Loads `object` if its function `interface` gives the version that the caller speaks.
pub fn open(object: &Path, interface: &str, version: u32) -> Result<Library, SimError> {
    let load = |reason: String| SimError::Load { path: object.into(), reason };
    // SAFETY: the object is one that this crate built; its initializers are those of Verilator's runtime and the
    // C++ library and need nothing from the process.
    let library = unsafe { Library::new(object) }.map_err(|e| load(e.to_string()))?;
    // SAFETY: every interface of this crate declares its version so: it takes nothing and returns a constant.
    let found = unsafe {
        let function = library.get::<unsafe extern "C" fn() -> u32>(interface.as_bytes());
        function.map_err(|e| load(e.to_string()))?()
    };
    match found == version {
        true => Ok(library),
        false => Err(load(format!("interface version {found}, this program speaks {version}"))),
    }
}

/// Starts a model.
///
/// # Safety
/// `create` is a function of a loaded object with the contract of [`Create`]: it writes at most the given size of the
/// message, terminates it, and lets no exception out.
pub unsafe fn create(
    create: Create,
    rom_folder: &Path,
    seed: u64,
    trace: Option<&Path>,
) -> Result<NonNull<c_void>, SimError> {
    let text = |path: &Path| {
        CString::new(path.as_os_str().as_bytes())
            .map_err(|_| SimError::Start { reason: format!("path {path:?} holds a zero byte") })
    };
    let folder = text(rom_folder)?;
    let trace = trace.map(text).transpose()?;
    let mut message = [0u8; 4096];
    // SAFETY: both strings are terminated and outlive the call; the rest is the caller's promise.
    let model = unsafe {
        create(
            folder.as_ptr(),
            seed,
            trace.as_ref().map_or(std::ptr::null(), |path| path.as_ptr()),
            message.as_mut_ptr().cast(),
            message.len() as u64,
        )
    };
    NonNull::new(model).ok_or_else(|| {
        let reason = CStr::from_bytes_until_nul(&message).map(CStr::to_string_lossy).unwrap_or_default();
        SimError::Start { reason: reason.into_owned() }
    })
}

struct Functions {
    create: Create,
    destroy: unsafe extern "C" fn(*mut c_void),
    reset: unsafe extern "C" fn(*mut c_void, u32) -> i32,
    run: unsafe extern "C" fn(*mut c_void, *const CRunSpec, *mut RunReport) -> i32,
    error: unsafe extern "C" fn(*mut c_void) -> *const c_char,
    stream_report: unsafe extern "C" fn(*mut c_void, u32, *mut StreamReport),
    beats: unsafe extern "C" fn(*mut c_void, u32, *mut u64) -> *const u32,
    edges: unsafe extern "C" fn(*mut c_void, u32, *mut u64) -> *const u64,
}

/// One model of a loaded object.
pub struct RawModel {
    model: NonNull<c_void>,
    functions: Functions,
    streams: u32,
    /// 32-bit words of one input sample, by the manifest that the object was generated from.
    sample_words: usize,
    /// Keeps the functions' code mapped; dropped after the model.
    _library: Library,
}

impl std::fmt::Debug for RawModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawModel").field("streams", &self.streams).finish_non_exhaustive()
    }
}

// SAFETY: a model has no ties to the thread that made it: the harness sets Verilator's
// thread-local context at the start of every call, and `&mut self` keeps calls apart.
unsafe impl Send for RawModel {}

impl RawModel {
    /// Loads `object` and starts a model with `streams` streams and `sample_words` input words a sample.
    pub fn start(
        object: &Path,
        rom_folder: &Path,
        seed: u64,
        trace: Option<&Path>,
        streams: usize,
        sample_words: usize,
    ) -> Result<RawModel, SimError> {
        let load = |reason: String| SimError::Load { path: object.into(), reason };
        let library = open(object, "systole_interface", INTERFACE)?;
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: the type is that of the function's declaration in interface.h, whose version was
                // compared; the copied pointer lives no longer than `_library`.
                *unsafe { library.get(concat!($name, "\0").as_bytes()) }.map_err(|e| load(e.to_string()))?
            };
        }
        let functions = Functions {
            create: symbol!("systole_create"),
            destroy: symbol!("systole_destroy"),
            reset: symbol!("systole_reset"),
            run: symbol!("systole_run"),
            error: symbol!("systole_error"),
            stream_report: symbol!("systole_stream_report"),
            beats: symbol!("systole_beats"),
            edges: symbol!("systole_edges"),
        };
        let stream_count: unsafe extern "C" fn(*mut c_void) -> u32 = symbol!("systole_stream_count");
        // SAFETY: `create` is that of the object, by its interface.
        let model = unsafe { create(functions.create, rom_folder, seed, trace) }?;
        // SAFETY: the model was made by this object just now.
        let found = unsafe { stream_count(model.as_ptr()) };
        let raw = RawModel { model, functions, streams: found, sample_words, _library: library };
        if found as usize != streams {
            return Err(load(format!("it has {found} streams, the manifest {streams}")));
        }
        Ok(raw)
    }

    /// Holds the reset for `cycles` cycles; cycle numbers start again at 0.
    pub fn reset(&mut self, cycles: u32) -> Result<(), SimError> {
        // SAFETY: `model` is alive for as long as `self`.
        match unsafe { (self.functions.reset)(self.model.as_ptr(), cycles) } {
            0 => Ok(()),
            _ => Err(self.stopped()),
        }
    }

    /// Pushes `input`, the words of `spec.samples` samples, through the model. Returns how it ended (`SystoleEnd`)
    /// and the figures.
    pub fn run(
        &mut self,
        input: &[u32],
        spec: &RawSpec,
        progress: &mut ProgressFn<'_>,
    ) -> Result<(i32, RunReport), SimError> {
        let expected = usize::try_from(spec.samples).ok().and_then(|n| n.checked_mul(self.sample_words));
        if expected != Some(input.len()) {
            return Err(SimError::InputSize {
                found: input.len() * 4,
                samples: spec.samples as usize,
                expected: expected.map_or(usize::MAX, |words| words.saturating_mul(4)),
            });
        }
        let mut call = Call { progress, panic: None };
        let c_spec = CRunSpec {
            input: input.as_ptr(),
            samples: spec.samples,
            hang_cycles: spec.hang_cycles,
            drain_cycles: spec.drain_cycles,
            interval_cycles: spec.interval_cycles,
            latency_cycles: spec.latency_cycles,
            stall_seed: spec.stall_seed.unwrap_or(0),
            stall: spec.stall_seed.is_some().into(),
            probe: spec.probe.into(),
            capture: spec.capture.into(),
            reserved: 0,
            progress_cycles: spec.progress_cycles,
            progress: Some(on_progress),
            user: (&raw mut call).cast(),
        };
        let mut report = RunReport::default();
        // SAFETY: the harness reads exactly `samples * sample_words` words of `input`, whose length was compared above;
        // `call` and `report` outlive the call; no exception and no panic crosses it.
        let end = unsafe { (self.functions.run)(self.model.as_ptr(), &raw const c_spec, &raw mut report) };
        if let Some(panic) = call.panic {
            std::panic::resume_unwind(panic);
        }
        if end < 0 {
            return Err(self.stopped());
        }
        Ok((end, report))
    }

    /// Figures of stream number `stream` in the last run.
    pub fn stream_report(&self, stream: usize) -> StreamReport {
        let mut report = StreamReport::default();
        if let Some(index) = self.index(stream) {
            // SAFETY: `index` is below the number of streams.
            unsafe { (self.functions.stream_report)(self.model.as_ptr(), index, &raw mut report) };
        }
        report
    }

    /// Words of the beats that stream number `stream` carried in the last run.
    pub fn beats(&self, stream: usize) -> Vec<u32> {
        let Some(index) = self.index(stream) else { return Vec::new() };
        let mut words = 0;
        // SAFETY: `index` is below the number of streams. The pointer leads to `words` words, or may be null when there
        // are none, and lasts until the next run, which `&self` excludes.
        unsafe {
            let data = (self.functions.beats)(self.model.as_ptr(), index, &raw mut words);
            copy(data, words)
        }
    }

    /// Cycle of each beat of the input (or the output) in the last run.
    pub fn edges(&self, output: bool) -> Vec<u64> {
        let mut count = 0;
        // SAFETY: as in `beats`.
        unsafe {
            let data = (self.functions.edges)(self.model.as_ptr(), output.into(), &raw mut count);
            copy(data, count)
        }
    }

    fn index(&self, stream: usize) -> Option<u32> {
        u32::try_from(stream).ok().filter(|&index| index < self.streams)
    }

    fn stopped(&self) -> SimError {
        // SAFETY: a terminated string that lasts until the next call.
        let reason = unsafe { CStr::from_ptr((self.functions.error)(self.model.as_ptr())) };
        SimError::Stopped { reason: reason.to_string_lossy().into_owned() }
    }
}

impl Drop for RawModel {
    fn drop(&mut self) {
        // SAFETY: made by `create`, destroyed nowhere else.
        unsafe { (self.functions.destroy)(self.model.as_ptr()) }
    }
}

/// What the progress callback works on.
struct Call<'a, 'b> {
    progress: &'a mut ProgressFn<'b>,
    /// A panic of the progress function, carried around the C++ frames.
    panic: Option<Box<dyn std::any::Any + Send>>,
}

/// # Safety
/// `user` leads to the [`Call`] of the run in progress.
unsafe extern "C" fn on_progress(user: *mut c_void, cycle: u64, output_beats: u64) -> i32 {
    // SAFETY: the caller's promise; the harness passes on what `run` gave it, and `run` does not
    // touch the `Call` meanwhile.
    let call = unsafe { &mut *user.cast::<Call<'_, '_>>() };
    let progress = std::panic::AssertUnwindSafe(|| (call.progress)(cycle, output_beats));
    match std::panic::catch_unwind(progress) {
        Ok(go_on) => i32::from(!go_on),
        Err(panic) => {
            call.panic = Some(panic);
            1
        }
    }
}

/// # Safety
/// `data` leads to `count` initialized elements that nothing writes meanwhile, or `count` is 0.
unsafe fn copy<T: Copy>(data: *const T, count: u64) -> Vec<T> {
    if count == 0 || data.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(data, count as usize) }.to_vec()
}
