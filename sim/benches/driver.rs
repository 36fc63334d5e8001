//! The driver's own cost: its throughput on a null board behind device nodes, against a bare
//! pread/pwrite loop on the same nodes, in interleaved runs.
//!
//! `cargo bench --package systole-sim --features fuse --bench driver`

#[path = "../tests/common/mod.rs"]
mod common;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use systole_bundle::frame::FrameHeader;
use systole_bundle::registers::{ctrl, CTRL, EPOCH};
use systole_bundle::{DesignHash, Manifest};
use systole_host::board::{BoardOptions, Cancel, Request};
use systole_host::transport::xdma::{XdmaOptions, XdmaTransport};
use systole_host::Board;
use systole_sim::board::fuse::{usable, MountedBoard};
use systole_sim::board::{self, NullDesign, NullDevice};

/// Bytes of a sample each way.
const SAMPLE: usize = 4096;
/// Frames of one run.
const FRAMES: u32 = 512;
/// Runs of each kind.
const RUNS: usize = 9;

fn main() {
    if let Err(error) = usable() {
        return println!("no benchmark: {error}");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let manifest = manifest();
    let hash = DesignHash::of(&manifest).expect("hashes");
    let bytes = SAMPLE as u32;
    let design = NullDesign { hash, beat_bytes: 64, in_bytes: bytes, out_bytes: bytes, max_samples: 1024 };
    let device = Box::new(NullDevice::new(design));
    let simulated = board::Board::start(device, board::BoardOptions::default()).expect("a board");
    let _mounted = MountedBoard::mount(Arc::new(simulated), folder.path()).expect("a mount");
    for samples in [64, 128, 255] {
        let mut ratios = Vec::new();
        let mut best = (0.0f64, 0.0f64);
        for _ in 0..RUNS {
            let bare = bare(folder.path(), &hash, samples);
            let driven = driven(folder.path(), &manifest, samples);
            ratios.push(driven / bare);
            best = (best.0.max(bare), best.1.max(driven));
        }
        ratios.sort_by(f64::total_cmp);
        println!(
            "frames of {:4} KiB each way: bare {:.2} GiB/s, driver {:.2} GiB/s at best; median ratio {:.3} ({:.3} to {:.3})",
            samples * SAMPLE / 1024,
            best.0,
            best.1,
            ratios[RUNS / 2],
            ratios[0],
            ratios[RUNS - 1],
        );
    }
}

fn manifest() -> Manifest {
    let mut manifest = common::Bundle::tiny([0, 0, 0]).manifest;
    manifest.structure_hash = "000102030405060708090a0b0c0d0e0f".into();
    manifest.parameter_hash = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff".into();
    for stream in &mut manifest.streams {
        (stream.lanes, stream.channels, stream.pixels, stream.beats) = (64, 64, SAMPLE / 64, SAMPLE / 64);
    }
    for tensor in &mut manifest.tensors {
        tensor.shape = vec![SAMPLE / 64, 64];
    }
    for border in manifest.input_border.iter_mut().chain(&mut manifest.output_border) {
        border.host_shape = vec![SAMPLE / 64, 64];
    }
    manifest
}

fn gib_a_second(samples: usize, time: Duration) -> f64 {
    FRAMES as f64 * (samples * SAMPLE) as f64 / time.as_secs_f64() / f64::from(1 << 30)
}

/// One thread that writes frames, one that reads answers.
fn bare(folder: &Path, hash: &DesignHash, samples: usize) -> f64 {
    let open = |name: &str, write: bool| -> File {
        OpenOptions::new().read(!write).write(write).open(folder.join(name)).expect("a device node")
    };
    let user = OpenOptions::new().read(true).write(true).open(folder.join("xdma0_user")).expect("a device node");
    let write = |offset: u32, value: u32| user.write_all_at(&value.to_le_bytes(), offset.into()).expect("a register");
    write(CTRL.offset, ctrl::SOFT_RESET.mask());
    write(EPOCH.offset, 0);
    write(CTRL.offset, ctrl::ENABLE.mask());
    let (to, from) = (open("xdma0_h2c_0", true), open("xdma0_c2h_0", false));
    let size = 64 + samples * SAMPLE;
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut frame = vec![7; size];
            for sequence in 0..FRAMES {
                let header = FrameHeader {
                    sequence,
                    samples: samples as u32,
                    length: (samples * SAMPLE) as u32,
                    design: hash.word(),
                    ..FrameHeader::default()
                };
                frame[..64].copy_from_slice(&header.encode());
                to.write_all_at(&frame, 0).expect("a frame");
            }
        });
        let mut answer = vec![0; size];
        (0..FRAMES).for_each(|_| from.read_exact_at(&mut answer, 0).expect("an answer"));
    });
    gib_a_second(samples, begin.elapsed())
}

/// The same frames through the driver.
fn driven(folder: &Path, manifest: &Manifest, samples: usize) -> f64 {
    let transport = XdmaTransport::open(&folder.join("xdma0"), XdmaOptions::default()).expect("device nodes");
    let options = BoardOptions { frame_bytes: 1 << 20, ..BoardOptions::default() };
    let board = Board::open(manifest, Arc::new(transport), options).expect("a board");
    let payload: Arc<[u8]> = vec![7; samples * SAMPLE].into();
    let (sender, answers) = mpsc::channel();
    let begin = Instant::now();
    for _ in 0..FRAMES {
        let sender = sender.clone();
        board.submit(Request {
            samples: samples as u32,
            payload: payload.clone(),
            timeout: Duration::from_secs(60),
            cancel: Cancel::default(),
            reply: Box::new(move |answer| sender.send(answer.map(|bytes| bytes.len())).expect("a receiver")),
        });
    }
    drop(sender);
    let answered = answers.iter().filter(|answer| *answer == Ok(samples * SAMPLE)).count();
    assert_eq!(answered, FRAMES as usize, "frames without an answer");
    gib_a_second(samples, begin.elapsed())
}
