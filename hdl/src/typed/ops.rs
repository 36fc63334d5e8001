//! Arithmetic, logic, comparison and choice: checks, and simplification of what is constant.
//!
//! Simplification keeps generated hardware readable, and keeps lint checkers content: a comparison
//! that is constant, a shift by 0 or a slice of a slice never reaches the Verilog.

use super::expr::{Binary, Compare, Expr, Op, Reduce};
use super::{bit, HwType};
use num_bigint::{BigInt, BigUint};
use num_traits::{One, Zero};

/// All-ones of `width` bits.
pub(super) fn ones(width: u32) -> BigUint {
    (BigUint::one() << width) - 1u32
}

/// A constant bit.
pub(super) fn flag(value: bool) -> Expr {
    Expr::literal(bit(), BigUint::from(u32::from(value)))
}

impl Expr {
    /// The value of a constant.
    fn constant(&self) -> Option<BigInt> {
        self.as_literal().map(|bits| self.ty().value_of(bits))
    }

    fn is_literal(&self, bits: &BigUint) -> bool {
        self.as_literal() == Some(bits)
    }

    fn demand_equal(&self, other: &Expr, operation: &str) -> HwType {
        let (a, b) = (self.ty(), other.ty());
        assert!(a == b, "{operation} of {a} and {b}; extend, truncate or reinterpret one\n  {self:?}\n  {other:?}");
        a
    }

    fn binary(&self, kind: Binary, other: Expr) -> Expr {
        let ty = self.demand_equal(&other, &format!("{kind:?}"));
        let (zero, all) = (BigUint::zero(), ones(ty.width));
        if self.same(&other) {
            match kind {
                Binary::And | Binary::Or => return other,
                Binary::Sub | Binary::Xor => return Expr::zero(ty),
                Binary::Add => {}
            }
        }
        if let (Some(a), Some(b)) = (self.constant(), other.constant()) {
            let (x, y) = (ty.bits_of(&a), ty.bits_of(&b));
            return Expr::literal(
                ty,
                match kind {
                    Binary::Add => ty.bits_of(&(a + b)),
                    Binary::Sub => ty.bits_of(&(a - b)),
                    Binary::And => x & y,
                    Binary::Or => x | y,
                    Binary::Xor => x ^ y,
                },
            );
        }
        for (one, rest, commutes) in [(&other, self, true), (self, &other, kind != Binary::Sub)] {
            match kind {
                Binary::Add | Binary::Sub | Binary::Or | Binary::Xor if commutes && one.is_literal(&zero) => {
                    return rest.clone()
                }
                Binary::And if one.is_literal(&all) => return rest.clone(),
                Binary::And if one.is_literal(&zero) => return one.clone(),
                Binary::Or if one.is_literal(&all) => return one.clone(),
                Binary::Xor if one.is_literal(&all) => return rest.not(),
                _ => {}
            }
        }
        Expr::node(ty, Op::Binary(kind, self.clone(), other))
    }

