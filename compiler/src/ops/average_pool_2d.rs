//! TFLite's AVERAGE_POOL_2D on int8: the mean of each channel on each window, rounded half away from
//! zero, then the fused activation's clamp. Taps in the padding count neither in the sum nor in the
//! divisor. Input and output have one quantization.

use super::image::{image_of, image_value, result_value, taps, Sliding};
use super::layer::tflite_profile;
use super::max_pool_2d::{pooled, random_pool};
use super::node_view::NodeView;
use super::random::Random;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, Graph, Node};
use crate::passes::lowering::Lowering;
use crate::profile::Profile;
use crate::quant::{Pool, PoolKind, QuantOp};
use systole_arith::formula::{Activation, TfliteTensorScale};
use systole_arith::{Formula, IntType};

/// Most divisors of a layer: numbers of taps that are not padding. Each is a function of its own.
const DIVISOR_LIMIT: usize = 1 << 12;

/// Attributes of the operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AveragePool2d {
    /// How the window slides.
    pub sliding: Sliding,
    /// Taps, `[vertical, horizontal]`.
    pub kernel: [usize; 2],
    /// Fused activation.
    pub activation: Activation,
}

impl AveragePool2d {
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
        let input = image_value(view, values)?;
        let [rows, columns] = window.output();
        let mut result = Vec::new();
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let along_rows: Vec<usize> = taps(&window, 0, row).filter_map(|(_, y)| y).collect();
            let along_columns: Vec<usize> = taps(&window, 1, column).filter_map(|(_, x)| x).collect();
            let formula = self.formula(view, vec![along_rows.len() * along_columns.len()], profile)?;
            for channel in 0..input.dim().3 {
                let places = along_rows.iter().flat_map(|&y| along_columns.iter().map(move |&x| (y, x)));
                let sum = places.map(|(y, x)| input[[0, y, x, channel]]).sum();
                result.push(formula.evaluate(0, sum));
            }
        }
        result_value(view, result)
    }

    /// Becomes a pooling with one function a divisor.
    ///
    /// # Errors
    /// If the input is no integer tensor of the accelerator, or there are too many divisors.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let window = pooled(&view, &self.sliding, self.kernel)?;
        let counts = Pool::counts(&window);
        if counts.len() > DIVISOR_LIMIT {
            return Err(view.error(
                format!("its windows at the border have {} different numbers of taps", counts.len()),
                format!("use VALID padding, or a window with at most {DIVISOR_LIMIT}"),
            ));
        }
        let formula = self.formula(&view, counts.clone(), lowering.profile)?;
        let input = lowering.image_operand(node, 0, image_of(&view, view.input(0, "input")?, "input")?)?;
        let pool = Pool { window, kind: PoolKind::Sum, input_zero_point: 0, counts, formula, map: None };
        lowering.define_image(node, QuantOp::Pool(pool), vec![input])
    }

    /// What the runtime computes from a sum of stored values; channel i belongs to `counts[i]` taps.
    fn formula(&self, view: &NodeView, counts: Vec<usize>, profile: Profile) -> Result<Formula, CompileError> {
        let (scale, zero_point) = view.per_tensor(view.output()?, "output")?;
        let scale = TfliteTensorScale { scale, zero_point };
        let counts = counts.into_iter().map(|count| u32::try_from(count).unwrap_or(u32::MAX)).collect();
        let profile = tflite_profile(view, profile)?;
        Formula::tflite_average_pool(profile, counts, self.activation, scale, IntType::Signed(8))
            .map_err(|error| view.error(error.to_string(), "calibrate the model again"))
    }

    /// A network of one such operator on an image of 1 to 7 rows and columns.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let (window, sliding) = random.window(7, false)?;
        let op = AveragePool2d { sliding, kernel: window.kernel, activation: random.fused() };
        random_pool(random, super::Op::AveragePool2d(op), &window)
    }
}
