//! Writing a bundle: all of it or nothing.

use crate::diagnostic::CompileError;
use crate::quant::QuantGraph;
use std::path::{Path, PathBuf};
use systole_bundle::Manifest;

/// A bundle in memory.
pub struct BundleText {
    /// Its manifest.
    pub manifest: Manifest,
    /// The software reference.
    pub network: QuantGraph,
    /// Path under the bundle's folder and content, in a fixed order.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Writes a bundle to a temporary folder beside `dir`, then puts it in `dir`'s place.
///
/// An earlier bundle at `dir` is replaced; any other non-empty folder is left alone.
///
/// # Errors
/// If `dir` is something other than a bundle, or a file cannot be written.
pub fn write_bundle(bundle: &BundleText, dir: &Path) -> Result<(), CompileError> {
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |error: std::io::Error| CompileError::Io { path, cause: error.to_string() }
    };
    let occupied = match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(io(dir)(error)),
    };
    if occupied && !dir.join("manifest.json").is_file() {
        return Err(CompileError::Io {
            path: dir.into(),
            cause: "the folder is not empty and is not a bundle; choose another `-o`".into(),
        });
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    std::fs::create_dir_all(&parent).map_err(io(&parent))?;
    let temporary = tempfile::Builder::new().prefix(".systole-").tempdir_in(&parent).map_err(io(&parent))?;
    for (name, content) in &bundle.files {
        let path = temporary.path().join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io(folder))?;
        }
        std::fs::write(&path, content).map_err(io(&path))?;
    }
    let network = temporary.path().join("network");
    bundle.network.save(&network).map_err(|error| CompileError::Io { path: network, cause: error.to_string() })?;
    // A bundle is read by others than its writer; temporary folders are private.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let shared = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(temporary.path(), shared).map_err(io(temporary.path()))?;
    }
    if dir.exists() {
        let old = tempfile::Builder::new().prefix(".systole-old-").tempdir_in(&parent).map_err(io(&parent))?;
        std::fs::rename(dir, old.path().join("bundle")).map_err(io(dir))?;
    }
    let finished = temporary.keep();
    std::fs::rename(&finished, dir).map_err(|error| {
        let _ = std::fs::remove_dir_all(&finished);
        io(dir)(error)
    })
}
