//! TFLite's SOFTMAX on int8: `exp(beta * (x - max)) / sum` over the innermost dimension in fixed
//! point, scale 1/256, zero point -128. The host executes it behind the accelerator; all profiles agree.

use super::node_view::{sample_shape, NodeView};
use super::random::{activation, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Format, Graph, Node, TensorId};
use crate::passes::lowering::{Lowering, Value};
use systole_arith::border::{BorderValue, TfliteSoftmax};
use systole_arith::BorderOp;

/// Attributes of the operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Softmax {
    /// Factor of the logits.
    pub beta: f32,
}

impl Softmax {
    /// Checks operand and result.
    ///
    /// # Errors
    /// If types, shapes or quantization do not fit.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        self.operation(view).map(drop)
    }

    /// Probabilities of each row.
    ///
    /// # Errors
    /// If the operand does not fit.
    pub fn evaluate(&self, view: &NodeView, values: &[Option<&ConstantData>]) -> Result<ConstantData, CompileError> {
        let value = BorderValue::Int(view.int_value(values, 0)?.clone());
        super::apply_border(view, &self.operation(view)?, value)
    }

    /// Joins the host's operations behind the accelerator.
    ///
    /// # Errors
    /// If the operand is real.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let operation = self.operation(&view)?;
        let shape = sample_shape(&view.output()?.shape);
        let (tensor, _, mut operations) = lowering.host_operand(node, 0)?;
        operations.push(operation);
        lowering.define(node, Value::Tail { tensor, shape, operations })
    }

    fn operation(&self, view: &NodeView) -> Result<BorderOp, CompileError> {
        view.at_most(1)?;
        let (input, output) = (view.input(0, "logits")?, view.output()?);
        view.expect_type(input, "logits", ElementType::Int8)?;
        view.expect_type(output, "output", ElementType::Int8)?;
        if input.shape != output.shape || input.shape.is_empty() {
            return Err(view.error(
                format!("logits have shape {:?}, probabilities {:?}", input.shape, output.shape),
                "export the model again",
            ));
        }
        let (scale, _) = view.per_tensor(input, "logits")?;
        let (output_scale, output_zero_point) = view.per_tensor(output, "output")?;
        if output_scale != 1.0 / 256.0 || output_zero_point != -128 {
            return Err(view.error(
                format!("output `{}` has scale {output_scale} and zero point {output_zero_point}", output.name),
                "int8 probabilities have scale 1/256 and zero point -128: convert the model again",
            ));
        }
        TfliteSoftmax::new(scale, self.beta)
            .map(BorderOp::TfliteSoftmax)
            .map_err(|error| view.error(error.to_string(), "calibrate the model again"))
    }

    /// A network of one such operator on 1 to 3 rows of 1 to 20 classes.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let shape = [1, random.size(1, 3), random.size(1, 20)];
        let tensors = vec![
            activation("input", &shape, random.scale(-8, 3), random.within(-128, 127)),
            activation("output", &shape, 1.0 / 256.0, -128),
        ];
        let node = Node {
            name: "softmax".into(),
            op: super::Op::Softmax(Softmax { beta: random.pick(&[1.0, 0.5, 2.0]) }),
            inputs: vec![Some(TensorId(0))],
            outputs: vec![TensorId(1)],
        };
        Graph::new("random".into(), Format::Tflite, tensors, vec![node], vec![TensorId(0)], vec![TensorId(1)])
    }
}
