//! Golden Verilog of the examples, their lint and their behaviour.

use crate::examples::{beat_counter, board, scaler, scaler_words};
use crate::simulator::lint;
use std::sync::Arc;
use systole_hdl::typed::{emit, rom_files, Evaluator, Module, RomImage};

fn text(module: &Module) -> String {
    emit(module).expect("no clash").pop().expect("the module itself").text
}

#[test]
fn a_counter_with_valid_and_ready_prints_as_one_would_write_it() {
    insta::assert_snapshot!(text(&beat_counter().expect("a legal module")));
}

#[test]
fn a_table_a_product_and_a_clamp_print_as_one_would_write_them() {
    insta::assert_snapshot!(text(&scaler().expect("a legal module")));
}

#[test]
fn instances_memories_and_unread_bits_print_as_one_would_write_them() {
    insta::assert_snapshot!(text(&board().expect("a legal module")));
}

#[test]
fn examples_pass_lint_without_waivers() {
    for module in [beat_counter(), scaler(), board()] {
        let module = module.expect("a legal module");
        assert_eq!(lint(&module), "", "{module}");
    }
}

#[test]
fn lint_finds_what_it_should() {
    // A module that is not there: were lint blind, this would pass.
    let top = board().expect("a legal module");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("board.v");
    std::fs::write(&file, text(&top)).expect("the folder can be written");
    let output = std::process::Command::new("verilator").args(["--lint-only", "-Wall"]).arg(&file).output();
    let output = output.expect("verilator runs; on Debian and Ubuntu, `apt-get install verilator`");
    assert!(!output.status.success());
}

#[test]
fn equal_modules_are_emitted_once_and_leaves_come_first() {
    let top = board().expect("a legal module");
    let files: Vec<String> = emit(&top).expect("no clash").into_iter().map(|file| file.module).collect();
    assert_eq!(files, ["beat_counter", "board"]);
    assert_eq!(emit(&top).expect("no clash"), emit(&board().expect("a legal module")).expect("no clash"));
}

#[test]
fn images_are_written_word_by_word() {
    let files = rom_files(&scaler().expect("a legal module")).expect("no clash");
    let image = RomImage { file: "scaler_factors.hex".into(), words: Arc::new(scaler_words()) };
    assert_eq!((files.len(), files[0].file.as_str()), (1, "scaler_factors.hex"));
    assert_eq!(files[0].text, image.hex(8));
    assert_eq!(files[0].text, "03\nf9\n64\n80\n");
}

#[test]
fn the_counter_counts_taken_beats_only() {
    let mut hardware = Evaluator::new(&beat_counter().expect("a legal module"));
    hardware.reset();
    let (mut taken, mut given) = (0, Vec::new());
    for cycle in 0..60u32 {
        hardware.set("in_valid", u32::from(cycle % 3 != 0));
        hardware.set("out_ready", u32::from(cycle % 5 < 3));
        let takes = cycle % 3 != 0 && hardware.get_u64("in_ready") == 1;
        if hardware.get_u64("out_valid") == 1 && cycle % 5 < 3 {
            given.push(hardware.get_u64("out_count"));
        }
        taken += u64::from(takes);
        hardware.clock();
    }
    assert!(taken > 20);
    assert_eq!(given, (1..=given.len() as u64).collect::<Vec<_>>());
    assert!(taken - given.len() as u64 <= 1);
}

#[test]
fn the_scaler_rounds_down_and_clamps() {
    let mut hardware = Evaluator::new(&scaler().expect("a legal module"));
    for (channel, factor) in [3i64, -7, 100, -128].into_iter().enumerate() {
        for x in [-2048i64, -700, -17, -1, 0, 1, 5, 21, 160, 2047] {
            hardware.set("x", x);
            hardware.set("channel", channel as u64);
            for _ in 0..3 {
                hardware.clock();
            }
            assert_eq!(hardware.get_i64("y"), ((x * factor) >> 4).clamp(-128, 127), "{x} * {factor}");
        }
    }
}

#[test]
fn memories_keep_the_old_word_on_a_read_at_the_write() {
    let mut hardware = Evaluator::new(&board().expect("a legal module"));
    hardware.set("aresetn", 0);
    hardware.clock();
    hardware.set("aresetn", 1);
    hardware.set("ticks", 0b0111);
    // Both counters show n from cycle n on, and n is logged as 2n at address n at the next edge.
    for cycle in 0..40u64 {
        assert_eq!(hardware.get_u64("counter_0.count"), cycle % 256);
        hardware.set("address", cycle % 16);
        hardware.clock();
        let before = cycle.checked_sub(16).map_or(0, |earlier| 2 * earlier);
        assert_eq!(hardware.get_u64("logged"), before, "cycle {cycle}");
    }
}
