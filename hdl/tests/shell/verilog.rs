//! The shell's Verilog: clean under lint, synthesizable without latches, the same text every time.

use super::core::Shape;
use super::frames::SHAPES;
use std::path::Path;
use std::process::Command;
use systole_hdl::typed::{emit, VerilogFile};

fn files(shape: Shape) -> Vec<VerilogFile> {
    emit(&shape.spec().module(&shape.module()).unwrap()).unwrap()
}

fn written(shape: Shape, folder: &Path) -> Vec<String> {
    let files = files(shape);
    for file in &files {
        std::fs::write(folder.join(format!("{}.v", file.module)), &file.text).unwrap();
    }
    files.into_iter().map(|file| format!("{}.v", file.module)).collect()
}

fn run(program: &str, folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program).current_dir(folder).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run `{program}` ({error}); run `cargo xtask setup`"));
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), text)
}

#[test]
fn lint_finds_nothing_at_any_width() {
    for shape in SHAPES {
        let folder = tempfile::tempdir().unwrap();
        let files = written(shape, folder.path());
        let mut arguments = vec!["--lint-only", "-Wall", "--top-module", "sums_axi"];
        arguments.extend(files.iter().map(String::as_str));
        let (success, text) = run("verilator", folder.path(), &arguments);
        assert!(success && text.is_empty(), "{shape:?}\n{text}");
    }
}

#[test]
fn the_text_is_the_same_every_time_and_every_module_says_what_it_is() {
    for shape in SHAPES {
        let texts = files(shape);
        let again: Vec<String> = files(shape).into_iter().map(|file| file.text).collect();
        assert_eq!(texts.iter().map(|file| file.text.clone()).collect::<Vec<_>>(), again);
        // The core is this test's own.
        for file in texts.iter().filter(|file| file.module != "sums") {
            assert!(file.text.starts_with("// "), "{} has no header", file.module);
            assert!(!file.text.contains("negedge") && !file.text.contains("#"), "{}", file.module);
        }
        assert_eq!(texts.last().map(|file| file.module.as_str()), Some("sums_axi"));
    }
}

#[test]
fn yosys_synthesizes_it_without_a_latch() {
    if Command::new("yosys").arg("-V").output().is_err() {
        println!("not checked: yosys is not installed");
        return;
    }
    for shape in [SHAPES[1], SHAPES[5]] {
        let folder = tempfile::tempdir().unwrap();
        let files = written(shape, folder.path()).join(" ");
        let script = format!(
            "read_verilog {files}; hierarchy -check -top sums_axi; proc; \
             select -assert-none t:$dlatch t:$adlatch t:$dlatchsr; select -assert-any t:$dff; check -assert"
        );
        let (success, text) = run("yosys", folder.path(), &["-q", "-p", &script]);
        assert!(success, "{shape:?}\n{text}");
    }
}
