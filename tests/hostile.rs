//! Damaged model files: the compiler answers each with a bundle or a diagnostic, never otherwise.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use support::{committed_models, flip, neighbouring_models, systole, text, Random};
use systole::bundle::Manifest;
use systole::compiler::frontend::FrontOptions;
use systole::compiler::passes::lowering::InputType;
use systole::compiler::passes::pipeline;
use systole::compiler::passes::schedule_stages::ScheduleOptions;
use systole::compiler::CompileError;

/// Damaged files a model in the quick test: every tenth is cut off, the others have bytes changed.
const QUICK: usize = 50;
/// Truncations a model in the full set.
const TRUNCATIONS: usize = 64;
/// Files with changed bytes a model in the full set.
const FLIPS: usize = 1_000;
/// Most seconds of computing that one process may take, all threads together: unlike time on the
/// clock it does not depend on what else the machine does.
const SECONDS_LIMIT: u64 = 2;
/// Time on the clock after which a process hangs.
const HANG: Duration = Duration::from_secs(60);
/// Most memory that one process may use, in KiB.
const MEMORY_LIMIT_KIB: usize = 1 << 20;

/// The input of `model` that has no quantizer, if compiling asks for its type. Damaged copies are then compiled with one
/// as well; otherwise they would all end where the type is asked for.
fn untyped_input(model: &Path) -> Option<String> {
    let bytes = std::fs::read(model).unwrap();
    let schedule = ScheduleOptions { fifo_effort: 0, ..ScheduleOptions::default() };
    let options = (FrontOptions::default(), schedule);
    let error = pipeline::compile(&bytes, &options.0, &options.1, &mut |_, _| Ok(())).err()?.to_string();
    let (_, rest) = error.split_once("--input-type ")?;
    rest.split_once("=fixed<").map(|(input, _)| input.to_string())
}

/// Compiles `bytes` and tells whether that gave a bundle. All forms verify themselves after every
/// pass, and such a failure is an internal error, so that it fails the test.
fn compiles(bytes: &[u8], untyped: Option<&String>) -> Result<bool, String> {
    let fixed = InputType::Fixed { bits: 16, integer_bits: 6 };
    let input_types = untyped.map(|input| (input.clone(), fixed)).into_iter().collect();
    let front = FrontOptions { name: "damaged".into(), profile: None, input_types, ..FrontOptions::default() };
    // What sizing FIFOs to the last entry costs is no matter here.
    let schedule = ScheduleOptions { fifo_effort: 0, ..ScheduleOptions::default() };
    match pipeline::compile(bytes, &front, &schedule, &mut |_, _| Ok(())) {
        Ok(compiled) => match compiled.bundle.files.iter().any(|(path, _)| path == "manifest.json") {
            true => Ok(true),
            false => Err("a bundle without a manifest".into()),
        },
        Err(error @ CompileError::Internal { .. }) => Err(error.to_string()),
        Err(error) if error.to_string().is_empty() => Err("a diagnostic without words".into()),
        Err(_) => Ok(false),
    }
}

#[test]
fn fifty_damaged_files_a_model_give_a_bundle_or_a_diagnostic() {
    // Every fourth of more than a thousand small models: each family and operator is among them.
    let mut models: Vec<PathBuf> = committed_models().into_iter().step_by(4).collect();
    models.extend(neighbouring_models());
    let (mut bundles, mut diagnostics) = (0, 0);
    for (number, model) in models.iter().enumerate() {
        let bytes = std::fs::read(model).unwrap();
        let untyped = untyped_input(model);
        let mut random = Random(number as u64);
        for file in 0..QUICK {
            let cut = file % 10 == 0;
            let damaged = match cut {
                true => bytes[..random.below(bytes.len())].to_vec(),
                false => flip(&bytes, &mut random),
            };
            match compiles(&damaged, untyped.as_ref()) {
                Ok(true) if cut => panic!("{}: file {file}, cut at {}, was compiled", text(model), damaged.len()),
                Ok(true) => bundles += 1,
                Ok(false) => diagnostics += 1,
                Err(cause) => panic!("{}: file {file}: {cause}", text(model)),
            }
        }
    }
    println!("{} models: {bundles} bundles, {diagnostics} diagnostics", models.len());
    assert!(bundles > 0 && diagnostics > models.len() * QUICK / 10);
}

