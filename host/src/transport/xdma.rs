//! The device nodes of the XDMA Linux driver (`dma_ip_drivers`).
//!
//! `PREFIX_h2c_N` and `PREFIX_c2h_N` are streams, `PREFIX_user` the register BAR, `PREFIX_events_0`
//! the interrupts. Each stream has one thread: the driver lets one synchronous request at a time
//! into an engine, and two threads at one stream would leave it to chance whose frame goes first.

mod engine;
mod nodes;
mod registers;
mod signal;

use super::{BufferAccount, Channel, Completion, Direction, DmaBuffer, Reset, TransferError, Transport, TransportCaps};
use engine::{Completions, Engine};
use nodes::{events_since, Nodes};
use registers::Registers;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// How the device nodes are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdmaOptions {
    /// Stream channels to open each way, 1 to 4.
    pub channels: usize,
    /// Bytes of one system call; 256 KiB to 1 MiB suits the engine's descriptor ring.
    pub max_chunk: usize,
    /// File that resets the PCIe function when `1` is written to it; by default the one that sysfs
    /// has for the device of `PREFIX_user`.
    pub reset_path: Option<PathBuf>,
}

impl Default for XdmaOptions {
    fn default() -> XdmaOptions {
        XdmaOptions { channels: 1, max_chunk: 1 << 20, reset_path: None }
    }
}

/// A board behind the XDMA driver. The board's two streams of a channel have a thread each, on which
/// all signals are blocked but the one by which this transport ends a system call.
pub struct XdmaTransport {
    nodes: Nodes,
    options: XdmaOptions,
    registers: Mutex<Arc<Registers>>,
    to_board: Vec<Engine>,
    from_board: Vec<Engine>,
    completions: Arc<Completions>,
    account: BufferAccount,
    has_events: bool,
}

impl XdmaTransport {
    /// Opens the nodes whose names begin with `prefix`, such as `/dev/xdma0`.
    ///
    /// # Errors
    /// If a node is missing, busy or not permitted; the message names it.
    pub fn open(prefix: &Path, options: XdmaOptions) -> Result<XdmaTransport, TransferError> {
        if !(1..=4).contains(&options.channels) || options.max_chunk == 0 {
            return Err(TransferError::Protocol {
                what: format!("{}", prefix.display()),
                reason: format!(
                    "{} channels, chunks of {} bytes: give 1 to 4, and some",
                    options.channels, options.max_chunk
                ),
            });
        }
        let nodes = Nodes::new(prefix);
        let registers = Mutex::new(Arc::new(Registers::open(&nodes.user())?));
        let completions = Arc::new(Completions::default());
        let engines = |direction| -> Result<Vec<Engine>, TransferError> {
            let channels = (0..options.channels).map(|index| Channel { direction, index });
            channels
                .map(|channel| Engine::start(nodes.stream(channel), channel, options.max_chunk, &completions))
                .collect()
        };
        let (to_board, from_board) = (engines(Direction::ToBoard)?, engines(Direction::FromBoard)?);
        let has_events = nodes.events().exists();
        let account = BufferAccount::default();
        Ok(XdmaTransport { nodes, options, registers, to_board, from_board, completions, account, has_events })
    }

    /// Buffers that are not freed yet.
    pub fn live_buffers(&self) -> usize {
        self.account.live()
    }

    fn engines(&self) -> impl Iterator<Item = &Engine> {
        self.to_board.iter().chain(&self.from_board)
    }

    fn registers(&self) -> Arc<Registers> {
        self.registers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn reopen(&self) -> Result<(), TransferError> {
        self.engines().try_for_each(Engine::reopen)
    }
}

impl Transport for XdmaTransport {
    fn caps(&self) -> TransportCaps {
        TransportCaps {
            max_chunk: self.options.max_chunk,
            granule: 1,
            align: 4096,
            channels: self.options.channels,
            // The C2H engine takes no beat without a descriptor.
            lossless_rx: true,
            events: self.has_events,
        }
    }

    fn reg_read32(&self, offset: u32) -> Result<u32, TransferError> {
        self.registers().read(offset)
    }

    fn reg_write32(&self, offset: u32, value: u32) -> Result<(), TransferError> {
        self.registers().write(offset, value)
    }

    fn alloc(&self, len: usize) -> Result<DmaBuffer, TransferError> {
        self.account.alloc(len)
    }

    fn submit(&self, channel: Channel, buffer: DmaBuffer, tag: u64) -> Result<(), (TransferError, DmaBuffer)> {
        let engines = match channel.direction {
            Direction::ToBoard => &self.to_board,
            Direction::FromBoard => &self.from_board,
        };
        match engines.get(channel.index) {
            Some(engine) => engine.submit(buffer, tag),
            None => {
                let reason = format!("{} are open", engines.len());
                Err((TransferError::Protocol { what: format!("channel {}", channel.index), reason }, buffer))
            }
        }
    }

    fn complete(&self, out: &mut Vec<Completion>, deadline: Instant) -> Result<usize, TransferError> {
        Ok(self.completions.take(out, deadline))
    }

    fn wait_event(&self, deadline: Instant) -> Result<u32, TransferError> {
        events_since(&self.nodes.events(), deadline)
    }

    fn quiesce(&self, deadline: Instant) -> Result<(), TransferError> {
        self.engines().for_each(Engine::abort);
        // All of them, so that each is told to stop before the first is waited for.
        self.engines().map(|engine| engine.settle(deadline)).collect::<Vec<_>>().into_iter().collect()
    }

    fn reset(&self, level: Reset) -> Result<(), TransferError> {
        if level == Reset::Function {
            let path = self.options.reset_path.clone().unwrap_or_else(|| self.nodes.function_reset());
            let what = || path.display().to_string();
            std::fs::write(&path, "1").map_err(|error| TransferError::from_io(what(), &error))?;
            let registers = Registers::open(&self.nodes.user())?;
            *self.registers.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(registers);
        }
        self.reopen()
    }
}
