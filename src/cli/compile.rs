//! `systole compile`: model file to bundle.

use super::input_type::Choice;
use super::table::{grouped, Table};
use super::{output, Failure, Verdict};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Number, Value};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Instant;
use systole::bundle::manifest::{self, FoldingFigures, Stage};
use systole::bundle::Manifest;
use systole::compiler::emit::{write_bundle, ShellOptions};
use systole::compiler::frontend::FrontOptions;
use systole::compiler::passes::lowering::ArgMaxPlace;
use systole::compiler::passes::pipeline;
use systole::compiler::passes::schedule_stages::ScheduleOptions;
use systole::compiler::schedule::Goal;
use systole::compiler::{CompileError, Profile};
use systole::hdl::shell::BEAT_BYTES;
use systole::templates::report::Derived;

/// Multiplier budget without a goal on the command line.
const DEFAULT_MULTIPLIERS: u64 = 64;

/// Arguments of `systole compile`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Model file: .tflite, or .onnx with QONNX quantizers
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Folder of the bundle; an earlier bundle there is replaced
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Runtime whose results are reproduced bit by bit: tflm, litert-ref, litert-opt, xnnpack, ort
    /// or qonnx; by default tflm for .tflite, qonnx for .onnx with QONNX operators, else ort
    #[arg(long)]
    profile: Option<Profile>,
    /// Border type of an input without a quantizer: NAME=fixed<W,I>, int<W> or uint<W>, where
    /// fixed<W,I> has W bits, I of them before the point, sign included; may be repeated
    #[arg(long, value_name = "NAME=TYPE")]
    input_type: Vec<Choice>,
    /// Where ArgMax, and TopK of one index, are executed
    #[arg(long, value_enum, default_value_t = ArgMax::Host, value_name = "WHERE")]
    argmax: ArgMax,
    /// Elements a beat of the input stream
    #[arg(long, value_name = "N")]
    input_lanes: Option<usize>,
    /// Elements a beat of the output stream
    #[arg(long, value_name = "N")]
    output_lanes: Option<usize>,
    /// Shortest interval with at most N multipliers (the default, with 64)
    #[arg(long, value_name = "N", conflicts_with_all = ["target_ii", "target_fps"])]
    max_multipliers: Option<u64>,
    /// Fewest multipliers with an initiation interval of at most N cycles a sample
    #[arg(long, value_name = "N", conflicts_with = "target_fps")]
    target_ii: Option<u64>,
    /// Fewest multipliers with at least F samples a second; needs --clock-mhz
    #[arg(long, value_name = "F", requires = "clock_mhz")]
    target_fps: Option<f64>,
    /// Clock in MHz that --target-fps refers to
    #[arg(long, value_name = "F", requires = "target_fps")]
    clock_mhz: Option<f64>,
    /// What surrounds the core: its bare streams, or registers and frames for a board
    #[arg(long, value_enum, default_value_t = Shell::Stream)]
    shell: Shell,
    /// Bits a beat of the shell's streams: 64, 128, 256 or 512; by default the fewest that do not
    /// limit the interval
    #[arg(long, value_name = "N")]
    beat_bits: Option<usize>,
    /// Write every intermediate form after every pass to this folder, numbered
    #[arg(long, value_name = "DIR")]
    dump_ir: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Where ArgMax is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ArgMax {
    /// By the host, behind the accelerator.
    Host,
    /// In the accelerator, whose output is the index.
    Hardware,
}

/// What surrounds the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// AXI4-Stream in and out.
    Stream,
    /// Registers over AXI4-Lite, and frames over AXI4-Stream.
    Axi,
}

