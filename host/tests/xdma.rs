//! The XDMA transport's system calls, against nodes that are pipes and a file.
#![allow(unsafe_code)] // Signals have no safe interface.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::manifest::manifest;
use support::nodes::NodesBoard;
use support::{alone, await_threads, batch, options, PATIENCE};
use systole_host::transport::xdma::{XdmaOptions, XdmaTransport};
use systole_host::transport::{Channel, Direction, TransferError, Transport};
use systole_host::{Accelerator, Board, BoardOptions, StreamOptions};

fn open(nodes: &NodesBoard, options: BoardOptions) -> (Board, Arc<XdmaTransport>) {
    let transport = Arc::new(XdmaTransport::open(&nodes.prefix(), XdmaOptions::default()).unwrap());
    (Board::open(&manifest(), transport.clone(), options).unwrap(), transport)
}

fn patient() -> BoardOptions {
    BoardOptions { stall_timeout: Duration::from_secs(5), ..options() }
}

#[test]
fn batches_go_through_the_nodes_and_nothing_is_left() {
    let _alone = alone();
    let nodes = NodesBoard::new(&manifest(), "batches");
    let (board, transport) = open(&nodes, patient());
    await_threads(3);
    for samples in [1, 7, 64] {
        let (inputs, outputs) = batch(samples, samples as usize);
        assert_eq!(board.infer(&inputs, PATIENCE).unwrap(), outputs);
    }
    let batches = (0..40).map(|seed| batch(seed, 16).0);
    let results = board.stream(batches, StreamOptions { in_flight: 8, timeout: PATIENCE });
    for (seed, result) in (0..).zip(results) {
        assert_eq!(result.unwrap(), batch(seed, 16).1);
    }
    drop(board);
    assert_eq!(transport.live_buffers(), 0);
    drop(transport);
    await_threads(0);
}

#[test]
fn a_board_that_stops_reading_is_stopped_waiting_for_and_comes_back() {
    let _alone = alone();
    let nodes = NodesBoard::new(&manifest(), "stall");
    let (board, transport) = open(&nodes, BoardOptions { stall_timeout: Duration::from_millis(150), ..options() });
    let (inputs, outputs) = batch(1, 16);
    assert_eq!(board.infer(&inputs, PATIENCE).unwrap(), outputs);
    nodes.stalled.store(true, Ordering::SeqCst);
    let pending = board.begin(&inputs, PATIENCE).unwrap();
    let start = Instant::now();
    while board.statistics().recoveries == 0 {
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(2));
    }
    nodes.stalled.store(false, Ordering::SeqCst);
    // The blocked read was ended: no kernel module's timeout was waited for.
    assert_eq!(pending.wait().unwrap(), outputs);
    drop(board);
    assert_eq!(transport.live_buffers(), 0);
    drop(transport);
    await_threads(0);
}

#[test]
fn nodes_that_vanish_give_an_error_in_time() {
    let _alone = alone();
    let nodes = NodesBoard::new(&manifest(), "vanish");
    let (board, _) = open(&nodes, BoardOptions { stall_timeout: Duration::from_millis(150), ..options() });
    nodes.stalled.store(true, Ordering::SeqCst);
    for node in ["xdma0_h2c_0", "xdma0_c2h_0", "xdma0_user"] {
        std::fs::remove_file(nodes.folder().join(node)).unwrap();
    }
    let start = Instant::now();
    let error = board.infer(&batch(1, 16).0, PATIENCE).unwrap_err().to_string();
    assert!(error.contains("given up") || error.contains("attempts"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

extern "C" fn counted(_: libc::c_int) {}

#[test]
fn a_storm_of_signals_reaches_no_transfer() {
    let _alone = alone();
    let nodes = NodesBoard::new(&manifest(), "signals");
    let (board, _transport) = open(&nodes, patient());
    // SAFETY: a zeroed sigaction is valid; without SA_RESTART every system call would be interrupted.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = counted as *const () as libc::sighandler_t;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
    }
    let ended = Arc::new(AtomicBool::new(false));
    let end = ended.clone();
    let storm = std::thread::spawn(move || {
        let mut sent = 0u64;
        while !end.load(Ordering::SeqCst) {
            for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
                let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
                let id: libc::pid_t = task.file_name().to_string_lossy().parse().unwrap();
                if name.starts_with("systole-") {
                    // SAFETY: sends a signal that has a handler to a thread of this process.
                    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), id, libc::SIGUSR1) };
                    sent += 1;
                }
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        sent
    });
    for seed in 0..60 {
        let (inputs, outputs) = batch(seed, 16);
        assert_eq!(board.infer(&inputs, PATIENCE).unwrap(), outputs);
    }
    ended.store(true, Ordering::SeqCst);
    assert!(storm.join().unwrap() > 20);
    assert_eq!(board.statistics().recoveries, 0);
}

