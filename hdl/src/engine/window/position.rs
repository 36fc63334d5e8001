//! Logic that depends on where a window stands.

use crate::typed::{Expr, HwType};

/// The value of `table[row][column]` for two counters: comparisons with the ends of runs of equal
/// columns, and of equal rows.
pub(super) fn by_position(table: &[Vec<i64>], row: &Expr, column: &Expr, ty: HwType) -> Expr {
    let along_columns = |values: &Vec<i64>| by_runs(values, column, |&value| Expr::lit(ty, value));
    by_runs(table, row, along_columns)
}

/// The value of `values[index]` for a counter.
pub(super) fn by_index(values: &[i64], index: &Expr, ty: HwType) -> Expr {
    by_runs(values, index, |&value| Expr::lit(ty, value))
}

fn by_runs<T: PartialEq>(values: &[T], index: &Expr, expr: impl Fn(&T) -> Expr) -> Expr {
    let mut chosen: Option<Expr> = None;
    let mut end = values.len();
    while end > 0 {
        let value = &values[end - 1];
        let begin = values[..end].iter().rposition(|other| other != value).map_or(0, |at| at + 1);
        let this = expr(value);
        chosen = Some(match chosen {
            None => this,
            Some(later) => Expr::mux(index.lt(Expr::lit(index.ty(), end as i64)), this, later),
        });
        end = begin;
    }
    chosen.expect("a window has at least one position")
}

/// `items[index]` as a tree of multiplexers.
pub(super) fn select<T: PartialEq>(index: &Expr, items: &[T], expr: &impl Fn(&T) -> Expr) -> Expr {
    let first = items.first().expect("there is something to choose from");
    if items.iter().all(|item| item == first) {
        return expr(first);
    }
    let bit = usize::BITS - 1 - (items.len() - 1).leading_zeros();
    let (low, high) = items.split_at(1 << bit);
    Expr::mux(index.bit(bit), select(index, high, expr), select(index, low, expr))
}
