//! The command line's contract: exit status, files, JSON keys.

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use support::{repository, run_in, status, stderr, stdout, systole, text};
use systole::bundle::{Array, Manifest};
use tempfile::TempDir;

/// A network whose outputs under different profiles differ on its vectors.
const MODEL: &str = "tests/vectors/fully_connected/fc_64x64.tflite";
const VECTORS: &str = "tests/vectors/fully_connected/fc_64x64.npz";

fn in_repository(path: &str) -> PathBuf {
    repository().join(path)
}

fn model() -> String {
    text(&in_repository(MODEL)).into()
}

fn vectors() -> String {
    text(&in_repository(VECTORS)).into()
}

fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Compiles the model to `folder/bundle` with `options`; panics with what it said unless it exits 0.
fn compile(folder: &Path, options: &[&str]) -> String {
    let (model, arguments) = (model(), ["compile", "-o", "bundle"]);
    let output = run_in(folder, &[&arguments[..], &[&model], options].concat());
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    stdout(&output)
}

/// A bundle that several tests read; they may not change it.
fn bundle() -> &'static Path {
    static FOLDER: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = FOLDER.get_or_init(|| {
        let folder = scratch();
        compile(folder.path(), &[]);
        let path = folder.path().join("bundle");
        (folder, path)
    });
    path
}

/// Every file below `folder` with its content.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(files.insert(path.strip_prefix(folder).unwrap().into(), std::fs::read(&path).unwrap())),
            }
        }
    }
    files
}

/// The one JSON object on standard output.
fn object(printed: &str) -> serde_json::Map<String, Value> {
    assert_eq!(printed.lines().count(), 1, "{printed}");
    match serde_json::from_str(printed).unwrap() {
        Value::Object(object) => object,
        other => panic!("not an object: {other}"),
    }
}

fn keys(object: &serde_json::Map<String, Value>) -> Vec<&str> {
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort();
    keys
}

fn sorted(text: &'static str) -> Vec<&'static str> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.sort();
    words
}

/// `systole verify` of `bundle` against the array of profile `profile`.
fn verify(bundle: &Path, profile: &str, options: &[&str]) -> std::process::Output {
    let (vectors, key) = (vectors(), format!("output_{profile}"));
    let fixed = ["verify", text(bundle), "--vectors", &vectors, "--input-key", "input", "--expect-key", &key];
    run_in(repository(), &[&fixed[..], options].concat())
}

#[test]
fn a_bundle_holds_manifest_network_verilog_and_report() {
    let files = tree(bundle());
    for name in ["manifest.json", "report.md", "rtl/files.f"] {
        assert!(files.contains_key(Path::new(name)), "{name} is missing");
    }
    let under = |folder: &str, ending: &str| {
        files.keys().filter(|path| path.parent() == Some(Path::new(folder)) && text(path).ends_with(ending)).count()
    };
    assert!(under("rtl", ".v") > 1 && under("rtl/rom", ".hex") > 0 && under("network", "") > 1);
    let listed = String::from_utf8(files[Path::new("rtl/files.f")].clone()).unwrap();
    assert_eq!(listed.split_whitespace().filter(|name| name.ends_with(".v")).count(), under("rtl", ".v"));
}

#[test]
fn compile_prints_exactly_the_keys_of_its_contract() {
    let folder = scratch();
    let summary = object(&compile(folder.path(), &["--json", "--max-multipliers", "48"]));
    let expected = "design macs multipliers requantize_multipliers initiation_interval latency_cycles mac_utilization \
                    budget_utilization fifo_bits weight_bits seconds stages";
    assert_eq!(keys(&summary), sorted(expected));
    let Value::Array(stages) = &summary["stages"] else { panic!("stages is no list") };
    let expected = "name op engine folding pe simd multipliers requantize_multipliers cycles busy_cycles memory_bits";
    for stage in stages {
        let Value::Object(stage) = stage else { panic!("a stage is no object") };
        assert_eq!(keys(stage), sorted(expected));
        let Value::Object(folding) = &stage["folding"] else { panic!("folding is no object") };
        assert_eq!(keys(folding), sorted("output_channels input_channels taps pixels"));
    }
    let number = |key: &str| summary[key].as_f64().unwrap_or_else(|| panic!("{key} is {}", summary[key]));
    assert_eq!(number("macs"), 64.0 * 64.0);
    let busy = number("macs") / (number("multipliers") * number("initiation_interval"));
    assert!((number("mac_utilization") - busy).abs() < 1e-12);
    assert!((number("budget_utilization") - busy * number("multipliers") / 48.0).abs() < 1e-12);
    assert!(number("multipliers") <= 48.0 && number("latency_cycles") > 0.0 && number("seconds") > 0.0);
}

