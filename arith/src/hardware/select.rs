//! Forms whose channels are those of another, repeated or reordered.

use super::{Affine, Linear, Requantizer, Thresholds};

impl Requantizer {
    /// The form whose channel i is channel `indices[i]` of this one: one channel repeated over all,
    /// or the class of each channel.
    ///
    /// # Panics
    /// If an index is not below [`Requantizer::channels`], which is a bug of the caller.
    pub fn select(&self, indices: &[usize]) -> Requantizer {
        fn of<T: Clone>(list: &[T], indices: &[usize]) -> Vec<T> {
            indices.iter().map(|&index| list[index].clone()).collect()
        }
        let thresholds = |form: &Thresholds| Thresholds {
            increment: form.increment,
            base: of(&form.base, indices),
            falling: of(&form.falling, indices),
            thresholds: of(&form.thresholds, indices),
        };
        match self {
            Requantizer::Linear(form) => {
                Requantizer::Linear(Linear { stride: form.stride, offsets: of(&form.offsets, indices) })
            }
            Requantizer::Thresholds(form) => Requantizer::Thresholds(thresholds(form)),
            Requantizer::Search(form) => Requantizer::Search(thresholds(form)),
            Requantizer::Affine(form) => Requantizer::Affine(Affine {
                multipliers: of(&form.multipliers, indices),
                pivot: of(&form.pivot, indices),
                bias_negative: of(&form.bias_negative, indices),
                bias_positive: of(&form.bias_positive, indices),
                shift: form.shift,
                rounding: form.rounding,
                clamp: form.clamp,
                corrections: of(&form.corrections, indices),
            }),
            Requantizer::Table(form) => Requantizer::Table(form.select(indices)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{Correction, Lookup, ShiftRounding};

    fn forms() -> Vec<Requantizer> {
        let levels = Thresholds {
            increment: 1,
            base: vec![0, -2, 1],
            falling: vec![false, true, false],
            thresholds: vec![vec![-7, 0, 9], vec![-20, 3, 4], vec![1, 2, 30]],
        };
        let affine = Affine {
            multipliers: vec![3, -5, 7],
            pivot: vec![0, 4, -9],
            bias_negative: vec![1, 2, 3],
            bias_positive: vec![4, 5, 6],
            shift: 3,
            rounding: ShiftRounding::HalfEven,
            clamp: (-9, 11),
            corrections: vec![vec![], vec![Correction { at: 4, delta: 1 }], vec![]],
        };
        let values: Vec<Vec<i64>> = (0..3).map(|c| (0..61).map(|x| (x * (c + 3)) % 17 - 8).collect()).collect();
        let shared = Lookup { channels: 3, lowest: -30, values: vec![values[1].clone()] };
        vec![
            Requantizer::linear(2, vec![5, -1, 0]),
            Requantizer::Thresholds(levels.clone()),
            Requantizer::Search(levels),
            Requantizer::Affine(affine),
            Requantizer::Table(Lookup { channels: 3, lowest: -30, values }),
            Requantizer::Table(shared),
        ]
    }

    #[test]
    fn selected_channels_are_the_channels_selected() {
        for form in forms() {
            for indices in [vec![0; 7], vec![2, 0, 1, 1], vec![1], vec![]] {
                let selected = form.select(&indices);
                assert_eq!(selected.channels(), indices.len());
                assert_eq!(selected.name(), form.name());
                for (channel, &index) in indices.iter().enumerate() {
                    for raw in -30..=30 {
                        let (got, expected) = (selected.evaluate(channel, raw), form.evaluate(index, raw));
                        assert_eq!(got, expected, "{form}: channel {index} as {channel}, raw {raw}");
                    }
                }
            }
        }
    }
}
