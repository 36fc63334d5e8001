//! TFLite's QUANTIZE: real numbers to integers, or integers to integers of another scale. The host
//! executes it, in front of the accelerator or behind it.

use super::layer::tflite_profile;
use super::node_view::{sample_shape, NodeView};
use super::random::{activation, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Format, Graph, Node, Tensor, TensorId};
use crate::passes::lowering::{Lowering, Value};
use crate::profile::Profile;
use systole_arith::border::{BorderValue, IntegerScale, TfliteQuantize, TfliteRequantize};
use systole_arith::formula::TfliteProfile;
use systole_arith::{BorderOp, IntType};

/// The operator; scale and zero point are the result's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantize;

impl Quantize {
    /// Checks operand and result.
    ///
    /// # Errors
    /// If types, shapes or quantization do not fit.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        // xnnpack alone refuses some scales, when it is lowered.
        self.operation(view, TfliteProfile::Tflm).map(drop)
    }

    /// Integers of the result's quantization.
    ///
    /// # Errors
    /// If the operand does not fit.
    pub fn evaluate(
        &self,
        view: &NodeView,
        values: &[Option<&ConstantData>],
        profile: Profile,
    ) -> Result<ConstantData, CompileError> {
        let operation = self.operation(view, tflite_profile(view, profile)?)?;
        let value = match values.first().copied().flatten() {
            Some(ConstantData::Float(values)) => BorderValue::Float(values.clone()),
            Some(ConstantData::Int(values)) => BorderValue::Int(values.clone()),
            None => return Err(view.error("its operand has no value", "export the model again")),
        };
        super::apply_border(view, &operation, value)
    }

    /// Joins the host's operations; changes nothing where the quantization stays the same.
    ///
    /// # Errors
    /// If the operand is real behind the accelerator's products.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let operation = self.operation(&view, tflite_profile(&view, lowering.profile)?)?;
        let (input, output) = (view.input(0, "input")?, view.output()?);
        let shape = sample_shape(&output.shape);
        let value = lowering.value(&node.name, lowering.operand_id(node, 0)?)?.clone();
        let value = match value {
            value if input.element == output.element && input.quantization == output.quantization => value,
            Value::Host { input, mut operations, .. } => {
                operations.push(operation);
                Value::Host { input, shape, operations }
            }
            _ => {
                let (tensor, _, mut operations) = lowering.host_operand(node, 0)?;
                operations.push(operation);
                Value::Tail { tensor, shape, operations }
            }
        };
        lowering.define(node, value)
    }

    fn operation(&self, view: &NodeView, profile: TfliteProfile) -> Result<BorderOp, CompileError> {
        view.at_most(1)?;
        let (input, output) = (view.input(0, "input")?, view.output()?);
        if input.shape != output.shape {
            return Err(view
                .error(format!("it turns shape {:?} into {:?}", input.shape, output.shape), "export the model again"));
        }
        let result = integer_scale(view, output, "output")?;
        if input.element == ElementType::Float32 {
            let IntegerScale { scale, zero_point, element } = result;
            return Ok(BorderOp::TfliteQuantize(TfliteQuantize { profile, scale, zero_point, element }));
        }
        TfliteRequantize::new(profile, integer_scale(view, input, "input")?, result)
            .map(BorderOp::TfliteRequantize)
            .map_err(|error| view.error(error.to_string(), "quantize the model to int8 with one scale a tensor"))
    }

    /// A network that quantizes 1 to 40 real numbers, or requantizes as many int8 ones.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let shape = [1, random.size(1, 40)];
        let mut input = activation("input", &shape, random.scale(-6, 2), random.within(-128, 127));
        if random.pick(&[true, false]) {
            (input.element, input.quantization) = (ElementType::Float32, None);
        }
        let output = activation("output", &shape, random.scale(-6, 2), random.within(-128, 127));
        let node = Node {
            name: "quantize".into(),
            op: super::Op::Quantize(Quantize),
            inputs: vec![Some(TensorId(0))],
            outputs: vec![TensorId(1)],
        };
        let tensors = vec![input, output];
        Graph::new("random".into(), Format::Tflite, tensors, vec![node], vec![TensorId(0)], vec![TensorId(1)])
    }
}

/// How a tensor of int8 or uint8 stands for real numbers.
///
/// # Errors
/// If it is of another type, or has other than one scale.
pub fn integer_scale(view: &NodeView, tensor: &Tensor, role: &str) -> Result<IntegerScale, CompileError> {
    let element = match tensor.element {
        ElementType::Int8 => IntType::Signed(8),
        ElementType::Uint8 => IntType::Unsigned(8),
        other => {
            return Err(view.error(
                format!("{role} `{}` is {}", tensor.name, other.name()),
                "quantize the model to int8 (uint8 at its ends)",
            ))
        }
    };
    let (scale, zero_point) = view.per_tensor(tensor, role)?;
    Ok(IntegerScale { scale, zero_point, element })
}
