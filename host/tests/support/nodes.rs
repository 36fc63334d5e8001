//! A model of the shell behind device nodes that are named pipes and a file, so that the transport's
//! real system calls reach it. Registers are a file that a thread watches; a stream is a pipe, in
//! which a frame of up to 4096 bytes arrives in one piece, as from a DMA engine.

use super::shell::Shell;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use systole_bundle::registers::SPACE_BYTES;
use systole_bundle::Manifest;

/// The board. Its nodes go with it.
pub struct NodesBoard {
    folder: PathBuf,
    shell: Arc<Mutex<Shell>>,
    /// It reads and sends nothing.
    pub stalled: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NodesBoard {
    /// Makes the nodes `xdma0_*` in a folder of its own.
    pub fn new(manifest: &Manifest, name: &str) -> NodesBoard {
        let folder = std::env::temp_dir().join(format!("systole-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let pipe = |name: &str| {
            let path = folder.join(name);
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
        };
        let (h2c, c2h) = (pipe("xdma0_h2c_0"), pipe("xdma0_c2h_0"));
        let user = folder.join("xdma0_user");
        let user = OpenOptions::new().read(true).write(true).create_new(true).open(user).unwrap();
        let shell = Arc::new(Mutex::new(Shell::new(manifest)));
        let mut registers = RegisterFile { file: user, image: vec![0; SPACE_BYTES as usize] };
        registers.publish(&mut shell.lock().unwrap());
        let (stalled, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (model, pause, end) = (shell.clone(), stalled.clone(), ended.clone());
        let thread = Some(std::thread::spawn(move || {
            while !end.load(Ordering::SeqCst) {
                serve(&mut registers, &h2c, &c2h, &model, pause.load(Ordering::SeqCst));
                std::thread::sleep(Duration::from_micros(100));
            }
        }));
        NodesBoard { folder, shell, stalled, ended, thread }
    }

    /// What the nodes' names begin with.
    pub fn prefix(&self) -> PathBuf {
        self.folder.join("xdma0")
    }

    /// The folder of the nodes.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The model, to be looked at or changed.
    pub fn shell<T>(&self, f: impl FnOnce(&mut Shell) -> T) -> T {
        f(&mut self.shell.lock().unwrap())
    }
}

impl Drop for NodesBoard {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

struct RegisterFile {
    file: File,
    /// As last published.
    image: Vec<u8>,
}

impl RegisterFile {
    /// Words that differ from what was published were written by the driver. Whether one asked for a reset.
    fn take(&mut self, shell: &mut Shell) -> bool {
        let mut now = vec![0; self.image.len()];
        self.file.read_exact_at(&mut now, 0).unwrap();
        let mut reset = false;
        for offset in (0..now.len()).step_by(4) {
            let word = |bytes: &[u8]| u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap());
            if word(&now) != word(&self.image) {
                reset |= offset == 0x40 && word(&now) & 4 != 0;
                shell.write(offset as u32, word(&now));
                self.image[offset..offset + 4].copy_from_slice(&now[offset..offset + 4]);
            }
        }
        reset
    }

    fn publish(&mut self, shell: &mut Shell) {
        for offset in (0..self.image.len()).step_by(4) {
            let word = shell.read(offset as u32).to_le_bytes();
            if self.image[offset..offset + 4] != word {
                self.file.write_all_at(&word, offset as u64).unwrap();
                self.image[offset..offset + 4].copy_from_slice(&word);
            }
        }
        if self.file.metadata().unwrap().len() < self.image.len() as u64 {
            self.file.write_all_at(&self.image, 0).unwrap();
        }
    }
}

fn drain(mut pipe: &File) -> Vec<u8> {
    let mut bytes = vec![];
    match pipe.read_to_end(&mut bytes) {
        Ok(_) => bytes,
        Err(error) if error.kind() == ErrorKind::WouldBlock => bytes,
        Err(error) => panic!("{error}"),
    }
}

fn serve(registers: &mut RegisterFile, h2c: &File, mut c2h: &File, shell: &Mutex<Shell>, stalled: bool) {
    let input = if stalled { vec![] } else { drain(h2c) };
    let mut shell = shell.lock().unwrap();
    // What was written to registers before these bytes were sent comes before them.
    if registers.take(&mut shell) {
        drain(h2c);
        drain(c2h);
    } else {
        shell.feed(&input);
    }
    let output: Vec<u8> = if stalled { vec![] } else { shell.outbox.drain(..).collect() };
    // A frame each, whole: their lengths stand in their headers.
    let mut rest = output.as_slice();
    while !rest.is_empty() {
        let length = 64 + u32::from_le_bytes(rest[20..24].try_into().unwrap()) as usize;
        c2h.write_all(&rest[..length.min(rest.len())]).unwrap();
        rest = &rest[length.min(rest.len())..];
    }
    registers.publish(&mut shell);
}