#[test]
fn a_target_interval_is_met_and_leaves_no_budget_to_utilize() {
    let folder = scratch();
    let summary = object(&compile(folder.path(), &["--json", "--target-ii", "100"]));
    assert!(summary["initiation_interval"].as_u64().unwrap() <= 100);
    assert_eq!(summary["budget_utilization"], Value::Null);
    let rate = object(&compile(folder.path(), &["--json", "--target-fps", "1e6", "--clock-mhz", "100"]));
    for key in ["initiation_interval", "multipliers", "latency_cycles"] {
        assert_eq!(rate[key], summary[key], "100 MHz over a million samples a second are 100 cycles");
    }
}

#[test]
fn two_compiles_give_the_same_bytes() {
    let (one, two) = (scratch(), scratch());
    compile(one.path(), &[]);
    compile(two.path(), &[]);
    let (one, two) = (tree(&one.path().join("bundle")), tree(&two.path().join("bundle")));
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    for (path, bytes) in &one {
        assert!(two[path] == *bytes, "{} differs", text(path));
    }
}

#[test]
fn every_form_is_dumped_after_every_pass_in_order() {
    let folder = scratch();
    compile(folder.path(), &["--dump-ir", "forms/of this"]);
    let files = tree(&folder.path().join("forms/of this"));
    let names: Vec<&str> = files.keys().map(|path| text(path)).collect();
    for (index, name) in names.iter().enumerate() {
        assert!(name.starts_with(&format!("{:02}_", index + 1)) && name.ends_with(".txt"), "{names:?}");
    }
    let passes: Vec<&str> = names.iter().map(|name| &name[3..name.len() - 4]).collect();
    assert_eq!(passes.first(), Some(&"import"));
    assert!(passes.contains(&"lower_to_integers") && passes.contains(&"schedule_stages"), "{passes:?}");
    assert!(files.values().all(|form| !form.is_empty()));
    let again = scratch();
    compile(again.path(), &["--dump-ir", "forms"]);
    assert_eq!(tree(&again.path().join("forms")), files, "dumps are deterministic");
}

#[test]
fn a_failed_compile_leaves_nothing_and_no_harm() {
    let folder = scratch();
    let bytes = std::fs::read(in_repository(MODEL)).unwrap();
    std::fs::write(folder.path().join("cut.tflite"), &bytes[..bytes.len() - 9]).unwrap();
    let output = run_in(folder.path(), &["compile", "cut.tflite", "-o", "bundle"]);
    assert_eq!(status(&output), 2);
    assert_eq!(tree(folder.path()).len(), 1, "only the model file is there");
    assert!(stdout(&output).is_empty() && !stderr(&output).is_empty());

    compile(folder.path(), &[]);
    let before = tree(folder.path());
    let output = run_in(folder.path(), &["compile", "cut.tflite", "-o", "bundle"]);
    assert_eq!(status(&output), 2);
    assert_eq!(tree(folder.path()), before, "an earlier bundle stays as it was");
}

#[test]
fn an_earlier_bundle_is_replaced_as_a_whole_and_nothing_else_is() {
    let folder = scratch();
    compile(folder.path(), &["--max-multipliers", "8"]);
    let first = tree(&folder.path().join("bundle"));
    std::fs::write(folder.path().join("bundle/rtl/stray.v"), "module stray; endmodule\n").unwrap();
    compile(folder.path(), &["--max-multipliers", "16"]);
    let second = tree(&folder.path().join("bundle"));
    assert_ne!(first[Path::new("manifest.json")], second[Path::new("manifest.json")]);
    assert!(!second.contains_key(Path::new("rtl/stray.v")));

    std::fs::create_dir(folder.path().join("mine")).unwrap();
    std::fs::write(folder.path().join("mine/notes.txt"), "keep").unwrap();
    let before = tree(folder.path());
    let output = run_in(folder.path(), &["compile", &model(), "-o", "mine"]);
    assert_eq!(status(&output), 2);
    assert_eq!(tree(folder.path()), before, "a folder that is no bundle is left alone");
}

