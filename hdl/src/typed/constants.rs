//! Wires that hold constants, as far as comparisons are concerned.
//!
//! A comparison with a wire that happens to hold 0 is as constant as one with the literal, and lint
//! checkers see through the wire. The wire keeps its name and its readers; only comparisons that it
//! decides are replaced by what they give.

use super::expr::{Expr, Op};
use super::module::Combinational;
use std::collections::HashMap;

/// What is known to be constant.
#[derive(Default)]
pub(super) struct Constants {
    /// Wires, by index.
    wires: HashMap<u32, Expr>,
    /// What nodes become when those wires are put in, by identity.
    folded: HashMap<usize, Expr>,
}

impl Constants {
    /// Finds the constant wires; `order` has each driver after what it reads.
    pub fn find(order: &[Combinational]) -> Self {
        let mut constants = Constants::default();
        for combinational in order {
            if let Combinational::Assign(assign) = combinational {
                let value = constants.fold(&assign.value);
                if value.as_literal().is_some() {
                    constants.wires.insert(assign.target, value);
                }
            }
        }
        constants
    }

    /// The constant that a comparison gives, if it gives one.
    pub fn decides(&mut self, expr: &Expr) -> Option<Expr> {
        let is_comparison = matches!(expr.op(), Op::Compare(..));
        let value = is_comparison.then(|| self.fold(expr))?;
        value.as_literal().is_some().then_some(value)
    }

    fn fold(&mut self, expr: &Expr) -> Expr {
        if let Op::Signal(signal) = expr.op() {
            return self.wires.get(&signal.index).unwrap_or(expr).clone();
        }
        if let Some(folded) = self.folded.get(&expr.id()) {
            return folded.clone();
        }
        let operands: Vec<Expr> = expr.operands().into_iter().map(|operand| self.fold(operand)).collect();
        let unchanged = expr.operands().iter().zip(&operands).all(|(old, new)| old.id() == new.id());
        let folded = if unchanged { expr.clone() } else { expr.rebuilt(&operands) };
        self.folded.insert(expr.id(), folded.clone());
        folded
    }
}
