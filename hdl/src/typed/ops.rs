//! Constructors of expressions: checks, and simplification of what is constant.
//!
//! Simplification keeps generated hardware readable, and keeps lint checkers content: a comparison
//! that is constant, a shift by 0 or a slice of a slice never reaches the Verilog.

use super::expr::{Binary, Compare, Expr, Op, Reduce, Signal};
use super::types::address_bits;
use super::{bit, sint, uint, HwType};
use num_bigint::{BigInt, BigUint};
use num_traits::{One, Zero};

/// All-ones of `width` bits.
fn ones(width: u32) -> BigUint {
    (BigUint::one() << width) - 1u32
}

/// A constant bit.
fn flag(value: bool) -> Expr {
    Expr::literal(bit(), BigUint::from(u32::from(value)))
}

/// Parts of a concatenation, with neighbouring bits of one signal, and neighbouring constants, in one.
fn joined(parts: Vec<Expr>) -> Vec<Expr> {
    let mut out: Vec<Expr> = Vec::with_capacity(parts.len());
    for part in parts {
        let width = part.ty().width;
        let merged = out.last().and_then(|above| match (above.as_part(), part.as_part()) {
            (Some((high, at)), Some((low, lo))) if high == low && at == lo + width => {
                Some(high.expr().slice(lo, above.ty().width + width))
            }
            _ => match (above.as_literal(), part.as_literal()) {
                (Some(high), Some(low)) => Some(Expr::literal(uint(above.ty().width + width), (high << width) | low)),
                _ => None,
            },
        });
        match (merged, out.last_mut()) {
            (Some(merged), Some(last)) => *last = merged,
            _ => out.push(part),
        }
    }
    out
}

impl Expr {
    /// The value of a constant.
    fn constant(&self) -> Option<BigInt> {
        self.as_literal().map(|bits| self.ty().value_of(bits))
    }

    fn is_literal(&self, bits: &BigUint) -> bool {
        self.as_literal() == Some(bits)
    }

    /// Bits `lo..lo + width`, unsigned.
    ///
    /// # Panics
    /// If they are not all there.
    pub fn slice(&self, lo: u32, width: u32) -> Expr {
        let ty = self.ty();
        assert!(
            width > 0 && u64::from(lo) + u64::from(width) <= u64::from(ty.width),
            "slice of {width} bits from bit {lo} of {ty} {self:?}"
        );
        if width == ty.width {
            return self.as_unsigned();
        }
        match self.op() {
            Op::Literal(bits) => Expr::literal(uint(width), (bits >> lo) & ones(width)),
            Op::Slice { of, lo: inner } => of.slice(inner + lo, width),
            Op::Reinterpret(of) => of.slice(lo, width),
            Op::Extend(of) => {
                let (ty, narrow) = (of.ty(), of.ty().width);
                let fill = |part: Expr| if ty.signed { part.as_signed() } else { part };
                match () {
                    _ if lo + width <= narrow => of.slice(lo, width),
                    _ if lo < narrow => fill(of.slice(lo, narrow - lo)).extend(width).as_unsigned(),
                    _ if ty.signed => of.msb().as_signed().extend(width).as_unsigned(),
                    _ => Expr::zero(uint(width)),
                }
            }
            Op::ShiftRight(of, by) if lo + by + width <= ty.width => of.slice(lo + by, width),
            Op::Concat(parts) => {
                let mut low = 0;
                for part in parts.iter().rev() {
                    let end = low + part.ty().width;
                    if low <= lo && lo + width <= end {
                        return part.slice(lo - low, width);
                    }
                    low = end;
                }
                Expr::node(uint(width), Op::Slice { of: self.clone(), lo })
            }
            _ => Expr::node(uint(width), Op::Slice { of: self.clone(), lo }),
        }
    }

    /// Bit `index`.
    ///
    /// # Panics
    /// If there is no such bit.
    pub fn bit(&self, index: u32) -> Expr {
        self.slice(index, 1)
    }

    /// The uppermost bit: the sign of a signed value.
    pub fn msb(&self) -> Expr {
        self.bit(self.ty().width - 1)
    }

