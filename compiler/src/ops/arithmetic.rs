//! TFLite's ADD, SUB and MUL on int8, element by element, with rescaling and a fused activation.
//!
//! Both operands are computed at run time, where one may repeat to the other's shape, or one is a constant that
//! repeats to the other's.

use super::image::result_value;
use super::layer::tflite_profile;
use super::node_view::{sample_shape, NodeView};
use super::onnx::operands::broadcast_shape;
use super::random::{activation, constant, network, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Graph, Node, Tensor, TensorId};
use crate::passes::lowering::Lowering;
use crate::profile::Profile;
use crate::quant::{Join, Map, QuantOp};
use systole_arith::formula::{Activation, TfliteTensorScale};
use systole_arith::join::TfliteJoin;
use systole_arith::table::JoinConstant;
use systole_arith::{IntType, JoinFormula, TableFormula};

/// Attributes of the operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arithmetic {
    /// Which of the three.
    pub operation: TfliteJoin,
    /// Fused activation.
    pub activation: Activation,
}

/// The operands, checked.
enum Parts {
    /// Two tensors that repeat to the result's shape.
    Tensors,
    /// One tensor, at this position, and constants: one, one a channel, or one an element.
    Constant { variable: usize, values: Vec<i64> },
}

/// Most constants of a layer that has one an element: each is a function of its own.
const CONSTANT_LIMIT: usize = 1 << 12;

