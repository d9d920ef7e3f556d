//! Arithmetic and comparisons of [`Dual`] and [`Var`], with themselves and with `f64`, by value and by
//! reference, as `f64` itself has them.
//!
//! Each operation is one formula here: its value and its two partial derivatives. What is commutative
//! in the value is so in the bits. Comparisons see values only.

use core::cmp::Ordering;
use core::iter::Sum;
use core::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::scalar::primitive::{KEY, Primitive};
use crate::{Dual, Scalar, Var};

/// A value with its partial derivatives.
type Outcome = (f64, (f64, f64));

#[inline]
fn sum(x: f64, y: f64) -> Outcome {
    (x + y, (1.0, 1.0))
}

#[inline]
fn difference(x: f64, y: f64) -> Outcome {
    (x - y, (1.0, -1.0))
}

#[inline]
fn product(x: f64, y: f64) -> Outcome {
    (x * y, (y, x))
}

#[inline]
fn quotient(x: f64, y: f64) -> Outcome {
    let quotient = x / y;
    (quotient, (1.0 / y, -quotient / y))
}

/// Both sides carry derivatives.
#[inline]
fn both<S: Scalar>(x: S, y: S, formula: fn(f64, f64) -> Outcome) -> S {
    let (value, derivatives) = formula(x.value(KEY), y.value(KEY));
    x.join(y, value, derivatives, KEY)
}

/// Only the left side carries derivatives.
#[inline]
fn left<S: Scalar>(x: S, y: f64, formula: fn(f64, f64) -> Outcome) -> S {
    let (value, (dx, _)) = formula(x.value(KEY), y);
    x.chain(value, dx, KEY)
}

/// Only the right side carries derivatives.
#[inline]
fn right<S: Scalar>(x: f64, y: S, formula: fn(f64, f64) -> Outcome) -> S {
    let (value, (_, dy)) = formula(x, y.value(KEY));
    y.chain(value, dy, KEY)
}

/// `impl $operator<$right> for $left`, whose operands `$x` and `$y` are made values by `$result`.
macro_rules! operator {
    ([$($life:lifetime),*] $operator:ident :: $method:ident
     ($x:ident: $left:ty, $y:ident: $right:ty) -> $output:ty { $result:expr }) => {
        impl<$($life),*> $operator<$right> for $left {
            type Output = $output;

            #[inline]
            fn $method(self, $y: $right) -> $output {
                let $x = self;
                $result
            }
        }
    };
}

/// One operator in every combination of values, references and `f64`, and its assigning form.
macro_rules! binary {
    ([$($t:lifetime)?] $scalar:ty, $operator:ident::$method:ident, $assign:ident::$assign_method:ident,
     $formula:ident) => {
        operator! { [$($t)?] $operator::$method(x: $scalar, y: $scalar) -> $scalar { both(x, y, $formula) } }
        operator! { ['r $(, $t)?] $operator::$method(x: $scalar, y: &'r $scalar) -> $scalar { both(x, *y, $formula) } }
        operator! { ['r $(, $t)?] $operator::$method(x: &'r $scalar, y: $scalar) -> $scalar { both(*x, y, $formula) } }
        operator! { ['r $(, $t)?] $operator::$method(x: &'r $scalar, y: &'r $scalar) -> $scalar { both(*x, *y, $formula) } }
        operator! { [$($t)?] $operator::$method(x: $scalar, y: f64) -> $scalar { left(x, y, $formula) } }
        operator! { ['r $(, $t)?] $operator::$method(x: &'r $scalar, y: f64) -> $scalar { left(*x, y, $formula) } }
        operator! { [$($t)?] $operator::$method(x: f64, y: $scalar) -> $scalar { right(x, y, $formula) } }
        operator! { ['r $(, $t)?] $operator::$method(x: f64, y: &'r $scalar) -> $scalar { right(x, *y, $formula) } }

        impl $(<$t>)? $assign for $scalar {
            #[inline]
            fn $assign_method(&mut self, other: $scalar) {
                *self = both(*self, other, $formula);
            }
        }

        impl $(<$t>)? $assign<f64> for $scalar {
            #[inline]
            fn $assign_method(&mut self, other: f64) {
                *self = left(*self, other, $formula);
            }
        }
    };
}

/// All operators of one number type.
macro_rules! operators {
    ([$($t:lifetime)?] $scalar:ty) => {
        binary! { [$($t)?] $scalar, Add::add, AddAssign::add_assign, sum }
        binary! { [$($t)?] $scalar, Sub::sub, SubAssign::sub_assign, difference }
        binary! { [$($t)?] $scalar, Mul::mul, MulAssign::mul_assign, product }
        binary! { [$($t)?] $scalar, Div::div, DivAssign::div_assign, quotient }

        impl $(<$t>)? Neg for $scalar {
            type Output = $scalar;

            #[inline]
            fn neg(self) -> $scalar {
                self.chain(-self.value(KEY), -1.0, KEY)
            }
        }

        impl<'r $(, $t)?> Neg for &'r $scalar {
            type Output = $scalar;

            #[inline]
            fn neg(self) -> $scalar {
                -*self
            }
        }

        impl $(<$t>)? Sum for $scalar {
            #[inline]
            fn sum<I: Iterator<Item = $scalar>>(terms: I) -> $scalar {
                terms.reduce(|sum, term| sum + term).unwrap_or(<$scalar>::from(0.0))
            }
        }

        impl<'r $(, $t)?> Sum<&'r $scalar> for $scalar {
            #[inline]
            fn sum<I: Iterator<Item = &'r $scalar>>(terms: I) -> $scalar {
                terms.copied().sum()
            }
        }

        impl $(<$t>)? PartialEq for $scalar {
            #[inline]
            fn eq(&self, other: &$scalar) -> bool {
                self.value(KEY) == other.value(KEY)
            }
        }

        impl $(<$t>)? PartialOrd for $scalar {
            #[inline]
            fn partial_cmp(&self, other: &$scalar) -> Option<Ordering> {
                self.value(KEY).partial_cmp(&other.value(KEY))
            }
        }

        impl $(<$t>)? PartialEq<f64> for $scalar {
            #[inline]
            fn eq(&self, other: &f64) -> bool {
                self.value(KEY) == *other
            }
        }

        impl $(<$t>)? PartialOrd<f64> for $scalar {
            #[inline]
            fn partial_cmp(&self, other: &f64) -> Option<Ordering> {
                self.value(KEY).partial_cmp(other)
            }
        }

        impl $(<$t>)? PartialEq<$scalar> for f64 {
            #[inline]
            fn eq(&self, other: &$scalar) -> bool {
                *self == other.value(KEY)
            }
        }

        impl $(<$t>)? PartialOrd<$scalar> for f64 {
            #[inline]
            fn partial_cmp(&self, other: &$scalar) -> Option<Ordering> {
                self.partial_cmp(&other.value(KEY))
            }
        }
    };
}

operators! { [] Dual }
operators! { ['t] Var<'t> }
