//! The runtime of the crate `verilated` in the process, beside the runtimes of loaded models.
#![cfg(feature = "verilated")]

mod common;

use common::{thorough, tools, Bundle};
use systole_sim::static_runtime::{verilated, version};

#[test]
fn its_version_is_that_of_the_installed_verilator() {
    assert_eq!(version(), Some(tools().version));
}

#[test]
fn loaded_models_keep_to_their_own_runtime() {
    let bundle = Bundle::tiny([0, 3, 5]);
    let elements = bundle.samples(10);
    let input = bundle.packed(&elements);
    let run = || bundle.start().run(&thorough(&input, 10)).unwrap();
    let before = run();
    verilated::set_rand_reset(verilated::RandomMode::AllBits);
    verilated::set_finish();
    let after = run();
    assert_eq!((before.violations.len(), &before.beats), (0, &after.beats));
    assert_eq!(verilated::rand_reset(), verilated::RandomMode::AllBits, "a model changed the process's runtime");
    assert!(verilated::got_finish());
}

#[test]
fn its_vcd_writer_writes_a_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.vcd");
    verilated::trace_ever_on(true);
    let mut waveform = verilated::vcd::Vcd::default();
    waveform.open(&path).unwrap();
    waveform.dump(1);
    drop(waveform);
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("$version"));
}