#[test]
fn verify_passes_with_measured_figures_equal_to_the_predicted() {
    let output = verify(bundle(), "tflm", &["--json"]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let summary = object(&stdout(&output));
    let expected = "samples elements mismatches initiation_interval_predicted initiation_interval_measured \
                    latency_predicted latency_measured cycles stalled_cycles build_seconds sim_seconds cycles_per_second";
    assert_eq!(keys(&summary), sorted(expected));
    let samples = Array::read(&in_repository(VECTORS), "input").unwrap().shape()[0] as u64;
    assert_eq!(summary["samples"], samples);
    assert_eq!(summary["elements"], samples * 64);
    assert_eq!(summary["mismatches"], 0);
    assert_eq!(summary["stalled_cycles"], 0);
    assert_eq!(summary["initiation_interval_measured"], summary["initiation_interval_predicted"]);
    assert_eq!(summary["latency_measured"], summary["latency_predicted"]);
    let manifest = Manifest::read(bundle()).unwrap();
    assert_eq!(summary["latency_predicted"], manifest.predicted.latency_cycles);
}

#[test]
fn verify_without_vectors_compares_random_samples_with_the_reference() {
    let output = run_in(repository(), &["verify", text(bundle()), "--samples", "5", "--json"]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let summary = object(&stdout(&output));
    assert_eq!((&summary["samples"], &summary["elements"]), (&Value::from(5), &Value::from(5 * 64)));
}

#[test]
fn the_answers_of_another_runtime_are_a_mismatch_and_the_first_is_named() {
    let read = |key: &str| match Array::read(&in_repository(VECTORS), key).unwrap() {
        Array::Int(values, _) => values,
        other => panic!("{}", other.type_name()),
    };
    let (ours, theirs) = (read("output_tflm"), read("output_xnnpack"));
    let differing: Vec<usize> =
        ours.iter().zip(&theirs).enumerate().filter(|(_, (a, b))| a != b).map(|(i, _)| i).collect();
    assert!(!differing.is_empty(), "these vectors tell no profiles apart");
    let output = verify(bundle(), "xnnpack", &[]);
    assert_eq!(status(&output), 1);
    let said = stdout(&output);
    let first = format!("sample {}, element {}", differing[0] / 64, differing[0] % 64);
    assert!(said.contains(&first), "no `{first}` in\n{said}");
    let output = verify(bundle(), "xnnpack", &["--json"]);
    assert_eq!(status(&output), 1);
    assert_eq!(object(&stdout(&output))["mismatches"], differing.len());
    assert!(stderr(&output).contains(&first), "with --json the difference is told on standard error");
}

#[test]
fn stalls_of_source_and_sink_change_no_result() {
    let output = verify(bundle(), "tflm", &["--stall-seed", "3", "--json"]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let summary = object(&stdout(&output));
    let figure = |key: &str| summary[key].as_u64().unwrap();
    assert!(figure("stalled_cycles") * 10 >= figure("cycles"), "{summary:?}");
    assert_eq!(figure("mismatches"), 0);
}

#[test]
fn a_waveform_is_written_on_request() {
    let folder = scratch();
    let wave = folder.path().join("wave.vcd");
    let output = run_in(repository(), &["verify", text(bundle()), "--samples", "1", "--trace", text(&wave)]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let text = std::fs::read_to_string(wave).unwrap();
    assert!(text.contains("$enddefinitions") && text.contains("aclk"));
}

#[test]
fn nothing_to_compare_is_no_pass() {
    let bundle = text(bundle());
    let vectors = vectors();
    let with = |options: &[&str]| run_in(repository(), &[&["verify", bundle][..], options].concat());
    let cases: [&[&str]; 7] = [
        &["--samples", "0"],
        &["--vectors", &vectors],
        &["--vectors", &vectors, "--expect-key", "no_such_array"],
        &["--vectors", &vectors, "--input-key", "no_such_array", "--expect-key", "output_tflm"],
        &["--vectors", "no_such_file.npz", "--expect-key", "output_tflm"],
        &["--vectors", &vectors, "--expect-key", "output_tflm", "--samples", "0"],
        &["--vectors", &vectors, "--expect-key", "output_tflm", "--samples", "100000"],
    ];
    for options in cases {
        let output = with(options);
        assert_eq!(status(&output), 2, "{options:?}: {}", stderr(&output));
        assert!(stdout(&output).is_empty() && !stderr(&output).is_empty(), "{options:?}");
    }
    let other = text(&in_repository("tests/vectors/fully_connected/fc_7x5.npz")).to_string();
    let output = with(&["--vectors", &other, "--expect-key", "output_tflm"]);
    assert_eq!(status(&output), 2, "arrays of another network: {}", stderr(&output));
}

#[test]
fn a_changed_weight_fails_with_the_stages_name_even_with_a_warm_cache() {
    assert_eq!(status(&verify(bundle(), "tflm", &[])), 0, "the cache is warm now");
    let folder = scratch();
    compile(folder.path(), &[]);
    let bundle = folder.path().join("bundle");
    let manifest = Manifest::read(&bundle).unwrap();
    let roms = tree(&bundle.join("rtl/rom"));
    let (name, bytes) = roms.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let mut changed = bytes.clone();
    let digit = changed.iter().position(u8::is_ascii_hexdigit).unwrap();
    changed[digit] = if changed[digit] == b'7' { b'2' } else { b'7' };
    std::fs::write(bundle.join("rtl/rom").join(name), changed).unwrap();
    let output = verify(&bundle, "tflm", &[]);
    assert_eq!(status(&output), 1, "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.contains(&format!("stage `{}`", manifest.stages[0].name)), "{said}");
}

#[test]
fn run_writes_what_the_runtime_gives_for_any_batch_size() {
    let folder = scratch();
    let expected = Array::read(&in_repository(VECTORS), "output_tflm").unwrap();
    let (bundle, vectors) = (text(bundle()), vectors());
    for options in [&[][..], &["--batch", "5", "--in-flight", "2"], &["--batch", "1", "--board", "sim"]] {
        let answers = folder.path().join("answers.npy");
        let fixed = ["run", bundle, "--input", &vectors, "--output", text(&answers)];
        let output = run_in(repository(), &[&fixed[..], options].concat());
        assert_eq!(status(&output), 0, "{}", stderr(&output));
        assert_eq!(Array::read(&answers, "answers").unwrap(), expected);
        std::fs::remove_file(answers).unwrap();
    }
}

#[test]
fn run_takes_the_files_of_a_folder_and_arrays_from_standard_input() {
    let folder = scratch();
    let expected = Array::read(&in_repository(VECTORS), "output_tflm").unwrap();
    let Array::Int(inputs, name) = Array::read(&in_repository(VECTORS), "input").unwrap() else { panic!("integers") };
    // Standard input carries both halves one after another.
    let (mut stream, parts) = (Vec::new(), folder.path().join("parts"));
    std::fs::create_dir(&parts).unwrap();
    let (first, rest) = inputs.view().split_at(ndarray::Axis(0), 5);
    for (file, part) in [("0.npy", first), ("1.npy", rest)] {
        let part = systole::npy::encode(&Array::Int(part.to_owned(), name.clone())).unwrap();
        std::fs::write(parts.join(file), &part).unwrap();
        stream.extend(part);
    }
    std::fs::write(folder.path().join("stream"), stream).unwrap();
    let answers = folder.path().join("answers.npy");
    for input in [text(&parts), "-"] {
        let output = systole()
            .args(["run", text(bundle()), "--input", input, "--output", text(&answers), "--batch", "4"])
            .stdin(std::fs::File::open(folder.path().join("stream")).unwrap())
            .output()
            .unwrap();
        assert_eq!(status(&output), 0, "{input}: {}", stderr(&output));
        assert_eq!(Array::read(&answers, "answers").unwrap(), expected, "{input}");
        std::fs::remove_file(&answers).unwrap();
    }
}

#[test]
fn run_refuses_what_it_cannot_run_and_writes_nothing() {
    let folder = scratch();
    let (bundle, vectors, answers) = (text(bundle()), vectors(), folder.path().join("answers.npy"));
    let fixed = ["run", bundle, "--output", text(&answers)];
    let other = text(&in_repository("tests/vectors/fully_connected/fc_7x5.npz")).to_string();
    let cases: [&[&str]; 7] = [
        &["--input", &vectors, "--board", "sim-shell"],
        &["--input", &vectors, "--board", "xdma:/dev/xdma0"],
        &["--input", &vectors, "--board", "sim", "--board", "sim"],
        &["--input", &vectors, "--input-key", "no_such_array"],
        &["--input", &vectors, "--batch", "0"],
        &["--input", &other],
        &[],
    ];
    for options in cases {
        let output = run_in(repository(), &[&fixed[..], options].concat());
        assert_eq!(status(&output), 2, "{options:?}: {}", stderr(&output));
        assert!(!answers.exists() && !stderr(&output).is_empty(), "{options:?}");
    }
}

#[test]
fn report_prints_the_bundles_report() {
    let output = run_in(repository(), &["report", text(bundle())]);
    assert_eq!(status(&output), 0);
    assert_eq!(stdout(&output), std::fs::read_to_string(bundle().join("report.md")).unwrap());
    assert_eq!(status(&run_in(repository(), &["report", "tests"])), 2, "a folder that is no bundle");
}

#[test]
fn a_missing_verilator_is_status_3_with_the_command_that_installs_it() {
    let without = |arguments: &[&str]| {
        let mut command = support::systole();
        command.args(arguments).env("VERILATOR", "/nowhere/verilator").current_dir(repository());
        command.output().unwrap()
    };
    let output = without(&["verify", text(bundle())]);
    assert_eq!(status(&output), 3);
    assert!(stdout(&output).is_empty() && stderr(&output).contains("install"), "{}", stderr(&output));
    let output = without(&["doctor"]);
    assert_eq!(status(&output), 3);
    assert!(stdout(&output).contains("install: "), "{}", stdout(&output));
    let folder = scratch();
    assert_eq!(status(&without(&["compile", &model(), "-o", text(&folder.path().join("d"))])), 0, "compile needs none");
}

#[test]
fn doctor_lists_every_tool_and_succeeds_where_simulation_works() {
    let output = run_in(repository(), &["doctor"]);
    assert_eq!(status(&output), 0, "{}", stdout(&output));
    let said = stdout(&output);
    for tool in ["Verilator", "C++ compiler", "make", "Yosys", "nextpnr-ecp5"] {
        let line = said.lines().find(|line| line.starts_with(tool)).unwrap_or_else(|| panic!("no {tool} in\n{said}"));
        assert!(line.contains("found") || line.contains("missing"), "{line}");
    }
    assert!(said.ends_with("Simulation works here.\n"));
}

#[test]
fn usage_errors_are_status_2_and_help_is_none() {
    let status_of = |arguments: &[&str]| status(&run_in(repository(), arguments));
    let model = model();
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["compile", &model],
        &["compile", &model, "-o", "d", "--profile", "tensorrt"],
        &["compile", &model, "-o", "d", "--max-multipliers", "1", "--target-ii", "1"],
        &["compile", &model, "-o", "d", "--target-fps", "1"],
        &["compile", &model, "-o", "d", "--shell", "axi", "--beat-bits", "96"],
        &["compile", &model, "-o", "d", "--beat-bits", "64"],
        &["verify"],
        &["board", "--bundle", "b", "--mount", "m"],
    ] {
        assert_eq!(status_of(arguments), 2, "{arguments:?}");
    }
    assert!(!repository().join("d").exists());
    assert_eq!(status_of(&["--help"]), 0);
    assert_eq!(status_of(&["--version"]), 0);
    assert_eq!(status_of(&["help", "compile"]), 0);
}
