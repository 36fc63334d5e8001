//! From a bundle's Verilog to a shared object that can be loaded, cached by content.
//!
//! Two kinds of cache entries: the *runtime* (Verilator's own C++ and the fixed harness; writers
//! of waveforms apart), one for each Verilator, compiler and set of flags; and the *model*, one for
//! each Verilog text beside.
//! ROM images are no part of either key: a model reads them when it starts, from the bundle that
//! it is started for, so that bundles which differ in parameters only share one object.

use crate::cache::Cache;
use crate::compile::{class_list, compile_all, link, translation_units, Unit};
use crate::error::SimError;
use crate::verilator::Toolchain;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use systole_bundle::manifest::Shell;
use systole_bundle::Manifest;
use systole_templates::shell::{ShellShimContext, SHELL_FILES};
use systole_templates::simulation::{ShimContext, Waveform, FORCED_HEADER, PREFIX, SUPPORT_FILES};

/// Arguments of every Verilator run. Splitting keeps the C++ compiler's time linear in the
/// design; unreset state starts with noise that the harness seeds.
const VERILATOR_FLAGS: [&str; 12] = [
    "--cc",
    "-O3",
    "--x-assign",
    "unique",
    "--x-initial",
    "unique",
    "--output-split",
    "20000",
    "--output-split-cfuncs",
    "500",
    "-Wno-fatal",
    "--prefix",
];

/// Runtime classes that are compiled for every design, whether Verilator lists them for it or not.
const RUNTIME_CLASSES: [&str; 3] = ["verilated", "verilated_dpi", "verilated_threads"];

/// Progress of a build, for progress bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildStep {
    /// Verilator translates the Verilog.
    Verilate,
    /// The C++ compiler has finished `done` of `total` files.
    Compile {
        /// Files finished.
        done: usize,
        /// Files in all.
        total: usize,
    },
    /// The shared object is linked.
    Link,
}

/// A bundle with its built model.
#[derive(Debug)]
pub struct Simulator {
    /// The bundle's manifest.
    pub manifest: Manifest,
    /// Seconds the build took; near 0 if it was cached.
    pub build_seconds: f64,
    /// Whether the built model was there already.
    pub cached: bool,
    object: PathBuf,
    pub(crate) rom_folder: PathBuf,
    pub(crate) trace: Option<PathBuf>,
}

impl Simulator {
    /// Builds the model of the bundle in folder `bundle`, or finds it in `cache`. With `trace`,
    /// the first model started writes its waveform to that file, `.vcd` or `.fst`.
    ///
    /// # Errors
    /// If the bundle has no readable manifest or Verilog, or a tool rejects it (with what the tool printed).
    pub fn build(
        bundle: &Path,
        toolchain: &Toolchain,
        cache: &Cache,
        trace: Option<&Path>,
        on_step: &mut dyn FnMut(BuildStep),
    ) -> Result<Simulator, SimError> {
        let begin = Instant::now();
        let manifest = Manifest::read(bundle)?;
        let format = trace.map(waveform_format).transpose()?;
        let context = ShimContext::new(&manifest, format)?;
        let rom_folder = bundle.join("rtl");
        let plan = Plan {
            toolchain,
            cache,
            flags: compile_flags(toolchain),
            format,
            verilog: read_verilog(&rom_folder)?,
            harness: Harness::Core,
            shim: context.shim()?,
            control: context.control()?,
            top: context.top().to_string(),
        };
        let (object, made) = plan.object(on_step)?;
        Ok(Simulator {
            manifest,
            build_seconds: begin.elapsed().as_secs_f64(),
            cached: !made,
            object,
            rom_folder,
            trace: trace.map(Path::to_path_buf),
        })
    }
}

impl Simulator {
    /// The shared object, in the cache.
    pub fn object(&self) -> &Path {
        &self.object
    }
}

