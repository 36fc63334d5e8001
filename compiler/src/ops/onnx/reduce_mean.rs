//! ReduceMean (ONNX operator specification): the average of each channel of an image `[1, C, ...]` over
//! rows, columns or both. Between quantizers it is the fused formula of QLinearGlobalAveragePool, or over one of them
//! that of QLinearAveragePool.

use super::operands::Operands;
use super::operator::Operator;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Tensor};
use crate::passes::layout::Layout;
use crate::passes::lowering::Lowering;
use crate::passes::real::{Dequantized, Divisor, FloatSource, PendingFloat};
use crate::profile::Profile;
use ndarray::{Axis, IxDyn};
use systole_arith::Window;

/// An average.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReduceMean {
    /// Dimensions that are averaged over; an operand from version 18 on, all where there are none.
    pub axes: Option<Vec<i64>>,
    /// Whether they are kept with size 1.
    pub keep: bool,
    /// Whether no dimensions mean none.
    pub none_is_none: bool,
}

impl ReduceMean {
    /// Whether each dimension is averaged over.
    fn reduced(&self, operands: &Operands) -> Result<Vec<bool>, CompileError> {
        let rank = operands.required(0, "data")?.shape.len();
        let axes = match &self.axes {
            Some(axes) => Some(axes.clone()),
            None => operands.optional_integer_list(1, "axes")?,
        };
        match axes {
            Some(axes) if !axes.is_empty() => {
                let mut reduced = vec![false; rank];
                for axis in axes {
                    if let Some(slot) = reduced.get_mut(operands.axis(axis, rank)?) {
                        *slot = true;
                    }
                }
                Ok(reduced)
            }
            _ => Ok(vec![!self.none_is_none; rank]),
        }
    }

    fn shape(&self, operands: &Operands) -> Result<Vec<usize>, CompileError> {
        let shape = &operands.required(0, "data")?.shape;
        let reduced = self.reduced(operands)?;
        let dims = shape.iter().zip(&reduced).filter(|(_, &reduced)| self.keep || !reduced);
        Ok(dims.map(|(&dim, &reduced)| if reduced { 1 } else { dim }).collect())
    }
}

impl Operator for ReduceMean {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        Ok(vec![operands.result(self.shape(operands)?, ElementType::Float32)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let shape = self.shape(operands)?;
        let mut values = operands.floats(0, "data")?;
        for (axis, _) in self.reduced(operands)?.into_iter().enumerate().filter(|(_, reduced)| *reduced) {
            let mean = values.mean_axis(Axis(axis));
            let mean = mean.ok_or_else(|| operands.error("it averages no elements", "remove the node"))?;
            values = mean.insert_axis(Axis(axis));
        }
        let values = values
            .as_standard_layout()
            .into_owned()
            .into_shape_with_order(IxDyn(&shape))
            .map_err(|e| operands.error(e.to_string(), "export the model again"))?;
        Ok(vec![Tensor {
            constant: Some(ConstantData::Float(values)),
            ..operands.result(shape, ElementType::Float32)?
        }])
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let shape = &operands.required(0, "data")?.shape;
        let reduced = self.reduced(&operands)?;
        let (Some([false, false]), [_, _, spatial @ ..]) = (reduced.get(..2), shape.as_slice()) else {
            return Err(operands.error(
                format!("it averages other dimensions of {shape:?} than rows and columns"),
                "average images [1, C, ...] over rows and columns",
            ));
        };
        let input = match spatial {
            [columns] => [1, *columns],
            [rows, columns] => [*rows, *columns],
            _ => {
                return Err(operands.error(
                    format!("the input has {} spatial dimensions", spatial.len()),
                    "averages are compiled in one and two dimensions",
                ))
            }
        };
        let mut window = Window::pointwise(input);
        let skipped = 2 - spatial.len();
        for (axis, _) in reduced.iter().skip(2).enumerate().filter(|(_, &reduced)| reduced) {
            window.kernel[axis + skipped] = input[axis + skipped];
        }
        window.validate().map_err(|e| operands.error(e.to_string(), "export the model again"))?;
        if lowering.profile == Profile::Qonnx {
            return lowering.open_average(node, window, Divisor::RealTaps);
        }
        let operand = lowering.dequantized_operand(node, 0)?;
        let tensor = lowering.held_as_image(&node.name, operand.tensor, lowering.operand_id(node, 0)?)?;
        let input = Dequantized { tensor, ..operand };
        let divisor = if window.is_global() { Divisor::Image } else { Divisor::RealTaps };
        let [rows, columns] = window.output();
        let channels = shape.get(1).copied().unwrap_or(1);
        let held = if spatial.len() == 1 { vec![channels, columns] } else { vec![channels, rows, columns] };
        let layout = Layout::channels_last(&held);
        let pending = PendingFloat {
            node: node.name.clone(),
            source: FloatSource::Average { input, window, divisor },
            functions: Vec::new(),
            shape: layout.shape().to_vec(),
            layout,
        };
        lowering.define_float(node, pending)
    }
}
