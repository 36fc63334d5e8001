//! Arithmetic on shapes: converters leave it in models whose batch is open, and all of it is constant once the batch
//! is 1.

use super::model::{OperatorRecord, Options};
use super::schema::builtin;
use crate::graph::{ConstantData, ElementType, Tensor};
use ndarray::{concatenate, stack, ArrayD, ArrayViewD, Axis, IxDyn};

/// Most elements of a constant that is computed.
const ELEMENT_LIMIT: usize = 1024;

/// Whether an operator may compute a shape.
pub fn folds(code: i32) -> bool {
    use builtin::*;
    const CODES: [i32; 18] = [
        SHAPE,
        STRIDED_SLICE,
        SLICE,
        PACK,
        CONCATENATION,
        GATHER,
        CAST,
        RESHAPE,
        SQUEEZE,
        EXPAND_DIMS,
        ADD,
        SUB,
        MUL,
        MAXIMUM,
        MINIMUM,
        REDUCE_PROD,
        FILL,
        BROADCAST_ARGS,
    ];
    CODES.contains(&code)
}

/// The value of an operator on integers that are all constant; none where it is not one of these, an operand is
/// computed at run time, or the operands do not fit.
pub fn fold(record: &OperatorRecord, operands: &[Option<&Tensor>], result: &Tensor) -> Option<ArrayD<i64>> {
    if !matches!(result.element, ElementType::Int32 | ElementType::Int64) || result.quantization.is_some() {
        return None;
    }
    let tensor = |position: usize| operands.get(position).copied().flatten();
    if record.code == builtin::SHAPE {
        let shape = tensor(0)?.shape.iter().map(|&dim| i64::try_from(dim).ok()).collect::<Option<Vec<_>>>()?;
        return ArrayD::from_shape_vec(IxDyn(&[shape.len()]), shape).ok();
    }
    let values = |position: usize| match &tensor(position)?.constant {
        Some(ConstantData::Int(values)) if values.len() <= ELEMENT_LIMIT => Some(values),
        _ => None,
    };
    let first = values(0)?;
    let every = || {
        let all = (0..operands.len()).map(|position| values(position).map(|values| values.view()));
        all.collect::<Option<Vec<ArrayViewD<i64>>>>()
    };
    let folded = match (record.code, &record.options) {
        (builtin::STRIDED_SLICE, options) => sliced(first, [values(1)?, values(2)?, values(3)?], options)?,
        (builtin::SLICE, _) => {
            let (begin, count) = (whole(values(1)?)?, whole(values(2)?)?);
            let begin = usize::try_from(begin).ok()?;
            let count = if count < 0 { first.len().checked_sub(begin)? } else { usize::try_from(count).ok()? };
            let end = begin.checked_add(count)?;
            list(list_of(first)?.get(begin..end)?.to_vec())?
        }
        (builtin::PACK, &Options::Pack { axis }) => stack(at(axis, first.ndim() + 1)?, &every()?).ok()?,
        (builtin::CONCATENATION, &Options::Concatenation { axis, .. }) => {
            concatenate(at(axis, first.ndim())?, &every()?).ok()?
        }
        (builtin::GATHER, _) if first.ndim() == 1 => {
            let place =
                |&index: &i64| usize::try_from(index).ok().and_then(|index| first.get(IxDyn(&[index])).copied());
            let indices = values(1)?;
            let picked = indices.iter().map(place).collect::<Option<Vec<_>>>()?;
            ArrayD::from_shape_vec(indices.raw_dim(), picked).ok()?
        }
        (builtin::CAST, _) => first.clone(),
        (builtin::RESHAPE | builtin::SQUEEZE | builtin::EXPAND_DIMS, _) => {
            let elements = first.iter().copied().collect();
            ArrayD::from_shape_vec(IxDyn(&result.shape), elements).ok()?
        }
        (builtin::ADD, _) => elementwise(first, values(1)?, i64::checked_add)?,
        (builtin::SUB, _) => elementwise(first, values(1)?, i64::checked_sub)?,
        (builtin::MUL, _) => elementwise(first, values(1)?, i64::checked_mul)?,
        (builtin::MAXIMUM, _) => elementwise(first, values(1)?, |a, b| Some(a.max(b)))?,
        (builtin::MINIMUM, _) => elementwise(first, values(1)?, |a, b| Some(a.min(b)))?,
        (builtin::REDUCE_PROD, options) => {
            let product = first.iter().try_fold(1i64, |product, &value| product.checked_mul(value))?;
            let kept = matches!(options, Options::Reducer { keep_dims: true });
            let shape: &[usize] = if kept { &[1] } else { &[] };
            ArrayD::from_elem(IxDyn(shape), (first.ndim() == 1).then_some(product)?)
        }
        (builtin::FILL, _) => {
            let shape = first.iter().map(|&dim| usize::try_from(dim).ok()).collect::<Option<Vec<_>>>()?;
            let count = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim))?;
            ArrayD::from_elem(IxDyn(&shape), whole(values(1)?).filter(|_| count <= ELEMENT_LIMIT)?)
        }
        (builtin::BROADCAST_ARGS, _) => {
            let shape = |values: &ArrayD<i64>| {
                list_of(values)?.iter().map(|&dim| usize::try_from(dim).ok()).collect::<Option<Vec<_>>>()
            };
            let both = crate::ops::onnx::operands::broadcast_shape(&shape(first)?, &shape(values(1)?)?)?;
            list(both.iter().map(|&dim| i64::try_from(dim).ok()).collect::<Option<Vec<_>>>()?)?
        }
        _ => return None,
    };
    (folded.len() <= ELEMENT_LIMIT).then_some(folded)
}

