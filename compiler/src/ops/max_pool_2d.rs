//! TFLite's MAX_POOL_2D on int8: the greatest element of each channel on each window, taps in the
//! padding left out, then the fused activation's clamp. Input and output have one quantization.

use super::clamp::clamp_map;
use super::image::{expect_image, image_of, image_value, result_value, taps, Sliding};
use super::layer::tflite_profile;
use super::node_view::NodeView;
use super::random::{activation, network, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Graph, Node, TensorId};
use crate::passes::lowering::Lowering;
use crate::profile::Profile;
use crate::quant::{Pool, PoolKind, QuantOp};
use systole_arith::formula::Activation;
use systole_arith::{Formula, IntType, Window};

/// Attributes of the operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxPool2d {
    /// How the window slides.
    pub sliding: Sliding,
    /// Taps, `[vertical, horizontal]`.
    pub kernel: [usize; 2],
    /// Fused activation.
    pub activation: Activation,
}

impl MaxPool2d {
    /// Checks operand and result.
    ///
    /// # Errors
    /// If types, shapes or quantization do not fit.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        pooled(view, &self.sliding, self.kernel).map(drop)
    }

    /// The result `[1, H', W', C]`, straight from the definition.
    ///
    /// # Errors
    /// If the operand does not fit.
    pub fn evaluate(
        &self,
        view: &NodeView,
        values: &[Option<&ConstantData>],
        profile: Profile,
    ) -> Result<ConstantData, CompileError> {
        let window = pooled(view, &self.sliding, self.kernel)?;
        let (scale, zero_point) = view.per_tensor(view.output()?, "output")?;
        let profile = tflite_profile(view, profile)?;
        let (lo, hi) = self
            .activation
            .clamp(profile, IntType::Signed(8), scale, zero_point)
            .map_err(|error| view.error(error.to_string(), "calibrate the model again"))?;
        let input = image_value(view, values)?;
        let [rows, columns] = window.output();
        let mut result = Vec::new();
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            for channel in 0..input.dim().3 {
                let mut greatest = i64::MIN;
                for (_, y) in taps(&window, 0, row) {
                    for (_, x) in taps(&window, 1, column) {
                        let (Some(y), Some(x)) = (y, x) else { continue };
                        greatest = greatest.max(input[[0, y, x, channel]]);
                    }
                }
                result.push(greatest.max(lo).min(hi));
            }
        }
        result_value(view, result)
    }

    /// Becomes a pooling, and a map behind it where the activation clamps.
    ///
    /// # Errors
    /// If the input is no integer tensor of the accelerator.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let window = pooled(&view, &self.sliding, self.kernel)?;
        let [rows, columns, channels] = image_of(&view, view.input(0, "input")?, "input")?;
        let input = lowering.image_operand(node, 0, [rows, columns, channels])?;
        let pool = Pool {
            window,
            kind: PoolKind::Max,
            input_zero_point: 0,
            counts: Pool::counts(&window),
            formula: Formula::Identity { channels: 1 },
            map: None,
        };
        match clamp_map(&view, self.activation, lowering.profile)? {
            None => lowering.define_image(node, QuantOp::Pool(pool), vec![input]),
            Some(map) => {
                let [rows, columns] = window.output();
                let whole = lowering.tensor(&node.name, input)?.clone();
                let name = format!("{}_unclamped", view.output()?.name);
                let shape = vec![rows, columns, channels];
                let pooled = lowering.add_tensor(name, shape, whole.element, whole.range, None)?;
                lowering.add_node(&format!("{}_maximum", node.name), QuantOp::Pool(pool), vec![input], pooled);
                lowering.define_image(node, QuantOp::Map(map), vec![pooled])
            }
        }
    }

    /// A network of one such operator on an image of 1 to 7 rows and columns.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let (window, sliding) = random.window(7, false)?;
        let op = MaxPool2d { sliding, kernel: window.kernel, activation: random.fused() };
        random_pool(random, super::Op::MaxPool2d(op), &window)
    }
}

/// A network of one pooling whose input and output have one quantization.
///
/// # Errors
/// None, or the operator's checks are wrong.
pub(super) fn random_pool(random: &mut Random, op: super::Op, window: &Window) -> Result<Graph, CompileError> {
    let ([rows, columns], channels) = (window.output(), random.size(1, 5));
    let (scale, zero_point) = (random.scale(-8, 2), random.within(-128, 127));
    let input = [1, window.input[0], window.input[1], channels];
    let tensors = vec![
        activation("input", &input, scale, zero_point),
        activation("output", &[1, rows, columns, channels], scale, zero_point),
    ];
    network(tensors, op, vec![Some(TensorId(0))], &[0], 1)
}

/// The window of a pooling whose operand and result are checked.
///
/// # Errors
/// If types, shapes or quantization do not fit.
pub(super) fn pooled(view: &NodeView, sliding: &Sliding, kernel: [usize; 2]) -> Result<Window, CompileError> {
    view.at_most(1)?;
    let (input, output) = (view.input(0, "input")?, view.output()?);
    view.expect_type(input, "input", ElementType::Int8)?;
    view.expect_type(output, "output", ElementType::Int8)?;
    view.expect_equal_quantization(input, output)?;
    let [rows, columns, channels] = image_of(view, input, "input")?;
    let window = sliding.window(view, [rows, columns], kernel)?;
    expect_image(view, output, window.output(), channels)?;
    Ok(window)
}
