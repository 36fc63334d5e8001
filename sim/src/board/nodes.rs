//! The device nodes of the XDMA driver as a file system.
//!
//! A folder holds `xdma0_user` (registers: one aligned word a pread or pwrite), `xdma0_h2c_0` and
//! `xdma0_c2h_0` (the streams; offsets mean nothing, O_TRUNC on the second ends reads at TLAST),
//! `xdma0_events_0` (a read waits for interrupts and gives their number; poll works), `xdma0_reset`
//! (writing `1` resets the function, as sysfs has it for real devices) and `control` (writing
//! takes [`Command`]s, a line each; reading shows the board's state and the commands).
//!
//! What differs from the real nodes: requests come in pieces of 1 MiB, each with a TLAST of its
//! own; `mmap` of the registers fails; a signal does not abort a transfer.

use super::fault::{Command, HELP};
use super::handle::{Board, Request};
use super::queue::{BoardError, Done};
use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags, PollNotifier, ReplyAttr, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyPoll, ReplyWrite, WriteFlags,
};
use std::ffi::OsStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of a request at most: what the kernel takes in one piece.
const MOST_BYTES: u32 = 1 << 20;
/// Size of every device node: reads beyond a file's size never reach a file system.
const SIZE: u64 = 1 << 60;
/// Size of the control file, which programs read as a whole into as much memory.
const CONTROL_SIZE: u64 = 1 << 16;
/// How long the kernel may keep attributes, which never change.
const KEPT: Duration = Duration::from_secs(3600);

/// The files, in the order of their inode numbers from 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    H2c,
    C2h,
    User,
    Events,
    Reset,
    Control,
}

const NODES: [(Node, &str); 6] = [
    (Node::H2c, "xdma0_h2c_0"),
    (Node::C2h, "xdma0_c2h_0"),
    (Node::User, "xdma0_user"),
    (Node::Events, "xdma0_events_0"),
    (Node::Reset, "xdma0_reset"),
    (Node::Control, "control"),
];

impl Node {
    fn of(inode: INodeNo) -> Option<Node> {
        let index = usize::try_from(inode.0.checked_sub(2)?).ok()?;
        NODES.get(index).map(|&(node, _)| node)
    }
}

/// The file system of one board. Requests that wait for the device are answered by the board's
/// thread, so that no session thread ever waits.
pub(super) struct Nodes {
    board: Arc<Board>,
    /// The line that was refused last.
    refused: Arc<Mutex<String>>,
    began: SystemTime,
}

impl Nodes {
    pub fn new(board: Arc<Board>) -> Nodes {
        Nodes { board, refused: Arc::default(), began: SystemTime::now() }
    }

    /// How the file system is served.
    pub fn config() -> Config {
        let mut config = Config::default();
        config.mount_options = vec![fuser::MountOption::FSName("systole-board".into())];
        config.n_threads = Some(2);
        config.clone_fd = true;
        config
    }

    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let folder = inode == INodeNo::ROOT;
        let size = match Node::of(inode) {
            None => 0,
            Some(Node::Control) => CONTROL_SIZE,
            Some(_) => SIZE,
        };
        FileAttr {
            ino: inode,
            size,
            blocks: 0,
            atime: self.began,
            mtime: self.began,
            ctime: self.began,
            crtime: UNIX_EPOCH,
            kind: if folder { FileType::Directory } else { FileType::RegularFile },
            perm: if folder { 0o755 } else { 0o600 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    /// Takes the lines of a control file; the first that is no command ends it.
    fn control(&self, data: &[u8]) -> Result<(), Errno> {
        let text = std::str::from_utf8(data).map_err(|_| Errno::EINVAL)?;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let command: Command = line.parse().map_err(|_| {
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = format!("refused: {}\n", line.trim());
                Errno::EINVAL
            })?;
            self.board.control(command).map_err(errno)?;
        }
        Ok(())
    }
}

fn errno(error: BoardError) -> Errno {
    match error {
        BoardError::Io => Errno::EIO,
        BoardError::TimedOut => Errno::ETIMEDOUT,
        BoardError::Busy => Errno::EBUSY,
        BoardError::NoDevice => Errno::ENODEV,
        BoardError::Protocol => Errno::EPROTO,
        BoardError::Invalid => Errno::EINVAL,
        BoardError::Cancelled => Errno::ECANCELED,
    }
}

impl Filesystem for Nodes {
    fn init(&mut self, _request: &fuser::Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // Kernels that know less serve smaller pieces.
        let _ = config.set_max_write(MOST_BYTES);
        let _ = config.add_capabilities(InitFlags::FUSE_ATOMIC_O_TRUNC);
        Ok(())
    }

