//! Finds Verilator and a C++ compiler.

use crate::error::SimError;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Verilator version `major.minor`; the minor number is printed with three digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Number before the point.
    pub major: u32,
    /// Number behind it.
    pub minor: u32,
}

/// Oldest Verilator that is supported.
pub const OLDEST: Version = Version { major: 5, minor: 6 };

impl Version {
    /// The version in the first line of `verilator --version`: `Verilator 5.006 2023-01-22 ...`.
    pub fn parse(text: &str) -> Option<Version> {
        let word = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        let (major, rest) = word.split_once('.')?;
        let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Some(Version { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.major, self.minor)
    }
}

/// The tools that turn Verilog into a shared object.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// Verilator's executable.
    pub verilator: PathBuf,
    /// Its version.
    pub version: Version,
    /// Its installation, with `include/verilated.h`.
    pub root: PathBuf,
    /// C++ compiler.
    pub compiler: PathBuf,
    /// First line of its `--version`.
    pub compiler_version: String,
}

impl Toolchain {
    /// Finds the tools: Verilator by `VERILATOR` or on `PATH`, the compiler by `CXX` or as
    /// `g++`, `clang++` or `c++` on `PATH`.
    ///
    /// # Errors
    /// If one is missing or Verilator is older than [`OLDEST`]; the error tells the command that
    /// installs it.
    pub fn discover() -> Result<Toolchain, SimError> {
        let environment = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Toolchain::find(environment("VERILATOR"), environment("CXX"), environment("PATH"))
    }

    /// [`Toolchain::discover`] with the values of `VERILATOR`, `CXX` and `PATH`.
    ///
    /// # Errors
    /// As there.
    pub fn find(
        verilator: Option<OsString>,
        compiler: Option<OsString>,
        path: Option<OsString>,
    ) -> Result<Toolchain, SimError> {
        let path = path.unwrap_or_default();
        let verilator = locate("Verilator", "VERILATOR", verilator, &["verilator"], &path, "verilator g++")?;
        let compiler = locate("a C++ compiler", "CXX", compiler, &["g++", "clang++", "c++"], &path, "g++")?;
        let unfit = |reason: String| SimError::ToolUnfit {
            tool: "Verilator",
            path: verilator.clone(),
            reason,
            variable: "VERILATOR",
            install: install_command("verilator g++"),
        };
        let root = match std::env::var_os("VERILATOR_ROOT").filter(|root| !root.is_empty()) {
            Some(root) => PathBuf::from(root),
            None => PathBuf::from(answer(&verilator, &["--getenv", "VERILATOR_ROOT"]).map_err(&unfit)?.trim()),
        };
        if !root.join("include/verilated.h").is_file() {
            return Err(unfit(format!("its installation `{}` has no include/verilated.h", root.display())));
        }
        let said = answer(&verilator, &["--version"]).map_err(&unfit)?;
        let own = said.contains("Verilator").then(|| Version::parse(&said)).flatten();
        // Some packages print an empty version in front of the revision; their headers carry it.
        let header = std::fs::read_to_string(root.join("include/verilated_config.h")).unwrap_or_default();
        let defined = header.lines().find(|line| line.starts_with("#define VERILATOR_VERSION ")).unwrap_or("");
        let version = own
            .or_else(|| said.contains(" rev ").then(|| Version::parse(&defined.replace('"', " "))).flatten())
            .ok_or_else(|| unfit(format!("it gives no version, only `{}`", said.trim())))?;
        if version < OLDEST {
            return Err(unfit(format!("version {version} is older than {OLDEST}")));
        }
        let compiler_version = answer(&compiler, &["--version"]).map_err(|reason| SimError::ToolUnfit {
            tool: "C++ compiler",
            path: compiler.clone(),
            reason,
            variable: "CXX",
            install: install_command("g++"),
        })?;
        let compiler_version = compiler_version.lines().next().unwrap_or("").to_string();
        Ok(Toolchain { verilator, version, root, compiler, compiler_version })
    }