    /// Sum modulo `2^width`.
    ///
    /// # Panics
    /// If the types differ; so do all operations on two values.
    pub fn add(&self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::Add, other.into())
    }

    /// Difference modulo `2^width`.
    pub fn sub(&self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::Sub, other.into())
    }

    /// Bitwise and.
    pub fn and(&self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::And, other.into())
    }

    /// Bitwise or.
    pub fn or(&self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::Or, other.into())
    }

    /// Bitwise exclusive or.
    pub fn xor(&self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::Xor, other.into())
    }

    /// Full product, as wide as both factors together.
    ///
    /// # Panics
    /// If one is signed and the other is not.
    pub fn mul(&self, other: impl Into<Expr>) -> Expr {
        let other = other.into();
        let (a, b) = (self.ty(), other.ty());
        assert!(a.signed == b.signed, "product of {a} and {b}; both must be signed or both unsigned");
        let ty = HwType { width: a.width + b.width, signed: a.signed };
        match (self.constant(), other.constant()) {
            (Some(x), Some(y)) => Expr::literal(ty, ty.bits_of(&(x * y))),
            (Some(zero), _) | (_, Some(zero)) if zero.is_zero() => Expr::zero(ty),
            _ => Expr::node(ty, Op::Mul(self.clone(), other)),
        }
    }

    fn compare(&self, kind: Compare, other: Expr) -> Expr {
        let ty = self.demand_equal(&other, &format!("{kind:?}"));
        let holds = |order: std::cmp::Ordering| match kind {
            Compare::Eq => order.is_eq(),
            Compare::Ne => order.is_ne(),
            Compare::Lt => order.is_lt(),
            Compare::Le => order.is_le(),
            Compare::Gt => order.is_gt(),
            Compare::Ge => order.is_ge(),
        };
        if self.same(&other) {
            return flag(holds(std::cmp::Ordering::Equal));
        }
        match (self.constant(), other.constant()) {
            (Some(a), Some(b)) => return flag(holds(a.cmp(&b))),
            (Some(_), None) => {
                let mirrored = match kind {
                    Compare::Lt => Compare::Gt,
                    Compare::Le => Compare::Ge,
                    Compare::Gt => Compare::Lt,
                    Compare::Ge => Compare::Le,
                    Compare::Eq | Compare::Ne => kind,
                };
                return other.compare(mirrored, self.clone());
            }
            (None, Some(limit)) => {
                let (least, greatest) = (limit == ty.min(), limit == ty.max());
                match kind {
                    Compare::Lt if least => return flag(false),
                    Compare::Ge if least => return flag(true),
                    Compare::Gt if greatest => return flag(false),
                    Compare::Le if greatest => return flag(true),
                    Compare::Le if least => return self.compare(Compare::Eq, other),
                    Compare::Gt if least => return self.compare(Compare::Ne, other),
                    Compare::Ge if greatest => return self.compare(Compare::Eq, other),
                    Compare::Lt if greatest => return self.compare(Compare::Ne, other),
                    _ => {}
                }
                if ty.width == 1 && matches!(kind, Compare::Eq | Compare::Ne) {
                    let wants_one = other.is_literal(&BigUint::one()) == (kind == Compare::Eq);
                    let value = self.as_unsigned();
                    return if wants_one { value } else { value.not() };
                }
            }
            (None, None) => {}
        }
        Expr::node(bit(), Op::Compare(kind, self.clone(), other))
    }

    /// Whether both are equal.
    pub fn eq(&self, other: impl Into<Expr>) -> Expr {
        self.compare(Compare::Eq, other.into())
    }

    /// Whether they differ.
    pub fn ne(&self, other: impl Into<Expr>) -> Expr {
        self.compare(Compare::Ne, other.into())
    }

    /// Whether it is less, as the type's values are.
    pub fn lt(&self, other: impl Into<Expr>) -> Expr {
        self.compare(Compare::Lt, other.into())
    }

    /// Whether it is less or equal.
    pub fn le(&self, other: impl Into<Expr>) -> Expr {
        self.compare(Compare::Le, other.into())
    }

    /// Whether it is greater.
    pub fn gt(&self, other: impl Into<Expr>) -> Expr {
        self.compare(Compare::Gt, other.into())
    }

    /// Whether it is greater or equal.
    pub fn ge(&self, other: impl Into<Expr>) -> Expr {
        self.compare(Compare::Ge, other.into())
    }

    /// Whether every bit is 0.
    pub fn is_zero(&self) -> Expr {
        self.eq(Expr::zero(self.ty()))
    }

    /// Bitwise complement.
    pub fn not(&self) -> Expr {
        match self.op() {
            Op::Literal(bits) => Expr::literal(self.ty(), bits ^ ones(self.ty().width)),
            Op::Not(of) => of.clone(),
            _ => Expr::node(self.ty(), Op::Not(self.clone())),
        }
    }

    /// Negation modulo `2^width`: the least signed value is its own negation.
    pub fn neg(&self) -> Expr {
        match self.constant() {
            Some(value) => Expr::literal(self.ty(), self.ty().bits_of(&-value)),
            None => Expr::node(self.ty(), Op::Neg(self.clone())),
        }
    }

    /// Shift towards the upper bits, which are lost: times `2^by` modulo `2^width`.
    pub fn shl_const(&self, by: u32) -> Expr {
        let ty = self.ty();
        match self.op() {
            _ if by == 0 => self.clone(),
            _ if by >= ty.width => Expr::zero(ty),
            Op::Literal(bits) => Expr::literal(ty, (bits << by) & ones(ty.width)),
            _ => Expr::node(ty, Op::ShiftLeft(self.clone(), by)),
        }
    }

    /// Shift towards the lower bits, which are lost: divided by `2^by`, rounded down. Signed values
    /// are filled with their sign, others with 0.
    pub fn shr_const(&self, by: u32) -> Expr {
        let ty = self.ty();
        match self.constant() {
            _ if by == 0 => self.clone(),
            Some(value) => Expr::literal(ty, ty.bits_of(&(value >> by))),
            None if by >= ty.width && ty.signed => self.msb().as_signed().extend(ty.width),
            None if by >= ty.width => Expr::zero(ty),
            None => Expr::node(ty, Op::ShiftRight(self.clone(), by)),
        }
    }

    fn reduce(&self, kind: Reduce) -> Expr {
        let width = self.ty().width;
        match self.as_literal() {
            _ if width == 1 => self.as_unsigned(),
            Some(bits) => flag(match kind {
                Reduce::And => *bits == ones(width),
                Reduce::Or => !bits.is_zero(),
                Reduce::Xor => bits.count_ones() % 2 == 1,
            }),
            None => Expr::node(bit(), Op::Reduce(kind, self.clone())),
        }
    }

    /// The number modulo 2^`width`: extended by its own sign, or truncated.
    pub fn resize(&self, width: u32) -> Expr {
        match self.ty().width.cmp(&width) {
            std::cmp::Ordering::Less => self.extend(width),
            std::cmp::Ordering::Equal => self.clone(),
            std::cmp::Ordering::Greater => self.truncate(width),
        }
    }

    /// Whether every bit is 1.
    pub fn reduce_and(&self) -> Expr {
        self.reduce(Reduce::And)
    }

    /// Whether any bit is 1.
    pub fn reduce_or(&self) -> Expr {
        self.reduce(Reduce::Or)
    }

    /// Whether the number of 1 bits is odd.
    pub fn reduce_xor(&self) -> Expr {
        self.reduce(Reduce::Xor)
    }

    /// `yes` where `condition` is 1, else `no`.
    ///
    /// # Panics
    /// If the condition is not one unsigned bit, or the types of the values differ.
    pub fn mux(condition: impl Into<Expr>, yes: impl Into<Expr>, no: impl Into<Expr>) -> Expr {
        let (condition, yes, no) = (condition.into(), yes.into(), no.into());
        assert!(condition.ty() == bit(), "condition of {}, not one bit: {condition:?}", condition.ty());
        let ty = yes.demand_equal(&no, "choice");
        if let Some(chosen) = condition.as_literal() {
            return if chosen.is_zero() { no } else { yes };
        }
        if yes.same(&no) {
            return yes;
        }
        if ty == bit() {
            match (yes.as_literal().map(BigUint::is_zero), no.as_literal().map(BigUint::is_zero)) {
                (Some(false), Some(true)) => return condition,
                (Some(true), Some(false)) => return condition.not(),
                (Some(false), None) => return condition.or(no),
                (Some(true), None) => return condition.not().and(no),
                (None, Some(false)) => return condition.not().or(yes),
                (None, Some(true)) => return condition.and(yes),
                _ => {}
            }
        }
        match condition.op() {
            Op::Not(inverse) => Expr::mux(inverse.clone(), no, yes),
            _ => Expr::node(ty, Op::Mux(condition, yes, no)),
        }
    }
}

