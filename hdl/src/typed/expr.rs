//! Expressions: immutable trees in which every node knows its type.

use super::HwType;
use num_bigint::{BigInt, BigUint};
use num_traits::Zero;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// A signal of the module under construction: what [`ModuleBuilder`](super::ModuleBuilder) hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signal {
    /// Which builder it belongs to.
    pub(crate) builder: u32,
    /// Place in the module's list of signals.
    pub(crate) index: u32,
    ty: HwType,
}

impl Signal {
    pub(crate) fn new(builder: u32, index: u32, ty: HwType) -> Self {
        Signal { builder, index, ty }
    }

    /// Its type.
    pub fn ty(self) -> HwType {
        self.ty
    }

    /// Its value as an expression.
    pub fn expr(self) -> Expr {
        Expr::node(self.ty, Op::Signal(self))
    }
}

/// An expression. Cloning is cheap. Constructors check types and panic on misuse, which is a bug of
/// the hardware's author and never of the data: nothing is widened, narrowed or reinterpreted unless
/// asked for.
#[derive(Clone)]
pub struct Expr(Arc<Node>);

struct Node {
    ty: HwType,
    op: Op,
}

/// What a node computes. Constructors in [`Expr`] guarantee the types.
#[derive(Clone)]
pub(crate) enum Op {
    /// Stored bits.
    Literal(BigUint),
    /// A signal of the module.
    Signal(Signal),
    /// Bits `lo..lo + width`, unsigned.
    Slice { of: Expr, lo: u32 },
    /// One bit chosen at run time; 0 above the vector.
    Index { of: Expr, index: Expr },
    /// Uppermost first.
    Concat(Vec<Expr>),
    /// Sign or zero extension by the operand's sign.
    Extend(Expr),
    /// The same bits in a type of the same width.
    Reinterpret(Expr),
    /// Operands of the result's type.
    Binary(Binary, Expr, Expr),
    /// Operands of equal types, one bit.
    Compare(Compare, Expr, Expr),
    /// Full product.
    Mul(Expr, Expr),
    /// Bitwise complement.
    Not(Expr),
    /// Two's complement, modulo 2^width.
    Neg(Expr),
    /// Towards the upper bits, which are lost.
    ShiftLeft(Expr, u32),
    /// Towards the lower bits; arithmetic if signed.
    ShiftRight(Expr, u32),
    /// All bits into one.
    Reduce(Reduce, Expr),
    /// Condition, value if 1, value if 0.
    Mux(Expr, Expr, Expr),
}

/// Operations on two values of one type that give that type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Binary {
    Add,
    Sub,
    And,
    Or,
    Xor,
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Reductions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reduce {
    And,
    Or,
    Xor,
}

impl Expr {
    /// A node as it is, without checks or simplification.
    pub(crate) fn node(ty: HwType, op: Op) -> Self {
        Expr(Arc::new(Node { ty, op }))
    }

    /// What it computes.
    pub(crate) fn op(&self) -> &Op {
        &self.0.op
    }

    /// Its type.
    pub fn ty(&self) -> HwType {
        self.0.ty
    }

    /// Identity of the node, shared by its clones.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// A constant.
    ///
    /// # Panics
    /// If the type does not hold the value.
    pub fn lit(ty: HwType, value: impl Into<BigInt>) -> Self {
        let value = value.into();
        assert!(ty.checked().contains(&value), "literal {value} does not fit {ty}: {} to {}", ty.min(), ty.max());
        Expr::literal(ty, ty.bits_of(&value))
    }

    /// A constant of all zeros.
    pub fn zero(ty: HwType) -> Self {
        Expr::literal(ty.checked(), BigUint::zero())
    }

    pub(crate) fn literal(ty: HwType, bits: BigUint) -> Self {
        Expr::node(ty, Op::Literal(bits))
    }

    /// The stored bits of a constant.
    pub(crate) fn as_literal(&self) -> Option<&BigUint> {
        match self.op() {
            Op::Literal(bits) => Some(bits),
            _ => None,
        }
    }

    /// The signal behind any reinterpretations.
    pub(crate) fn as_signal(&self) -> Option<Signal> {
        match self.op() {
            Op::Signal(signal) => Some(*signal),
            Op::Reinterpret(of) => of.as_signal(),
            _ => None,
        }
    }

    /// The signal and the lowest bit of a part of a signal, behind any reinterpretations.
    pub(crate) fn as_part(&self) -> Option<(Signal, u32)> {
        match self.op() {
            Op::Signal(signal) => Some((*signal, 0)),
            Op::Slice { of, lo } => of.as_signal().map(|signal| (signal, *lo)),
            Op::Reinterpret(of) => of.as_part(),
            _ => None,
        }
    }

    /// Operands, in a fixed order.
    pub(crate) fn operands(&self) -> Vec<&Expr> {
        match self.op() {
            Op::Literal(_) | Op::Signal(_) => Vec::new(),
            Op::Slice { of, .. } | Op::Extend(of) | Op::Reinterpret(of) | Op::Not(of) | Op::Neg(of) => vec![of],
            Op::ShiftLeft(of, _) | Op::ShiftRight(of, _) | Op::Reduce(_, of) => vec![of],
            Op::Index { of, index } => vec![of, index],
            Op::Concat(parts) => parts.iter().collect(),
            Op::Binary(_, a, b) | Op::Compare(_, a, b) | Op::Mul(a, b) => vec![a, b],
            Op::Mux(condition, yes, no) => vec![condition, yes, no],
        }
    }

