//! The context of `lower_to_integers`: what each tensor of the imported network has become so far.
//!
//! Operators consume the [`Value`]s of their operands and define those of their results; most
//! real-valued operators only extend a value, and a quantizer closes it into an integer tensor.

use crate::diagnostic::CompileError;
use crate::graph::{ElementType, Format, Graph, Node, TensorId as GraphTensor};
use crate::ops::sample_shape;
use crate::passes::layout::{stream_orders, Layout};
use crate::passes::real::{PendingFloat, PendingReal};
use crate::profile::Profile;
use crate::quant::{Border, QuantNode, QuantOp, QuantTensor, TensorId};
use num_rational::BigRational;
use std::collections::HashMap;
use systole_arith::{BorderOp, IntType, Range};

/// What a tensor of the imported network is while it is lowered.
#[derive(Clone, Debug)]
pub enum Value {
    /// Still on the host, in front of the accelerator: an input and what is done to it.
    Host {
        /// The graph's input.
        input: GraphTensor,
        /// Shape without the batch dimension.
        shape: Vec<usize>,
        /// Float operations so far.
        operations: Vec<BorderOp>,
    },
    /// An integer tensor of the accelerator; the real value is `(q - zero_point) * scale`.
    Integer {
        /// The tensor.
        tensor: TensorId,
        /// Real value of one step (exact: scales are floats, so dyadic rationals).
        scale: BigRational,
        /// Stored value that stands for 0.
        zero_point: i64,
    },
    /// A real function of the accumulators of a matrix product that no quantizer has closed yet.
    Real(Box<PendingReal>),
    /// A float operator on dequantized integers that no QuantizeLinear has closed yet.
    Float(Box<PendingFloat>),
    /// Behind the accelerator: an integer tensor and the host operations on it.
    Tail {
        /// The accelerator's output tensor.
        tensor: TensorId,
        /// Shape on the host without the batch dimension.
        shape: Vec<usize>,
        /// Host operations so far.
        operations: Vec<BorderOp>,
    },
}

/// State of the lowering.
pub struct Lowering<'g> {
    /// The network that is lowered.
    pub graph: &'g Graph,
    /// Whose results are reproduced.
    pub profile: Profile,
    /// Border types that the caller chose: input name to a fixed-point or integer type.
    pub input_types: HashMap<String, InputType>,
    /// Where indices of greatest elements are found.
    pub arg_max: ArgMaxPlace,
    /// Values of the tensors lowered so far.
    pub values: HashMap<GraphTensor, Value>,
    /// Integer tensors made so far.
    pub tensors: Vec<QuantTensor>,
    /// Integer operators made so far.
    pub nodes: Vec<QuantNode>,
    /// Input borders made so far.
    pub inputs: Vec<Border>,
    /// Layouts of the integer tensors that are not held in the file's order.
    pub layouts: HashMap<TensorId, Layout>,
    /// Dimensions of a sample in the accelerator's order, outermost first, of the file's tensors that
    /// are held in another order than the file's.
    pub orders: HashMap<GraphTensor, Vec<usize>>,
}

/// A border type chosen by `--input-type NAME=...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputType {
    /// `fixed<W,I>`: W bits of which I before the point, sign included.
    Fixed {
        /// All bits.
        bits: u32,
        /// Bits before the point.
        integer_bits: i32,
    },
    /// `int<W>` or `uint<W>`.
    Integer(IntType),
}

/// Where ArgMax is executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArgMaxPlace {
    /// By the host, behind the accelerator.
    #[default]
    Host,
    /// In the accelerator.
    Hardware,
}

/// A tensor of the host that becomes one of the accelerator.
pub struct Entering {
    /// The tensor of the imported network.
    pub id: GraphTensor,
    /// The input that it is computed from.
    pub input: GraphTensor,
    /// Shape of one sample in the file's order.
    pub shape: Vec<usize>,
    /// Type of the integers.
    pub element: IntType,
    /// Values that occur.
    pub range: Range,
    /// Operations of the host so far, the last of which gives the integers.
    pub operations: Vec<BorderOp>,
}

impl<'g> Lowering<'g> {
    /// The start: every input on the host, nothing lowered.
    pub fn new(graph: &'g Graph, profile: Profile, input_types: HashMap<String, InputType>) -> Self {
        let value = |&input: &GraphTensor| {
            let shape = sample_shape(&graph.tensor(input).shape);
            (input, Value::Host { input, shape, operations: Vec::new() })
        };
        Lowering {
            graph,
            profile,
            input_types,
            arg_max: ArgMaxPlace::default(),
            values: graph.inputs.iter().map(value).collect(),
            tensors: Vec::new(),
            nodes: Vec::new(),
            inputs: Vec::new(),
            layouts: HashMap::new(),
            orders: match graph.format {
                Format::Tflite => HashMap::new(),
                Format::Onnx | Format::Qonnx => stream_orders(graph),
            },
        }
    }

    /// The value of an operand.
    ///
    /// # Errors
    /// If the operand has none, which means that the graph's order is broken.
    pub fn value(&self, node: &str, tensor: GraphTensor) -> Result<&Value, CompileError> {
        self.values.get(&tensor).ok_or_else(|| {
            CompileError::node(
                node,
                format!("operand `{}` is computed by nothing", self.graph.tensor(tensor).name),
                "export the model again",
            )
        })
    }

    /// Operand `position` as an integer tensor of the accelerator, with its scale and zero point. An
    /// int8 tensor that the host still holds enters the accelerator here.
    ///
    /// # Errors
    /// If the operand is real, or computed by the host behind the accelerator.
    pub fn integer_operand(
        &mut self,
        node: &Node,
        position: usize,
    ) -> Result<(TensorId, BigRational, i64), CompileError> {
        let id = self.operand_id(node, position)?;
        self.integer_tensor(&node.name, id)
    }