/// Compiles a model and writes its bundle.
///
/// # Errors
/// If the arguments do not fit together, the model cannot be compiled, or a file cannot be read or
/// written. Nothing is left at the output then.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let begin = Instant::now();
    let goal = goal(arguments)?;
    let shell = shell(arguments)?;
    let front = FrontOptions {
        name: design_name(&arguments.model),
        profile: arguments.profile,
        input_types: arguments.input_type.iter().map(|choice| (choice.input.clone(), choice.element)).collect(),
        arg_max: match arguments.argmax {
            ArgMax::Host => ArgMaxPlace::Host,
            ArgMax::Hardware => ArgMaxPlace::Hardware,
        },
    };
    if front.input_types.len() < arguments.input_type.len() {
        return Err(Failure::usage("an input has two types", "give one --input-type for each input"));
    }
    let options = ScheduleOptions {
        goal,
        input_lanes: arguments.input_lanes,
        output_lanes: arguments.output_lanes,
        shell,
        ..ScheduleOptions::default()
    };
    let bytes = std::fs::read(&arguments.model).map_err(|error| Failure::io(&arguments.model, error))?;
    let mut dump = Dump::new(arguments.dump_ir.as_deref())?;
    let compiled = pipeline::compile(&bytes, &front, &options, &mut |pass, form| dump.form(pass, form))?;
    write_bundle(&compiled.bundle, &arguments.output)?;

    let manifest = &compiled.bundle.manifest;
    let summary = Summary::new(manifest, begin.elapsed().as_secs_f64())?;
    match arguments.json {
        true => output::json(&summary)?,
        false => output::text(&summary.for_people(manifest, &arguments.output))?,
    }
    Ok(Verdict::Done)
}

/// What the design is folded for.
fn goal(arguments: &Arguments) -> Result<Goal, Failure> {
    let positive = |value: f64, option: &str| match value.is_finite() && value > 0.0 {
        true => Ok(value),
        false => Err(Failure::usage(format!("{option} is {value}"), "give a positive number")),
    };
    if let (Some(fps), Some(mhz)) = (arguments.target_fps, arguments.clock_mhz) {
        let (fps, mhz) = (positive(fps, "--target-fps")?, positive(mhz, "--clock-mhz")?);
        let interval = (mhz * 1e6 / fps).floor();
        if interval < 1.0 {
            return Err(Failure::usage(
                format!("{fps} samples a second at {mhz} MHz are more than one sample a cycle"),
                "lower --target-fps or raise --clock-mhz",
            ));
        }
        // Saturates: no design has an interval beyond 2^64 cycles.
        return Ok(Goal::TargetInterval(interval as u64));
    }
    match (arguments.target_ii, arguments.max_multipliers) {
        (Some(0), _) => Err(Failure::usage("--target-ii is 0", "give an interval of at least 1 cycle")),
        (Some(interval), _) => Ok(Goal::TargetInterval(interval)),
        (None, budget) => Ok(Goal::MaxMultipliers(budget.unwrap_or(DEFAULT_MULTIPLIERS))),
    }
}

/// What surrounds the core.
fn shell(arguments: &Arguments) -> Result<Option<ShellOptions>, Failure> {
    let beat_bytes = match arguments.beat_bits {
        Some(bits) if BEAT_BYTES.iter().all(|bytes| bytes * 8 != bits) => {
            return Err(Failure::usage(format!("--beat-bits is {bits}"), "give 64, 128, 256 or 512"));
        }
        bits => bits.map(|bits| bits / 8),
    };
    match arguments.shell {
        Shell::Axi => Ok(Some(ShellOptions { beat_bytes })),
        Shell::Stream if beat_bytes.is_some() => {
            Err(Failure::usage("--beat-bits without a shell", "add --shell axi, or leave --beat-bits out"))
        }
        Shell::Stream => Ok(None),
    }
}

/// The model file's name without folder and ending.
fn design_name(model: &Path) -> String {
    model.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_else(|| "network".into())
}

/// The folder of `--dump-ir`.
struct Dump {
    folder: Option<PathBuf>,
    written: usize,
}

impl Dump {
    fn new(folder: Option<&Path>) -> Result<Dump, Failure> {
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder).map_err(|error| Failure::io(folder, error))?;
        }
        Ok(Dump { folder: folder.map(Path::to_path_buf), written: 0 })
    }

    /// Writes the form behind the pass as `NN_pass.txt`, numbered from 01.
    fn form(&mut self, pass: &str, form: &dyn Display) -> Result<(), CompileError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        self.written += 1;
        let path = folder.join(format!("{:02}_{pass}.txt", self.written));
        std::fs::write(&path, form.to_string()).map_err(|error| CompileError::Io { path, cause: error.to_string() })
    }
}