    /// The bit that `index` chooses, 0 where there is none.
    ///
    /// # Panics
    /// If `index` is not unsigned with exactly ceil(log2 width) bits (at least 1).
    pub fn index(&self, index: impl Into<Expr>) -> Expr {
        let index = index.into();
        let want = uint(address_bits(self.ty().width as usize));
        assert!(index.ty() == want, "index of {} into {}, which takes {want}", index.ty(), self.ty());
        match index.as_literal().map(|bits| bits.iter_u32_digits().next().unwrap_or(0)) {
            Some(at) if at < self.ty().width => self.bit(at),
            Some(_) => flag(false),
            None => Expr::node(bit(), Op::Index { of: self.clone(), index }),
        }
    }

    /// Concatenation, uppermost first: unsigned, as wide as all together.
    ///
    /// # Panics
    /// If there are no parts.
    pub fn concat<E: Into<Expr> + Clone>(parts: &[E]) -> Expr {
        let parts: Vec<Expr> = parts.iter().cloned().map(Into::into).collect();
        assert!(!parts.is_empty(), "concatenation of nothing");
        let parts = joined(parts);
        if let [part] = parts.as_slice() {
            return part.as_unsigned();
        }
        let width = parts.iter().map(|part| part.ty().width).sum();
        Expr::node(uint(width), Op::Concat(parts))
    }

    /// The same value in `width` bits of the same sign: sign or zero extension.
    ///
    /// # Panics
    /// If `width` is less than its own.
    pub fn extend(&self, width: u32) -> Expr {
        let ty = self.ty();
        assert!(width >= ty.width, "extension of {ty} to {width} bits; truncate it");
        let wide = HwType { width, ..ty };
        match self.op() {
            _ if width == ty.width => self.clone(),
            Op::Literal(bits) => Expr::literal(wide, wide.bits_of(&ty.value_of(bits))),
            Op::Extend(of) if of.ty().signed == ty.signed => of.extend(width),
            _ => Expr::node(wide, Op::Extend(self.clone())),
        }
    }

    /// The lower `width` bits, of the same sign: the value modulo `2^width`.
    ///
    /// # Panics
    /// If `width` is more than its own.
    pub fn truncate(&self, width: u32) -> Expr {
        let low = self.slice(0, width);
        if self.ty().signed {
            low.as_signed()
        } else {
            low
        }
    }

    /// The same bits, read as two's complement.
    pub fn as_signed(&self) -> Expr {
        self.reinterpret(sint(self.ty().width))
    }

    /// The same bits, read as unsigned.
    pub fn as_unsigned(&self) -> Expr {
        self.reinterpret(uint(self.ty().width))
    }

    fn reinterpret(&self, ty: HwType) -> Expr {
        match self.op() {
            _ if self.ty() == ty => self.clone(),
            Op::Literal(bits) => Expr::literal(ty, bits.clone()),
            Op::Reinterpret(of) => of.reinterpret(ty),
            _ => Expr::node(ty, Op::Reinterpret(self.clone())),
        }
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

macro_rules! operator {
    ($trait:ident, $method:ident, $($left:ty),+) => {$(
        impl<E: Into<Expr>> std::ops::$trait<E> for $left {
            type Output = Expr;
            fn $method(self, other: E) -> Expr {
                Expr::$method(&Expr::from(self), other)
            }
        }
    )+};
}

macro_rules! operators {
    ($($left:ty),+) => {
        operator!(Add, add, $($left),+);
        operator!(Sub, sub, $($left),+);
        $(
            impl<E: Into<Expr>> std::ops::BitAnd<E> for $left {
                type Output = Expr;
                fn bitand(self, other: E) -> Expr {
                    Expr::and(&Expr::from(self), other)
                }
            }
            impl<E: Into<Expr>> std::ops::BitOr<E> for $left {
                type Output = Expr;
                fn bitor(self, other: E) -> Expr {
                    Expr::or(&Expr::from(self), other)
                }
            }
            impl<E: Into<Expr>> std::ops::BitXor<E> for $left {
                type Output = Expr;
                fn bitxor(self, other: E) -> Expr {
                    Expr::xor(&Expr::from(self), other)
                }
            }
            impl std::ops::Not for $left {
                type Output = Expr;
                fn not(self) -> Expr {
                    Expr::not(&Expr::from(self))
                }
            }
            impl std::ops::Neg for $left {
                type Output = Expr;
                fn neg(self) -> Expr {
                    Expr::neg(&Expr::from(self))
                }
            }
        )+
    };
}

operators!(Expr, &Expr, Signal);
