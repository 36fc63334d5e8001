//! The register BAR: mapped where the node can be, else by pread and pwrite.
#![allow(unsafe_code)] // A mapped BAR is memory that the hardware changes.

use super::super::TransferError;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use systole_bundle::registers::SPACE_BYTES;

/// Open registers.
pub struct Registers {
    path: PathBuf,
    file: File,
    mapped: Option<Mapping>,
}

impl Registers {
    /// Opens the node. Only a character device is mapped: a file may be shorter than the map, and
    /// what lies behind its end cannot be read without a signal.
    pub fn open(path: &Path) -> Result<Registers, TransferError> {
        let failed = |error| TransferError::from_io(path.display().to_string(), &error);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        let device = file.metadata().map_err(failed)?.file_type().is_char_device();
        let mapped = if device { Mapping::new(&file) } else { None };
        Ok(Registers { path: path.into(), file, mapped })
    }

    pub fn read(&self, offset: u32) -> Result<u32, TransferError> {
        self.check(offset)?;
        if let Some(mapping) = &self.mapped {
            return Ok(u32::from_le(mapping.read(offset)));
        }
        let mut word = [0; 4];
        self.file.read_exact_at(&mut word, u64::from(offset)).map_err(|error| self.failed(offset, &error))?;
        Ok(u32::from_le_bytes(word))
    }

    pub fn write(&self, offset: u32, value: u32) -> Result<(), TransferError> {
        self.check(offset)?;
        if let Some(mapping) = &self.mapped {
            mapping.write(offset, value.to_le());
            return Ok(());
        }
        let word = value.to_le_bytes();
        self.file.write_all_at(&word, u64::from(offset)).map_err(|error| self.failed(offset, &error))
    }

    /// Offsets that the mapping holds, and that the driver takes: others give EPROTO there.
    fn check(&self, offset: u32) -> Result<(), TransferError> {
        match offset.is_multiple_of(4) && offset < SPACE_BYTES {
            true => Ok(()),
            false => Err(TransferError::Protocol {
                what: self.name(offset),
                reason: format!("offsets are multiples of 4 below {SPACE_BYTES:#x}"),
            }),
        }
    }

    fn failed(&self, offset: u32, error: &std::io::Error) -> TransferError {
        TransferError::from_io(self.name(offset), error)
    }

    fn name(&self, offset: u32) -> String {
        format!("{} at {offset:#04x}", self.path.display())
    }
}

/// [`SPACE_BYTES`] of a device's memory.
struct Mapping(NonNull<u32>);

// SAFETY: the mapping is used only through volatile accesses of whole aligned words, which the bus
// orders; it stays where it is until it is dropped.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// None where the node cannot be mapped.
    fn new(file: &File) -> Option<Mapping> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice; nothing else refers to it.
        let address = unsafe {
            libc::mmap(std::ptr::null_mut(), SPACE_BYTES as usize, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        match address == libc::MAP_FAILED {
            true => None,
            false => NonNull::new(address.cast()).map(Mapping),
        }
    }

    fn read(&self, offset: u32) -> u32 {
        // SAFETY: the caller has checked that the offset is a whole word inside the mapping.
        unsafe { self.0.as_ptr().add(offset as usize / 4).read_volatile() }
    }

    fn write(&self, offset: u32, value: u32) {
        // SAFETY: as for reading.
        unsafe { self.0.as_ptr().add(offset as usize / 4).write_volatile(value) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the address and length of `new`; no access outlives `self`.
        unsafe {
            libc::munmap(self.0.as_ptr().cast(), SPACE_BYTES as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_can_be_mapped_is_accessed_in_memory() {
        // A character device of the kernel's own whose shared mapping is memory.
        let registers = Registers::open(Path::new("/dev/zero")).unwrap();
        assert!(registers.mapped.is_some());
        assert_eq!(registers.read(0x40).unwrap(), 0);
        registers.write(0x40, 0x1234_5678).unwrap();
        registers.write(SPACE_BYTES - 4, 7).unwrap();
        assert_eq!((registers.read(0x40).unwrap(), registers.read(0x44).unwrap()), (0x1234_5678, 0));
        assert_eq!(registers.read(SPACE_BYTES - 4).unwrap(), 7);
    }
}