    /// As [`Lowering::integer_operand`], for `user` of a tensor.
    ///
    /// # Errors
    /// As there.
    pub fn integer_tensor(
        &mut self,
        user: &str,
        id: GraphTensor,
    ) -> Result<(TensorId, BigRational, i64), CompileError> {
        match self.value(user, id)?.clone() {
            Value::Integer { tensor, scale, zero_point } => Ok((tensor, scale, zero_point)),
            Value::Host { input, shape, operations } => self.enter(user, id, input, shape, operations),
            Value::Real(_) | Value::Float(_) => Err(CompileError::node(
                user,
                format!("operand `{}` is not quantized", self.graph.tensor(id).name),
                "put a quantizer in front of it",
            )),
            Value::Tail { .. } => Err(CompileError::node(
                user,
                format!("operand `{}` is computed by the host behind the accelerator", self.graph.tensor(id).name),
                "SOFTMAX and DEQUANTIZE are compiled at the network's end only",
            )),
        }
    }

    /// Operand `position` behind the accelerator: its tensor, the shape on the host and the host's
    /// operations so far.
    ///
    /// # Errors
    /// If the operand is real.
    pub fn host_operand(
        &mut self,
        node: &Node,
        position: usize,
    ) -> Result<(TensorId, Vec<usize>, Vec<BorderOp>), CompileError> {
        let id = self.operand_id(node, position)?;
        if let Value::Tail { tensor, shape, operations } = self.value(&node.name, id)?.clone() {
            return Ok((tensor, shape, operations));
        }
        let (tensor, _, _) = self.integer_operand(node, position)?;
        let shape = sample_shape(&self.graph.tensor(id).shape);
        let operations = match self.tensor(&node.name, tensor)?.shape == shape {
            true => Vec::new(),
            false => vec![BorderOp::Reshape { shape: shape.clone() }],
        };
        Ok((tensor, shape, operations))
    }

    /// The tensor of operand `position`.
    ///
    /// # Errors
    /// If it is absent.
    pub fn operand_id(&self, node: &Node, position: usize) -> Result<GraphTensor, CompileError> {
        node.inputs.get(position).copied().flatten().ok_or_else(|| {
            CompileError::node(&node.name, format!("operand {position} is missing"), "export the model again")
        })
    }

    /// An int8 tensor on the host becomes the accelerator's input.
    fn enter(
        &mut self,
        user: &str,
        id: GraphTensor,
        input: GraphTensor,
        shape: Vec<usize>,
        operations: Vec<BorderOp>,
    ) -> Result<(TensorId, BigRational, i64), CompileError> {
        let source = self.graph.tensor(id);
        let quantization = source.quantization.as_ref().map(|q| (q.scales.as_slice(), q.zero_points.as_slice()));
        let (ElementType::Int8, Some(([scale], [zero_point]))) = (source.element, quantization) else {
            return Err(CompileError::node(
                user,
                format!("operand `{}` is {} without one scale and zero point", source.name, source.element.name()),
                "put a QUANTIZE to int8 in front of it, or quantize the model fully, inputs included",
            ));
        };
        let (zero_point, scale) = (*zero_point, self.rational(user, *scale)?);
        let int8 = IntType::Signed(8);
        let entering = Entering { id, input, shape, element: int8, range: int8.range(), operations };
        let tensor = self.add_entering(source.name.clone(), entering, Some((&scale, zero_point)))?;
        self.values.insert(id, Value::Integer { tensor, scale: scale.clone(), zero_point });
        Ok((tensor, scale, zero_point))
    }

    /// Adds the accelerator's input for a tensor of the host, held in the order that its readers need:
    /// the host transposes where that is another order than the file's.
    ///
    /// # Errors
    /// If there are too many tensors.
    pub fn add_entering(
        &mut self,
        name: String,
        entering: Entering,
        real: Option<(&BigRational, i64)>,
    ) -> Result<TensorId, CompileError> {
        let Entering { id, input, shape, element, range, mut operations } = entering;
        let layout = self.layout_for(id, &shape);
        match (layout.from_file(), operations.last()) {
            // The file turns channels last into channels first, and this turns them back.
            (Some(BorderOp::Transpose { permutation }), Some(BorderOp::Transpose { permutation: before }))
                if permutation.iter().map(|&axis| before.get(axis).copied()).eq((0..before.len()).map(Some)) =>
            {
                operations.pop();
            }
            (turn, _) => operations.extend(turn),
        }
        let tensor = self.add_tensor(name, layout.shape().to_vec(), element, range, real)?;
        self.layouts.insert(tensor, layout);
        self.add_input(input, tensor, operations);
        Ok(tensor)
    }

    /// Adds a node that gives `tensor` another shape of the same elements.
    ///
    /// # Errors
    /// If `tensor` is none of the lowering's.
    pub fn reshape(&mut self, name: &str, tensor: TensorId, shape: Vec<usize>) -> Result<TensorId, CompileError> {
        let from = self.tensor(name, tensor)?.clone();
        let output = self.add_tensor(from.name.clone(), shape, from.element, from.range, None)?;
        if let Some(made) = self.tensors.get_mut(output.0 as usize) {
            (made.scale, made.zero_point) = (from.scale, from.zero_point);
        }
        self.add_node(name, QuantOp::Reshape, vec![tensor], output);
        Ok(output)
    }

    /// A scale as an exact number.
    ///
    /// # Errors
    /// If it is not finite.
    pub fn rational(&self, node: &str, scale: f32) -> Result<BigRational, CompileError> {
        BigRational::from_float(scale)
            .ok_or_else(|| CompileError::node(node, format!("the scale is {scale}"), "quantize the model again"))
    }
}