impl Arithmetic {
    /// Name in the file format's specification.
    pub fn name(&self) -> &'static str {
        match self.operation {
            TfliteJoin::Add => "ADD",
            TfliteJoin::Sub => "SUB",
            TfliteJoin::Mul => "MUL",
        }
    }

    /// Checks operands and result.
    ///
    /// # Errors
    /// If types, shapes or quantization do not fit.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        self.parts(view).map(drop)
    }

    /// The result, element by element.
    ///
    /// # Errors
    /// If the operands do not fit.
    pub fn evaluate(
        &self,
        view: &NodeView,
        values: &[Option<&ConstantData>],
        profile: Profile,
    ) -> Result<ConstantData, CompileError> {
        self.parts(view)?;
        let formula = self.formula(view, profile)?;
        let shape = view.output()?.shape.clone();
        let broadcast = |position: usize| {
            let values = view.int_value(values, position)?;
            let misfit = || view.error("its operands' values do not broadcast", "export the model again");
            values.broadcast(shape.clone()).map(|view| view.iter().copied().collect::<Vec<i64>>()).ok_or_else(misfit)
        };
        let (left, right) = (broadcast(0)?, broadcast(1)?);
        result_value(view, left.iter().zip(&right).map(|(&a, &b)| formula.evaluate(a, b)).collect())
    }

    /// Becomes a join, or a map where one operand is constant.
    ///
    /// # Errors
    /// If an operand is no integer tensor of the accelerator.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let parts = self.parts(&view)?;
        let formula = self.formula(&view, lowering.profile)?;
        let shape = sample_shape(&view.output()?.shape);
        match parts {
            Parts::Tensors => {
                let mut repeated = |position: usize| {
                    let own = sample_shape(&view.input(position, "operand")?.shape);
                    let tensor = lowering.shaped_operand(node, position, &own)?;
                    lowering.broadcast(&node.name, tensor, &own, &shape)
                };
                let (left, right) = (repeated(0)?, repeated(1)?);
                lowering.define_int8(node, QuantOp::Join(Join { formula, map: None }), vec![left, right], shape)
            }
            Parts::Constant { variable, values } => {
                let channels = shape.last().copied().unwrap_or(1);
                let each = values.len() != 1 && values.len() != channels;
                let map_shape = if each { vec![values.len()] } else { shape.clone() };
                let input = lowering.shaped_operand(node, variable, &map_shape)?;
                let formula =
                    JoinConstant { join: Box::new(formula), constants: values, constant_first: variable == 1 };
                let map = QuantOp::Map(Map { formula: TableFormula::JoinConstant(formula), table: None });
                if !each {
                    return lowering.define_int8(node, map, vec![input], shape);
                }
                // Every element is a channel of one pixel.
                let int8 = IntType::Signed(8);
                let name = format!("{}_elements", view.output()?.name);
                let mapped = lowering.add_tensor(name, map_shape, int8, int8.range(), None)?;
                lowering.add_node(&node.name, map, vec![input], mapped);
                lowering.define_int8(node, QuantOp::Reshape, vec![mapped], shape)
            }
        }
    }

    fn parts(&self, view: &NodeView) -> Result<Parts, CompileError> {
        view.at_most(2)?;
        let (left, right, output) = (view.input(0, "first operand")?, view.input(1, "second operand")?, view.output()?);
        for (tensor, role) in [(left, "operand"), (right, "operand"), (output, "output")] {
            view.expect_type(tensor, role, ElementType::Int8)?;
            view.per_tensor(tensor, role)?;
        }
        let variable = match (&left.constant, &right.constant) {
            (None, None) => match broadcast_shape(&left.shape, &right.shape).as_ref() == Some(&output.shape) {
                true => return Ok(Parts::Tensors),
                false => {
                    return Err(view.error(
                        format!("it joins {:?} and {:?} into {:?}", left.shape, right.shape, output.shape),
                        "export the model again",
                    ))
                }
            },
            (None, Some(_)) => 0,
            (Some(_), None) => 1,
            (Some(_), Some(_)) => {
                return Err(view.error("both operands are constants", "let the converter fold constants"));
            }
        };
        let (tensor, constant) = if variable == 0 { (left, right) } else { (right, left) };
        let misfit = |remedy: String| {
            let shapes = format!("{:?} and the constant {:?} into {:?}", tensor.shape, constant.shape, output.shape);
            view.error(format!("it joins {shapes}"), remedy)
        };
        let Some(ConstantData::Int(values)) = &constant.constant else {
            return Err(misfit("export with an int8 constant".into()));
        };
        let channels = tensor.shape.last().copied().unwrap_or(1);
        if tensor.shape != output.shape || values.broadcast(tensor.shape.clone()).is_none() {
            return Err(misfit("use a constant that repeats to the shape of the other operand".into()));
        }
        let one_a_channel = values.len() == channels && constant.shape.last() == Some(&channels);
        let values: Vec<i64> = match values.broadcast(tensor.shape.clone()) {
            _ if values.len() == 1 || one_a_channel => values.iter().copied().collect(),
            Some(repeated) if repeated.len() <= CONSTANT_LIMIT => repeated.iter().copied().collect(),
            _ => {
                let remedy = "use a constant of one element or one a channel, or at most";
                return Err(misfit(format!("{remedy} {CONSTANT_LIMIT} elements")));
            }
        };
        Ok(Parts::Constant { variable, values })
    }

    fn formula(&self, view: &NodeView, profile: Profile) -> Result<JoinFormula, CompileError> {
        let scale = |tensor: &Tensor| {
            let (scale, zero_point) = view.per_tensor(tensor, "operand")?;
            Ok::<_, CompileError>(TfliteTensorScale { scale, zero_point })
        };
        let left = scale(view.input(0, "first operand")?)?;
        let right = scale(view.input(1, "second operand")?)?;
        let (output, profile) = (scale(view.output()?)?, tflite_profile(view, profile)?);
        JoinFormula::tflite(profile, self.operation, left, right, output, self.activation, IntType::Signed(8))
            .map_err(|error| view.error(error.to_string(), "calibrate the model again"))
    }

    /// A network of one such operator on images, or on an image and a constant.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(operation: TfliteJoin, seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let channels = random.size(1, 6);
        let image = [1, random.size(1, 4), random.size(1, 4), channels];
        let scale = random.scale(-8, 2);
        let near = |random: &mut Random| (scale * random.scale(-2, 2), random.within(-128, 127));
        let ((left, left_zero), (right, right_zero)) = (near(random), near(random));
        let (mut output, output_zero) = near(random);
        if operation == TfliteJoin::Mul {
            // Products must fit the 16-bit lanes of an optimized kernel.
            output *= scale * 256.0;
        }
        // Some operands repeat along some dimensions; the other has them all.
        let mut shapes = [image, image];
        let (side, repeats) = (random.size(0, 1), random.size(0, 15));
        for axis in (1..4).filter(|axis| repeats >> axis & 1 == 1 && repeats & 1 == 1) {
            shapes[side][axis] = 1;
        }
        let constant_shape: Vec<usize> =
            random.pick(&[vec![], vec![1], vec![channels], vec![1, 1, 1, channels], vec![image[2], 1], image.to_vec()]);
        let values = random.integers(&constant_shape, -128, 127);
        let mut fixed = constant("constant", ElementType::Int8, values, vec![right]);
        if let Some(quantization) = fixed.quantization.as_mut() {
            quantization.zero_points = vec![right_zero];
        }
        let mut tensors = vec![
            activation("left", &shapes[0], left, left_zero),
            activation("right", &shapes[1], right, right_zero),
            fixed,
            activation("output", &image, output, output_zero),
        ];
        let (operands, inputs): ([u32; 2], Vec<u32>) =
            random.pick(&[([0, 1], vec![0, 1]), ([0, 0], vec![0]), ([0, 2], vec![0]), ([2, 0], vec![0])]);
        if operands != [0, 1] {
            tensors[0].shape = image.to_vec();
        }
        let op = Arithmetic { operation, activation: random.fused() };
        let operands = operands.iter().map(|&id| Some(TensorId(id))).collect();
        network(tensors, super::Op::Arithmetic(op), operands, &inputs, 3)
    }
}
