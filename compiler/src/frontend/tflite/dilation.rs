//! Dilated convolutions as converters write them: SPACE_TO_BATCH_ND, a convolution on each of the interleaved images,
//! BATCH_TO_SPACE_ND; together a padding and a convolution with a dilation.

use super::import::Importer;
use super::model::{OperatorRecord, Options};
use super::operators::{node_name, operator};
use super::schema::builtin;
use crate::diagnostic::{CompileError, Unsupported};
use crate::graph::{ConstantData, ElementType, Node, Tensor, TensorId};
use crate::ops::pad::Pad;
use crate::ops::reshape::Reshape;
use crate::ops::Op;
use ndarray::{ArrayD, IxDyn};
use systole_arith::Window;

/// What a tensor of interleaved images stands for.
#[derive(Clone, Debug)]
pub(super) struct Interleaved {
    /// Number of the tensor that was taken apart.
    source: i32,
    /// Interleaved images along rows and columns.
    block: [usize; 2],
    /// Padding in front of and behind rows and columns.
    pads: [[i64; 2]; 2],
    /// Place of the convolution on them, once there is one.
    convolution: Option<usize>,
}

/// Why a chain of operators is no dilated convolution.
fn refused(node: &str, cause: impl std::fmt::Display) -> CompileError {
    let reason = format!(
        "{cause}; between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND one CONV_2D or DEPTHWISE_CONV_2D with stride 1 and \
         VALID padding is read: give the convolution its dilation factors instead"
    );
    CompileError::Unsupported(vec![Unsupported { node: node.into(), reason }])
}