/// The only element.
fn whole(values: &ArrayD<i64>) -> Option<i64> {
    values.first().copied().filter(|_| values.len() == 1)
}

fn list_of(values: &ArrayD<i64>) -> Option<&[i64]> {
    values.as_slice().filter(|_| values.ndim() == 1)
}

fn list(values: Vec<i64>) -> Option<ArrayD<i64>> {
    ArrayD::from_shape_vec(IxDyn(&[values.len()]), values).ok()
}

/// A dimension of `rank`, counted from the end where negative.
fn at(axis: i32, rank: usize) -> Option<Axis> {
    let axis = if axis < 0 { i64::from(axis) + rank as i64 } else { i64::from(axis) };
    usize::try_from(axis).ok().filter(|&axis| axis < rank).map(Axis)
}

fn elementwise(a: &ArrayD<i64>, b: &ArrayD<i64>, f: impl Fn(i64, i64) -> Option<i64>) -> Option<ArrayD<i64>> {
    let shape = crate::ops::onnx::operands::broadcast_shape(a.shape(), b.shape())?;
    let (a, b) = (a.broadcast(IxDyn(&shape))?, b.broadcast(IxDyn(&shape))?);
    let values = a.iter().zip(b.iter()).map(|(&a, &b)| f(a, b)).collect::<Option<Vec<_>>>()?;
    ArrayD::from_shape_vec(IxDyn(&shape), values).ok()
}

/// A part of a list, or one element of it: STRIDED_SLICE in one dimension.
fn sliced(values: &ArrayD<i64>, bounds: [&ArrayD<i64>; 3], options: &Options) -> Option<ArrayD<i64>> {
    let &Options::StridedSlice { begin_mask, end_mask, other_masks, shrink_mask } = options else { return None };
    let (values, [begin, end, stride]) = (list_of(values)?, bounds);
    let (begin, end, stride) = (whole(begin)?, whole(end)?, whole(stride)?);
    let length = i64::try_from(values.len()).ok()?;
    if other_masks != 0 || stride == 0 {
        return None;
    }
    let (least, most) = if stride > 0 { (0, length) } else { (-1, length - 1) };
    let place = |index: i64| (if index < 0 { index.saturating_add(length) } else { index }).clamp(least, most);
    let (first, last) = if stride > 0 { (least, most) } else { (most, least) };
    let begin = if begin_mask & 1 == 1 { first } else { place(begin) };
    if shrink_mask & 1 == 1 {
        let value = values.get(usize::try_from(begin).ok()?)?;
        return Some(ArrayD::from_elem(IxDyn(&[]), *value));
    }
    let end = if end_mask & 1 == 1 { last } else { place(end) };
    let (mut taken, mut index) = (Vec::new(), begin);
    while (stride > 0 && index < end) || (stride < 0 && index > end) {
        taken.push(*values.get(usize::try_from(index).ok()?)?);
        index = index.checked_add(stride)?;
    }
    list(taken)
}

