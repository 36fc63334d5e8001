//! Installing what simulation needs: Verilator, make and a C++ compiler.

use std::process::{Command, Stdio};

/// A package manager and how it installs Verilator with its tools.
struct Manager {
    program: &'static str,
    refresh: Option<&'static [&'static str]>,
    install: &'static [&'static str],
}

const MANAGERS: &[Manager] = &[
    Manager {
        program: "apt-get",
        refresh: Some(&["update"]),
        install: &["install", "-y", "--no-install-recommends", "verilator", "g++", "make", "zlib1g-dev"],
    },
    Manager {
        program: "dnf",
        refresh: None,
        install: &["install", "-y", "verilator", "gcc-c++", "make", "zlib-devel"],
    },
    Manager { program: "pacman", refresh: None, install: &["-S", "--noconfirm", "verilator", "gcc", "make", "zlib"] },
    Manager {
        program: "zypper",
        refresh: None,
        install: &["install", "-y", "verilator", "gcc-c++", "make", "zlib-devel"],
    },
    Manager { program: "brew", refresh: None, install: &["install", "verilator"] },
];

/// Installs what is missing; nothing to do if nothing is.
///
/// # Errors
/// If something is missing and cannot be installed, with the commands to do it by hand.
pub fn run() -> Result<(), String> {
    let missing: Vec<&str> = ["verilator", "g++", "make"].into_iter().filter(|tool| !answers(tool)).collect();
    if missing.is_empty() {
        println!("setup: Verilator, g++ and make are here");
        return Ok(());
    }
    let Some(manager) = MANAGERS.iter().find(|manager| answers(manager.program)) else {
        return Err(format!(
            "{} missing and no known package manager: install Verilator 5.006 or newer, g++ and make",
            missing.join(", ")
        ));
    };
    println!("setup: {} missing; installing with {}", missing.join(", "), manager.program);
    for arguments in manager.refresh.into_iter().chain([manager.install]) {
        crate::step::run(&mut elevated(manager.program, arguments))?;
    }
    match answers("verilator") {
        true => Ok(()),
        false => Err("Verilator was installed but does not answer `verilator --version`".into()),
    }
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

fn answers(program: &str) -> bool {
    let version = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}
