//! Expressions as RustHDL syntax trees, printed without a parenthesis too many.
//!
//! RustHDL's tree has no conditional operator, concatenation or arithmetic shift; those are text
//! inside its `Signal` node, which passes text through.

use super::expr::{Binary, Compare, Expr, Op, Reduce};
use super::module::Module;
use super::HwType;
use num_bigint::BigUint;
use num_traits::Zero;
use rust_hdl::core::ast::{VerilogExpression, VerilogLiteral, VerilogOp, VerilogOpUnary};

use super::print::text;

/// What an expression is, for the decision whether it needs parentheses inside another.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// A name, a literal, a selection, a concatenation, a call.
    Primary,
    /// `~x`.
    Complement,
    /// Any other unary operator.
    Unary,
    /// A binary operator.
    Binary(Option<Binary>),
    /// `c ? a : b`.
    Conditional,
}

type Lowered = (VerilogExpression, Shape);

/// Plain text as a node.
pub(super) fn raw(text: impl Into<String>) -> VerilogExpression {
    VerilogExpression::Signal(text.into())
}

/// A small number, as in a bit select.
fn number(value: u32) -> Box<VerilogExpression> {
    Box::new(VerilogExpression::Literal(VerilogLiteral::from(value)))
}

fn paren(expression: VerilogExpression) -> VerilogExpression {
    VerilogExpression::Paren(Box::new(expression))
}

/// A literal of that type: decimal up to 32 bits, hexadecimal above. Signed ones have their sign in
/// front, except the least value.
pub(super) fn literal(ty: HwType, bits: &BigUint) -> String {
    let HwType { width, signed } = ty;
    let value = ty.value_of(bits);
    match (width, signed) {
        (1, false) => format!("1'b{bits}"),
        (33.., false) if !bits.is_zero() => format!("{width}'h{bits:x}"),
        (_, false) => format!("{width}'d{bits}"),
        (_, true) if ty.is_most_negative(&value) => format!("{width}'sh{bits:x}"),
        (_, true) => match value.sign() {
            num_bigint::Sign::Minus => format!("-{width}'sd{}", value.magnitude()),
            _ => format!("{width}'sd{value}"),
        },
    }
}

/// Whether Verilog takes the printed expression for a signed one.
fn prints_signed(expr: &Expr) -> bool {
    match expr.op() {
        Op::Signal(_) | Op::Literal(_) => expr.ty().signed,
        Op::Slice { .. } | Op::Index { .. } | Op::Concat(_) | Op::Extend(_) => false,
        Op::Compare(..) | Op::Reduce(..) => false,
        Op::Reinterpret(of) | Op::Not(of) | Op::Neg(of) => prints_signed(of),
        Op::ShiftLeft(of, _) | Op::ShiftRight(of, _) => prints_signed(of),
        Op::Binary(_, a, b) | Op::Mul(a, b) | Op::Mux(_, a, b) => prints_signed(a) && prints_signed(b),
    }
}

impl Module {
    /// The expression as RustHDL's tree.
    pub(super) fn lower(&self, expr: &Expr) -> VerilogExpression {
        self.lowered(expr).0
    }

    /// The expression's text.
    pub(super) fn text(&self, expr: &Expr) -> String {
        text(&self.lower(expr))
    }

    fn lowered(&self, expr: &Expr) -> Lowered {
        match expr.op() {
            Op::Literal(bits) => {
                let text = literal(expr.ty(), bits);
                let shape = if text.starts_with('-') { Shape::Unary } else { Shape::Primary };
                (raw(text), shape)
            }
            Op::Signal(signal) => (raw(&self.decl(signal.index).name), Shape::Primary),
            Op::Slice { of, lo } => {
                let (of, _) = self.lowered(of);
                let select = match expr.ty().width {
                    1 => VerilogExpression::Index(Box::new(of), number(*lo)),
                    width => VerilogExpression::Slice(Box::new(of), width as usize, number(*lo)),
                };
                (select, Shape::Primary)
            }
            Op::Index { of, index } => {
                let (of, index) = (self.lower(of), self.lower(index));
                (VerilogExpression::Index(Box::new(of), Box::new(index)), Shape::Primary)
            }
            Op::Concat(_) | Op::Extend(_) => (raw(self.concatenation(expr)), Shape::Primary),
            Op::Reinterpret(of) => self.lowered(of),
            Op::Binary(kind, a, b) => {
                let operator = match kind {
                    Binary::Add => VerilogOp::Add,
                    Binary::Sub => VerilogOp::Sub,
                    Binary::And => VerilogOp::BitAnd,
                    Binary::Or => VerilogOp::BitOr,
                    Binary::Xor => VerilogOp::BitXor,
                };
                let (a, b) = (self.chained(a, *kind, true), self.chained(b, *kind, false));
                (VerilogExpression::Binary(Box::new(a), operator, Box::new(b)), Shape::Binary(Some(*kind)))
            }
            Op::Compare(kind, a, b) => {
                let operator = match kind {
                    Compare::Eq => VerilogOp::Eq,
                    Compare::Ne => VerilogOp::Ne,
                    Compare::Lt => VerilogOp::Lt,
                    Compare::Le => VerilogOp::Le,
                    Compare::Gt => VerilogOp::Gt,
                    Compare::Ge => VerilogOp::Ge,
                };
                let compared = |operand: &Expr| match (operand.as_literal(), kind) {
                    (Some(_), _) => self.lower(operand),
                    (None, Compare::Eq | Compare::Ne) => self.operand(operand),
                    (None, _) => self.coerced(operand),
                };
                let (a, b) = (compared(a), compared(b));
                (VerilogExpression::Binary(Box::new(a), operator, Box::new(b)), Shape::Binary(None))
            }
            Op::Mul(a, b) => {
                let (a, b) = (self.factor(a), self.factor(b));
                (VerilogExpression::Binary(Box::new(a), VerilogOp::Mul, Box::new(b)), Shape::Binary(None))
            }
            Op::Not(of) => self.unary(VerilogOpUnary::Not, of, Shape::Complement),
            Op::Neg(of) => self.unary(VerilogOpUnary::Neg, of, Shape::Unary),
            Op::Reduce(kind, of) => {
                let operator = match kind {
                    Reduce::And => VerilogOpUnary::All,
                    Reduce::Or => VerilogOpUnary::Any,
                    Reduce::Xor => VerilogOpUnary::Xor,
                };
                self.unary(operator, of, Shape::Unary)
            }
            Op::ShiftLeft(of, by) => {
                let of = Box::new(self.operand(of));
                (VerilogExpression::Binary(of, VerilogOp::Shl, number(*by)), Shape::Binary(None))
            }
            Op::ShiftRight(of, by) if expr.ty().signed => {
                (raw(format!("{} >>> {by}", text(&self.operand(of)))), Shape::Binary(None))
            }
            Op::ShiftRight(of, by) => {
                let of = Box::new(self.operand(of));
                (VerilogExpression::Binary(of, VerilogOp::Shr, number(*by)), Shape::Binary(None))
            }
            Op::Mux(condition, yes, no) => {
                let inside = |(expression, shape): Lowered, parens: bool| match shape {
                    Shape::Conditional if parens => text(&paren(expression)),
                    _ => text(&expression),
                };
                let condition = text(&self.operand(condition));
                let yes = inside(self.lowered(yes), true);
                let no = inside(self.lowered(no), false);
                (raw(format!("{condition} ? {yes} : {no}")), Shape::Conditional)
            }
        }
    }