impl Importer<'_> {
    /// Nodes of a record that belongs to a dilated convolution: none until its last; `None` where it belongs to none.
    pub(super) fn dilated(&mut self, index: usize, record: &OperatorRecord) -> Option<Result<Vec<Node>, CompileError>> {
        let node = node_name(index, record);
        let input = record.inputs.first().copied().unwrap_or(-1);
        let output = record.outputs.first().copied().unwrap_or(-1);
        let known = self.interleaved.get(&input).cloned();
        let next = match (record.code, known) {
            (builtin::SPACE_TO_BATCH_ND, _) => self.taken_apart(&node, input, record),
            (builtin::BATCH_TO_SPACE_ND, None) => Err(refused(&node, "it puts together what was not taken apart")),
            (_, None) => return None,
            (builtin::BATCH_TO_SPACE_ND, Some(images)) => return Some(self.put_together(&node, images, record)),
            (builtin::RESHAPE | builtin::EXPAND_DIMS | builtin::SQUEEZE, Some(images)) => Ok(images),
            (builtin::CONV_2D | builtin::DEPTHWISE_CONV_2D, Some(images)) => {
                match (&record.options, images.convolution) {
                    (Options::Window { padding: 1, stride: [1, 1], dilation: [1, 1], .. }, None) => {
                        Ok(Interleaved { convolution: Some(index), ..images })
                    }
                    _ => Err(refused(&node, "it is another convolution")),
                }
            }
            (_, Some(_)) => Err(refused(&node, "it works on interleaved images")),
        };
        Some(next.map(|images| {
            self.interleaved.insert(output, images);
            Vec::new()
        }))
    }

    /// Constant integers of operand `position`.
    fn numbers(&mut self, node: &str, record: &OperatorRecord, position: usize) -> Result<Vec<i64>, CompileError> {
        let number = record.inputs.get(position).copied().unwrap_or(-1);
        let id = self.tensor(number, node)?;
        match &self.of(id).constant {
            Some(ConstantData::Int(values)) => Ok(values.iter().copied().collect()),
            _ => Err(refused(node, "its block or padding is not constant")),
        }
    }

    /// Block sizes and amounts (in front and behind) of rows and columns; a sequence `[1, W, C]` has columns alone.
    fn block(
        &mut self,
        node: &str,
        record: &OperatorRecord,
        rank: usize,
    ) -> Result<([usize; 2], [[i64; 2]; 2]), CompileError> {
        let (block, amounts) = (self.numbers(node, record, 1)?, self.numbers(node, record, 2)?);
        let fits = |size: &i64| usize::try_from(*size).ok().filter(|size| (1..=Window::LIMIT).contains(size));
        let sizes = block.iter().map(fits).collect::<Option<Vec<usize>>>();
        match (rank, sizes.as_deref(), amounts.as_slice()) {
            (4, Some(&[rows, columns]), &[a, b, c, d]) => Ok(([rows, columns], [[a, b], [c, d]])),
            (4, Some(&[rows]), &[a, b]) => Ok(([rows, 1], [[a, b], [0, 0]])),
            (3, Some(&[columns]), &[a, b]) => Ok(([1, columns], [[0, 0], [a, b]])),
            _ => Err(refused(node, format!("its block {block:?} and amounts {amounts:?} are none of an image"))),
        }
    }

    fn taken_apart(&mut self, node: &str, source: i32, record: &OperatorRecord) -> Result<Interleaved, CompileError> {
        let id = self.tensor(source, node)?;
        let rank = self.of(id).shape.len();
        let (block, pads) = self.block(node, record, rank)?;
        Ok(Interleaved { source, block, pads, convolution: None })
    }

    fn put_together(
        &mut self,
        node: &str,
        images: Interleaved,
        record: &OperatorRecord,
    ) -> Result<Vec<Node>, CompileError> {
        let model = self.model;
        let Some(place) = images.convolution else { return Err(refused(node, "nothing stands in front of it")) };
        let Some(convolution) = model.operators.get(place) else { return Err(refused(node, "it is damaged")) };
        let (&[result], &[inner]) = (record.outputs.as_slice(), convolution.outputs.as_slice()) else {
            return Err(refused(node, "it has several results"));
        };
        let (source, result, inner) =
            (self.tensor(images.source, node)?, self.tensor(result, node)?, self.tensor(inner, node)?);
        let (from, to, inner) = (self.of(source).clone(), self.of(result).clone(), self.of(inner).clone());
        let (block, crops) = self.block(node, record, from.shape.len())?;
        let mut pads = [[0usize; 2]; 2];
        for axis in 0..2 {
            for side in 0..2 {
                let amount = images.pads[axis][side].checked_sub(crops[axis][side]);
                let amount = amount.and_then(|amount| usize::try_from(amount).ok()).filter(|&n| n <= Window::LIMIT);
                pads[axis][side] =
                    amount.ok_or_else(|| refused(node, format!("it crops {crops:?} of {:?}", images.pads)))?;
            }
        }
        if block != images.block || inner.quantization != to.quantization || from.shape.len() != to.shape.len() {
            return Err(refused(node, "it does not put together what was taken apart"));
        }
        let name = node_name(place, convolution);
        let image = |shape: &[usize]| match *shape {
            [batch, columns, channels] => Some([batch, 1, columns, channels]),
            [batch, rows, columns, channels] => Some([batch, rows, columns, channels]),
            _ => None,
        };
        let (Some(from_image), Some(to_image)) = (image(&from.shape), image(&to.shape)) else {
            return Err(refused(node, "it works on no image"));
        };
        let mut nodes = Vec::new();
        let mut input = source;
        if from.shape != from_image {
            let row =
                self.add(Tensor { shape: from_image.to_vec(), name: format!("{}_row", from.name), ..from.clone() });
            nodes.push(self.checked(
                format!("{name}_row"),
                Op::Reshape(Reshape::Reshape),
                vec![Some(input)],
                vec![row],
            )?);
            input = row;
        }
        if pads != [[0; 2]; 2] {
            let [[above, below], [left, right]] = pads;
            let amounts = [0, 0, above, below, left, right, 0, 0].map(|amount| amount as i64).to_vec();
            let shape = IxDyn(&[4, 2]);
            let amounts = ArrayD::from_shape_vec(shape, amounts).map_err(|_| refused(node, "it is damaged"))?;
            let amounts = self.add(Tensor {
                name: format!("{}_amounts", from.name),
                shape: vec![4, 2],
                element: ElementType::Int32,
                quantization: None,
                constant: Some(ConstantData::Int(amounts)),
            });
            let [batch, rows, columns, channels] = from_image;
            let shape = vec![batch, rows + above + below, columns + left + right, channels];
            let padded = self.add(Tensor { shape, name: format!("{}_padded", from.name), ..from.clone() });
            let inputs = vec![Some(input), Some(amounts)];
            nodes.push(self.checked(format!("{name}_padding"), Op::Pad(Pad), inputs, vec![padded])?);
            input = padded;
        }
        let Options::Window { padding, stride, kernel, activation, .. } = convolution.options else {
            return Err(refused(node, "it is damaged"));
        };
        let dilation = block.map(|size| i32::try_from(size).unwrap_or(i32::MAX));
        let options = Options::Window { padding, stride, dilation, kernel, activation };
        let dilated =
            OperatorRecord { code: convolution.code, custom: String::new(), inputs: vec![], outputs: vec![], options };
        let mut inputs = vec![Some(input)];
        for &operand in convolution.inputs.iter().skip(1) {
            inputs.push(if operand == -1 { None } else { Some(self.tensor(operand, &name)?) });
        }
        let whole = self.add(Tensor { shape: to_image.to_vec(), name: format!("{}_whole", to.name), ..to.clone() });
        nodes.push(self.checked(name.clone(), operator(&name, &dilated)?, inputs, vec![whole])?);
        let end = Op::Reshape(Reshape::BatchToSpace);
        nodes.push(self.checked(node.to_string(), end, vec![Some(whole)], vec![result])?);
        Ok(nodes)
    }

    /// A tensor that the file does not have, under a name that no other has.
    fn add(&mut self, tensor: Tensor) -> TensorId {
        let name = self.unique_name(&tensor.name, self.tensors.len());
        self.tensors.push(Tensor { name, ..tensor });
        TensorId(self.tensors.len() as u32 - 1)
    }

    fn of(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0 as usize]
    }
}
