//! Boards and batches behind the C functions.

use crate::elements::Element;
use crate::failure::Failure;
use crate::{systole_statistics, systole_tensor, SYSTOLE_ERROR_BUNDLE, SYSTOLE_MAX_RANK};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use systole_bundle::manifest::Border;
use systole_bundle::Manifest;
use systole_host::transport::xdma::{XdmaOptions, XdmaTransport};
use systole_host::{Accelerator, Board, BoardError, BoardOptions, Boards, Pending};

/// Open boards.
pub struct Handle {
    boards: Boards,
}

/// A batch under way.
pub struct Waiting {
    pending: Pending,
    element: Element,
    bytes: usize,
}

/// Opens the boards of these names for a bundle.
pub fn open(bundle: &str, names: &[&str]) -> Result<Handle, Failure> {
    let manifest = Manifest::read(Path::new(bundle)).map_err(|error| Failure::new(SYSTOLE_ERROR_BUNDLE, error))?;
    let boards: Vec<Board> = names.iter().map(|name| open_one(&manifest, name)).collect::<Result<_, _>>()?;
    Ok(Handle { boards: Boards::new(boards)? })
}

fn open_one(manifest: &Manifest, name: &str) -> Result<Board, Failure> {
    let Some(prefix) = name.strip_prefix("xdma:") else {
        return Err(Failure::usage(format!("board `{name}`: give xdma:PREFIX, such as xdma:/dev/xdma0")));
    };
    let transport = XdmaTransport::open(Path::new(prefix), XdmaOptions::default()).map_err(BoardError::from)?;
    Ok(Board::open(manifest, Arc::new(transport), BoardOptions::default())?)
}

impl Handle {
    pub fn input(&self) -> Result<systole_tensor, Failure> {
        describe(self.boards.session().input())
    }

    pub fn output(&self) -> Result<systole_tensor, Failure> {
        describe(self.boards.session().output())
    }

    /// Whether `found` bytes are those of the outputs of `samples` samples.
    pub fn check_output(&self, samples: usize, found: usize) -> Result<(), Failure> {
        let (_, bytes) = layout(self.boards.session().output())?;
        check(samples, bytes, found, "output")
    }

    /// Sends a batch off.
    pub fn begin(&self, input: &[u8], samples: usize, timeout_ms: u32) -> Result<Waiting, Failure> {
        let border = self.boards.session().input();
        let (element, bytes) = layout(border)?;
        check(samples, bytes, input.len(), "input")?;
        let shape: Vec<usize> = std::iter::once(samples).chain(border.host_shape.iter().copied()).collect();
        let batch = element.array(input, &shape)?;
        let (element, bytes) = layout(self.boards.session().output())?;
        let pending = self.boards.begin(&batch, Duration::from_millis(timeout_ms.into()))?;
        Ok(Waiting { pending, element, bytes: bytes.saturating_mul(samples) })
    }

    pub fn statistics(&self) -> systole_statistics {
        let all = self.boards.boards().iter().map(|board| (board.statistics(), board.failure().is_some()));
        let mut total = systole_statistics {
            answered: 0,
            failed: 0,
            samples: 0,
            replays: 0,
            recoveries: 0,
            boards_failed: 0,
            samples_per_second: 0.0,
            latency_median_us: 0.0,
            latency_p99_us: 0.0,
        };
        for (board, failed) in all {
            total.answered += board.answered;
            total.failed += board.failed;
            total.samples += board.samples;
            total.replays += board.replays;
            total.recoveries += board.recoveries;
            total.boards_failed += u64::from(failed);
            total.samples_per_second += board.throughput();
            // Of several boards the slowest.
            let micros = |share| board.latency.quantile(share).unwrap_or_default().as_secs_f64() * 1e6;
            total.latency_median_us = total.latency_median_us.max(micros(0.5));
            total.latency_p99_us = total.latency_p99_us.max(micros(0.99));
        }
        total
    }
}

impl Waiting {
    /// Waits for the outputs, which the caller expects to take `room` bytes.
    pub fn wait(self, room: usize) -> Result<Vec<u8>, Failure> {
        if room != self.bytes {
            return Err(Failure::usage(format!("`output` has {room} bytes, this batch's take {}", self.bytes)));
        }
        let mut output = vec![0; self.bytes];
        self.element.bytes(&self.pending.wait()?, &mut output)?;
        Ok(output)
    }
}

/// Element type and bytes of one sample.
fn layout(border: &Border) -> Result<(Element, usize), Failure> {
    let element = Element::named(&border.host_type)?;
    let bytes = border.host_shape.iter().try_fold(element.size(), |product, &dimension| product.checked_mul(dimension));
    let too_large =
        || Failure::new(SYSTOLE_ERROR_BUNDLE, format!("`{}`: shape {:?}", border.host_name, border.host_shape));
    Ok((element, bytes.ok_or_else(too_large)?))
}

fn check(samples: usize, bytes: usize, found: usize, name: &str) -> Result<(), Failure> {
    match samples.checked_mul(bytes) == Some(found) {
        true => Ok(()),
        false => Err(Failure::usage(format!(
            "`{name}` has {found} bytes, {samples} samples of {bytes} bytes take another number"
        ))),
    }
}

fn describe(border: &Border) -> Result<systole_tensor, Failure> {
    let (element, sample_bytes) = layout(border)?;
    let rank = border.host_shape.len();
    let mut shape = [0; SYSTOLE_MAX_RANK];
    let Some(dimensions) = shape.get_mut(..rank) else {
        let text = format!("`{}` has {rank} dimensions, at most {SYSTOLE_MAX_RANK} are described", border.host_name);
        return Err(Failure::new(SYSTOLE_ERROR_BUNDLE, text));
    };
    dimensions.copy_from_slice(&border.host_shape);
    Ok(systole_tensor { element: element.name(), element_bytes: element.size(), rank, shape, sample_bytes })
}
