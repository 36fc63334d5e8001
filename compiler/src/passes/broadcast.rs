//! Tensors computed at run time that are repeated along dimensions of size 1.

use crate::diagnostic::CompileError;
use crate::passes::lowering::Lowering;
use crate::quant::{QuantOp, Repeat, TensorId};

/// One step of a broadcast: the operand under `from`, repeated, is the result under `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    from: Vec<usize>,
    repeat: Repeat,
    to: Vec<usize>,
}

/// The steps that repeat `from` to `to`, dimension by dimension: channels first, while there are few pixels, then
/// from the outermost dimension on, so that few pixels are held. None where the shapes do not broadcast.
fn steps(from: &[usize], to: &[usize]) -> Option<Vec<Step>> {
    let missing = to.len().checked_sub(from.len())?;
    let mut shape: Vec<usize> = std::iter::repeat_n(1, missing).chain(from.iter().copied()).collect();
    if shape.iter().zip(to).any(|(a, b)| a != b && *a != 1) {
        return None;
    }
    let repeated = |axis: usize, shape: &[usize]| shape[axis] != to[axis];
    let mut steps = Vec::new();
    let last = to.len().checked_sub(1)?;
    if repeated(last, &shape) {
        let pixels: usize = shape.iter().product();
        let repeat = Repeat { image: [pixels, 1], factors: [to[last], 1] };
        shape[last] = to[last];
        steps.push(Step { from: vec![pixels, 1, 1], repeat, to: vec![pixels * to[last], 1, 1] });
    }
    let mut axis = 0;
    while axis < last {
        let end = (axis..last).find(|&axis| !repeated(axis, &shape)).unwrap_or(last);
        if end > axis {
            let copies: usize = to[axis..end].iter().product();
            let outer: usize = shape[..axis].iter().product();
            let inner: usize = shape[end..last].iter().product();
            let repeat = Repeat { image: [outer, inner], factors: [copies, 1] };
            shape[axis..end].copy_from_slice(&to[axis..end]);
            let channels = shape[last];
            steps.push(Step { from: vec![outer, inner, channels], repeat, to: vec![outer * copies, inner, channels] });
        }
        axis = end.max(axis + 1);
    }
    Some(steps)
}

impl Lowering<'_> {
    /// `tensor`, of the shape `from` of one sample, repeated to the shape `to`; itself where they are equal.
    ///
    /// # Errors
    /// If the shapes do not broadcast.
    pub fn broadcast(
        &mut self,
        node: &str,
        tensor: TensorId,
        from: &[usize],
        to: &[usize],
    ) -> Result<TensorId, CompileError> {
        let steps = steps(from, to).ok_or_else(|| {
            CompileError::node(
                node,
                format!("a tensor of shape {from:?} does not repeat to {to:?}"),
                "give both operands one shape, or dimensions of 1",
            )
        })?;
        let mut tensor = tensor;
        for Step { from, repeat, to } in steps {
            let input = self.reshape(node, tensor, from)?;
            let source = self.tensor(node, input)?.clone();
            let name = format!("{}_repeated", source.name);
            let output = self.add_tensor(name, to, source.element, source.range, None)?;
            if let Some(made) = self.tensors.get_mut(output.0 as usize) {
                (made.scale, made.zero_point) = (source.scale, source.zero_point);
            }
            self.add_node(&format!("{node}_repeat"), QuantOp::Repeat(repeat), vec![input], output);
            tensor = output;
        }
        match self.tensor(node, tensor)?.shape == to {
            true => Ok(tensor),
            false => self.reshape(node, tensor, to.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, IxDyn};

    /// The steps on counted elements, as the definition of the repetition has them.
    fn repeated(from: &[usize], to: &[usize]) -> Option<Vec<i64>> {
        let count: usize = from.iter().product();
        let mut values: Vec<i64> = (0..count as i64).collect();
        for step in steps(from, to)? {
            let ([rows, columns], [down, across]) = (step.repeat.image, step.repeat.factors);
            assert_eq!(step.from[..2], [rows, columns]);
            assert_eq!(step.from.iter().product::<usize>(), values.len());
            let channels = step.from[2];
            let mut next = Vec::new();
            for row in 0..rows * down {
                for column in 0..columns * across {
                    let pixel = row / down * columns + column / across;
                    next.extend_from_slice(&values[pixel * channels..][..channels]);
                }
            }
            values = next;
        }
        Some(values)
    }

    #[test]
    fn every_set_of_repeated_dimensions_is_what_broadcasting_says() {
        let to = [2, 3, 4, 5];
        for set in 0..16usize {
            let from: Vec<usize> = (0..4).map(|axis| if set >> axis & 1 == 1 { 1 } else { to[axis] }).collect();
            let leading = from.iter().take_while(|&&dim| dim == 1).count();
            for skipped in 0..=leading.min(3) {
                let from = &from[skipped..];
                let count: usize = from.iter().product();
                let values = ArrayD::from_shape_vec(IxDyn(from), (0..count as i64).collect()).unwrap();
                let expected: Vec<i64> = values.broadcast(IxDyn(&to)).unwrap().iter().copied().collect();
                assert_eq!(repeated(from, &to), Some(expected), "{from:?}");
            }
        }
        assert_eq!(repeated(&[2], &[3]), None);
        assert_eq!(repeated(&[2, 3], &[3]), None);
    }
}
