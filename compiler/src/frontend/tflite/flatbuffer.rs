//! A reader of flatbuffers that trusts nothing: every offset is checked before it is followed.
//!
//! It reads the wire format (<https://flatbuffers.dev/internals/>) by field number, without
//! generated code: little-endian scalars, `uoffset` references forward from where they stand, and
//! tables whose `vtable` lists the place of each field. Two totals bound a hostile file and find a
//! truncated one: the bytes looked at, and the furthest byte that anything refers to.

use std::cell::Cell;

/// Bytes that may be looked at, as a multiple of the file's size: objects are hardly ever shared,
/// so a file that needs more refers to the same bytes over and over.
const VISITS_PER_BYTE: u64 = 4;
/// Bytes that may be looked at whatever the file's size.
const FREE_VISITS: u64 = 1 << 16;
/// Most tables of one vector: tensors or operators of a network that an accelerator can hold.
const TABLES: usize = 1 << 14;

/// What does not fit in a flatbuffer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at} of {length}")]
pub struct FlatbufferError {
    /// What does not fit.
    pub what: &'static str,
    /// Where.
    pub at: usize,
    /// Bytes of the file.
    pub length: usize,
}

type Result<T> = std::result::Result<T, FlatbufferError>;

/// The bytes of a file, with the two totals.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    visits: Cell<u64>,
    end: Cell<usize>,
}

/// A table: fields by number.
#[derive(Clone, Copy, Debug)]
pub struct Table<'r, 'a> {
    reader: &'r Reader<'a>,
    position: usize,
    vtable: usize,
    /// Fields that the vtable lists.
    fields: usize,
    /// Bytes of the table itself.
    size: usize,
}

/// A scalar of the wire format, little-endian.
pub trait Scalar: Sized {
    /// Bytes it takes.
    const SIZE: usize;
    /// From exactly [`Scalar::SIZE`] bytes; none where there are more or fewer.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

macro_rules! scalars {
    ($($t:ty),*) => {$(
        impl Scalar for $t {
            const SIZE: usize = std::mem::size_of::<$t>();
            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(<$t>::from_le_bytes)
            }
        }
    )*};
}
scalars!(i8, u8, i16, u16, i32, u32, i64, u64, f32);

impl<'a> Reader<'a> {
    /// Wraps a file's bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, visits: Cell::new(0), end: Cell::new(0) }
    }

    /// The root table.
    ///
    /// # Errors
    /// If the bytes hold none.
    pub fn root(&self) -> Result<Table<'_, 'a>> {
        let position = self.reference(0)?;
        self.table(position)
    }

    /// End of the furthest object that was looked at: an intact file ends there, up to alignment.
    pub fn end(&self) -> usize {
        self.end.get()
    }

    fn error(&self, what: &'static str, at: usize) -> FlatbufferError {
        FlatbufferError { what, at, length: self.bytes.len() }
    }

    /// The bytes `at..at + size`, counted.
    fn take(&self, at: usize, size: usize) -> Result<&'a [u8]> {
        let end = at.checked_add(size).ok_or_else(|| self.error("an object beyond the end", at))?;
        let bytes = self.bytes.get(at..end).ok_or_else(|| self.error("an object beyond the end", at))?;
        let visits = self.visits.get() + size as u64;
        if visits > VISITS_PER_BYTE * self.bytes.len() as u64 + FREE_VISITS {
            return Err(self.error("an object that is referred to over and over", at));
        }
        self.visits.set(visits);
        self.end.set(self.end.get().max(end));
        Ok(bytes)
    }

    fn scalar<T: Scalar>(&self, at: usize) -> Result<T> {
        T::from_bytes(self.take(at, T::SIZE)?).ok_or_else(|| self.error("a scalar of another size", at))
    }

    /// Where the `uoffset` at `at` leads.
    fn reference(&self, at: usize) -> Result<usize> {
        let offset: u32 = self.scalar(at)?;
        match offset {
            0 => Err(self.error("a reference to itself", at)),
            _ => at.checked_add(offset as usize).ok_or_else(|| self.error("a reference beyond the end", at)),
        }
    }

    fn table(&self, position: usize) -> Result<Table<'_, 'a>> {
        let back: i32 = self.scalar(position)?;
        let vtable = position as i64 - i64::from(back);
        let vtable = usize::try_from(vtable).map_err(|_| self.error("a table whose vtable lies outside", position))?;
        let vtable_size = usize::from(self.scalar::<u16>(vtable)?);
        if vtable_size < 4 || vtable_size % 2 != 0 {
            return Err(self.error("a vtable of an impossible size", vtable));
        }
        self.take(vtable, vtable_size)?;
        let size = usize::from(self.scalar::<u16>(vtable + 2)?);
        if size < 4 {
            return Err(self.error("a table of an impossible size", position));
        }
        self.take(position, size)?;
        Ok(Table { reader: self, position, vtable, fields: (vtable_size - 4) / 2, size })
    }

    /// The payload of a vector of `count` elements of `size` bytes.
    fn vector(&self, position: usize, size: usize) -> Result<&'a [u8]> {
        let count: u32 = self.scalar(position)?;
        let bytes =
            (count as usize).checked_mul(size).ok_or_else(|| self.error("a vector longer than the file", position))?;
        self.take(position + 4, bytes)
    }
}

