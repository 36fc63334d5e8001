//! Whole boards: bundles with a register shell in Verilator, behind device nodes, driven by the driver.
#![cfg(all(feature = "fuse", target_os = "linux"))]

mod support;

use std::path::Path;
use std::time::Duration;
use support::board::{compile, digit_images, digits, expected, has_fuse, Served};
use support::{repository, run_in, status, stderr, stdout, text};
use systole::bundle::{Array, Manifest};
use systole::npy;

/// Runs `inputs` through `boards` and gives what the command line wrote.
fn run(folder: &Path, bundle: &Path, inputs: &Array, batch: usize, boards: &[String]) -> Array {
    npy::write(inputs, &folder.join("x.npy")).unwrap();
    let _ = std::fs::remove_file(folder.join("y.npy"));
    let batch = batch.to_string();
    let mut arguments = vec!["run", text(bundle), "--input", "x.npy", "--output", "y.npy", "--batch", &batch];
    boards.iter().for_each(|board| arguments.extend(["--board", board]));
    let output = run_in(folder, &arguments);
    assert_eq!(status(&output), 0, "batches of {batch}: {}", stderr(&output));
    Array::read_npy(&folder.join("y.npy")).unwrap()
}

/// Serves `model` and compares every answer at several batch sizes.
fn answers_equal_the_reference(model: &Path, multipliers: u32, inputs: &Array) {
    let folder = tempfile::tempdir().unwrap();
    let bundle = compile(folder.path(), "bundle", model, multipliers);
    let expected = expected(&bundle, inputs);
    let served = Served::start(&bundle, &[]);
    for batch in [1, 7, 64] {
        let got = run(folder.path(), &bundle, inputs, batch, &[served.name()]);
        assert!(got == expected, "{}: batches of {batch} differ from the reference", model.display());
    }
}

#[test]
fn ten_thousand_digits_equal_the_reference_at_every_batch_size() {
    if has_fuse() {
        answers_equal_the_reference(&digits(), 64, &digit_images(1, 10_000));
    }
}

fn neighbour(name: &str) {
    let models = repository().join("../shared/models");
    let (model, vectors) = (models.join(format!("{name}.tflite")), models.join(format!("{name}.npz")));
    if !model.exists() {
        return println!("skipped: no {name} at ../shared/models");
    }
    if has_fuse() {
        answers_equal_the_reference(&model, 512, &Array::read_npz(&vectors, "input").unwrap());
    }
}

#[test]
fn the_autoencoder_equals_the_reference_at_every_batch_size() {
    neighbour("ad01_int8");
}

#[test]
fn keyword_spotting_equals_the_reference_at_every_batch_size() {
    neighbour("kws_ref_model");
}

#[test]
fn the_shell_in_process_gives_the_same_answers_on_one_board_and_on_two() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = compile(folder.path(), "bundle", &digits(), 64);
    let inputs = digit_images(2, 300);
    let expected = expected(&bundle, &inputs);
    for boards in [1, 2] {
        let boards = vec!["sim-shell".to_string(); boards];
        assert!(run(folder.path(), &bundle, &inputs, 32, &boards) == expected, "{} boards", boards.len());
    }
}

#[test]
fn a_bundle_of_another_network_is_refused_with_both_hashes() {
    if !has_fuse() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bundle = compile(folder.path(), "bundle", &digits(), 64);
    let other = compile(folder.path(), "other", &digits(), 32);
    let served = Served::start(&bundle, &[]);
    npy::write(&digit_images(3, 4), &folder.path().join("x.npy")).unwrap();
    let arguments = ["run", "other", "--input", "x.npy", "--output", "y.npy", "--board", &served.name()];
    let output = run_in(folder.path(), &arguments);
    assert_eq!(status(&output), 2, "{}", stderr(&output));
    for bundle in [&bundle, &other] {
        let hash = Manifest::read(bundle).unwrap().structure_hash;
        assert!(stderr(&output).contains(&hash[..32]), "{hash}: {}", stderr(&output));
    }
    assert!(!folder.path().join("y.npy").exists());
}

#[test]
fn a_board_process_killed_in_mid_batch_costs_no_request() {
    if !has_fuse() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bundle = compile(folder.path(), "bundle", &digits(), 64);
    let inputs = digit_images(4, 6_000);
    let expected = expected(&bundle, &inputs);
    let (mut first, second) = (Served::start(&bundle, &[]), Served::start(&bundle, &[]));
    let boards = [first.name(), second.name()];
    let got = std::thread::scope(|scope| {
        let running = scope.spawn(|| run(folder.path(), &bundle, &inputs, 16, &boards));
        while first.transfers() < 5 && !running.is_finished() {
            std::thread::sleep(Duration::from_millis(2));
        }
        first.signal("KILL");
        first.wait();
        running.join().unwrap()
    });
    assert!(got == expected);
}

#[test]
fn a_board_that_is_terminated_unmounts_its_nodes_and_ends_well() {
    if !has_fuse() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bundle = compile(folder.path(), "bundle", &digits(), 64);
    for signal in ["INT", "TERM"] {
        let mut served = Served::start(&bundle, &["--core", "null"]);
        assert!(served.folder().join("xdma0_user").exists());
        served.signal(signal);
        assert_eq!(served.wait().code(), Some(0), "SIG{signal}");
        assert_eq!(std::fs::read_dir(served.folder()).unwrap().count(), 0, "SIG{signal}");
    }
}

#[test]
fn the_example_prints_a_class_for_each_sample() {
    if !has_fuse() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bundle = compile(folder.path(), "bundle", &digits(), 64);
    let inputs = digit_images(5, 50);
    let Array::Float(expected) = expected(&bundle, &inputs) else { panic!("logits are floats") };
    npy::write(&inputs, &folder.path().join("x.npy")).unwrap();
    let served = Served::start(&bundle, &[]);
    let test_program = std::env::current_exe().unwrap();
    let example = test_program.ancestors().nth(2).unwrap().join("examples/host_stream");
    let prefix = served.folder().join("xdma0");
    let output = std::process::Command::new(example)
        .args([text(&bundle), "x.npy", text(&prefix)])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let classes: Vec<usize> = stdout(&output).lines().map(|line| line.parse().unwrap()).collect();
    let best = |row: ndarray::ArrayViewD<'_, f32>| {
        (0..row.len()).rev().max_by(|&a, &b| row[[a]].total_cmp(&row[[b]])).unwrap()
    };
    assert_eq!(classes, expected.outer_iter().map(best).collect::<Vec<_>>());
}
