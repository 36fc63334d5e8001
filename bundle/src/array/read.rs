//! Arrays on disk: `.npy` files and members of `.npz` archives.

use super::Array;
use ndarray::{ArrayD, IxDyn};
use npyz::{DType, NpyFile, TypeChar};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Why an array cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArrayError {
    /// The file cannot be read or is not an array file.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The archive has no member of the name.
    #[error("{path}: no array `{key}`; it has {}", .present.join(", "))]
    NoKey {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        key: String,
        /// The names there are, sorted.
        present: Vec<String>,
    },
    /// The element type is of no use here.
    #[error("{path}: array `{key}` has element type {found}; integers, float32 and float64 are read")]
    ElementType {
        /// The file.
        path: PathBuf,
        /// The array's name.
        key: String,
        /// NumPy's name of the type.
        found: String,
    },
    /// The header does not fit the data.
    #[error("{path}: array `{key}` of shape {shape:?} holds another number of elements than its header says")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The array's name.
        key: String,
        /// Shape in the header.
        shape: Vec<u64>,
    },
    /// A `float64` element that no `float32` equals.
    #[error("{path}: array `{key}` is float64 with values that are not float32; store it as float32")]
    Precision {
        /// The file.
        path: PathBuf,
        /// The array's name.
        key: String,
    },
}

impl Array {
    /// Reads a `.npy` file.
    ///
    /// # Errors
    /// If the file cannot be read, is truncated, or has an element type of no use here.
    pub fn read_npy(path: &Path) -> Result<Array, ArrayError> {
        let io = |source| ArrayError::Io { path: path.into(), source };
        let file = std::fs::File::open(path).map_err(io)?;
        let key = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        Array::decode(NpyFile::new(BufReader::new(file)).map_err(io)?, path, &key)
    }

    /// Reads the next of several `.npy` arrays that follow each other in `reader`, as NumPy's `save` writes them to an
    /// open file; none at its end. `name` is what messages call it.
    ///
    /// # Errors
    /// As [`Array::read_npy`].
    pub fn read_stream<R: BufRead>(reader: &mut R, name: &str) -> Result<Option<Array>, ArrayError> {
        let io = |source| ArrayError::Io { path: name.into(), source };
        match reader.fill_buf().map_err(io)?.is_empty() {
            true => Ok(None),
            false => Array::decode(NpyFile::new(reader).map_err(io)?, Path::new(name), name).map(Some),
        }
    }

    /// Reads the member `key` of a `.npz` archive.
    ///
    /// # Errors
    /// As [`Array::read_npy`], and if the archive has no such member (the error lists those it has).
    pub fn read_npz(path: &Path, key: &str) -> Result<Array, ArrayError> {
        let io = |source| ArrayError::Io { path: path.into(), source };
        let mut archive = npyz::npz::NpzArchive::open(path).map_err(io)?;
        let mut present: Vec<String> = archive.array_names().map(String::from).collect();
        present.sort();
        let Some(member) = archive.by_name(key).map_err(io)? else {
            return Err(ArrayError::NoKey { path: path.into(), key: key.into(), present });
        };
        Array::decode(member, path, key)
    }

    /// Reads `path`, a `.npz` archive (then its member `key`) or a `.npy` file.
    ///
    /// # Errors
    /// As [`Array::read_npz`].
    pub fn read(path: &Path, key: &str) -> Result<Array, ArrayError> {
        match path.extension().is_some_and(|e| e == "npz") {
            true => Array::read_npz(path, key),
            false => Array::read_npy(path),
        }
    }

    fn decode<R: Read>(file: NpyFile<R>, path: &Path, key: &str) -> Result<Array, ArrayError> {
        let shape = file.shape().to_vec();
        let fortran = file.order() == npyz::Order::Fortran;
        let dtype = match file.dtype() {
            DType::Plain(t) => t,
            other => return Err(ArrayError::ElementType { path: path.into(), key: key.into(), found: other.descr() }),
        };
        let io = |source| ArrayError::Io { path: path.into(), source };
        let shaped = |count: usize| -> Result<IxDyn, ArrayError> {
            let product = shape.iter().try_fold(1u64, |p, &d| p.checked_mul(d));
            match product == Some(count as u64) {
                true => Ok(IxDyn(&shape.iter().map(|&d| d as usize).collect::<Vec<_>>())),
                false => Err(ArrayError::Truncated { path: path.into(), key: key.into(), shape: shape.clone() }),
            }
        };
        macro_rules! elements {
            ($t:ty) => {
                file.data::<$t>()
                    .map_err(|e| io(std::io::Error::other(e.to_string())))?
                    .collect::<Result<Vec<$t>, _>>()
                    .map_err(io)?
            };
        }
        macro_rules! integers {
            ($t:ty) => {{
                let values: Vec<i64> = elements!($t).into_iter().map(|v| v as i64).collect();
                let shape = shaped(values.len())?;
                Ok(Array::Int(layout(shape, values, fortran), stringify!($t).replace('i', "int").replace('u', "uint")))
            }};
        }
        let unsupported = || ArrayError::ElementType { path: path.into(), key: key.into(), found: dtype.to_string() };
        match (dtype.type_char(), dtype.size_field()) {
            (TypeChar::Int, 1) => integers!(i8),
            (TypeChar::Int, 2) => integers!(i16),
            (TypeChar::Int, 4) => integers!(i32),
            (TypeChar::Int, 8) => integers!(i64),
            (TypeChar::Uint, 1) => integers!(u8),
            (TypeChar::Uint, 2) => integers!(u16),
            (TypeChar::Uint, 4) => integers!(u32),
            (TypeChar::Bool, _) => {
                let values: Vec<i64> = elements!(bool).into_iter().map(i64::from).collect();
                let shape = shaped(values.len())?;
                Ok(Array::Int(layout(shape, values, fortran), "bool".into()))
            }
            (TypeChar::Float, 4) => {
                let values = elements!(f32);
                let shape = shaped(values.len())?;
                Ok(Array::Float(layout(shape, values, fortran)))
            }
            (TypeChar::Float, 8) => {
                let wide = elements!(f64);
                let values: Vec<f32> = wide.iter().map(|&v| v as f32).collect();
                if wide.iter().zip(&values).any(|(&w, &v)| f64::from(v) != w && !w.is_nan()) {
                    return Err(ArrayError::Precision { path: path.into(), key: key.into() });
                }
                let shape = shaped(values.len())?;
                Ok(Array::Float(layout(shape, values, fortran)))
            }
            _ => Err(unsupported()),
        }
    }
}

/// `values` in file order as a row-major array. Their count equals the shape's product.
fn layout<T: Clone>(shape: IxDyn, values: Vec<T>, fortran: bool) -> ArrayD<T> {
    use ndarray::ShapeBuilder;
    let array = ArrayD::from_shape_vec(shape.set_f(fortran), values).expect("count was compared with the shape");
    array.as_standard_layout().into_owned()
}
