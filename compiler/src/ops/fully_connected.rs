//! TFLite's FULLY_CONNECTED on int8: `y[r, m] = requantize(sum over c of (x[r, c] - zx) * w[m, c] + b[m])`.
//!
//! Rows are the pixels of a sample: the input's elements in order, C at a time. The fused activation
//! is part of the requantization's clamp.

use super::layer::{check_accumulators, Layer};
use super::node_view::NodeView;
use super::random::{activation, layer_constants, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, Format, Graph, Node, TensorId};
use crate::passes::lowering::Lowering;
use crate::profile::Profile;
use crate::quant::QuantOp;
use ndarray::{Array2, ArrayD, ArrayView2, IxDyn};
use systole_arith::formula::TfliteOperator;

pub use systole_arith::formula::Activation;

/// Attributes of the operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FullyConnected {
    /// Fused activation.
    pub activation: Activation,
    /// Whether the result keeps the input's leading dimensions; else it is `[rows, M]`.
    pub keep_num_dims: bool,
}

/// The operands, checked.
struct Parts<'g> {
    /// Weights `[M, C]`.
    layer: Layer<'g>,
    matrix: ArrayView2<'g, i64>,
    rows: usize,
}

impl FullyConnected {
    /// Checks operands and result.
    ///
    /// # Errors
    /// If a type, shape or quantization does not fit.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        self.parts(view).map(drop)
    }

    /// The result `[rows, M]`, or under the leading dimensions of the input.
    ///
    /// # Errors
    /// If the operands do not fit.
    pub fn evaluate(
        &self,
        view: &NodeView,
        values: &[Option<&ConstantData>],
        profile: Profile,
    ) -> Result<ConstantData, CompileError> {
        let Parts { layer, matrix, rows } = self.parts(view)?;
        let formula = layer.formula(view, TfliteOperator::FullyConnected, self.activation, profile)?;
        let input = view.int_value(values, 0)?;
        let misfit = || view.error("the input's values do not fit its shape", "export the model again");
        let centred: Vec<i64> = input.iter().map(|x| x - layer.input_zero_point).collect();
        let centred = Array2::from_shape_vec((rows, matrix.ncols()), centred).map_err(|_| misfit())?;
        let mut result = centred.dot(&matrix.t());
        for mut row in result.outer_iter_mut() {
            for (channel, (acc, bias)) in row.iter_mut().zip(&layer.bias).enumerate() {
                *acc = formula.evaluate(channel, *acc + bias);
            }
        }
        let values = result.into_iter().collect();
        let result = ArrayD::from_shape_vec(IxDyn(&layer.output.shape), values).map_err(|_| misfit())?;
        Ok(ConstantData::Int(result))
    }

    /// Becomes one dense node, behind a reshape where the rows are not the input's pixels.
    ///
    /// # Errors
    /// If the input is no integer tensor of the accelerator, or an accumulator can leave the
    /// runtime's 32 bits.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let Parts { layer, matrix, rows } = self.parts(&view)?;
        let formula = layer.formula(&view, TfliteOperator::FullyConnected, self.activation, lowering.profile)?;
        let (mut input, _, _) = lowering.integer_operand(node, 0)?;
        let columns = matrix.ncols();
        if lowering.tensor(&node.name, input)?.channels() != columns {
            input = lowering.reshape(&format!("{}_rows", node.name), input, vec![rows, columns])?;
        }
        let product = layer.product(matrix.to_owned(), formula);
        check_accumulators(&view, &product, lowering.tensor(&node.name, input)?.range)?;
        lowering.define_image(node, QuantOp::Dense(product), vec![input])
    }

    fn parts<'g>(&self, view: &NodeView<'g>) -> Result<Parts<'g>, CompileError> {
        let layer = Layer::read(view, &["outputs", "inputs"], 0)?;
        let (input, output) = (layer.input, layer.output);
        let matrix = layer.weights.view().into_dimensionality::<ndarray::Ix2>();
        let matrix = matrix.map_err(|_| view.error("its weights are no matrix", "export the model again"))?;
        let (outputs, columns) = matrix.dim();
        let elements: usize = input.shape.iter().product();
        if !elements.is_multiple_of(columns) {
            return Err(view.error(
                format!("input shape {:?} is no whole number of rows of {columns} weights", input.shape),
                "export the model again",
            ));
        }
        let rows = elements / columns;
        let expected = match (self.keep_num_dims, input.shape.split_last()) {
            (true, Some((last, leading))) if *last == columns => [leading, &[outputs]].concat(),
            (true, _) => {
                return Err(view.error(
                    format!("dimensions are kept, but the last of {:?} is not {columns}", input.shape),
                    "export the model again",
                ))
            }
            (false, _) => vec![rows, outputs],
        };
        // Older converters keep dimensions without saying so: the elements are the same.
        let same_elements =
            output.shape.last() == Some(&outputs) && output.shape.iter().product::<usize>() == rows * outputs;
        if output.shape != expected && !same_elements {
            return Err(view.error(
                format!(
                    "output shape is {:?}, input {:?} and weights [{outputs}, {columns}] give {expected:?}",
                    output.shape, input.shape
                ),
                "export the model again",
            ));
        }
        Ok(Parts { layer, matrix, rows })
    }

    /// A network of one such layer: 1 to 3 rows, 1 to 40 inputs, 1 to 12 outputs, any zero points,
    /// scales, bias and activation.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let (rows, columns, outputs) = (random.size(1, 3), random.size(1, 40), random.size(1, 12));
        let op = FullyConnected { activation: random.fused(), keep_num_dims: random.pick(&[true, false]) };
        let input_shape = match (op.keep_num_dims, random.size(0, 1)) {
            (false, 1) => vec![1, rows * columns],
            _ => vec![1, rows, columns],
        };
        let output_shape = if op.keep_num_dims { vec![1, rows, outputs] } else { vec![rows, outputs] };
        let input_scale = random.scale(-8, 2);
        let weight_scale = random.scale(-12, 0);
        // Outputs of about half the type's width.
        let output_scale = input_scale * weight_scale * (columns as f32).sqrt() * 64.0 * random.scale(-1, 2);
        let [weights, bias] = layer_constants(random, "", &[outputs, columns], 0, weight_scale);
        let tensors = vec![
            activation("input", &input_shape, input_scale, random.within(-128, 127)),
            weights,
            bias,
            activation("output", &output_shape, output_scale, random.within(-128, 127)),
        ];
        let bias = random.pick(&[Some(TensorId(2)), None]);
        let node = Node {
            name: "layer".into(),
            op: super::Op::FullyConnected(op),
            inputs: vec![Some(TensorId(0)), Some(TensorId(1)), bias],
            outputs: vec![TensorId(3)],
        };
        Graph::new("random".into(), Format::Tflite, tensors, vec![node], vec![TensorId(0)], vec![TensorId(3)])
    }
}