#[test]
fn registers_are_words_inside_the_map() {
    let _alone = alone();
    let nodes = NodesBoard::new(&manifest(), "registers");
    let transport = XdmaTransport::open(&nodes.prefix(), XdmaOptions::default()).unwrap();
    assert_eq!(transport.reg_read32(0).unwrap(), 0x5359_5354);
    transport.reg_write32(0x70, 0xdead_beef).unwrap();
    assert_eq!(transport.reg_read32(0x70).unwrap(), 0xdead_beef);
    for offset in [1, 2, 0x71, 0x1000, u32::MAX - 3] {
        assert!(matches!(transport.reg_read32(offset), Err(TransferError::Protocol { .. })), "{offset:#x}");
        assert!(matches!(transport.reg_write32(offset, 0), Err(TransferError::Protocol { .. })), "{offset:#x}");
    }
}

#[test]
fn interrupts_are_counted_and_waited_for_until_the_deadline() {
    let _alone = alone();
    let nodes = NodesBoard::new(&manifest(), "events");
    let without = XdmaTransport::open(&nodes.prefix(), XdmaOptions::default()).unwrap();
    assert!(!without.caps().events);
    assert!(matches!(without.wait_event(Instant::now()), Err(TransferError::Gone { .. })));
    drop(without);

    let path = nodes.folder().join("xdma0_events_0");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut pipe = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let transport = XdmaTransport::open(&nodes.prefix(), XdmaOptions::default()).unwrap();
    assert!(transport.caps().events);
    let soon = Instant::now() + Duration::from_millis(20);
    assert!(matches!(transport.wait_event(soon), Err(TransferError::Timeout { .. })));
    assert!(Instant::now() >= soon);
    std::io::Write::write_all(&mut pipe, &3u32.to_le_bytes()).unwrap();
    assert_eq!(transport.wait_event(Instant::now() + PATIENCE).unwrap(), 3);
}

#[test]
fn a_missing_node_is_named() {
    let _alone = alone();
    let folder = tempfile();
    let error = XdmaTransport::open(&folder.join("xdma7"), XdmaOptions::default()).err().unwrap();
    assert!(matches!(error, TransferError::Gone { .. }));
    assert!(error.to_string().contains("xdma7_user"), "{error}");
}

fn tempfile() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("systole-none-{}", std::process::id()))
}

#[test]
fn a_read_cut_short_is_an_error_and_a_write_cut_short_goes_on() {
    let _alone = alone();
    let nodes = NodesBoard::new(&manifest(), "short");
    nodes.stalled.store(true, Ordering::SeqCst);
    let transport =
        XdmaTransport::open(&nodes.prefix(), XdmaOptions { max_chunk: 64, ..XdmaOptions::default() }).unwrap();
    let channel = |direction| Channel { direction, index: 0 };
    let mut done = vec![];

    // Written in chunks of 64 bytes, read back from the pipe as one.
    let mut buffer = transport.alloc(1000).unwrap();
    (0..).zip(buffer.bytes_mut()).for_each(|(index, byte): (usize, _)| *byte = index as u8);
    transport.submit(channel(Direction::ToBoard), buffer, 3).unwrap();
    assert_eq!(transport.complete(&mut done, Instant::now() + PATIENCE).unwrap(), 1);
    assert_eq!((done[0].tag, done[0].result.clone()), (3, Ok(())));

    // A packet of 16 bytes in place of 32.
    let path = nodes.folder().join("xdma0_c2h_0");
    std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut pipe| std::io::Write::write_all(&mut pipe, &[1; 16]))
        .unwrap();
    transport.submit(channel(Direction::FromBoard), transport.alloc(32).unwrap(), 4).unwrap();
    done.clear();
    assert_eq!(transport.complete(&mut done, Instant::now() + PATIENCE).unwrap(), 1);
    assert!(matches!(done[0].result, Err(TransferError::Short { moved: 16, wanted: 32, .. })), "{done:?}");

    // Nothing comes: stopped in time, and the buffers come back.
    for tag in 0..3 {
        transport.submit(channel(Direction::FromBoard), transport.alloc(32).unwrap(), tag).unwrap();
    }
    done.clear();
    assert_eq!(transport.complete(&mut done, Instant::now() + Duration::from_millis(20)).unwrap(), 0);
    transport.quiesce(Instant::now() + PATIENCE).unwrap();
    while done.len() < 3 {
        transport.complete(&mut done, Instant::now() + PATIENCE).unwrap();
    }
    assert!(done.iter().all(|end| matches!(end.result, Err(TransferError::Aborted { .. }))), "{done:?}");
    done.clear();
    assert_eq!(transport.live_buffers(), 0);
}
