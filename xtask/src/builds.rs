//! Counts the accelerators that Verilator builds.

use crate::step;
use std::collections::HashSet;
use std::path::PathBuf;

/// Folders in which built models are kept: that of project commands, and that of the tests which
/// keep their hand-written accelerators apart.
fn caches() -> [PathBuf; 2] {
    [step::cache(), step::target().join("tmp/systole-cache")]
}

/// Models that are built at this moment.
pub struct Builds(HashSet<PathBuf>);

impl Builds {
    /// What is built now.
    pub fn now() -> Builds {
        let entries = caches().into_iter().filter_map(|cache| std::fs::read_dir(cache).ok()).flatten().flatten();
        let is_model = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with("model-") && path.is_dir()
        };
        Builds(entries.map(|entry| entry.path()).filter(is_model).collect())
    }

    /// How many are built that were not in `earlier`.
    pub fn since(&self, earlier: &Builds) -> usize {
        self.0.difference(&earlier.0).count()
    }
}