/// The register shell around a bundle's accelerator, built: what a simulated board runs.
#[derive(Debug)]
pub struct ShellSimulator {
    /// The shell as the manifest describes it.
    pub shell: Shell,
    /// Seconds the build took; near 0 if it was cached.
    pub build_seconds: f64,
    pub(crate) object: PathBuf,
    pub(crate) rom_folder: PathBuf,
}

impl ShellSimulator {
    /// Builds the shell of the bundle in folder `bundle`, or finds it in `cache`.
    ///
    /// # Errors
    /// As [`Simulator::build`], and if the bundle was compiled without a shell.
    pub fn build(
        bundle: &Path,
        toolchain: &Toolchain,
        cache: &Cache,
        on_step: &mut dyn FnMut(BuildStep),
    ) -> Result<ShellSimulator, SimError> {
        let begin = Instant::now();
        let Some(shell) = Manifest::read(bundle)?.shell else {
            return Err(SimError::NoShell { bundle: bundle.into() });
        };
        let context = ShellShimContext::new(&shell.top, shell.beat_bytes, None)?;
        let rom_folder = bundle.join("rtl");
        let plan = Plan {
            toolchain,
            cache,
            flags: compile_flags(toolchain),
            format: None,
            verilog: read_verilog(&rom_folder)?,
            harness: Harness::Shell,
            shim: context.shim()?,
            control: "`verilator_config\n".into(),
            top: context.top().to_string(),
        };
        let (object, _) = plan.object(on_step)?;
        Ok(ShellSimulator { shell, build_seconds: begin.elapsed().as_secs_f64(), object, rom_folder })
    }
}

/// The fixed C++ that drives a verilated top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harness {
    /// `harness.cpp`: a stream core, with all its streams watched.
    Core,
    /// `shell_harness.cpp`: a register shell, as a board.
    Shell,
}

impl Harness {
    /// Its source.
    fn source(self) -> &'static str {
        match self {
            Harness::Core => "harness.cpp",
            Harness::Shell => "shell_harness.cpp",
        }
    }

    /// What it needs beside [`SUPPORT_FILES`].
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Harness::Core => &[],
            Harness::Shell => &SHELL_FILES,
        }
    }
}

/// Everything that a build depends on.
struct Plan<'a> {
    toolchain: &'a Toolchain,
    cache: &'a Cache,
    flags: Vec<String>,
    format: Option<Waveform>,
    /// File names and texts, sorted by name.
    verilog: Vec<(String, String)>,
    harness: Harness,
    shim: String,
    control: String,
    top: String,
}

