//! Shared by the driver's tests.
#![allow(dead_code)] // No test program uses all of it.

pub mod loopback;
pub mod manifest;
pub mod nodes;
pub mod shell;

use loopback::{Behaviour, Loopback};
use manifest::manifest;
use ndarray::{ArrayD, IxDyn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use systole_bundle::Array;
use systole_host::{Board, BoardOptions};

/// Long enough for a loaded machine; no test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Held by every test of a program that counts threads.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until this process has so many threads of drivers and transports: one that was joined can
/// be listed a moment longer, and one that was started has its name a moment later.
pub fn await_threads(wanted: usize) {
    let count = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.starts_with("systole-")).count()
    };
    let start = std::time::Instant::now();
    while count() != wanted {
        assert!(start.elapsed() < PATIENCE, "{} threads, not {wanted}", count());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Options under which faults are found quickly.
pub fn options() -> BoardOptions {
    BoardOptions {
        stall_timeout: Duration::from_millis(60),
        quiesce_timeout: Duration::from_millis(300),
        reset_timeout: Duration::from_millis(500),
        poll_interval: Duration::from_millis(2),
        ..BoardOptions::default()
    }
}

pub fn open(behaviour: Behaviour) -> (Board, Arc<Loopback>) {
    let transport = Loopback::new(&manifest(), behaviour);
    (Board::open(&manifest(), transport.clone(), options()).unwrap(), transport)
}

/// The samples of batch number `seed`: inputs `[samples, 1, 5]`, and the outputs `[samples, 3, 1]` that they have.
pub fn batch(seed: u64, samples: usize) -> (Array, Array) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 40) as i64 % 201 - 100
    };
    let inputs: Vec<i64> = (0..5 * samples).map(|_| next()).collect();
    let outputs = inputs.chunks(5).flat_map(|x| [0, 1, 2].map(|k| (x[k] + 2 * x[k + 1] + 3 * x[k + 2]).rem_euclid(16)));
    let outputs: Vec<i64> = outputs.collect();
    let array = |shape: &[usize], values, name: &str| {
        Array::Int(ArrayD::from_shape_vec(IxDyn(shape), values).unwrap(), name.into())
    };
    (array(&[samples, 1, 5], inputs, "int8"), array(&[samples, 3, 1], outputs, "uint8"))
}
