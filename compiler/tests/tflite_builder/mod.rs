//! Writes TFLite files of any content, wrong ones included.

// Each test binary uses its own part.
#![allow(dead_code)]

/// A field of a flatbuffer table.
#[derive(Clone, Debug)]
pub enum Field {
    /// Left out.
    None,
    /// An inline scalar: its bytes.
    Scalar(Vec<u8>),
    /// A vector: number of elements and their bytes.
    Vector(u32, Vec<u8>),
    /// A text.
    Text(String),
    /// A table.
    Table(Vec<Field>),
    /// A vector of tables.
    Tables(Vec<Vec<Field>>),
}

pub fn byte(value: i8) -> Field {
    Field::Scalar(value.to_le_bytes().into())
}

pub fn uint(value: u32) -> Field {
    Field::Scalar(value.to_le_bytes().into())
}

pub fn float(value: f32) -> Field {
    Field::Scalar(value.to_le_bytes().into())
}

pub fn ints(values: &[i32]) -> Field {
    Field::Vector(values.len() as u32, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

pub fn longs(values: &[i64]) -> Field {
    Field::Vector(values.len() as u32, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

pub fn floats(values: &[f32]) -> Field {
    Field::Vector(values.len() as u32, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

pub fn bytes(values: &[u8]) -> Field {
    Field::Vector(values.len() as u32, values.into())
}

pub fn text(value: &str) -> Field {
    Field::Text(value.into())
}

fn align(out: &mut Vec<u8>, alignment: usize) {
    while !out.len().is_multiple_of(alignment) {
        out.push(0);
    }
}

/// Appends a table with everything it refers to; returns its place.
fn table(out: &mut Vec<u8>, fields: &[Field]) -> usize {
    align(out, 4);
    let vtable = out.len();
    let inline = |field: &Field| match field {
        Field::None => 0,
        Field::Scalar(bytes) => bytes.len().max(4),
        _ => 4,
    };
    let mut place = 4;
    let mut entries = Vec::new();
    for field in fields {
        let size = inline(field);
        entries.push(if size == 0 { 0 } else { place as u16 });
        place += size;
    }
    out.extend((4 + 2 * fields.len() as u16).to_le_bytes());
    out.extend((place as u16).to_le_bytes());
    entries.iter().for_each(|entry| out.extend(entry.to_le_bytes()));
    align(out, 4);
    let start = out.len();
    out.extend(((start - vtable) as i32).to_le_bytes());
    out.resize(start + place, 0);
    for (field, &entry) in fields.iter().zip(&entries) {
        let at = start + usize::from(entry);
        let target = match field {
            Field::None => continue,
            Field::Scalar(bytes) => {
                out[at..at + bytes.len()].copy_from_slice(bytes);
                continue;
            }
            Field::Vector(count, bytes) => vector(out, *count, bytes),
            Field::Text(text) => {
                let place = vector(out, text.len() as u32, text.as_bytes());
                out.push(0);
                place
            }
            Field::Table(fields) => table(out, fields),
            Field::Tables(tables) => {
                let place = vector(out, tables.len() as u32, &vec![0; 4 * tables.len()]);
                for (index, fields) in tables.iter().enumerate() {
                    let slot = place + 4 + 4 * index;
                    let target = table(out, fields);
                    out[slot..slot + 4].copy_from_slice(&((target - slot) as u32).to_le_bytes());
                }
                place
            }
        };
        out[at..at + 4].copy_from_slice(&((target - at) as u32).to_le_bytes());
    }
    start
}

fn vector(out: &mut Vec<u8>, count: u32, bytes: &[u8]) -> usize {
    align(out, 4);
    let place = out.len();
    out.extend(count.to_le_bytes());
    out.extend(bytes);
    place
}

/// A file with this root table.
pub fn file(root: &[Field]) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend(b"TFL3");
    let place = table(&mut out, root) as u32;
    out[..4].copy_from_slice(&place.to_le_bytes());
    align(&mut out, 4);
    out
}

/// A tensor.
#[derive(Clone, Debug)]
pub struct TensorSpec {
    pub name: String,
    pub shape: Vec<i32>,
    pub signature: Vec<i32>,
    pub element: i8,
    pub buffer: u32,
    pub scales: Vec<f32>,
    pub zero_points: Vec<i64>,
    pub dimension: i32,
}

pub const FLOAT32: i8 = 0;
pub const INT32: i8 = 2;
pub const INT16: i8 = 7;
pub const INT8: i8 = 9;
pub const UINT8: i8 = 3;

/// A tensor with one scale.
pub fn tensor(name: &str, shape: &[i32], element: i8, buffer: u32, scale: f32, zero_point: i64) -> TensorSpec {
    TensorSpec {
        name: name.into(),
        shape: shape.into(),
        signature: vec![],
        element,
        buffer,
        scales: vec![scale],
        zero_points: vec![zero_point],
        dimension: 0,
    }
}

/// An operator: number, operands, results, number and fields of its options.
#[derive(Clone, Debug)]
pub struct OperatorSpec {
    pub code: i32,
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
    pub options: (u8, Vec<Field>),
}

/// A model; [`Model::layer`] is a good one.
#[derive(Clone, Debug)]
pub struct Model {
    pub tensors: Vec<TensorSpec>,
    pub operators: Vec<OperatorSpec>,
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
    pub buffers: Vec<Vec<u8>>,
    pub subgraphs: usize,
    pub version: u32,
}

pub const FULLY_CONNECTED: i32 = 9;
pub const RESHAPE: i32 = 22;
pub const SOFTMAX: i32 = 25;

/// FULLY_CONNECTED with a fused activation.
pub fn fully_connected(inputs: &[i32], output: i32, activation: i8) -> OperatorSpec {
    let options = (8, vec![byte(activation), Field::None, Field::None]);
    OperatorSpec { code: FULLY_CONNECTED, inputs: inputs.into(), outputs: vec![output], options }
}

/// An operator without options.
pub fn plain(code: i32, inputs: &[i32], output: i32) -> OperatorSpec {
    OperatorSpec { code, inputs: inputs.into(), outputs: vec![output], options: (0, vec![]) }
}

impl Model {
    /// int8 `[1, 4]` -> FULLY_CONNECTED with RELU -> int8 `[1, 3]`.
    pub fn layer() -> Model {
        let weights: Vec<u8> = [3i8, -2, 7, 0, 1, 1, -1, -128, 5, 6, 7, 127].iter().map(|&w| w as u8).collect();
        let bias: Vec<u8> = [10i32, -20, 3000].iter().flat_map(|b| b.to_le_bytes()).collect();
        Model {
            tensors: vec![
                tensor("x", &[1, 4], INT8, 0, 0.5, 3),
                tensor("w", &[3, 4], INT8, 1, 0.25, 0),
                tensor("b", &[3], INT32, 2, 0.125, 0),
                tensor("y", &[1, 3], INT8, 0, 4.0, -5),
            ],
            operators: vec![fully_connected(&[0, 1, 2], 3, 1)],
            inputs: vec![0],
            outputs: vec![3],
            buffers: vec![vec![], weights, bias],
            subgraphs: 1,
            version: 3,
        }
    }

    /// Fields of a tensor.
    fn tensor(spec: &TensorSpec) -> Vec<Field> {
        let quantization = vec![
            Field::None,
            Field::None,
            floats(&spec.scales),
            longs(&spec.zero_points),
            Field::None,
            Field::None,
            Field::Scalar(spec.dimension.to_le_bytes().into()),
        ];
        let signature = if spec.signature.is_empty() { Field::None } else { ints(&spec.signature) };
        vec![
            ints(&spec.shape),
            byte(spec.element),
            uint(spec.buffer),
            text(&spec.name),
            Field::Table(quantization),
            Field::None,
            Field::None,
            signature,
        ]
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let operator = |(index, spec): (usize, &OperatorSpec)| {
            let (kind, options) = &spec.options;
            let fields = if *kind == 0 { Field::None } else { Field::Table(options.clone()) };
            vec![uint(index as u32), ints(&spec.inputs), ints(&spec.outputs), byte(*kind as i8), fields]
        };
        let subgraph = vec![
            Field::Tables(self.tensors.iter().map(Model::tensor).collect()),
            ints(&self.inputs),
            ints(&self.outputs),
            Field::Tables(self.operators.iter().enumerate().map(operator).collect()),
            text("main"),
        ];
        let code = |spec: &OperatorSpec| {
            let code = Field::Scalar(spec.code.to_le_bytes().into());
            vec![byte(spec.code.min(127) as i8), Field::None, Field::None, code]
        };
        let buffer = |data: &Vec<u8>| if data.is_empty() { vec![] } else { vec![bytes(data)] };
        file(&[
            uint(self.version),
            Field::Tables(self.operators.iter().map(code).collect()),
            Field::Tables(vec![subgraph; self.subgraphs]),
            text("made for a test"),
            Field::Tables(self.buffers.iter().map(buffer).collect()),
        ])
    }
}