    fn unary(&self, operator: VerilogOpUnary, of: &Expr, shape: Shape) -> Lowered {
        let of = match self.lowered(of) {
            (expression, Shape::Primary) => expression,
            (expression, _) => paren(expression),
        };
        (VerilogExpression::Unary(operator, Box::new(of)), shape)
    }

    /// An operand of a binary operator or a condition.
    fn operand(&self, expr: &Expr) -> VerilogExpression {
        match self.lowered(expr) {
            (expression, Shape::Primary | Shape::Complement) => expression,
            (expression, _) => paren(expression),
        }
    }

    /// An operand of `kind`: chains of one associative operator need no parentheses.
    fn chained(&self, expr: &Expr, kind: Binary, left: bool) -> VerilogExpression {
        let (expression, shape) = self.lowered(expr);
        let associative = matches!(kind, Binary::And | Binary::Or | Binary::Xor);
        match shape {
            Shape::Primary | Shape::Complement => expression,
            Shape::Binary(Some(inner)) if inner == kind && (associative || left) => expression,
            _ => paren(expression),
        }
    }

    /// An operand of an operator that asks for the sign, with the sign of its type.
    fn coerced(&self, expr: &Expr) -> VerilogExpression {
        let signed = expr.ty().signed;
        match prints_signed(expr) == signed {
            true => self.operand(expr),
            false if signed => VerilogExpression::Signed(Box::new(self.lower(expr))),
            false => VerilogExpression::Unsigned(Box::new(self.lower(expr))),
        }
    }

    /// A factor: a negative constant as its bits, since a sign in front would be widened first.
    fn factor(&self, expr: &Expr) -> VerilogExpression {
        match expr.as_literal() {
            Some(bits) if expr.ty().signed && bits.bit(u64::from(expr.ty().width - 1)) => {
                raw(format!("{}'sh{bits:x}", expr.ty().width))
            }
            _ => self.coerced(expr),
        }
    }

    fn concatenation(&self, expr: &Expr) -> String {
        let mut elements = Vec::new();
        self.elements(expr, &mut elements);
        match elements.as_slice() {
            [replication] if replication.starts_with('{') => replication.clone(),
            _ => format!("{{{}}}", elements.join(", ")),
        }
    }

    /// The elements of a concatenation, nested ones inlined.
    fn elements(&self, expr: &Expr, out: &mut Vec<String>) {
        match expr.op() {
            Op::Concat(parts) => parts.iter().for_each(|part| self.elements(part, out)),
            Op::Reinterpret(of) => self.elements(of, out),
            Op::Literal(bits) => {
                let ty = HwType { signed: false, ..expr.ty() };
                out.push(literal(ty, bits));
            }
            Op::Extend(of) => {
                let (narrow, added) = (of.ty().width, expr.ty().width - of.ty().width);
                match of.ty() {
                    HwType { signed: false, .. } => {
                        out.push(literal(HwType { width: added, signed: false }, &BigUint::zero()));
                        self.elements(of, out);
                    }
                    HwType { width: 1, .. } => out.push(format!("{{{}{{{}}}}}", added + 1, self.text(of))),
                    _ => {
                        let sign = self.text(&of.slice(narrow - 1, 1));
                        out.push(if added == 1 { sign } else { format!("{{{added}{{{sign}}}}}") });
                        self.elements(of, out);
                    }
                }
            }
            _ => out.push(self.text(expr)),
        }
    }
}
