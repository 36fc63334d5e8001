//! Built things kept by content: folders that appear whole or not at all.

use crate::error::SimError;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A folder of built things, shared by all processes of a user.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The user's cache: `SYSTOLE_CACHE`, else `systole` in `XDG_CACHE_HOME`, else `~/.cache/systole`.
    ///
    /// # Errors
    /// If none of these is set.
    pub fn of_user() -> Result<Cache, SimError> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = variable("SYSTOLE_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("systole")))
            .or_else(|| variable("HOME").map(|folder| folder.join(".cache/systole")));
        root.map(Cache::at).ok_or(SimError::NoCacheFolder)
    }

    /// A cache in `root`, which need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Cache {
        Cache { root: root.into() }
    }

    /// The folder of the entry `name`, made by `make` in a fresh temporary folder if it is not there yet;
    /// and whether it had to be made.
    ///
    /// Of several processes or threads that want the same entry one makes it and the others
    /// wait. An entry appears by a rename, so that an interrupted build leaves none.
    ///
    /// # Errors
    /// Those of `make`, and if the cache's folder cannot be written.
    pub fn entry<F>(&self, name: &str, make: F) -> Result<(PathBuf, bool), SimError>
    where
        F: FnOnce(&Path) -> Result<(), SimError>,
    {
        let entry = self.root.join(name);
        if entry.is_dir() {
            return Ok((entry, false));
        }
        fs::create_dir_all(&self.root).map_err(SimError::io(&self.root))?;
        let lock_path = self.root.join(format!("{name}.lock"));
        let lock = File::create(&lock_path).map_err(SimError::io(&lock_path))?;
        lock.lock().map_err(SimError::io(&lock_path))?;
        if entry.is_dir() {
            return Ok((entry, false));
        }
        let building =
            tempfile::Builder::new().prefix("building-").tempdir_in(&self.root).map_err(SimError::io(&self.root))?;
        // A folder of its own inside, so that the rename leaves `building` to be removed.
        let inside = building.path().join("entry");
        fs::create_dir(&inside).map_err(SimError::io(&inside))?;
        make(&inside)?;
        fs::rename(&inside, &entry).map_err(SimError::io(&entry))?;
        Ok((entry, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn an_entry_is_made_once_by_however_many_threads_want_it() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let made = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let (entry, _) = cache
                        .entry("e", |inside| {
                            made.fetch_add(1, Ordering::SeqCst);
                            fs::write(inside.join("x"), "1").map_err(SimError::io("x"))
                        })
                        .unwrap();
                    assert_eq!(fs::read_to_string(entry.join("x")).unwrap(), "1");
                });
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failed_build_leaves_no_entry() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        assert!(cache.entry("e", |_| Err(SimError::NoCacheFolder)).is_err());
        assert!(cache.entry("e", |_| Ok(())).unwrap().1);
        assert!(!cache.entry("e", |_| Ok(())).unwrap().1);
    }
}
