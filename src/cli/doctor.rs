//! `systole doctor`: what is installed, what each missing tool costs, how to install it.

use super::{output, Failure, Verdict};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use systole::sim::verilator::{install_command, Version, OLDEST};
use systole::sim::{Cache, Toolchain};

/// A program that this project can use.
struct Tool {
    name: &'static str,
    /// Environment variable that names another executable.
    variable: Option<&'static str>,
    /// Executables that will do, the first found is taken.
    programs: &'static [&'static str],
    /// What cannot be done without it.
    cost: &'static str,
    /// Packages that hold it, by their Debian names.
    packages: &'static str,
    needed: bool,
}

const TOOLS: [Tool; 5] = [
    Tool {
        name: "Verilator",
        variable: Some("VERILATOR"),
        programs: &["verilator"],
        cost: "`systole verify` and `systole run` cannot simulate",
        packages: "verilator",
        needed: true,
    },
    Tool {
        name: "C++ compiler",
        variable: Some("CXX"),
        programs: &["g++", "clang++", "c++"],
        cost: "`systole verify` and `systole run` cannot build the simulation",
        packages: "g++",
        needed: true,
    },
    Tool {
        name: "make",
        variable: None,
        programs: &["make"],
        cost: "tests of single hardware blocks, which let Verilator call the compiler, cannot run",
        packages: "make",
        needed: false,
    },
    Tool {
        name: "Yosys",
        variable: None,
        programs: &["yosys"],
        cost: "no synthesis here, so no resource figures of a device",
        packages: "yosys",
        needed: false,
    },
    Tool {
        name: "nextpnr-ecp5",
        variable: None,
        programs: &["nextpnr-ecp5"],
        cost: "no place and route for Lattice ECP5, so no clock frequency",
        packages: "nextpnr-ecp5",
        needed: false,
    },
];

/// Lists the tools. [`Verdict::Done`] if simulation works here, whatever else is missing.
///
/// # Errors
/// If standard output cannot be written.
pub fn run() -> Result<Verdict, Failure> {
    let mut text = String::new();
    for tool in &TOOLS {
        text.push_str(&tool.line());
    }
    text.push('\n');
    text.push_str(&fuse());
    // What simulation itself looks for has the last word.
    let problem = match (Toolchain::discover(), Cache::of_user()) {
        (Ok(_), Ok(_)) => None,
        (Err(error), _) | (_, Err(error)) => Some(error),
    };
    text.push_str(&match &problem {
        None => "Simulation works here.\n".to_string(),
        Some(error) => format!("Simulation does not work here: {error}\n"),
    });
    output::text(&text)?;
    Ok(if problem.is_none() { Verdict::Done } else { Verdict::ToolMissing })
}

/// Whether simulated boards can be served here.
#[cfg(all(feature = "fuse", target_os = "linux"))]
fn fuse() -> String {
    match systole::sim::board::fuse::usable() {
        Ok(()) => "`systole board` works here.\n".into(),
        Err(error) => format!("`systole board` does not work here: {error}\n"),
    }
}

#[cfg(not(all(feature = "fuse", target_os = "linux")))]
fn fuse() -> String {
    "`systole board` does not work here: it needs Linux and a build with the feature `fuse`.\n".into()
}

impl Tool {
    /// The lines on this tool.
    fn line(&self) -> String {
        let given = self.variable.and_then(std::env::var_os).filter(|value| !value.is_empty()).map(PathBuf::from);
        let candidates = match given {
            Some(given) => vec![given],
            None => self.programs.iter().map(PathBuf::from).collect(),
        };
        let found = candidates.iter().find_map(|program| Some((program, version_line(program)?)));
        let old = |said: &str| self.name == "Verilator" && Version::parse(said).is_some_and(|version| version < OLDEST);
        match found {
            Some((program, said)) if !old(&said) => {
                format!("{:<14}found    {}: {said}\n", self.name, program.display())
            }
            found => {
                let state = match found {
                    Some((_, said)) => format!("too old  {said}; {OLDEST} or newer is needed"),
                    None => format!("missing  {}", if self.needed { "needed" } else { "optional" }),
                };
                let indent = " ".repeat(23);
                let install = install_command(self.packages);
                format!("{:<14}{state}\n{indent}without it: {}\n{indent}install: {install}\n", self.name, self.cost)
            }
        }
    }
}

/// The first line that `program --version` prints, if it runs.
fn version_line(program: &PathBuf) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    output.status.success().then(|| text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("").to_string())
}
