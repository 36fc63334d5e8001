//! Where nearest-neighbour resizing takes its elements from, and what of it the accelerator does: whole factors.

use crate::quant::Repeat;

/// The whole factor by which `source` enlarges `input` indices to `output` ones: each is taken as often as every
/// other, in order. None where they are taken otherwise.
pub fn whole_factor(input: usize, output: usize, source: impl Fn(usize) -> usize) -> Option<usize> {
    let factor = output.checked_div(input).filter(|factor| *factor > 0 && factor * input == output)?;
    (0..output).all(|index| source(index) == index / factor).then_some(factor)
}

/// The operator that enlarges an image by the factors that `sources` of rows and columns have.
pub fn enlargement(image: [usize; 2], output: [usize; 2], sources: [&dyn Fn(usize) -> usize; 2]) -> Option<Repeat> {
    let [down, across] = [0, 1].map(|axis| whole_factor(image[axis], output[axis], sources[axis]));
    Some(Repeat { image, factors: [down?, across?] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_numbers_of_copies_in_order_are_a_whole_factor() {
        assert_eq!(whole_factor(3, 6, |i| i / 2), Some(2));
        assert_eq!(whole_factor(3, 3, |i| i), Some(1));
        assert_eq!(whole_factor(3, 6, |i| i.div_ceil(2)), None);
        assert_eq!(whole_factor(3, 5, |i| i * 3 / 5), None);
        assert_eq!(whole_factor(4, 2, |i| i * 2), None);
    }
}