impl Plan<'_> {
    /// The shared object, in the cache, and whether it had to be built.
    fn object(&self, on_step: &mut dyn FnMut(BuildStep)) -> Result<(PathBuf, bool), SimError> {
        let (entry, made) =
            self.cache.entry(&format!("model-{}", self.key()), |folder| self.build_model(folder, on_step))?;
        Ok((entry.join("model.so"), made))
    }

    /// Hash of all inputs, 128 bits in hexadecimal.
    fn key(&self) -> String {
        let mut hash = self.tool_hash();
        self.trace_flags().iter().for_each(|flag| absorb(&mut hash, flag));
        for text in VERILATOR_FLAGS.into_iter().chain([&*self.shim, &*self.control, &*self.top]) {
            absorb(&mut hash, text);
        }
        for (name, text) in &self.verilog {
            absorb(&mut hash, name);
            absorb(&mut hash, text);
        }
        hex(&hash)
    }

    /// Hash state after tools, flags and harness: what runtime and model both depend on.
    fn tool_hash(&self) -> blake3::Hasher {
        let mut hash = blake3::Hasher::new();
        absorb(&mut hash, &self.toolchain.version.to_string());
        absorb(&mut hash, &self.toolchain.root.to_string_lossy());
        absorb(&mut hash, &self.toolchain.compiler.to_string_lossy());
        absorb(&mut hash, &self.toolchain.compiler_version);
        self.flags.iter().for_each(|flag| absorb(&mut hash, flag));
        for (name, text) in SUPPORT_FILES.iter().chain(self.harness.files()) {
            absorb(&mut hash, name);
            absorb(&mut hash, text);
        }
        hash
    }

    /// Writes `folder/model.so`.
    fn build_model(&self, folder: &Path, on_step: &mut dyn FnMut(BuildStep)) -> Result<(), SimError> {
        let work = tempfile::tempdir().map_err(SimError::io(std::env::temp_dir()))?;
        let work = work.path();
        self.write_support(work)?;
        on_step(BuildStep::Verilate);
        self.verilate(work)?;
        let make_path = work.join(format!("{PREFIX}_classes.mk"));
        let make = fs::read_to_string(&make_path).map_err(SimError::io(&make_path))?;
        write(&work.join("shim.cpp"), &self.shim)?;
        let mut units = translation_units(work, &make)?;
        units.push(Unit::fast("shim.cpp"));

        let runtime = self.runtime(&make, on_step)?;
        let flags = [&self.flags[..], &self.trace_flags()].concat();
        let objects = compile_all(self.toolchain, &flags, work, &units, &mut |done, total| {
            on_step(BuildStep::Compile { done, total })
        })?;
        on_step(BuildStep::Link);
        let mut all: Vec<PathBuf> = objects.into_iter().map(|object| work.join(object)).collect();
        all.extend(runtime);
        let libraries: &[&str] = if self.format == Some(Waveform::Fst) { &["-lz"] } else { &[] };
        link(self.toolchain, &all, libraries, &folder.join("model.so"))
    }

    fn verilate(&self, work: &Path) -> Result<(), SimError> {
        let mut command = Command::new(&self.toolchain.verilator);
        command.current_dir(work).args(VERILATOR_FLAGS).arg(PREFIX).args(["--top-module", &self.top]);
        match self.format {
            Some(Waveform::Vcd) => command.arg("--trace"),
            Some(Waveform::Fst) => command.arg("--trace-fst"),
            None => &mut command,
        };
        command.args(["--Mdir", "."]);
        write(&work.join("signals.vlt"), &self.control)?;
        command.arg("signals.vlt");
        let folder = work.join("verilog");
        fs::create_dir(&folder).map_err(SimError::io(&folder))?;
        for (name, text) in &self.verilog {
            write(&folder.join(name), text)?;
            command.arg(Path::new("verilog").join(name));
        }
        crate::compile::run(command, &format!("Verilator on module `{}`", self.top))
    }

    /// The compiled runtime objects that `make` (Verilator's class list) asks for.
    fn runtime(&self, make: &str, on_step: &mut dyn FnMut(BuildStep)) -> Result<Vec<PathBuf>, SimError> {
        let mut others: Vec<String> =
            ["VM_GLOBAL_FAST", "VM_GLOBAL_SLOW"].iter().flat_map(|list| class_list(make, list)).collect();
        others.retain(|class| !RUNTIME_CLASSES.contains(&&**class));
        others.sort();
        let harness = vec![Unit::fast(self.harness.source()), Unit::slow("runtime.cpp")];
        let mut objects = self.runtime_part(&RUNTIME_CLASSES, harness, on_step)?;
        if !others.is_empty() {
            let others: Vec<&str> = others.iter().map(String::as_str).collect();
            objects.extend(self.runtime_part(&others, Vec::new(), on_step)?);
        }
        Ok(objects)
    }

    /// The objects of some of Verilator's `classes` and of `units` of the harness.
    fn runtime_part(
        &self,
        classes: &[&str],
        mut units: Vec<Unit>,
        on_step: &mut dyn FnMut(BuildStep),
    ) -> Result<Vec<PathBuf>, SimError> {
        let mut hash = self.tool_hash();
        classes.iter().for_each(|class| absorb(&mut hash, class));
        let (entry, _) = self.cache.entry(&format!("runtime-{}", hex(&hash)), |folder| {
            self.write_support(folder)?;
            let include = self.toolchain.root.join("include");
            for class in classes {
                let text = format!("#include \"{}\"\n", include.join(format!("{class}.cpp")).display());
                write(&folder.join(format!("rt_{class}.cpp")), &text)?;
                units.push(Unit::slow(format!("rt_{class}.cpp")));
            }
            let mut flags = self.flags.clone();
            // Harness and runtime call the real function behind the wrapper.
            flags.retain(|flag| flag != "-include" && flag != FORCED_HEADER);
            flags.extend(["FINISH", "STOP", "FATAL", "WARN"].map(|hook| format!("-DVL_USER_{hook}")));
            compile_all(self.toolchain, &flags, folder, &units, &mut |done, total| {
                on_step(BuildStep::Compile { done, total })
            })?;
            Ok(())
        })?;
        sorted_files(&entry, "o")
    }

    fn write_support(&self, folder: &Path) -> Result<(), SimError> {
        let mut files = SUPPORT_FILES.iter().chain(self.harness.files());
        files.try_for_each(|(name, text)| write(&folder.join(name), text))
    }

    /// Flags that tell the model's sources which waveform they write.
    fn trace_flags(&self) -> Vec<String> {
        let on = |yes: bool| u8::from(yes);
        vec![
            format!("-DVM_TRACE={}", on(self.format.is_some())),
            format!("-DVM_TRACE_VCD={}", on(self.format == Some(Waveform::Vcd))),
            format!("-DVM_TRACE_FST={}", on(self.format == Some(Waveform::Fst))),
        ]
    }
}

