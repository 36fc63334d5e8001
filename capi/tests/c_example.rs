//! The C example, compiled and run against a board whose device nodes are pipes.

#[path = "../../host/tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use support::batch;
use support::manifest::manifest;
use support::nodes::NodesBoard;
use systole_bundle::Array;

fn compile(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let program = folder.join("stream");
    // Cargo puts what a test program depends on beside it.
    let library = std::env::current_exe().unwrap().with_file_name("libsystole_c.a");
    let mut command = Command::new("cc");
    command.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-o"]).arg(&program);
    command.arg(root.join("examples/c/stream.c")).arg("-I").arg(root.join("include")).arg(library);
    let compiled = command.args(["-lpthread", "-ldl", "-lm"]).output().unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    program
}

#[test]
fn the_c_example_prints_the_classes_that_the_boards_compute() {
    let nodes = NodesBoard::new(&manifest(), "c-example");
    let bundle = nodes.folder().join("bundle");
    std::fs::create_dir(&bundle).unwrap();
    std::fs::write(bundle.join("manifest.json"), manifest().to_json()).unwrap();
    let (inputs, outputs) = batch(77, 300);
    let (Array::Int(inputs, _), Array::Int(outputs, _)) = (inputs, outputs) else { panic!("integers") };
    let samples = nodes.folder().join("samples.bin");
    std::fs::write(&samples, inputs.iter().map(|&value| value as u8).collect::<Vec<_>>()).unwrap();
    let program = compile(nodes.folder());

    let board = format!("xdma:{}", nodes.prefix().display());
    let run = Command::new(&program).arg(&bundle).arg(&samples).arg(&board).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let outputs: Vec<i64> = outputs.into_iter().collect();
    // The first of the greatest.
    let class = |sample: &[i64]| (0..3).rev().max_by_key(|&index| sample[index]).unwrap();
    let expected: String = outputs.chunks(3).map(|sample| format!("{}\n", class(sample))).collect();
    assert_eq!(String::from_utf8_lossy(&run.stdout), expected);
    assert!(String::from_utf8_lossy(&run.stderr).contains("300 samples"));

    let mut other = manifest();
    other.parameter_hash = "11".repeat(16);
    std::fs::write(bundle.join("manifest.json"), other.to_json()).unwrap();
    let run = Command::new(&program).arg(&bundle).arg(&samples).arg(&board).output().unwrap();
    let message = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(!run.status.success());
    for hash in ["1".repeat(32), manifest().parameter_hash] {
        assert!(message.contains(&hash), "{message}");
    }
    for (name, part) in [("xdma:/nowhere/xdma9", "xdma9_user"), ("pci:0", "give xdma:PREFIX")] {
        let run = Command::new(&program).arg(&bundle).arg(&samples).arg(name).output().unwrap();
        let message = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(!run.status.success() && message.contains(part), "{message}");
    }
}