/// What `--json` prints, key by key.
#[derive(Debug, Serialize)]
struct Summary {
    design: String,
    macs: u64,
    multipliers: u64,
    requantize_multipliers: u64,
    initiation_interval: Value,
    latency_cycles: u64,
    mac_utilization: f64,
    budget_utilization: Option<f64>,
    fifo_bits: u64,
    weight_bits: u64,
    seconds: f64,
    stages: Vec<StageSummary>,
}

/// A stage in `--json`; cycles are those of one sample.
#[derive(Debug, Serialize)]
struct StageSummary {
    name: String,
    op: String,
    engine: String,
    folding: FoldingFigures,
    pe: usize,
    simd: usize,
    multipliers: u64,
    requantize_multipliers: u64,
    cycles: u64,
    busy_cycles: u64,
    memory_bits: u64,
}

impl Summary {
    fn new(manifest: &Manifest, seconds: f64) -> Result<Summary, Failure> {
        let derived = Derived::of(manifest)?;
        let totals = &manifest.totals;
        Ok(Summary {
            design: manifest.design.clone(),
            macs: totals.macs,
            multipliers: totals.multipliers,
            requantize_multipliers: totals.requantize_multipliers,
            initiation_interval: interval(&manifest.predicted.initiation_interval),
            latency_cycles: manifest.predicted.latency_cycles,
            mac_utilization: derived.mac_utilization,
            budget_utilization: derived.budget_utilization,
            fifo_bits: totals.fifo_bits,
            weight_bits: totals.weight_bits,
            seconds,
            stages: manifest.stages.iter().map(StageSummary::new).collect(),
        })
    }

    fn for_people(&self, manifest: &Manifest, folder: &Path) -> String {
        let mut table = Table::new(&["stage", "op", "PE x SIMD", "multipliers", "requantize", "cycles", "memory bits"]);
        for stage in &manifest.stages {
            table.row(vec![
                stage.name.clone(),
                stage.op.clone(),
                format!("{} x {}", stage.pe, stage.simd),
                grouped(stage.multipliers),
                format!("{} {}", grouped(stage.requantize_multipliers), stage.requantizer),
                grouped(stage.cycles),
                grouped(stage.memory_bits),
            ]);
        }
        let of_budget = match (manifest.totals.budget, self.budget_utilization) {
            (Some(budget), Some(share)) => {
                format!(" of {}; the budget does useful work {:.1} % of the time", grouped(budget), share * 100.0)
            }
            _ => String::new(),
        };
        format!(
            "{design}, profile {profile}\n\n{table}\n\
             interval     {interval} cycles a sample\n\
             latency      {latency} cycles\n\
             products     {macs} a sample\n\
             multipliers  {multipliers}{of_budget}; {requantize} more to requantize\n\
             memory       {weights} bits of weights, {fifos} bits of FIFOs\n\
             {shell}written to   {folder} in {seconds:.2} s\n",
            design = self.design,
            profile = manifest.profile,
            table = table.render(),
            interval = self.grouped_interval(),
            latency = grouped(self.latency_cycles),
            multipliers = grouped(self.multipliers),
            macs = grouped(self.macs),
            requantize = grouped(self.requantize_multipliers),
            weights = grouped(self.weight_bits),
            fifos = grouped(self.fifo_bits),
            shell = manifest.shell.as_ref().map(shell_line).unwrap_or_default(),
            folder = folder.display(),
            seconds = self.seconds,
        )
    }
}

/// The shell for people, in a line.
fn shell_line(shell: &manifest::Shell) -> String {
    format!(
        "shell        {} with beats of {} bits; a sample takes {} bytes in and {} out\n",
        shell.top,
        u64::from(shell.beat_bytes) * 8,
        grouped(shell.in_bytes.into()),
        grouped(shell.out_bytes.into()),
    )
}

impl Summary {
    /// The interval for people.
    fn grouped_interval(&self) -> String {
        self.initiation_interval
            .as_u64()
            .map_or_else(|| self.initiation_interval.as_str().unwrap_or_default().to_string(), grouped)
    }
}

