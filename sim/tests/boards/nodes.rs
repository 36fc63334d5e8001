//! The device nodes, through the kernel.

use crate::frames::{answer, answer_bytes, board, request};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use systole_bundle::registers::{irq, IRQ_MASK, MAGIC, MAGIC_VALUE, SCRATCH};
use systole_sim::board::fuse::{usable, MountedBoard};

/// A null board in a folder of its own; none, said plainly, where there is no FUSE.
fn mounted(milliseconds: u64) -> Option<(MountedBoard, tempfile::TempDir)> {
    if let Err(error) = usable() {
        println!("skipped: {error}");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    Some((MountedBoard::mount(Arc::new(board(milliseconds)), folder.path()).unwrap(), folder))
}

fn open(folder: &Path, name: &str) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open(folder.join(name))
}

fn code<T: std::fmt::Debug>(result: std::io::Result<T>) -> Option<i32> {
    result.unwrap_err().raw_os_error()
}

#[test]
fn registers_are_aligned_words() {
    let Some((_board, folder)) = mounted(2000) else { return };
    let user = open(folder.path(), "xdma0_user").unwrap();
    let mut word = [0; 4];
    user.read_exact_at(&mut word, MAGIC.offset.into()).unwrap();
    assert_eq!(u32::from_le_bytes(word), MAGIC_VALUE);
    user.write_all_at(&[1, 2, 3, 4], SCRATCH.offset.into()).unwrap();
    user.read_exact_at(&mut word, SCRATCH.offset.into()).unwrap();
    assert_eq!(word, [1, 2, 3, 4]);
    assert_eq!(code(user.read_at(&mut word, 2)), Some(libc::EPROTO));
    assert_eq!(code(user.write_at(&word, 0x71)), Some(libc::EPROTO));
    assert_eq!(code(user.read_at(&mut [0; 8], 0)), Some(libc::EPROTO));
    assert_eq!(code(user.write_at(&[0; 3], 0x70)), Some(libc::EPROTO));
}

#[test]
fn frames_larger_than_a_request_of_the_kernel_pass_in_pieces() {
    let Some((_board, folder)) = mounted(5000) else { return };
    let (to, from) = (open(folder.path(), "xdma0_h2c_0").unwrap(), open(folder.path(), "xdma0_c2h_0").unwrap());
    // 4,096 samples of 64 bytes are 256 KiB: eight frames in one write are two pieces.
    let frames: Vec<u8> = (0..8).flat_map(|sequence| request(0, sequence, 4096)).collect();
    let answers: Vec<u8> = (0..8).flat_map(|sequence| answer(0, sequence, 4096)).collect();
    assert!(frames.len() > 1 << 21);
    let got = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut got = vec![0; answers.len()];
            from.read_exact_at(&mut got, 0).unwrap();
            got
        });
        to.write_all_at(&frames, 0).unwrap();
        reader.join().unwrap()
    });
    assert!(got == answers);
}

#[test]
fn the_stream_from_the_board_opens_once_and_again_as_soon_as_it_is_closed() {
    let Some((_board, folder)) = mounted(2000) else { return };
    let mut from = open(folder.path(), "xdma0_c2h_0").unwrap();
    assert_eq!(code(open(folder.path(), "xdma0_c2h_0")), Some(libc::EBUSY));
    for _ in 0..20 {
        drop(from);
        from = open(folder.path(), "xdma0_c2h_0").unwrap();
    }
}

#[test]
fn reads_end_at_tlast_if_the_stream_was_opened_with_truncation() {
    let Some((_board, folder)) = mounted(2000) else { return };
    let to = open(folder.path(), "xdma0_h2c_0").unwrap();
    let path = folder.path().join("xdma0_c2h_0");
    let from = OpenOptions::new().read(true).write(true).custom_flags(libc::O_TRUNC).open(path).unwrap();
    for (sequence, samples) in [(0, 3), (1, 5)] {
        to.write_all_at(&request(0, sequence, samples), 0).unwrap();
        let mut bytes = [0; 4096];
        assert_eq!(from.read_at(&mut bytes, 0).unwrap(), answer_bytes(samples));
        assert_eq!(bytes[..answer_bytes(samples)], answer(0, sequence, samples));
    }
}

#[test]
fn the_events_node_polls_and_counts_interrupts() {
    let Some((board, folder)) = mounted(2000) else { return };
    let events = open(folder.path(), "xdma0_events_0").unwrap();
    let user = open(folder.path(), "xdma0_user").unwrap();
    user.write_all_at(&irq::ANSWER.mask().to_le_bytes(), IRQ_MASK.offset.into()).unwrap();
    let waiter = std::thread::spawn(move || {
        let mut word = [0; 4];
        events.read_exact_at(&mut word, 0).unwrap();
        u32::from_le_bytes(word)
    });
    let (to, from) = (open(folder.path(), "xdma0_h2c_0").unwrap(), open(folder.path(), "xdma0_c2h_0").unwrap());
    to.write_all_at(&request(0, 0, 1), 0).unwrap();
    from.read_exact_at(&mut vec![0; answer_bytes(1)], 0).unwrap();
    assert_eq!(waiter.join().unwrap(), 1);
    drop(board);
}

#[test]
fn the_control_file_takes_commands_and_shows_the_state() {
    let Some((_board, folder)) = mounted(2000) else { return };
    let path = folder.path().join("control");
    std::fs::write(&path, "h2c fail 1 EIO\nc2h fail 1 ETIMEDOUT\n").unwrap();
    let (to, from) = (open(folder.path(), "xdma0_h2c_0").unwrap(), open(folder.path(), "xdma0_c2h_0").unwrap());
    assert_eq!(code(to.write_at(&request(0, 0, 1), 0)), Some(libc::EIO));
    assert_eq!(code(from.read_at(&mut [0; 64], 0)), Some(libc::ETIMEDOUT));
    assert_eq!(std::fs::write(&path, "explode\n").unwrap_err().kind(), ErrorKind::InvalidInput);
    let mut text = String::new();
    File::open(&path).unwrap().read_to_string(&mut text).unwrap();
    assert!(text.starts_with("on the bus\n") && text.contains("h2c transfers 1"), "{text}");
    assert!(text.contains("refused: explode") && text.contains("c2h hold"), "{text}");
    writeln!(OpenOptions::new().append(true).open(&path).unwrap(), "kill").unwrap();
    assert_eq!(code(to.write_at(&request(0, 0, 1), 0)), Some(libc::ENODEV));
}

#[test]
fn unmounting_fails_what_waits_and_leaves_an_empty_folder() {
    let Some((board, folder)) = mounted(60_000) else { return };
    let from = open(folder.path(), "xdma0_c2h_0").unwrap();
    let waiter = std::thread::spawn(move || code(from.read_at(&mut [0; 64], 0)));
    std::thread::sleep(Duration::from_millis(50));
    let begin = Instant::now();
    board.unmount();
    assert_eq!(waiter.join().unwrap(), Some(libc::ENODEV));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
