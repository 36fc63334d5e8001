//! Rust's operators on expressions and signals: `&`, `|`, `^`, `!`, `+`, `-`.

use super::expr::{Expr, Signal};

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
