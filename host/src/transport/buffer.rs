//! Memory that a DMA engine may read and write.

use super::TransferError;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// Bytes of a page: alignment of buffers, and what they are rounded up to, so that the pages which
/// the kernel pins hold nothing else.
const PAGE: usize = 4096;

/// Counts the buffers of one transport that are not freed yet.
#[derive(Clone, Debug, Default)]
pub struct BufferAccount(Arc<AtomicUsize>);

impl BufferAccount {
    /// A zero-filled buffer of `len` bytes on this account.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn alloc(&self, len: usize) -> Result<DmaBuffer, TransferError> {
        let capacity = len.checked_next_multiple_of(PAGE).unwrap_or(usize::MAX);
        let mut storage = Vec::new();
        storage.try_reserve_exact(capacity.saturating_add(PAGE)).map_err(|_| TransferError::Io {
            what: "allocating a transfer buffer".into(),
            reason: format!("no memory for {len} bytes; use smaller frames"),
        })?;
        storage.resize(capacity + PAGE, 0);
        let start = storage.as_ptr().align_offset(PAGE).min(PAGE);
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(DmaBuffer { storage, start, len, capacity, account: self.clone() })
    }

    /// Buffers that exist, those leaked under a transfer that could not be stopped included.
    pub fn live(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Page-aligned memory that nothing else shares a page with. Its address stays the same while it is moved about.
pub struct DmaBuffer {
    storage: Vec<u8>,
    start: usize,
    len: usize,
    capacity: usize,
    account: BufferAccount,
}

impl DmaBuffer {
    /// Bytes to transfer.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to transfer.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that it can hold without moving.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Sets the bytes to transfer, at most [`DmaBuffer::capacity`]. Gives the length that it has now.
    pub fn set_len(&mut self, len: usize) -> usize {
        self.len = len.min(self.capacity);
        self.len
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.storage[self.start..self.start + self.len]
    }

    /// The bytes, to be filled.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..self.start + self.len]
    }

    /// Gives the memory up without freeing it, because a DMA engine may still write to it.
    pub fn leak(self) {
        std::mem::forget(self);
    }
}

impl Drop for DmaBuffer {
    fn drop(&mut self) {
        self.account.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for DmaBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DmaBuffer({} of {} bytes)", self.len, self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_page_aligned_and_counted_until_freed() {
        let account = BufferAccount::default();
        let buffers: Vec<DmaBuffer> = [1, 64, 4096, 4097].map(|len| account.alloc(len).unwrap()).into();
        for buffer in &buffers {
            assert_eq!(buffer.bytes().as_ptr() as usize % PAGE, 0);
            assert_eq!(buffer.capacity() % PAGE, 0);
        }
        assert_eq!(account.live(), 4);
        drop(buffers);
        assert_eq!(account.live(), 0);
    }

    #[test]
    fn a_buffer_shrinks_and_grows_within_its_capacity() {
        let mut buffer = BufferAccount::default().alloc(100).unwrap();
        buffer.bytes_mut().fill(7);
        assert_eq!(buffer.set_len(50), 50);
        assert_eq!(buffer.bytes(), [7; 50]);
        assert_eq!(buffer.set_len(5000), 4096);
    }

    #[test]
    fn more_memory_than_there_is_gives_an_error() {
        assert!(BufferAccount::default().alloc(usize::MAX).is_err());
        assert!(BufferAccount::default().alloc(usize::MAX / 2).is_err());
    }
}
