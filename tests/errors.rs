//! The wording of errors: each has the offending name, the numbers and a remedy.

mod support;

use std::path::Path;
use support::{repository, run_in, status, stderr, stdout};

/// Renders what `arguments` say on standard error, in a folder with small models.
fn rendered(folder: &Path, arguments: &[&str]) -> String {
    let output = run_in(folder, arguments);
    assert_eq!(status(&output), 2, "{arguments:?}: {}{}", stdout(&output), stderr(&output));
    assert_eq!(stdout(&output), "", "{arguments:?}");
    format!("$ systole {}\n{}", arguments.join(" "), stderr(&output))
}

/// A folder with models, one of them damaged in several ways, and a bundle.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let vectors = repository().join("tests/vectors");
    let model = std::fs::read(vectors.join("fully_connected/fc_7x5.tflite")).unwrap();
    put("model.tflite", &model);
    put("cut.tflite", &model[..model.len() / 2]);
    put("empty.tflite", b"");
    put("notes.tflite", b"These are my notes on the model.\n");
    put("vectors.npz", &std::fs::read(vectors.join("fully_connected/fc_7x5.npz")).unwrap());
    put("other.npz", &std::fs::read(vectors.join("fully_connected/fc_10x1.npz")).unwrap());
    put("alone.tflite", &std::fs::read(vectors.join("borders/dequantize_alone.tflite")).unwrap());
    let digits = std::fs::read(repository().join("examples/digits/digits.onnx")).unwrap();
    put("digits.onnx", &digits);
    put("cut.onnx", &digits[..digits.len() / 2]);
    std::fs::create_dir(folder.path().join("mine")).unwrap();
    put("mine/notes.txt", b"keep");
    let output = run_in(folder.path(), &["compile", "model.tflite", "-o", "bundle"]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    folder
}

/// Compares the rendered errors of several command lines with one stored file.
fn check(name: &str, lines: &[&str]) {
    let folder = folder();
    let texts: Vec<String> =
        lines.iter().map(|line| rendered(folder.path(), &line.split(' ').collect::<Vec<_>>())).collect();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("errors");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, texts.join("\n")));
}

#[test]
fn files_that_are_no_models_are_refused_with_what_is_wrong_with_them() {
    let lines = [
        "compile missing.tflite -o out",
        "compile empty.tflite -o out",
        "compile notes.tflite -o out",
        "compile cut.tflite -o out",
        "compile cut.onnx -o out",
        "compile alone.tflite -o out",
    ];
    check("model_files", &lines);
}

#[test]
fn options_that_do_not_fit_the_model_are_refused_with_those_that_do() {
    let lines = [
        "compile digits.onnx -o out --max-multipliers 1",
        "compile digits.onnx -o out --target-ii 2 --input-lanes 1",
        "compile model.tflite -o out --input-lanes 0",
        "compile model.tflite -o out --profile qonnx",
        "compile digits.onnx -o out --profile tflm",
        "compile model.tflite -o out --input-type nobody=int<8>",
        "compile model.tflite -o mine",
    ];
    check("compile_options", &lines);
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let lines = [
        "compile model.tflite -o out --input-type x=float",
        "compile model.tflite -o out --profile tensorrt",
        "compile model.tflite -o out --target-fps 5",
        "compile model.tflite -o out --target-fps 5e6 --clock-mhz 1",
        "compile model.tflite -o out --shell axi --beat-bits 96",
        "compile model.tflite -o out --beat-bits 64",
        "board --bundle bundle --mount mnt",
    ];
    check("usage", &lines);
}

#[test]
fn arrays_that_do_not_fit_the_bundle_are_refused_with_those_that_do() {
    let lines = [
        "verify mine",
        "verify bundle --samples 0",
        "verify bundle --vectors other.npz --expect-key output_tflm",
        "run bundle --input other.npz --output y.npy",
        "run bundle --input vectors.npz --output y.npy --board xdma:/dev/xdma0",
        "report mine",
    ];
    check("arrays", &lines);
}