impl<'r, 'a> Table<'r, 'a> {
    /// Byte at which the table stands.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Position of a field's `size` bytes; none where the table leaves it out.
    fn field(&self, number: usize, size: usize) -> Result<Option<usize>> {
        if number >= self.fields {
            return Ok(None);
        }
        let offset = usize::from(self.reader.scalar::<u16>(self.vtable + 4 + 2 * number)?);
        match offset {
            0 => Ok(None),
            _ if offset < 4 || offset + size > self.size => {
                Err(self.reader.error("a field outside its table", self.position))
            }
            _ => Ok(Some(self.position + offset)),
        }
    }

    /// A scalar, or `default` where it is left out.
    ///
    /// # Errors
    /// If the field lies outside its table.
    pub fn scalar<T: Scalar>(&self, number: usize, default: T) -> Result<T> {
        match self.field(number, T::SIZE)? {
            Some(at) => self.reader.scalar(at),
            None => Ok(default),
        }
    }

    /// A truth value, false where it is left out.
    ///
    /// # Errors
    /// If the field lies outside its table.
    pub fn flag(&self, number: usize) -> Result<bool> {
        Ok(self.scalar::<u8>(number, 0)? != 0)
    }

    /// What a field refers to.
    fn target(&self, number: usize) -> Result<Option<usize>> {
        match self.field(number, 4)? {
            Some(at) => self.reader.reference(at).map(Some),
            None => Ok(None),
        }
    }

    /// A sub-table.
    ///
    /// # Errors
    /// If the reference or the table is damaged.
    pub fn table(&self, number: usize) -> Result<Option<Table<'r, 'a>>> {
        self.target(number)?.map(|position| self.reader.table(position)).transpose()
    }