/// Flags of every compiler call but optimization and waveforms.
fn compile_flags(toolchain: &Toolchain) -> Vec<String> {
    let include = toolchain.root.join("include");
    let mut flags = vec![
        "-std=c++17".to_string(),
        "-fPIC".to_string(),
        "-fvisibility=hidden".to_string(),
        "-pthread".to_string(),
        "-w".to_string(),
        "-I.".to_string(),
        format!("-I{}", include.display()),
        format!("-I{}", include.join("vltstd").display()),
        "-DVM_COVERAGE=0".to_string(),
        "-DVM_SC=0".to_string(),
        "-include".to_string(),
        FORCED_HEADER.to_string(),
    ];
    if !toolchain.compiler_is_clang() {
        // Otherwise inline statics would be shared between all loaded models of the process.
        flags.push("-fno-gnu-unique".to_string());
    }
    flags
}

fn waveform_format(path: &Path) -> Result<Waveform, SimError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("vcd") => Ok(Waveform::Vcd),
        Some("fst") => Ok(Waveform::Fst),
        _ => Err(SimError::WaveformFormat { path: path.into() }),
    }
}

/// Names and texts of the Verilog files in `folder`, sorted by name.
fn read_verilog(folder: &Path) -> Result<Vec<(String, String)>, SimError> {
    let files = sorted_files(folder, "v")?;
    if files.is_empty() {
        return Err(SimError::NoVerilog { folder: folder.into() });
    }
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).map_err(SimError::io(&path))?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            Ok((name, text))
        })
        .collect()
}

/// The files of `folder` with the ending `extension`, sorted.
fn sorted_files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, SimError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(SimError::io(folder))? {
        let path = entry.map_err(SimError::io(folder))?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn write(path: &Path, text: &str) -> Result<(), SimError> {
    fs::write(path, text).map_err(SimError::io(path))
}

/// Adds a text with its length, so that two lists of texts never run together.
fn absorb(hash: &mut blake3::Hasher, text: &str) {
    hash.update(&(text.len() as u64).to_le_bytes());
    hash.update(text.as_bytes());
}

fn hex(hash: &blake3::Hasher) -> String {
    hash.finalize().to_hex().as_str().chars().take(32).collect()
}