    /// Whether the compiler is clang, by its version line.
    pub fn compiler_is_clang(&self) -> bool {
        self.compiler_version.contains("clang")
    }
}

/// Standard output of `program arguments`, or a reason why there is none.
fn answer(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|e| format!("it does not run: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{}` ended with {}: {}", arguments.join(" "), output.status, said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn locate(
    tool: &'static str,
    variable: &str,
    given: Option<OsString>,
    names: &[&str],
    path: &OsStr,
    packages: &str,
) -> Result<PathBuf, SimError> {
    let found = match &given {
        Some(given) if Path::new(given).components().count() > 1 => Some(PathBuf::from(given)).filter(|p| p.is_file()),
        Some(given) => on_path(given, path),
        None => names.iter().find_map(|name| on_path(OsStr::new(name), path)),
    };
    found.ok_or_else(|| SimError::ToolMissing {
        tool,
        looked: match given {
            Some(given) => format!("{variable} names `{}`, which does not exist", given.to_string_lossy()),
            None => format!("no `{}` on PATH", names.join("`, `")),
        },
        install: install_command(packages),
    })
}

fn on_path(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The command that installs Debian's `packages` with the package manager of this machine
/// (`apt-get` where none is known), with `sudo` for those who are not root.
pub fn install_command(packages: &str) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |name: &str| on_path(OsStr::new(name), &path).is_some();
    let translate = |names: &str, cxx: &str| names.replace("g++", cxx);
    let (command, packages) = if has("apt-get") {
        ("apt-get install -y", packages.to_string())
    } else if has("dnf") {
        ("dnf install -y", translate(packages, "gcc-c++"))
    } else if has("zypper") {
        ("zypper install -y", translate(packages, "gcc-c++"))
    } else if has("pacman") {
        ("pacman -S --noconfirm", translate(packages, "gcc"))
    } else if has("brew") {
        return format!("brew install {}", translate(packages, "gcc"));
    } else {
        ("apt-get install -y", packages.to_string())
    };
    let sudo = if is_root() { "" } else { "sudo " };
    format!("{sudo}{command} {packages}")
}

/// Whether the process runs as root: a new file in the temporary folder would belong to user 0.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_verilator_prints() {
        let parse = Version::parse;
        assert_eq!(parse("Verilator 5.006 2023-01-22 rev (Debian 5.006-3)\n"), Some(Version { major: 5, minor: 6 }));
        assert_eq!(parse("Verilator 5.038 2025-07-08 rev v5.038"), Some(Version { major: 5, minor: 38 }));
        assert_eq!(parse("Verilator 5.022+git"), Some(Version { major: 5, minor: 22 }));
        assert_eq!(parse("Verilator  rev "), None);
        assert!(Version { major: 4, minor: 228 } < OLDEST && OLDEST < Version { major: 5, minor: 38 });
        assert_eq!(OLDEST.to_string(), "5.006");
    }

    #[test]
    fn a_missing_verilator_is_reported_with_the_command_that_installs_it() {
        let error = Toolchain::find(None, None, Some("/nowhere".into())).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("Verilator is missing: no `verilator` on PATH; install it with `"), "{message}");
        assert!(message.contains("install") && message.contains("verilator"), "{message}");
        assert_eq!(error.exit_status(), 3);
    }

    #[test]
    fn a_verilator_named_by_the_environment_must_exist() {
        let error = Toolchain::find(Some("/nowhere/verilator".into()), None, None).unwrap_err();
        assert!(error.to_string().contains("VERILATOR names `/nowhere/verilator`"), "{error}");
        assert_eq!(error.exit_status(), 3);
    }

    #[test]
    fn an_executable_that_is_no_verilator_is_refused() {
        let error = Toolchain::find(Some("/bin/true".into()), Some("/bin/true".into()), None).unwrap_err();
        assert!(matches!(error, SimError::ToolUnfit { .. }), "{error}");
        assert_eq!(error.exit_status(), 3);
    }
}
