//! TFLite's DEQUANTIZE: integers to real numbers, `(q - zero point) * scale`. The host executes it
//! behind the accelerator.

use super::layer::tflite_profile;
use super::node_view::{sample_shape, NodeView};
use super::quantize::integer_scale;
use super::random::{activation, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Format, Graph, Node, Tensor, TensorId};
use crate::passes::lowering::{Lowering, Value};
use crate::profile::Profile;
use systole_arith::border::{BorderValue, TfliteDequantize};
use systole_arith::formula::TfliteProfile;
use systole_arith::BorderOp;

/// The operator; scale and zero point are the operand's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dequantize;

impl Dequantize {
    /// Checks operand and result.
    ///
    /// # Errors
    /// If types, shapes or quantization do not fit.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        self.operation(view, TfliteProfile::Tflm).map(drop)
    }

    /// Real numbers.
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
        super::apply_border(view, &operation, BorderValue::Int(view.int_value(values, 0)?.clone()))
    }

    /// Joins the host's operations behind the accelerator.
    ///
    /// # Errors
    /// If the operand is real.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let operation = self.operation(&view, tflite_profile(&view, lowering.profile)?)?;
        let shape = sample_shape(&view.output()?.shape);
        let (tensor, _, mut operations) = lowering.host_operand(node, 0)?;
        operations.push(operation);
        lowering.define(node, Value::Tail { tensor, shape, operations })
    }

    fn operation(&self, view: &NodeView, profile: TfliteProfile) -> Result<BorderOp, CompileError> {
        view.at_most(1)?;
        let (input, output) = (view.input(0, "input")?, view.output()?);
        if input.shape != output.shape {
            return Err(view
                .error(format!("it turns shape {:?} into {:?}", input.shape, output.shape), "export the model again"));
        }
        view.expect_type(output, "output", ElementType::Float32)?;
        let quantization = integer_scale(view, input, "input")?;
        Ok(BorderOp::TfliteDequantize(TfliteDequantize::new(profile, quantization.scale, quantization.zero_point)))
    }

    /// A network that dequantizes 1 to 40 int8 numbers.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let shape = [1, random.size(1, 40)];
        let input = activation("input", &shape, random.scale(-8, 4), random.within(-128, 127));
        let output = Tensor {
            name: "output".into(),
            shape: shape.to_vec(),
            element: ElementType::Float32,
            quantization: None,
            constant: None,
        };
        let node = Node {
            name: "dequantize".into(),
            op: super::Op::Dequantize(Dequantize),
            inputs: vec![Some(TensorId(0))],
            outputs: vec![TensorId(1)],
        };
        let tensors = vec![input, output];
        Graph::new("random".into(), Format::Tflite, tensors, vec![node], vec![TensorId(0)], vec![TensorId(1)])
    }
}
