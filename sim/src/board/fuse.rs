//! A board behind device nodes: mounting and unmounting them.

use super::handle::Board;
use super::nodes::Nodes;
use crate::error::SimError;
use fuser::{BackgroundSession, Session};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// The kernel's side of FUSE.
const DEVICE: &str = "/dev/fuse";

/// A board whose nodes are in a folder. Dropping it unmounts them.
#[derive(Debug)]
pub struct MountedBoard {
    board: Arc<Board>,
    folder: PathBuf,
    session: Option<BackgroundSession>,
}

impl MountedBoard {
    /// Serves `board` in `folder`, which must exist. What another board left there that died is unmounted first.
    ///
    /// # Errors
    /// If there is no FUSE here, or the folder cannot be mounted on.
    pub fn mount(board: Arc<Board>, folder: &Path) -> Result<MountedBoard, SimError> {
        usable()?;
        if std::fs::metadata(folder).is_err_and(|error| error.kind() == ErrorKind::NotConnected) {
            detach(folder);
        }
        let folder = folder.canonicalize().map_err(SimError::io(folder))?;
        let session = Session::new(Nodes::new(board.clone()), &folder, &Nodes::config()).and_then(Session::spawn);
        let session = session.map_err(|error| SimError::Mount { folder: folder.clone(), reason: reason(&error) })?;
        Ok(MountedBoard { board, folder, session: Some(session) })
    }

    /// The board.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Whether the nodes are still there: somebody else may unmount them.
    pub fn is_served(&self) -> bool {
        self.session.as_ref().is_some_and(|session| !session.guard.is_finished())
    }

    /// Ends the board and removes the nodes. Transfers under way fail; files that are still open are cut off.
    pub fn unmount(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(session) = self.session.take() else { return };
        // Nobody may wait for the device any more when the kernel is asked to let go.
        self.board.stop();
        if session.umount_and_join().is_err() {
            detach(&self.folder);
        }
    }
}

impl Drop for MountedBoard {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a board can be mounted here.
///
/// # Errors
/// If FUSE is missing: in the kernel, or the program that mounts for those who are not root.
pub fn usable() -> Result<(), SimError> {
    let missing = |looked: String| SimError::ToolMissing {
        tool: "FUSE",
        looked,
        install: crate::verilator::install_command("fuse3"),
    };
    match std::fs::OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(_) => Ok(()),
        Err(error) => Err(missing(format!(
            "{DEVICE}: {error} (load the kernel module `fuse`; in a container, pass the device through)"
        ))),
    }
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "fusermount3 is not installed, and only root mounts without it".into(),
        _ => error.to_string(),
    }
}

/// Detaches what is mounted on `folder`, even if files are open.
fn detach(folder: &Path) {
    let attempts: [(&str, &[&str]); 2] = [("fusermount3", &["-u", "-z"]), ("umount", &["-l"])];
    for (program, arguments) in attempts {
        let mut command = Command::new(program);
        command.args(arguments).arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if command.status().is_ok_and(|status| status.success()) {
            return;
        }
    }
}