impl StageSummary {
    fn new(stage: &Stage) -> StageSummary {
        StageSummary {
            name: stage.name.clone(),
            op: stage.op.clone(),
            engine: stage.engine.clone(),
            folding: stage.folding,
            pe: stage.pe,
            simd: stage.simd,
            multipliers: stage.multipliers,
            requantize_multipliers: stage.requantize_multipliers,
            cycles: stage.cycles,
            busy_cycles: stage.busy_cycles,
            memory_bits: stage.memory_bits,
        }
    }
}

/// An interval in JSON: a number when whole, else the string `p/q`.
pub fn interval(text: &str) -> Value {
    text.parse::<u64>().map_or_else(|_| Value::String(text.into()), |cycles| Value::Number(Number::from(cycles)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(options: &[&str]) -> Result<Arguments, clap::Error> {
        let words = ["compile", "m.tflite", "-o", "d"].iter().chain(options);
        Line::try_parse_from(words).map(|line| line.arguments)
    }

    #[test]
    fn without_a_goal_the_budget_is_64_multipliers() {
        assert_eq!(goal(&parse(&[]).unwrap()).unwrap(), Goal::MaxMultipliers(64));
        assert_eq!(goal(&parse(&["--max-multipliers", "7"]).unwrap()).unwrap(), Goal::MaxMultipliers(7));
        assert_eq!(goal(&parse(&["--target-ii", "9"]).unwrap()).unwrap(), Goal::TargetInterval(9));
    }

    #[test]
    fn a_rate_at_a_clock_becomes_the_longest_interval_that_reaches_it() {
        let arguments = parse(&["--target-fps", "30000", "--clock-mhz", "100"]).unwrap();
        assert_eq!(goal(&arguments).unwrap(), Goal::TargetInterval(3_333));
    }

    #[test]
    fn goals_exclude_each_other_and_a_rate_needs_a_clock() {
        for options in [
            &["--target-fps", "1"][..],
            &["--clock-mhz", "1"],
            &["--max-multipliers", "1", "--target-ii", "1"],
            &["--target-ii", "1", "--target-fps", "1", "--clock-mhz", "1"],
            &["--max-multipliers", "1", "--target-fps", "1", "--clock-mhz", "1"],
        ] {
            assert!(parse(options).is_err(), "{options:?}");
        }
    }

    #[test]
    fn rates_that_no_clock_reaches_and_numbers_that_are_none_are_refused() {
        for (fps, mhz) in [("NaN", "1"), ("0", "1"), ("-3", "1"), ("inf", "1"), ("1", "inf"), ("2e6", "1")] {
            let arguments = parse(&[&format!("--target-fps={fps}"), &format!("--clock-mhz={mhz}")]).unwrap();
            assert_eq!(goal(&arguments).unwrap_err().exit_status(), 2, "{fps} {mhz}");
        }
        assert!(goal(&parse(&["--target-ii", "0"]).unwrap()).is_err());
    }

    #[test]
    fn beats_are_64_to_512_bits_and_only_those_of_a_shell() {
        let bytes = |options: &[&str]| shell(&parse(options).unwrap()).ok().flatten().map(|shell| shell.beat_bytes);
        assert_eq!(bytes(&[]), None);
        assert_eq!(bytes(&["--shell", "axi"]), Some(None));
        assert_eq!(bytes(&["--shell", "axi", "--beat-bits", "256"]), Some(Some(32)));
        for wrong in ["0", "32", "96", "1024"] {
            let arguments = parse(&["--shell", "axi", "--beat-bits", wrong]).unwrap();
            assert_eq!(shell(&arguments).unwrap_err().exit_status(), 2, "{wrong}");
        }
        assert_eq!(shell(&parse(&["--beat-bits", "64"]).unwrap()).unwrap_err().exit_status(), 2);
    }

    #[test]
    fn whole_intervals_are_numbers_in_json_and_others_fractions() {
        assert_eq!(interval("1792"), serde_json::json!(1792));
        assert_eq!(interval("7/2"), serde_json::json!("7/2"));
    }
}
