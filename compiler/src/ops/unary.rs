//! TFLite's functions of one int8 element as nodes of their own: RELU, RELU6, RELU_N1_TO_1, LEAKY_RELU,
//! PRELU, HARD_SWISH, LOGISTIC and TANH.

use super::image::result_value;
use super::layer::tflite_profile;
use super::node_view::NodeView;
use super::random::{activation, constant, network, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Graph, Node, Tensor, TensorId};
use crate::passes::lowering::Lowering;
use crate::profile::Profile;
use crate::quant::{Map, QuantOp};
use systole_arith::formula::TfliteTensorScale;
use systole_arith::table::TfliteTable;
use systole_arith::{IntType, TableFormula};

/// The operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6)
    Relu6,
    /// min(max(x, -1), 1)
    ReluN1To1,
    /// x from 0 on, alpha * x below.
    LeakyRelu {
        /// Slope below 0.
        alpha: f32,
    },
    /// The same with one slope a channel, operand 1.
    Prelu,
    /// x * min(max(x + 3, 0), 6) / 6
    HardSwish,
    /// 1 / (1 + exp(-x))
    Logistic,
    /// Hyperbolic tangent.
    Tanh,
}

impl Unary {
    /// Name in the file format's specification.
    pub fn name(self) -> &'static str {
        match self {
            Unary::Relu => "RELU",
            Unary::Relu6 => "RELU6",
            Unary::ReluN1To1 => "RELU_N1_TO_1",
            Unary::LeakyRelu { .. } => "LEAKY_RELU",
            Unary::Prelu => "PRELU",
            Unary::HardSwish => "HARD_SWISH",
            Unary::Logistic => "LOGISTIC",
            Unary::Tanh => "TANH",
        }
    }

    /// Checks operands and result.
    ///
    /// # Errors
    /// If types, shapes or quantization do not fit.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        view.at_most(if *self == Unary::Prelu { 2 } else { 1 })?;
        let (input, output) = (view.input(0, "input")?, view.output()?);
        for (tensor, role) in [(input, "input"), (output, "output")] {
            view.expect_type(tensor, role, ElementType::Int8)?;
            view.per_tensor(tensor, role)?;
        }
        if input.shape != output.shape {
            return Err(view
                .error(format!("it turns shape {:?} into {:?}", input.shape, output.shape), "export the model again"));
        }
        self.slopes(view).map(drop)
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
        self.check(view)?;
        let formula = self.formula(view, profile)?;
        let channels = channels(view.input(0, "input")?);
        let of_channel = |index: usize| if formula.channels() == 1 { 0 } else { index % channels };
        let input = view.int_value(values, 0)?;
        let result = input.iter().enumerate().map(|(index, &x)| formula.evaluate(of_channel(index), x));
        result_value(view, result.collect())
    }

    /// Becomes a map.
    ///
    /// # Errors
    /// If the input is no integer tensor of the accelerator, or the runtime refuses its scales.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        self.check(&view)?;
        let formula = self.formula(&view, lowering.profile)?;
        let (input, _, _) = lowering.integer_operand(node, 0)?;
        let shape = lowering.tensor(&node.name, input)?.shape.clone();
        lowering.define_int8(node, QuantOp::Map(Map { formula, table: None }), vec![input], shape)
    }

    /// Stored slopes of PRELU with their scale; none otherwise.
    fn slopes(&self, view: &NodeView) -> Result<(Vec<i64>, TfliteTensorScale), CompileError> {
        if *self != Unary::Prelu {
            return Ok((vec![], TfliteTensorScale { scale: 1.0, zero_point: 0 }));
        }
        let (input, slopes) = (view.input(0, "input")?, view.input(1, "slopes")?);
        view.expect_type(slopes, "slopes", ElementType::Int8)?;
        let (scale, zero_point) = view.per_tensor(slopes, "slopes")?;
        let values = view.constant_integers(1, "slopes")?;
        let channels = channels(input);
        let one_a_channel = slopes.shape.last().copied() == Some(channels) && values.len() == channels;
        match values.len() == 1 || one_a_channel {
            true => Ok((values, TfliteTensorScale { scale, zero_point })),
            false => Err(view.error(
                format!("slopes `{}` have shape {:?} for {channels} channels", slopes.name, slopes.shape),
                "share slopes over rows and columns (shared_axes=[1, 2]), so that there is one a channel",
            )),
        }
    }

    fn formula(&self, view: &NodeView, profile: Profile) -> Result<TableFormula, CompileError> {
        let (alpha, scale) = self.slopes(view)?;
        let operator = match *self {
            Unary::Relu => TfliteTable::Relu,
            Unary::Relu6 => TfliteTable::Relu6,
            Unary::ReluN1To1 => TfliteTable::ReluN1To1,
            Unary::LeakyRelu { alpha } => TfliteTable::LeakyRelu { alpha },
            Unary::Prelu => TfliteTable::Prelu { alpha: &alpha, scale },
            Unary::HardSwish => TfliteTable::HardSwish,
            Unary::Logistic => TfliteTable::Logistic,
            Unary::Tanh => TfliteTable::Tanh,
        };
        let scale_of = |(scale, zero_point): (f32, i64)| TfliteTensorScale { scale, zero_point };
        let input = scale_of(view.per_tensor(view.input(0, "input")?, "input")?);
        let output = scale_of(view.per_tensor(view.output()?, "output")?);
        TableFormula::tflite(tflite_profile(view, profile)?, operator, input, output, IntType::Signed(8))
            .map_err(|error| view.error(error.to_string(), "calibrate the model again"))
    }

    /// A network of one such operator on an image.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(self, seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let channels = random.size(1, 6);
        let shape = [1, random.size(1, 4), random.size(1, 4), channels];
        let scale = random.scale(-7, -2);
        let (zero_point, output_zero) = (random.within(-128, 127), random.within(-128, 127));
        let output = match self {
            Unary::Logistic => (1.0 / 256.0, -128),
            Unary::Tanh => (1.0 / 128.0, 0),
            _ => (scale * random.scale(-2, 2), output_zero),
        };
        let op = match self {
            Unary::LeakyRelu { .. } => Unary::LeakyRelu { alpha: random.pick(&[0.01, 0.1, 0.3, 0.75]) },
            other => other,
        };
        let slopes = random.pick(&[vec![channels], vec![1, 1, channels], vec![1]]);
        let mut alpha = constant("slopes", ElementType::Int8, random.integers(&slopes, -128, 127), vec![0.01]);
        if let Some(quantization) = alpha.quantization.as_mut() {
            quantization.zero_points = vec![random.within(-128, 127)];
        }
        let tensors = vec![
            activation("input", &shape, scale, zero_point),
            alpha,
            activation("output", &shape, output.0, output.1),
        ];
        let slopes = (self == Unary::Prelu).then_some(Some(TensorId(1)));
        let operands = [Some(TensorId(0))].into_iter().chain(slopes).collect();
        network(tensors, super::Op::Unary(op), operands, &[0], 2)
    }
}

/// Size of the innermost dimension.
fn channels(tensor: &Tensor) -> usize {
    tensor.shape.last().copied().unwrap_or(1)
}
