//! Installing what simulation needs (Verilator, a C++ compiler, make, and zlib for waveforms) and what the
//! independent check of the shell needs (Icarus Verilog, Python with virtual environments).

use crate::step;
use std::io::Write;
use std::process::{Command, Stdio};

/// Oldest Verilator that is supported, `major.minor`.
const OLDEST: (u32, u32) = (5, 6);

/// A package manager and how it installs things.
struct Manager {
    program: &'static str,
    refresh: Option<&'static [&'static str]>,
    install: &'static [&'static str],
    /// Packages of simulation.
    simulation: &'static [&'static str],
    /// Packages of the shell's independent check.
    cocotb: &'static [&'static str],
}

const MANAGERS: &[Manager] = &[
    Manager {
        program: "apt-get",
        refresh: Some(&["update"]),
        install: &["install", "-y", "--no-install-recommends"],
        simulation: &["verilator", "g++", "make", "zlib1g-dev"],
        cocotb: &["iverilog", "python3-venv"],
    },
    Manager {
        program: "dnf",
        refresh: None,
        install: &["install", "-y"],
        simulation: &["verilator", "gcc-c++", "make", "zlib-devel"],
        cocotb: &["iverilog", "python3"],
    },
    Manager {
        program: "pacman",
        refresh: None,
        install: &["-S", "--noconfirm"],
        simulation: &["verilator", "gcc", "make", "zlib"],
        cocotb: &["iverilog", "python"],
    },
    Manager {
        program: "zypper",
        refresh: None,
        install: &["install", "-y"],
        simulation: &["verilator", "gcc-c++", "make", "zlib-devel"],
        cocotb: &["iverilog", "python3"],
    },
    Manager {
        program: "brew",
        refresh: None,
        install: &["install"],
        simulation: &["verilator"],
        cocotb: &["icarus-verilog", "python"],
    },
];

/// Installs what simulation lacks; nothing to do if nothing is missing.
///
/// # Errors
/// If something is missing and cannot be installed, with the commands to do it by hand.
pub fn run() -> Result<(), String> {
    let remedy = "packages of this system may be too old: build Verilator 5.006 or newer from \
                  https://github.com/verilator/verilator and name it in VERILATOR or put it on PATH";
    ensure("Verilator, a C++ compiler, make and zlib", missing, |manager| manager.simulation, remedy)
}

/// Installs what the shell's independent check lacks.
///
/// # Errors
/// As [`run`].
pub fn cocotb() -> Result<(), String> {
    let missing = || {
        let python = ["python3", "-c", "import venv, ensurepip"];
        let checks = [
            ("Icarus Verilog", succeeds(&["iverilog", "-V"])),
            ("Python 3 with virtual environments", succeeds(&python)),
        ];
        checks.into_iter().filter(|(_, here)| !here).map(|(name, _)| name).collect()
    };
    ensure("Icarus Verilog and Python", missing, |manager| manager.cocotb, "install them by hand and put them on PATH")
}

fn ensure(
    all: &str,
    missing: impl Fn() -> Vec<&'static str>,
    packages: impl Fn(&Manager) -> &'static [&'static str],
    remedy: &str,
) -> Result<(), String> {
    let lacking = missing();
    if lacking.is_empty() {
        println!("setup: {all} are here");
        return Ok(());
    }
    let list = lacking.join(", ");
    let Some(manager) = MANAGERS.iter().find(|manager| says_version(manager.program).is_some()) else {
        return Err(format!("{list} missing and no known package manager: install {all}"));
    };
    println!("setup: {list} missing; installing with {}", manager.program);
    let install = [manager.install, packages(manager)].concat();
    for arguments in manager.refresh.into_iter().chain([&install[..]]) {
        step::run(&mut elevated(manager.program, arguments))?;
    }
    match missing().as_slice() {
        [] => Ok(()),
        still => Err(format!("still missing: {}; {remedy}", still.join(", "))),
    }
}

/// What simulation and its tests need and cannot find.
fn missing() -> Vec<&'static str> {
    let verilator = std::env::var("VERILATOR").ok().filter(|name| !name.is_empty());
    let said = says_version(verilator.as_deref().unwrap_or("verilator"));
    // Some builds print no version; they are newer than those that had to be told apart.
    let verilator = said.is_some_and(|said| version(&said).is_none_or(|version| version >= OLDEST));
    let compiler = says_version("g++").is_some();
    let checks = [
        ("Verilator 5.006 or newer", verilator),
        ("g++", compiler),
        ("make", says_version("make").is_some()),
        ("zlib's headers", compiler && has_zlib()),
    ];
    checks.into_iter().filter(|(_, here)| !here).map(|(name, _)| name).collect()
}

/// The version in `Verilator 5.006 2023-01-22 ...`.
fn version(said: &str) -> Option<(u32, u32)> {
    let word = said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let (major, rest) = word.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether a command runs and succeeds.
fn succeeds(words: &[&str]) -> bool {
    let [program, arguments @ ..] = words else { return false };
    Command::new(program).args(arguments).stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

/// What `program --version` prints, if it runs and succeeds.
fn says_version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether the compiler finds `zlib.h`.
fn has_zlib() -> bool {
    let mut command = Command::new("g++");
    command.args(["-E", "-x", "c++", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return false };
    let written = child.stdin.take().is_some_and(|mut input| input.write_all(b"#include <zlib.h>\n").is_ok());
    child.wait().is_ok_and(|status| written && status.success())
}

/// The command itself as root or for a manager that wants no root, else through sudo.
fn elevated(program: &str, arguments: &[&str]) -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    let mut command = Command::new(if is_root || program == "brew" { program } else { "sudo" });
    if !(is_root || program == "brew") {
        command.arg(program);
    }
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("Verilator 5.006 2023-01-22 rev (Debian 5.006-3)"), Some((5, 6)));
        assert!(version("Verilator 5.038 2025-07-08 rev v5.038") > Some(OLDEST));
        assert!(version("Verilator 4.228 2022-10-01") < Some(OLDEST));
        assert_eq!(version("Verilator  rev "), None);
    }

    #[test]
    fn a_program_that_does_not_exist_says_nothing() {
        assert_eq!(says_version("no-such-program-here"), None);
    }
}