    /// The same operation on other operands of the same types, in the order of [`Expr::operands`].
    pub(crate) fn with_operands(&self, operands: Vec<Expr>) -> Expr {
        let mut operands = operands.into_iter();
        let mut next = || operands.next().unwrap_or_else(|| self.clone());
        let op = match self.op() {
            Op::Literal(_) | Op::Signal(_) => return self.clone(),
            Op::Slice { lo, .. } => Op::Slice { of: next(), lo: *lo },
            Op::Index { .. } => Op::Index { of: next(), index: next() },
            Op::Concat(parts) => Op::Concat(parts.iter().map(|_| next()).collect()),
            Op::Extend(_) => Op::Extend(next()),
            Op::Reinterpret(_) => Op::Reinterpret(next()),
            Op::Binary(kind, ..) => Op::Binary(*kind, next(), next()),
            Op::Compare(kind, ..) => Op::Compare(*kind, next(), next()),
            Op::Mul(..) => Op::Mul(next(), next()),
            Op::Not(_) => Op::Not(next()),
            Op::Neg(_) => Op::Neg(next()),
            Op::ShiftLeft(_, by) => Op::ShiftLeft(next(), *by),
            Op::ShiftRight(_, by) => Op::ShiftRight(next(), *by),
            Op::Reduce(kind, _) => Op::Reduce(*kind, next()),
            Op::Mux(..) => Op::Mux(next(), next(), next()),
        };
        Expr::node(self.ty(), op)
    }

    /// Calls `visit` with each signal read, at least once.
    pub(crate) fn for_each_signal(&self, visit: &mut impl FnMut(Signal)) {
        self.for_each_node(&mut HashSet::new(), &mut |node| {
            if let Op::Signal(signal) = node.op() {
                visit(*signal);
            }
        });
    }

    /// Calls `visit` with each node that is not in `seen` yet, operands first.
    pub(crate) fn for_each_node(&self, seen: &mut HashSet<usize>, visit: &mut impl FnMut(&Expr)) {
        let operands = self.operands();
        if operands.is_empty() || seen.insert(self.id()) {
            operands.into_iter().for_each(|operand| operand.for_each_node(seen, visit));
            visit(self);
        }
    }

    /// Whether both compute the same from the same signals, node by node.
    pub(crate) fn same(&self, other: &Expr) -> bool {
        if self.id() == other.id() {
            return true;
        }
        let own = match (self.op(), other.op()) {
            (Op::Literal(a), Op::Literal(b)) => a == b,
            (Op::Signal(a), Op::Signal(b)) => a == b,
            (Op::Slice { lo: a, .. }, Op::Slice { lo: b, .. }) => a == b,
            (Op::Binary(a, ..), Op::Binary(b, ..)) => a == b,
            (Op::Compare(a, ..), Op::Compare(b, ..)) => a == b,
            (Op::Reduce(a, _), Op::Reduce(b, _)) => a == b,
            (Op::ShiftLeft(_, a), Op::ShiftLeft(_, b)) | (Op::ShiftRight(_, a), Op::ShiftRight(_, b)) => a == b,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        };
        let (mine, others) = (self.operands(), other.operands());
        own && self.ty() == other.ty() && mine.len() == others.len() && mine.iter().zip(others).all(|(a, b)| a.same(b))
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.op() {
            Op::Literal(bits) => return write!(f, "{}:{}", self.ty().value_of(bits), self.ty()),
            Op::Signal(signal) => return write!(f, "#{}:{}", signal.index, self.ty()),
            Op::Slice { lo, .. } => format!("slice@{lo}"),
            Op::Index { .. } => "index".into(),
            Op::Concat(_) => "concat".into(),
            Op::Extend(_) => "extend".into(),
            Op::Reinterpret(_) => "reinterpret".into(),
            Op::Binary(kind, ..) => format!("{kind:?}").to_lowercase(),
            Op::Compare(kind, ..) => format!("{kind:?}").to_lowercase(),
            Op::Mul(..) => "mul".into(),
            Op::Not(_) => "not".into(),
            Op::Neg(_) => "neg".into(),
            Op::ShiftLeft(_, by) => format!("shl{by}"),
            Op::ShiftRight(_, by) => format!("shr{by}"),
            Op::Reduce(kind, _) => format!("reduce_{kind:?}").to_lowercase(),
            Op::Mux(..) => "mux".into(),
        };
        write!(f, "{name}:{}", self.ty())?;
        f.debug_list().entries(self.operands()).finish()
    }
}

impl From<Signal> for Expr {
    fn from(signal: Signal) -> Self {
        signal.expr()
    }
}

impl From<&Signal> for Expr {
    fn from(signal: &Signal) -> Self {
        signal.expr()
    }
}

impl From<&Expr> for Expr {
    fn from(expr: &Expr) -> Self {
        expr.clone()
    }
}