/// Whether all that stands behind `cut` are whole imports of operator sets (field 8 of an ONNX model). Protobuf has no
/// length of the whole: without an import that no node uses, such a file is as complete as before.
fn loses_only_unused_imports(bytes: &[u8], cut: usize) -> bool {
    const OPSET_IMPORT: u8 = 8 << 3 | 2;
    let mut rest = &bytes[cut..];
    while let [OPSET_IMPORT, length, tail @ ..] = rest {
        // A length of several bytes is no import's.
        let Some(next) = tail.get(usize::from(*length)..).filter(|_| *length < 0x80) else { return false };
        rest = next;
    }
    rest.is_empty()
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    // The smallest file of each front end's families, so that every byte can be tried.
    let mut smallest: std::collections::BTreeMap<PathBuf, (u64, PathBuf)> = Default::default();
    for model in committed_models() {
        let (folder, size) = (model.parent().unwrap().to_path_buf(), std::fs::metadata(&model).unwrap().len());
        let entry = smallest.entry(folder).or_insert((size, model.clone()));
        if size < entry.0 {
            *entry = (size, model);
        }
    }
    let mut cuts = 0;
    for (size, model) in smallest.into_values().filter(|(size, _)| *size < 4_000) {
        let bytes = std::fs::read(&model).unwrap();
        for cut in 0..size as usize {
            match compiles(&bytes[..cut], None) {
                Ok(false) => cuts += 1,
                Ok(true) if loses_only_unused_imports(&bytes, cut) => (),
                Ok(true) => panic!("{} cut at byte {cut} of {size} was compiled", text(&model)),
                Err(cause) => panic!("{} cut at byte {cut} of {size}: {cause}", text(&model)),
            }
        }
    }
    println!("{cuts} cut files");
    assert!(cuts > 10_000, "only {cuts} cut files");
}

/// A damaged file of the full set.
struct Case {
    model: PathBuf,
    label: String,
    bytes: Vec<u8>,
    cut: bool,
    untyped: Option<String>,
}

/// All damaged files of `model`.
fn cases(model: &Path, seed: u64) -> Vec<Case> {
    let bytes = std::fs::read(model).unwrap();
    let mut random = Random(seed);
    let untyped = untyped_input(model);
    let case = |label: String, bytes: Vec<u8>, cut: bool| Case {
        model: model.into(),
        label,
        bytes,
        cut,
        untyped: untyped.clone(),
    };
    let cuts = (0..TRUNCATIONS).map(|i| i * bytes.len() / TRUNCATIONS);
    let mut cases: Vec<Case> =
        cuts.map(|cut| case(format!("cut at byte {cut}"), bytes[..cut].to_vec(), true)).collect();
    for file in 0..FLIPS {
        cases.push(case(format!("changed bytes, file {file}"), flip(&bytes, &mut random), false));
    }
    cases
}