/// The shape of a RESHAPE's result, of which one dimension may be -1: the rest of `count` elements.
pub fn reshaped(target: &[i64], count: usize) -> Option<Vec<usize>> {
    let known = |&dim: &i64| if dim == -1 { Some(1) } else { usize::try_from(dim).ok() };
    let sizes = target.iter().map(known).collect::<Option<Vec<usize>>>()?;
    let product = sizes.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim)).filter(|&n| n > 0)?;
    let open = target.iter().filter(|&&dim| dim == -1).count();
    let rest = count / product;
    let fits = product * rest == count && (open == 1 || (open == 0 && rest == 1));
    let shape = target.iter().zip(sizes).map(|(&dim, size)| if dim == -1 { rest } else { size });
    fits.then(|| shape.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: &[i64]) -> Tensor {
        Tensor {
            name: "t".into(),
            shape: vec![values.len()],
            element: ElementType::Int32,
            quantization: None,
            constant: list(values.to_vec()).map(ConstantData::Int),
        }
    }

    fn folded(code: i32, options: Options, operands: &[&Tensor]) -> Option<Vec<i64>> {
        let record = OperatorRecord { code, custom: String::new(), inputs: vec![], outputs: vec![], options };
        let operands: Vec<Option<&Tensor>> = operands.iter().map(|tensor| Some(*tensor)).collect();
        fold(&record, &operands, &numbers(&[])).map(|values| values.iter().copied().collect())
    }

    fn slice_options(begin_mask: i32, end_mask: i32, shrink_mask: i32) -> Options {
        Options::StridedSlice { begin_mask, end_mask, other_masks: 0, shrink_mask }
    }

    #[test]
    fn a_shape_is_taken_apart_and_put_together() {
        let shape = numbers(&[1, 4, 5]);
        let one = |value: i64| numbers(&[value]);
        let slice = |begin, end, stride, options| {
            folded(builtin::STRIDED_SLICE, options, &[&shape, &one(begin), &one(end), &one(stride)])
        };
        assert_eq!(slice(0, 1, 1, slice_options(0, 0, 1)), Some(vec![1]));
        assert_eq!(slice(-2, 9, 1, slice_options(0, 0, 0)), Some(vec![4, 5]));
        assert_eq!(slice(0, 2, 1, slice_options(1, 0, 0)), Some(vec![1, 4]));
        assert_eq!(slice(0, 0, -1, slice_options(1, 1, 0)), Some(vec![5, 4, 1]));
        assert_eq!(slice(0, 0, 0, slice_options(0, 0, 0)), None);
        assert_eq!(slice(7, 8, 1, slice_options(0, 0, 1)), None);
        let packed = folded(builtin::PACK, Options::Pack { axis: 0 }, &[&one(3), &one(7)]);
        assert_eq!(packed, Some(vec![3, 7]));
        assert_eq!(folded(builtin::PACK, Options::Pack { axis: 5 }, &[&one(3), &one(7)]), None);
        let joined = Options::Concatenation { axis: 0, activation: 0 };
        assert_eq!(folded(builtin::CONCATENATION, joined, &[&shape, &one(7)]), Some(vec![1, 4, 5, 7]));
        assert_eq!(folded(builtin::REDUCE_PROD, Options::Reducer { keep_dims: true }, &[&shape]), Some(vec![20]));
        assert_eq!(folded(builtin::MUL, Options::None, &[&one(i64::MAX), &one(2)]), None);
    }

    #[test]
    fn one_dimension_of_a_shape_may_be_open() {
        assert_eq!(reshaped(&[-1, 4], 12), Some(vec![3, 4]));
        assert_eq!(reshaped(&[1, 12], 12), Some(vec![1, 12]));
        for (target, count) in [(vec![-1, 5], 12), (vec![-1, -1], 12), (vec![0, 12], 12), (vec![i64::MAX, i64::MAX], 1)]
        {
            assert_eq!(reshaped(&target, count), None, "{target:?}");
        }
    }
}
