//! A TFLite file as records: everything reachable is read, so that damage is found here.

use super::flatbuffer::{FlatbufferError, Reader, Table};
use super::schema;
use crate::diagnostic::CompileError;

/// Most bytes of alignment behind the last object.
const ALIGNMENT: usize = 16;

/// The parts of a file that matter to a compiler.
#[derive(Debug)]
pub struct Model<'a> {
    /// Tensors of the only subgraph.
    pub tensors: Vec<TensorRecord<'a>>,
    /// Operators of the only subgraph, in order of execution.
    pub operators: Vec<OperatorRecord>,
    /// Tensors fed from outside.
    pub inputs: Vec<i32>,
    /// Tensors read from outside.
    pub outputs: Vec<i32>,
    /// Bytes of the constants.
    pub buffers: Vec<&'a [u8]>,
}

/// A tensor.
#[derive(Debug)]
pub struct TensorRecord<'a> {
    /// Name; may be empty or shared.
    pub name: &'a str,
    /// Static shape; a negative dimension is dynamic.
    pub shape: Vec<i32>,
    /// Shape before it was made static, where the file keeps it.
    pub signature: Vec<i32>,
    /// Number of the element type.
    pub element: i8,
    /// Number of the buffer; an empty one makes the tensor a variable.
    pub buffer: u32,
    /// Quantization, where there is one.
    pub quantization: Option<QuantizationRecord>,
    /// Whether it keeps its value from one inference to the next.
    pub is_variable: bool,
    /// Whether it is stored sparsely.
    pub is_sparse: bool,
}

/// Affine quantization of a tensor.
#[derive(Debug)]
pub struct QuantizationRecord {
    /// One scale, or one for each index along `dimension`.
    pub scales: Vec<f32>,
    /// As many as scales in an intact file.
    pub zero_points: Vec<i64>,
    /// Dimension that several scales belong to.
    pub dimension: i32,
    /// Number of the kind of further details; 0 where there are none.
    pub details: u8,
}

/// An operator.
#[derive(Debug)]
pub struct OperatorRecord {
    /// Number of the operator.
    pub code: i32,
    /// Name of a custom operator; else empty.
    pub custom: String,
    /// Operands; -1 where an optional one is absent.
    pub inputs: Vec<i32>,
    /// Results.
    pub outputs: Vec<i32>,
    /// Attributes, where the operator is one that is read.
    pub options: Options,
}

/// Attributes of the operators that are read.
#[derive(Debug, PartialEq)]
pub enum Options {
    /// None, or those of an operator that is not read.
    None,
    /// FULLY_CONNECTED.
    FullyConnected {
        /// Number of the fused activation.
        activation: i8,
        /// Layout of the weights; 0 is row-major.
        weights_format: i8,
        /// Whether the leading dimensions are kept.
        keep_num_dims: bool,
    },
    /// CONV_2D, DEPTHWISE_CONV_2D, AVERAGE_POOL_2D and MAX_POOL_2D; pairs are `[vertical, horizontal]`.
    Window {
        /// Number of the padding.
        padding: i8,
        /// Input pixels from one output pixel to the next.
        stride: [i32; 2],
        /// Input pixels from one tap to the next.
        dilation: [i32; 2],
        /// Taps of a pooling; 0 where the weights' shape tells.
        kernel: [i32; 2],
        /// Number of the fused activation.
        activation: i8,
    },
    /// CONCATENATION.
    Concatenation {
        /// Dimension; negative from the last one.
        axis: i32,
        /// Number of the fused activation.
        activation: i8,
    },
    /// RESIZE_NEAREST_NEIGHBOR.
    Resize {
        /// Whether the corner pixels of input and output fall onto each other.
        align_corners: bool,
        /// Whether pixels are compared by their centres.
        half_pixel_centers: bool,
    },
    /// PACK.
    Pack {
        /// Dimension that is added; negative from the last one.
        axis: i32,
    },
    /// STRIDED_SLICE: a bit a dimension.
    StridedSlice {
        /// Dimensions that are taken from their first element on.
        begin_mask: i32,
        /// Dimensions that are taken up to their last element.
        end_mask: i32,
        /// Dimensions that are added or stand for several.
        other_masks: i32,
        /// Dimensions of which one element is taken.
        shrink_mask: i32,
    },
    /// ADD, SUB and MUL.
    Arithmetic {
        /// Number of the fused activation.
        activation: i8,
    },
    /// MEAN.
    Reducer {
        /// Whether the dimensions stay, with one entry.
        keep_dims: bool,
    },
    /// LEAKY_RELU.
    LeakyRelu {
        /// Slope below 0.
        alpha: f32,
    },
    /// SOFTMAX.
    Softmax {
        /// Factor of the logits.
        beta: f32,
    },
    /// RESHAPE.
    Reshape {
        /// New shape; empty where an operand gives it.
        shape: Vec<i32>,
    },
}

