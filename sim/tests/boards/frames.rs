//! Frames by hand, and a null device that takes them.

use systole_bundle::frame::{FrameHeader, HEADER_BYTES};
use systole_bundle::registers::{ctrl, CTRL, EPOCH};
use systole_bundle::DesignHash;
use systole_sim::board::{Board, BoardError, BoardOptions, NullDesign, NullDevice, Request};

/// Bytes of a sample each way, and of a beat.
pub const IN_BYTES: usize = 64;
pub const OUT_BYTES: usize = 16;
pub const BEAT_BYTES: usize = 8;

pub fn design() -> NullDesign {
    NullDesign {
        hash: DesignHash { structure: [1, 2, 3, 4], parameter: [5, 6, 7, 8] },
        beat_bytes: BEAT_BYTES as u32,
        in_bytes: IN_BYTES as u32,
        out_bytes: OUT_BYTES as u32,
        max_samples: 4096,
    }
}

/// A board around a null device, enabled, whose transfers are aborted after `milliseconds`.
pub fn board(milliseconds: u64) -> Board {
    let options = BoardOptions { transfer_timeout: std::time::Duration::from_millis(milliseconds) };
    let board = Board::start(Box::new(NullDevice::new(design())), options).unwrap();
    write(&board, CTRL.offset, ctrl::ENABLE.mask());
    board
}

pub fn write(board: &Board, offset: u32, value: u32) {
    board.call(|done| Request::Write { offset: offset.into(), value, done }).unwrap();
}

pub fn read(board: &Board, offset: u32) -> u32 {
    board.call(|done| Request::Read { offset: offset.into(), done }).unwrap()
}

pub fn send(board: &Board, data: &[u8]) -> Result<usize, BoardError> {
    board.call(|done| Request::Send { data: data.to_vec(), done })
}

pub fn receive(board: &Board, bytes: usize) -> Result<Vec<u8>, BoardError> {
    board.call(|done| Request::Receive { bytes, to_last: false, done })
}

/// Soft reset into `epoch`.
pub fn restart(board: &Board, epoch: u32) {
    write(board, CTRL.offset, ctrl::SOFT_RESET.mask());
    write(board, EPOCH.offset, epoch);
    write(board, CTRL.offset, ctrl::ENABLE.mask());
}

/// Payload of a request: every byte of a sample is its own.
pub fn payload(samples: usize) -> Vec<u8> {
    (0..samples * IN_BYTES).map(|index| (index * 7 + index / IN_BYTES) as u8).collect()
}

pub fn request(epoch: u32, sequence: u32, samples: usize) -> Vec<u8> {
    let header = FrameHeader {
        answer: false,
        epoch,
        sequence,
        samples: samples as u32,
        length: (samples * IN_BYTES) as u32,
        design: design().hash.word(),
        network: 0,
        status: 0,
    };
    [&header.encode()[..], &payload(samples)].concat()
}

/// What the null device must answer.
pub fn answer(epoch: u32, sequence: u32, samples: usize) -> Vec<u8> {
    let length = (samples * OUT_BYTES) as u32;
    let design = design().hash.word();
    let header =
        FrameHeader { answer: true, epoch, sequence, samples: samples as u32, length, design, network: 0, status: 0 };
    let payload = payload(samples);
    let outputs = payload.chunks(IN_BYTES).flat_map(|sample| sample[..OUT_BYTES].to_vec());
    header.encode().into_iter().chain(outputs).collect()
}

pub fn answer_bytes(samples: usize) -> usize {
    HEADER_BYTES + samples * OUT_BYTES
}
