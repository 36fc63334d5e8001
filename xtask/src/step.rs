//! Running commands, visibly.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf()
}

/// `cargo` with the one profile that everything shares.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// The folder that cargo builds in.
pub fn target() -> PathBuf {
    std::env::var("CARGO_TARGET_DIR").map_or_else(|_| root().join("target"), PathBuf::from)
}

/// The folder of built models for project commands: `SYSTOLE_CACHE`, else below [`target`], so that
/// these commands leave nothing elsewhere.
pub fn cache() -> PathBuf {
    let chosen = std::env::var_os("SYSTOLE_CACHE").filter(|value| !value.is_empty());
    chosen.map_or_else(|| target().join("systole-cache"), PathBuf::from)
}

/// The built command line.
pub fn systole(arguments: &[&str]) -> Command {
    let program = format!("systole{}", std::env::consts::EXE_SUFFIX);
    let mut command = Command::new(target().join("release").join(program));
    command.args(arguments).current_dir(root()).env("SYSTOLE_CACHE", cache());
    command
}

/// Prints and runs a command.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub fn run(command: &mut Command) -> Result<(), String> {
    let line = line(command);
    println!("\n$ {line}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` failed: {status}")),
        Err(error) => Err(format!("`{line}` cannot be started: {error}")),
    }
}

/// The command as one would type it in the repository's root.
fn line(command: &Command) -> String {
    let typed = |word: &std::ffi::OsStr| {
        let path = Path::new(word);
        path.strip_prefix(root()).unwrap_or(path).display().to_string()
    };
    // Cargo names itself by its full path.
    let program = match Path::new(command.get_program()).file_stem() {
        Some(name) if name == "cargo" => "cargo".to_string(),
        _ => typed(command.get_program()),
    };
    std::iter::once(program).chain(command.get_args().map(typed)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_printed_as_one_would_type_them() {
        assert_eq!(line(&cargo(&["build", "--release"])), "cargo build --release");
        let inside = root().join("examples/digits/test.npz");
        let mut command = Command::new("systole");
        command.arg("run").arg(inside);
        assert_eq!(line(&command), "systole run examples/digits/test.npz");
    }
}
