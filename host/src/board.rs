//! One board: frames in order, a window of them on the board, and recovery when the stream breaks.
//!
//! A [`Board`] has one thread of its own besides those of its transport. Callers put frames into the
//! window from their own threads; the board's thread takes answers, watches deadlines and stalls, and
//! brings the board back after faults: soft reset, new epoch, channel reopened, then the function
//! reset, then the board is given up. Every request ends exactly once, with its answer or an error.

mod error;
mod identity;
mod options;
mod recovery;
mod request;
mod service;
mod statistics;
mod window;

pub use error::{BoardError, Fault, RequestError};
pub use identity::Geometry;
pub use options::BoardOptions;
pub use request::{Cancel, Reply, Request};
pub use statistics::{Counters, Latency, Statistics};

use crate::session::Session;
use crate::transport::{spawn_io, TransferError, Transport};
use service::Shared;
use std::sync::Arc;
use std::thread::JoinHandle;
use systole_bundle::{DesignHash, Manifest};

/// An open board that holds the bundle's design.
///
/// Dropping it ends what is still under way with [`RequestError::Closed`] and joins its thread.
pub struct Board {
    shared: Arc<Shared>,
    session: Arc<Session>,
    thread: Option<JoinHandle<()>>,
}

impl Board {
    /// Opens the board behind `transport`: checks that a shell of this driver's version answers, that
    /// it holds the design and the parameters of the bundle, and resets it.
    ///
    /// # Errors
    /// If the bundle is none, the link fails, or the board holds anything else; the message has both hashes.
    pub fn open(
        manifest: &Manifest,
        transport: Arc<dyn Transport>,
        options: BoardOptions,
    ) -> Result<Board, BoardError> {
        let session =
            Arc::new(Session::new(manifest).map_err(|error| BoardError::Bundle { reason: error.to_string() })?);
        let wanted = identity::expected(manifest)?;
        identity::check(&*transport, &wanted)?;
        let geometry = Geometry::read(&*transport, &session)?;
        let shared = Arc::new(Shared::new(transport, geometry, wanted, &session, options)?);
        let service = shared.clone();
        let thread = Some(spawn_io("systole-board", move || service.serve_to_the_end())?);
        Ok(Board { shared, session, thread })
    }

    /// The host's side of the network on the board.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The hashes of the design on the board.
    pub fn design(&self) -> DesignHash {
        self.shared.design
    }

    /// The shell's constants.
    pub fn geometry(&self) -> Geometry {
        self.shared.geometry
    }

    /// Samples that a frame can have: the shell's limit, or what [`BoardOptions::frame_bytes`] hold.
    pub fn frame_samples(&self) -> usize {
        self.shared.frame_samples as usize
    }

    /// Puts a frame of samples at the end of the queue. Its reply is called exactly once, from the
    /// board's thread or from this call.
    pub fn submit(&self, request: Request) {
        self.shared.submit(request);
    }

    /// Requests without an answer yet.
    pub fn outstanding(&self) -> usize {
        self.shared.outstanding()
    }

    /// Why the board was given up, if it was.
    pub fn failure(&self) -> Option<RequestError> {
        self.shared.failure()
    }

    /// What the driver has counted since the board was opened.
    pub fn statistics(&self) -> Statistics {
        self.shared.statistics()
    }

    /// What the shell has counted since its reset: latches the counters and reads them.
    ///
    /// # Errors
    /// What the link meets.
    pub fn counters(&self) -> Result<Counters, TransferError> {
        self.shared.counters()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.shared.close();
        let thread = self.thread.take();
        // Where a reply dropped the board, this is its thread.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // It ends within the transport's own limits; a panic there has nothing left to tell.
            let _ = thread.join();
        }
    }
}