impl Expr {
    /// The same operation on other operands of the same types, simplified.
    pub(crate) fn rebuilt(&self, operands: &[Expr]) -> Expr {
        match (self.op(), operands) {
            (Op::Slice { lo, .. }, [of]) => of.slice(*lo, self.ty().width),
            (Op::Index { .. }, [of, index]) => of.index(index),
            (Op::Concat(_), parts) => Expr::concat(parts),
            (Op::Extend(_), [of]) => of.extend(self.ty().width),
            (Op::Reinterpret(_), [of]) => of.reinterpret(self.ty()),
            (Op::Binary(kind, ..), [a, b]) => a.binary(*kind, b.clone()),
            (Op::Compare(kind, ..), [a, b]) => a.compare(*kind, b.clone()),
            (Op::Mul(..), [a, b]) => a.mul(b),
            (Op::Not(_), [of]) => of.not(),
            (Op::Neg(_), [of]) => of.neg(),
            (Op::ShiftLeft(_, by), [of]) => of.shl_const(*by),
            (Op::ShiftRight(_, by), [of]) => of.shr_const(*by),
            (Op::Reduce(kind, _), [of]) => of.reduce(*kind),
            (Op::Mux(..), [condition, yes, no]) => Expr::mux(condition, yes, no),
            _ => self.clone(),
        }
    }
}