fn damaged(cause: impl Into<String>) -> CompileError {
    CompileError::Damaged { format: "TFLite", cause: cause.into() }
}

impl From<FlatbufferError> for CompileError {
    fn from(error: FlatbufferError) -> Self {
        damaged(error.to_string())
    }
}

impl<'a> Model<'a> {
    /// Reads a file.
    ///
    /// A strict prefix of an intact file is always refused: everything reachable must lie inside,
    /// and what lies behind it must be the alignment that the writer of the whole file put there.
    ///
    /// # Errors
    /// If the file is damaged, or has other than one subgraph.
    pub fn read(bytes: &'a [u8]) -> Result<Model<'a>, CompileError> {
        if bytes.get(4..8) != Some(schema::IDENTIFIER) {
            return Err(damaged("there is no `TFL3` at byte 4"));
        }
        let reader = Reader::new(bytes);
        let root = reader.root()?;
        let version: u32 = root.scalar(schema::model::VERSION, 0)?;
        if version != schema::VERSION {
            return Err(CompileError::model(
                format!("the TFLite schema version is {version}, this program reads {}", schema::VERSION),
                "convert the model with a current converter",
            ));
        }
        let description = root.text(schema::model::DESCRIPTION)?.unwrap_or_default();
        let buffers = read_buffers(&root)?;
        read_metadata(&root)?;
        let codes = read_codes(&root)?;
        let subgraphs = root.tables(schema::model::SUBGRAPHS)?;
        let [subgraph] = subgraphs.as_slice() else {
            return Err(CompileError::model(
                format!("the model has {} subgraphs", subgraphs.len()),
                "export one without control flow: exactly one subgraph is compiled",
            ));
        };
        subgraph.text(schema::subgraph::NAME)?;
        let operators = subgraph.tables(schema::subgraph::OPERATORS)?;
        let model = Model {
            operators: operators.iter().map(|table| read_operator(table, &codes)).collect::<Result<_, _>>()?,
            tensors: subgraph
                .tables(schema::subgraph::TENSORS)?
                .iter()
                .map(read_tensor)
                .collect::<Result<_, FlatbufferError>>()?,
            inputs: subgraph.scalars(schema::subgraph::INPUTS)?,
            outputs: subgraph.scalars(schema::subgraph::OUTPUTS)?,
            buffers,
        };
        check_length(bytes, reader.end(), &model.buffers, description)?;
        Ok(model)
    }
}

/// Whether `bytes` end where the writer of the whole file ended them, `end` being the end of the
/// last object.
fn check_length(bytes: &[u8], end: usize, buffers: &[&[u8]], description: &str) -> Result<(), CompileError> {
    let tail = bytes.get(end..).unwrap_or_default();
    if tail.len() < ALIGNMENT {
        if tail.iter().any(|&byte| byte != 0) {
            return Err(damaged(format!("{} bytes that belong to nothing follow byte {end}", tail.len())));
        }
        let alignment = expected_alignment(bytes, buffers, description);
        return match bytes.len() % alignment {
            0 => Ok(()),
            _ => Err(damaged(format!(
                "{} bytes are no multiple of the file's alignment of {alignment}: the end is missing",
                bytes.len()
            ))),
        };
    }
    // Labels and other associated files are appended as a ZIP archive, whose directory comes last.
    let archive = tail.windows(4).take(ALIGNMENT).any(|window| window == b"PK\x03\x04");
    let closed = tail.windows(4).rev().take(22 + usize::from(u16::MAX)).any(|window| window == b"PK\x05\x06");
    match archive && closed {
        true => Ok(()),
        false => Err(damaged(format!("{} bytes that belong to nothing follow byte {end}", tail.len()))),
    }
}

/// Alignment of a file's length: that of the widest object. Converters align constants to 16 bytes.
fn expected_alignment(bytes: &[u8], buffers: &[&[u8]], description: &str) -> usize {
    let converted = description.ends_with("Converted.");
    let places: Vec<usize> =
        buffers.iter().filter(|b| !b.is_empty()).map(|b| b.as_ptr() as usize - bytes.as_ptr() as usize).collect();
    // Four constants on 16-byte places by chance are one in 256.
    let evidence = converted || places.len() >= 4;
    match evidence && !places.is_empty() && places.iter().all(|place| place % ALIGNMENT == 0) {
        true => ALIGNMENT,
        false => 4,
    }
}

fn read_buffers<'a>(root: &Table<'_, 'a>) -> Result<Vec<&'a [u8]>, CompileError> {
    let tables = root.tables(schema::model::BUFFERS)?;
    let mut buffers = Vec::with_capacity(tables.len());
    for (index, table) in tables.iter().enumerate() {
        let offset: u64 = table.scalar(schema::buffer::OFFSET, 0)?;
        let size: u64 = table.scalar(schema::buffer::SIZE, 0)?;
        // Converters write an offset of 1 where nothing lies outside.
        if offset > 1 || size > 0 {
            return Err(CompileError::model(
                format!("buffer {index} lies outside the flatbuffer, {size} bytes at {offset}"),
                "convert the model without buffer offsets",
            ));
        }
        buffers.push(table.bytes(schema::buffer::DATA)?.unwrap_or_default());
    }
    Ok(buffers)
}

/// Follows what only matters to other programs, to find where the file ends.
fn read_metadata(root: &Table) -> Result<(), FlatbufferError> {
    root.scalars::<i32>(schema::model::METADATA_BUFFER)?;
    for metadata in root.tables(schema::model::METADATA)? {
        metadata.text(schema::metadata::NAME)?;
    }
    for signature in root.tables(schema::model::SIGNATURE_DEFS)? {
        signature.text(schema::signature::KEY)?;
        for field in [schema::signature::INPUTS, schema::signature::OUTPUTS] {
            for map in signature.tables(field)? {
                map.text(schema::signature::MAP_NAME)?;
            }
        }
    }
    Ok(())
}

/// Number and custom name of each operator code.
fn read_codes(root: &Table) -> Result<Vec<(i32, String)>, FlatbufferError> {
    use schema::operator_code::{BUILTIN_CODE, CUSTOM_CODE, DEPRECATED_BUILTIN_CODE};
    let read = |table: &Table| {
        let old: i8 = table.scalar(DEPRECATED_BUILTIN_CODE, 0)?;
        let new: i32 = table.scalar(BUILTIN_CODE, 0)?;
        let custom = table.text(CUSTOM_CODE)?.unwrap_or_default().to_string();
        Ok((new.max(i32::from(old)), custom))
    };
    root.tables(schema::model::OPERATOR_CODES)?.iter().map(read).collect()
}

fn read_operator(table: &Table, codes: &[(i32, String)]) -> Result<OperatorRecord, CompileError> {
    use schema::operator::*;
    let index: u32 = table.scalar(OPCODE_INDEX, 0)?;
    let (code, custom) = codes.get(index as usize).cloned().ok_or_else(|| {
        damaged(format!("the operator at byte {} has code {index} of {}", table.position(), codes.len()))
    })?;
    table.bytes(CUSTOM_OPTIONS)?;
    table.bytes(MUTATING_VARIABLE_INPUTS)?;
    table.scalars::<i32>(INTERMEDIATES)?;
    let options = match table.table(OPTIONS)? {
        Some(fields) => read_options(table.scalar(OPTIONS_TYPE, 0)?, &fields)?,
        None => Options::None,
    };
    Ok(OperatorRecord { code, custom, inputs: table.scalars(INPUTS)?, outputs: table.scalars(OUTPUTS)?, options })
}

fn read_options(kind: u8, fields: &Table) -> Result<Options, FlatbufferError> {
    use schema::{conv_2d, depthwise_conv_2d, pool_2d};
    Ok(match kind {
        schema::options::CONV_2D => Options::Window {
            padding: fields.scalar(conv_2d::PADDING, 0)?,
            stride: pair(fields, [conv_2d::STRIDE_H, conv_2d::STRIDE_W], 0)?,
            dilation: pair(fields, [conv_2d::DILATION_H, conv_2d::DILATION_W], 1)?,
            kernel: [0; 2],
            activation: fields.scalar(conv_2d::ACTIVATION, 0)?,
        },
        schema::options::DEPTHWISE_CONV_2D => Options::Window {
            padding: fields.scalar(depthwise_conv_2d::PADDING, 0)?,
            stride: pair(fields, [depthwise_conv_2d::STRIDE_H, depthwise_conv_2d::STRIDE_W], 0)?,
            dilation: pair(fields, [depthwise_conv_2d::DILATION_H, depthwise_conv_2d::DILATION_W], 1)?,
            kernel: [0; 2],
            activation: fields.scalar(depthwise_conv_2d::ACTIVATION, 0)?,
        },
        schema::options::POOL_2D => Options::Window {
            padding: fields.scalar(pool_2d::PADDING, 0)?,
            stride: pair(fields, [pool_2d::STRIDE_H, pool_2d::STRIDE_W], 0)?,
            dilation: [1; 2],
            kernel: pair(fields, [pool_2d::FILTER_H, pool_2d::FILTER_W], 0)?,
            activation: fields.scalar(pool_2d::ACTIVATION, 0)?,
        },
        schema::options::CONCATENATION => Options::Concatenation {
            axis: fields.scalar(schema::concatenation::AXIS, 0)?,
            activation: fields.scalar(schema::concatenation::ACTIVATION, 0)?,
        },
        schema::options::ADD | schema::options::SUB | schema::options::MUL => {
            Options::Arithmetic { activation: fields.scalar(schema::arithmetic::ACTIVATION, 0)? }
        }
        schema::options::RESIZE_NEAREST_NEIGHBOR => Options::Resize {
            align_corners: fields.flag(schema::resize::ALIGN_CORNERS)?,
            half_pixel_centers: fields.flag(schema::resize::HALF_PIXEL_CENTERS)?,
        },
        schema::options::PACK => Options::Pack { axis: fields.scalar(schema::pack::AXIS, 0)? },
        schema::options::STRIDED_SLICE => Options::StridedSlice {
            begin_mask: fields.scalar(schema::strided_slice::BEGIN_MASK, 0)?,
            end_mask: fields.scalar(schema::strided_slice::END_MASK, 0)?,
            other_masks: fields.scalar(schema::strided_slice::ELLIPSIS_MASK, 0)?
                | fields.scalar(schema::strided_slice::NEW_AXIS_MASK, 0)?,
            shrink_mask: fields.scalar(schema::strided_slice::SHRINK_AXIS_MASK, 0)?,
        },
        schema::options::REDUCER => Options::Reducer { keep_dims: fields.flag(schema::reducer::KEEP_DIMS)? },
        schema::options::LEAKY_RELU => Options::LeakyRelu { alpha: fields.scalar(schema::leaky_relu::ALPHA, 0.0)? },
        schema::options::FULLY_CONNECTED => Options::FullyConnected {
            activation: fields.scalar(schema::fully_connected::ACTIVATION, 0)?,
            weights_format: fields.scalar(schema::fully_connected::WEIGHTS_FORMAT, 0)?,
            keep_num_dims: fields.flag(schema::fully_connected::KEEP_NUM_DIMS)?,
        },
        schema::options::SOFTMAX => Options::Softmax { beta: fields.scalar(schema::softmax::BETA, 0.0)? },
        schema::options::RESHAPE => Options::Reshape { shape: fields.scalars(schema::reshape::NEW_SHAPE)? },
        _ => Options::None,
    })
}

/// Two 32-bit fields.
fn pair(fields: &Table, places: [usize; 2], default: i32) -> Result<[i32; 2], FlatbufferError> {
    Ok([fields.scalar(places[0], default)?, fields.scalar(places[1], default)?])
}

fn read_tensor<'a>(table: &Table<'_, 'a>) -> Result<TensorRecord<'a>, FlatbufferError> {
    use schema::tensor::*;
    Ok(TensorRecord {
        name: table.text(NAME)?.unwrap_or_default(),
        shape: table.scalars(SHAPE)?,
        signature: table.scalars(SHAPE_SIGNATURE)?,
        element: table.scalar(TYPE, 0)?,
        buffer: table.scalar(BUFFER, 0)?,
        quantization: table.table(QUANTIZATION)?.map(|fields| read_quantization(&fields)).transpose()?,
        is_variable: table.flag(IS_VARIABLE)?,
        is_sparse: table.table(SPARSITY)?.is_some(),
    })
}

fn read_quantization(fields: &Table) -> Result<QuantizationRecord, FlatbufferError> {
    use schema::quantization::*;
    fields.scalars::<f32>(MIN)?;
    fields.scalars::<f32>(MAX)?;
    Ok(QuantizationRecord {
        scales: fields.scalars(SCALE)?,
        zero_points: fields.scalars(ZERO_POINT)?,
        dimension: fields.scalar(QUANTIZED_DIMENSION, 0)?,
        details: fields.scalar(DETAILS_TYPE, 0)?,
    })
}