    fn lookup(&self, _request: &fuser::Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match NODES.iter().position(|(_, known)| OsStr::new(known) == name) {
            Some(index) => reply.entry(&KEPT, &self.attributes(INodeNo(index as u64 + 2)), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _request: &fuser::Request, inode: INodeNo, _file: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&KEPT, &self.attributes(inode));
    }

    fn setattr(
        &self,
        _request: &fuser::Request,
        inode: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        _size: Option<u64>,
        _atime: Option<fuser::TimeOrNow>,
        _mtime: Option<fuser::TimeOrNow>,
        _ctime: Option<SystemTime>,
        _file: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.attr(&KEPT, &self.attributes(inode));
    }

    fn readdir(
        &self,
        _request: &fuser::Request,
        _inode: INodeNo,
        _file: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        for (index, (_, name)) in NODES.iter().enumerate().skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
            if reply.add(INodeNo(index as u64 + 2), index as u64 + 1, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }

    fn open(&self, _request: &fuser::Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let how = FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES;
        let to_last = flags.0 & libc::O_TRUNC != 0;
        match Node::of(inode) {
            None => reply.error(Errno::EISDIR),
            Some(Node::C2h) => self.board.submit(Request::OpenC2h(Box::new(move |opened| match opened {
                Ok(()) => reply.opened(FileHandle(to_last.into()), how),
                Err(error) => reply.error(errno(error)),
            }))),
            Some(_) => reply.opened(FileHandle(0), how),
        }
    }

    fn flush(
        &self,
        _request: &fuser::Request,
        inode: INodeNo,
        _file: FileHandle,
        _owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        if Node::of(inode) == Some(Node::C2h) {
            self.board.submit(Request::ClosingC2h);
        }
        reply.ok();
    }

    fn release(
        &self,
        _request: &fuser::Request,
        inode: INodeNo,
        _file: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        if Node::of(inode) == Some(Node::C2h) {
            self.board.submit(Request::CloseC2h);
        }
        reply.ok();
    }

    fn read(
        &self,
        _request: &fuser::Request,
        inode: INodeNo,
        file: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match Node::of(inode) {
            Some(Node::User | Node::Events) if size != 4 => reply.error(Errno::EPROTO),
            Some(Node::User) => self.board.submit(Request::Read { offset, done: word(reply) }),
            Some(Node::Events) => self.board.submit(Request::Event { deadline: None, done: word(reply) }),
            Some(Node::C2h) => self.board.submit(Request::Receive {
                bytes: size.min(MOST_BYTES) as usize,
                to_last: file.0 != 0,
                done: Box::new(move |data| match data {
                    Ok(data) => reply.data(&data),
                    Err(error) => reply.error(errno(error)),
                }),
            }),
            Some(Node::Control) => {
                let refused = self.refused.clone();
                self.board.submit(Request::Status(Box::new(move |status| {
                    let refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
                    let text = format!("{}{refused}\n{HELP}", status.unwrap_or_default());
                    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
                    let to = from.saturating_add(size as usize).min(text.len());
                    reply.data(text.as_bytes().get(from..to).unwrap_or_default());
                })));
            }
            Some(Node::H2c | Node::Reset) | None => reply.error(Errno::EINVAL),
        }
    }

    fn write(
        &self,
        _request: &fuser::Request,
        inode: INodeNo,
        _file: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match (Node::of(inode), data) {
            (Some(Node::H2c), _) => self.board.submit(Request::Send {
                data: data.to_vec(),
                done: Box::new(move |moved| match moved {
                    Ok(moved) => reply.written(moved as u32),
                    Err(error) => reply.error(errno(error)),
                }),
            }),
            (Some(Node::User), &[a, b, c, d]) => self.board.submit(Request::Write {
                offset,
                value: u32::from_le_bytes([a, b, c, d]),
                done: Box::new(move |written| match written {
                    Ok(()) => reply.written(4),
                    Err(error) => reply.error(errno(error)),
                }),
            }),
            (Some(Node::User), _) => reply.error(Errno::EPROTO),
            (Some(Node::Reset), [b'1', ..]) => {
                let bytes = data.len() as u32;
                self.board.submit(Request::Reset(Box::new(move |done| match done {
                    Ok(()) => reply.written(bytes),
                    Err(error) => reply.error(errno(error)),
                })));
            }
            (Some(Node::Control), _) => match self.control(data) {
                Ok(()) => reply.written(data.len() as u32),
                Err(error) => reply.error(error),
            },
            (Some(Node::C2h | Node::Events | Node::Reset) | None, _) => reply.error(Errno::EINVAL),
        }
    }

    fn poll(
        &self,
        _request: &fuser::Request,
        inode: INodeNo,
        _file: FileHandle,
        notifier: PollNotifier,
        _events: PollEvents,
        _flags: PollFlags,
        reply: ReplyPoll,
    ) {
        if Node::of(inode) != Some(Node::Events) {
            return reply.poll(PollEvents::POLLIN | PollEvents::POLLOUT);
        }
        self.board.submit(Request::Poll {
            notify: Box::new(move || {
                let _ = notifier.notify();
            }),
            done: Box::new(move |ready| match ready {
                Ok(true) => reply.poll(PollEvents::POLLIN),
                Ok(false) => reply.poll(PollEvents::empty()),
                Err(_) => reply.poll(PollEvents::POLLERR),
            }),
        });
    }
}

/// Answers a read of one word.
fn word(reply: ReplyData) -> Done<u32> {
    Box::new(move |value| match value {
        Ok(value) => reply.data(&value.to_le_bytes()),
        Err(error) => reply.error(errno(error)),
    })
}