    /// Payload of a vector of bytes.
    ///
    /// # Errors
    /// If the reference or the vector is damaged.
    pub fn bytes(&self, number: usize) -> Result<Option<&'a [u8]>> {
        self.target(number)?.map(|position| self.reader.vector(position, 1)).transpose()
    }

    /// Elements of a vector of scalars; empty where it is left out.
    ///
    /// # Errors
    /// If the reference or the vector is damaged.
    pub fn scalars<T: Scalar>(&self, number: usize) -> Result<Vec<T>> {
        let Some(position) = self.target(number)? else { return Ok(Vec::new()) };
        let payload = self.reader.vector(position, T::SIZE)?;
        Ok(payload.chunks_exact(T::SIZE).filter_map(T::from_bytes).collect())
    }

    /// A text; none where it is left out.
    ///
    /// # Errors
    /// If the reference is damaged, the text is not UTF-8 or its closing zero is missing.
    pub fn text(&self, number: usize) -> Result<Option<&'a str>> {
        let Some(position) = self.target(number)? else { return Ok(None) };
        let payload = self.reader.vector(position, 1)?;
        if self.reader.scalar::<u8>(position + 4 + payload.len())? != 0 {
            return Err(self.reader.error("a text without its closing zero", position));
        }
        std::str::from_utf8(payload).map(Some).map_err(|_| self.reader.error("a text that is not UTF-8", position))
    }

    /// Elements of a vector of tables; empty where it is left out.
    ///
    /// # Errors
    /// If a reference or a table is damaged.
    pub fn tables(&self, number: usize) -> Result<Vec<Table<'r, 'a>>> {
        let Some(position) = self.target(number)? else { return Ok(Vec::new()) };
        let count = self.reader.vector(position, 4)?.len() / 4;
        if count > TABLES {
            return Err(self.reader.error("a vector of more than 16384 tables", position));
        }
        (0..count).map(|i| self.reader.table(self.reader.reference(position + 4 + 4 * i)?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root table with an `i32` field 0 of 7, no field 1, and a text "hi" as field 2.
    fn sample() -> Vec<u8> {
        let mut bytes = vec![];
        bytes.extend(16u32.to_le_bytes()); // root at 16
        bytes.extend([0; 2]);
        bytes.extend(10u16.to_le_bytes()); // vtable at 6: 10 bytes
        bytes.extend(12u16.to_le_bytes()); // table of 12 bytes
        bytes.extend(4u16.to_le_bytes()); // field 0
        bytes.extend(0u16.to_le_bytes()); // field 1 is left out
        bytes.extend(8u16.to_le_bytes()); // field 2
        bytes.extend(10i32.to_le_bytes()); // table at 16: vtable at 6
        bytes.extend(7i32.to_le_bytes());
        bytes.extend(4u32.to_le_bytes()); // text at 28
        bytes.extend(2u32.to_le_bytes());
        bytes.extend(*b"hi\0");
        bytes
    }

    /// Field 0 and field 2 of [`sample`].
    fn read(bytes: &[u8]) -> Result<(i32, Option<String>, usize)> {
        let reader = Reader::new(bytes);
        let root = reader.root()?;
        let text = root.text(2)?.map(String::from);
        Ok((root.scalar(0, 0)?, text, reader.end()))
    }

    #[test]
    fn fields_are_read_by_number_and_defaults_fill_those_left_out() {
        let bytes = sample();
        assert_eq!(read(&bytes), Ok((7, Some("hi".into()), bytes.len())));
        let reader = Reader::new(&bytes);
        let root = reader.root().unwrap();
        assert_eq!(root.scalar::<i32>(1, -3), Ok(-3));
        assert_eq!(root.scalar::<i32>(9, 5), Ok(5));
    }

    #[test]
    fn every_strict_prefix_is_refused() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "a prefix of {length} bytes was read");
        }
    }

    #[test]
    fn no_byte_flip_reads_outside() {
        let bytes = sample();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                if let Ok((_, _, end)) = read(&flipped) {
                    assert!(end <= flipped.len());
                }
            }
        }
    }

    #[test]
    fn a_vector_longer_than_the_file_is_refused_before_anything_is_allocated() {
        let mut bytes = sample();
        bytes[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = read(&bytes).unwrap_err();
        assert_eq!(error.what, "an object beyond the end");
    }

    #[test]
    fn objects_referred_to_over_and_over_exhaust_the_visits() {
        let mut bytes = sample();
        bytes.resize(1 << 16, 0);
        bytes[28..32].copy_from_slice(&60_000u32.to_le_bytes());
        let reader = Reader::new(&bytes);
        let root = reader.root().unwrap();
        assert!((0..100).any(|_| root.text(2).is_err_and(|e| e.what.contains("over and over"))));
    }
}