/// Compiles a damaged file in a process of its own under the limits of time and memory.
///
/// Returns the exit status, or what went wrong.
fn compile_alone(case: &Case, folder: &Path) -> Result<i32, String> {
    let ending = case.model.extension().and_then(|ending| ending.to_str()).unwrap_or("onnx");
    let (file, output, errors) = (folder.join(format!("model.{ending}")), folder.join("out"), folder.join("errors"));
    let io = |error: std::io::Error| error.to_string();
    std::fs::write(&file, &case.bytes).map_err(io)?;
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c 0; ulimit -d \"$0\"; ulimit -t \"$1\"; shift; exec \"$@\""]);
    command.args([MEMORY_LIMIT_KIB.to_string(), SECONDS_LIMIT.to_string()]);
    command.arg(systole().get_program()).args(["compile", text(&file), "-o", text(&output), "--json"]);
    if let Some(input) = &case.untyped {
        command.arg("--input-type").arg(format!("{input}=fixed<16,6>"));
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&errors).map_err(io)?);
    let begin = Instant::now();
    let mut child = command.spawn().map_err(io)?;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(io)? {
            break status;
        }
        if begin.elapsed() > HANG {
            child.kill().and_then(|()| child.wait()).map_err(io)?;
            return Err(format!("still running after {HANG:?}"));
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let said = std::fs::read_to_string(&errors).map_err(io)?;
    let left = output.exists();
    let verdict = match status.code() {
        Some(0) if case.cut => Err("a cut file was compiled".into()),
        Some(0) => Manifest::read(&output).map(|_| 0).map_err(|error| format!("exit 0, but {error}")),
        Some(2) if left => Err("exit 2 with something left at the output".into()),
        Some(2) if said.is_empty() => Err("exit 2 without a diagnostic".into()),
        Some(2) if said.contains("internal error") || said.contains("panicked") => Err(said),
        Some(2) => Ok(2),
        Some(_) => Err(format!("{status}: {said}")),
        None => Err(format!("{status}, with limits of {SECONDS_LIMIT} s and {MEMORY_LIMIT_KIB} KiB: {said}")),
    };
    if left {
        std::fs::remove_dir_all(&output).map_err(io)?;
    }
    let strays: Vec<_> = std::fs::read_dir(folder).map_err(io)?.flatten().map(|entry| entry.file_name()).collect();
    match strays.len() {
        2 => verdict,
        _ => Err(format!("stray files: {strays:?}")),
    }
}

/// `SYSTOLE_FUZZ_MODELS`, a list separated by colons, else every model there is.
fn chosen_models() -> Vec<PathBuf> {
    match std::env::var("SYSTOLE_FUZZ_MODELS") {
        Ok(list) => list.split(':').map(PathBuf::from).collect(),
        Err(_) => {
            let mut models = neighbouring_models();
            models.extend(
                committed_models()
                    .into_iter()
                    .filter(|model| model.starts_with(support::repository().join("examples"))),
            );
            models
        }
    }
}

/// What came of the files of one model.
#[derive(Default)]
struct Outcome {
    bundles: usize,
    slowest: Duration,
    failures: Vec<String>,
}

/// Compiles every case, as many at a time as there are cores. Files that fail are kept.
fn compile_all(cases: &[Case]) -> Outcome {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile");
    let (next, outcome) = (AtomicUsize::new(0), Mutex::new(Outcome::default()));
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let folder = tempfile::tempdir().unwrap();
            let begin = Instant::now();
            let result = compile_alone(case, folder.path());
            let time = begin.elapsed();
            let mut outcome = outcome.lock().unwrap();
            outcome.slowest = outcome.slowest.max(time);
            match result {
                Ok(0) => outcome.bundles += 1,
                Ok(_) => {}
                Err(cause) => {
                    let file =
                        kept.join(format!("{}, {}", case.model.file_name().unwrap().to_string_lossy(), case.label));
                    std::fs::create_dir_all(&kept).and_then(|()| std::fs::write(&file, &case.bytes)).unwrap();
                    outcome.failures.push(format!("{}: {cause}", text(&file)));
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    outcome.into_inner().unwrap()
}

#[test]
#[ignore = "1,064 processes a model: `cargo xtask fuzz`"]
fn every_damaged_file_of_the_full_set_ends_with_0_or_2_in_bounded_time_and_memory() {
    let models = chosen_models();
    assert!(!models.is_empty(), "no model to damage");
    let mut failures = Vec::new();
    for (number, model) in models.iter().enumerate() {
        let cases = cases(model, number as u64);
        let Outcome { bundles, slowest, failures: failed } = compile_all(&cases);
        let (model, count, bad) = (text(model), cases.len(), failed.len());
        println!("{model}: {count} files, {bundles} bundles, slowest {slowest:.2?}, {bad} failures");
        failures.extend(failed);
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
