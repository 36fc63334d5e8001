//! Batches of inputs: from a file, the files of a folder, or a stream.

use crate::cli::Failure;
use ndarray::{concatenate, Axis, Slice};
use std::collections::VecDeque;
use std::io::{BufReader, Stdin};
use std::path::{Path, PathBuf};
use systole::bundle::Array;

/// Batches in order, each of at most so many samples. No more than one file is in memory.
pub struct Batches {
    source: Source,
    key: String,
    batch: usize,
    /// The array at hand and the first sample of it that is not handed out yet.
    array: Option<(Array, usize)>,
    /// Samples of the arrays read so far.
    read: u64,
    /// Why there are no more.
    failure: Option<Failure>,
}

enum Source {
    Files(VecDeque<PathBuf>),
    Stream(BufReader<Stdin>),
}

impl Batches {
    /// Batches of `batch` samples from `input`: an array file, a folder of them, or `-` for standard input.
    ///
    /// # Errors
    /// If a file or folder cannot be read, or a folder holds no array.
    pub fn open(input: &Path, key: &str, batch: usize) -> Result<Batches, Failure> {
        let source = match input {
            _ if input == Path::new("-") => Source::Stream(BufReader::new(std::io::stdin())),
            folder if folder.is_dir() => Source::Files(files(folder)?),
            file => Source::Files(VecDeque::from([file.into()])),
        };
        let mut batches = Batches { source, key: key.into(), batch, array: None, read: 0, failure: None };
        // What cannot be read is told before anything is built.
        batches.array = batches.read()?;
        Ok(batches)
    }

    /// Samples in all, where that is known: behind the last file, or with a single one.
    pub fn total(&self) -> Option<u64> {
        matches!(&self.source, Source::Files(files) if files.is_empty()).then_some(self.read)
    }

    /// Why the batches ended before their time, if they did.
    pub fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    fn read(&mut self) -> Result<Option<(Array, usize)>, Failure> {
        let array = match &mut self.source {
            Source::Files(files) => files.pop_front().map(|file| Array::read(&file, &self.key)).transpose()?,
            Source::Stream(stream) => Array::read_stream(stream, "standard input")?,
        };
        self.read += array.as_ref().map_or(0, samples) as u64;
        Ok(array.map(|array| (array, 0)))
    }

    fn next_batch(&mut self) -> Result<Option<Array>, Failure> {
        loop {
            let Some((array, first)) = &mut self.array else { return Ok(None) };
            // An array without a first dimension is no batch: the session says so.
            if array.shape().is_empty() {
                return Ok(self.array.take().map(|(array, _)| array));
            }
            let (from, end) = (*first, first.saturating_add(self.batch).min(samples(array)));
            if from < end {
                *first = end;
                return Ok(Some(slice(array, from, end)));
            }
            self.array = self.read()?;
        }
    }
}

impl Iterator for Batches {
    type Item = Array;

    fn next(&mut self) -> Option<Array> {
        self.next_batch().unwrap_or_else(|failure| {
            self.failure = Some(failure);
            self.array = None;
            None
        })
    }
}

/// Samples of an array.
pub fn samples(array: &Array) -> usize {
    array.shape().first().copied().unwrap_or(0)
}

fn slice(array: &Array, from: usize, end: usize) -> Array {
    let samples = Slice::from(from..end);
    match array {
        Array::Int(values, name) => Array::Int(values.slice_axis(Axis(0), samples).to_owned(), name.clone()),
        Array::Float(values) => Array::Float(values.slice_axis(Axis(0), samples).to_owned()),
    }
}

/// Arrays of one type and shape of sample, one behind another; none if there are none or they differ.
pub fn join(arrays: Vec<Array>) -> Option<Array> {
    let (mut integers, mut floats, mut kind) = (Vec::new(), Vec::new(), None);
    for array in arrays {
        match array {
            Array::Int(values, name) => {
                integers.push(values);
                kind = Some(name);
            }
            Array::Float(values) => floats.push(values),
        }
    }
    fn joined<T: Clone>(arrays: &[ndarray::ArrayD<T>]) -> Option<ndarray::ArrayD<T>> {
        let views: Vec<_> = arrays.iter().map(|array| array.view()).collect();
        concatenate(Axis(0), &views).ok()
    }
    match (kind, floats.is_empty()) {
        (Some(kind), true) => joined(&integers).map(|values| Array::Int(values, kind)),
        (None, false) => joined(&floats).map(Array::Float),
        _ => None,
    }
}

/// The array files of a folder, by name.
fn files(folder: &Path) -> Result<VecDeque<PathBuf>, Failure> {
    let io = |error| Failure::io(folder, error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|ending| ending == "npy" || ending == "npz") {
            files.push(path);
        }
    }
    files.sort();
    match files.is_empty() {
        false => Ok(files.into()),
        true => Err(Failure::usage(
            format!("{}: a folder without .npy and .npz files", folder.display()),
            "give an array file, or a folder of them",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, IxDyn};
    use systole::npy;

    fn counting(from: i64, samples: usize) -> Array {
        let values: Vec<i64> = (from..).take(2 * samples).collect();
        Array::Int(ArrayD::from_shape_vec(IxDyn(&[samples, 2]), values).unwrap(), "int16".into())
    }

    #[test]
    fn a_folder_gives_its_files_in_the_order_of_their_names_cut_into_batches() {
        let folder = tempfile::tempdir().unwrap();
        npy::write(&counting(0, 5), &folder.path().join("a.npy")).unwrap();
        npy::write(&counting(10, 0), &folder.path().join("b.npy")).unwrap();
        npy::write(&counting(10, 2), &folder.path().join("c.npy")).unwrap();
        std::fs::write(folder.path().join("notes.txt"), "no array").unwrap();
        let mut batches = Batches::open(folder.path(), "input", 3).unwrap();
        assert_eq!(batches.total(), None);
        let got: Vec<Array> = batches.by_ref().collect();
        assert_eq!(got.iter().map(samples).collect::<Vec<_>>(), [3, 2, 2]);
        assert_eq!(join(got), Some(counting(0, 7)));
        assert_eq!(batches.total(), Some(7));
        assert!(batches.take_failure().is_none());
    }

    #[test]
    fn a_file_that_cannot_be_read_ends_the_batches_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        npy::write(&counting(0, 2), &folder.path().join("a.npy")).unwrap();
        std::fs::write(folder.path().join("b.npy"), "no array").unwrap();
        let mut batches = Batches::open(folder.path(), "input", 8).unwrap();
        assert_eq!(batches.by_ref().count(), 1);
        let failure = batches.take_failure().unwrap().to_string();
        assert!(failure.contains("b.npy"), "{failure}");
    }

    #[test]
    fn a_folder_without_arrays_and_a_missing_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for input in [folder.path().to_path_buf(), folder.path().join("x.npy")] {
            let failure = Batches::open(&input, "input", 1).err().unwrap();
            assert_eq!(failure.exit_status(), 2, "{failure}");
        }
    }
}
