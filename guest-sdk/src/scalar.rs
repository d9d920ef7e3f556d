//! The functions that a loss is written with: one definition for plain numbers, [`Dual`] and [`Var`].
//!
//! A function is its value and its derivative, both formulas in `f64`; how a derivative is carried is
//! the number type's business, behind [`Primitive`]. All of it is libm, so the bits are the same
//! natively and in WebAssembly.
//!
//! [`Dual`]: crate::Dual
//! [`Var`]: crate::Var

use core::f64::consts::FRAC_2_SQRT_PI;
use core::iter::Sum;
use core::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use primitive::{KEY, Primitive};

/// A number that a loss may calculate with: [`Dual`](crate::Dual), [`Var`](crate::Var) or `f64`.
///
/// It has the arithmetic of `f64`, also with `f64` on either side, comparisons (of values, also with
/// `f64`) and the functions below. Every function hands NaN on. There is no way to the bare value:
/// whatever is computed from a log-prob carries its gradient along.
///
/// ```compile_fail,E0061
/// fn detach<S: guest_sdk::Scalar>(x: S) -> f64 {
///     x.value() // takes a key that only the SDK has
/// }
/// ```
///
/// ```compile_fail,E0599
/// fn detach(x: guest_sdk::Dual) -> f64 {
///     x.value()
/// }
/// ```
pub trait Scalar:
    Primitive
    + From<f64>
    + PartialOrd
    + PartialOrd<f64>
    + Neg<Output = Self>
    + Add<Output = Self>
    + Add<f64, Output = Self>
    + AddAssign
    + AddAssign<f64>
    + Sub<Output = Self>
    + Sub<f64, Output = Self>
    + SubAssign
    + SubAssign<f64>
    + Mul<Output = Self>
    + Mul<f64, Output = Self>
    + MulAssign
    + MulAssign<f64>
    + Div<Output = Self>
    + Div<f64, Output = Self>
    + DivAssign
    + DivAssign<f64>
    + Sum
{
    /// eˣ. Infinite above 709.78.
    #[inline]
    fn exp(self) -> Self {
        let exp = libm::exp(self.value(KEY));
        self.chain(exp, exp, KEY)
    }

    /// eˣ − 1, exact near 0.
    #[inline]
    fn exp_m1(self) -> Self {
        let x = self.value(KEY);
        self.chain(libm::expm1(x), libm::exp(x), KEY)
    }

    /// The natural logarithm: −∞ at 0, NaN below.
    #[inline]
    fn ln(self) -> Self {
        let x = self.value(KEY);
        self.chain(libm::log(x), 1.0 / x, KEY)
    }

    /// ln(1 + x), exact near 0: −∞ at −1, NaN below.
    #[inline]
    fn ln_1p(self) -> Self {
        let x = self.value(KEY);
        self.chain(libm::log1p(x), 1.0 / (1.0 + x), KEY)
    }

    /// √x: NaN below 0. The gradient is infinite at 0.
    #[inline]
    fn sqrt(self) -> Self {
        let root = libm::sqrt(self.value(KEY));
        self.chain(root, 0.5 / root, KEY)
    }

    /// x².
    #[inline]
    fn square(self) -> Self {
        let x = self.value(KEY);
        self.chain(x * x, 2.0 * x, KEY)
    }

    /// 1/x.
    #[inline]
    fn recip(self) -> Self {
        let recip = 1.0 / self.value(KEY);
        self.chain(recip, -recip * recip, KEY)
    }

    /// xⁿ for a whole exponent. x⁰ is 1 everywhere.
    #[inline]
    fn powi(self, exponent: i32) -> Self {
        self.powf(f64::from(exponent))
    }

    /// xᵖ for a constant exponent: NaN for x below 0 unless p is whole. x⁰ is 1 everywhere.
    #[inline]
    fn powf(self, exponent: f64) -> Self {
        let x = self.value(KEY);
        let slope = if exponent == 0.0 { 0.0 } else { exponent * libm::pow(x, exponent - 1.0) };
        self.chain(libm::pow(x, exponent), slope, KEY)
    }

    /// sin x.
    #[inline]
    fn sin(self) -> Self {
        let x = self.value(KEY);
        self.chain(libm::sin(x), libm::cos(x), KEY)
    }

    /// cos x.
    #[inline]
    fn cos(self) -> Self {
        let x = self.value(KEY);
        self.chain(libm::cos(x), -libm::sin(x), KEY)
    }

    /// The arc tangent, between −π/2 and π/2.
    #[inline]
    fn atan(self) -> Self {
        let x = self.value(KEY);
        self.chain(libm::atan(x), 1.0 / (1.0 + x * x), KEY)
    }

    /// The hyperbolic tangent, between −1 and 1.
    #[inline]
    fn tanh(self) -> Self {
        let x = self.value(KEY);
        self.chain(libm::tanh(x), 4.0 * Logistic::at(2.0 * x).slope(), KEY)
    }

    /// The error function, between −1 and 1: Φ(x) = ½ + ½ erf(x/√2).
    #[inline]
    fn erf(self) -> Self {
        let x = self.value(KEY);
        self.chain(libm::erf(x), FRAC_2_SQRT_PI * libm::exp(-x * x), KEY)
    }

    /// σ(x) = 1/(1 + e⁻ˣ), without overflow.
    #[inline]
    fn sigmoid(self) -> Self {
        let at_x = Logistic::at(self.value(KEY));
        self.chain(at_x.sigmoid(), at_x.slope(), KEY)
    }

    /// ln σ(x), without overflow: near x for very negative x, near 0 for large x.
    #[inline]
    fn log_sigmoid(self) -> Self {
        let at_minus_x = Logistic::at(-self.value(KEY));
        self.chain(-at_minus_x.softplus(), at_minus_x.sigmoid(), KEY)
    }

    /// ln(1 + eˣ), without overflow: near 0 for very negative x, near x for large x.
    #[inline]
    fn softplus(self) -> Self {
        let at_x = Logistic::at(self.value(KEY));
        self.chain(at_x.softplus(), at_x.sigmoid(), KEY)
    }

    /// x above 0, else 0. The gradient at 0 is 0.
    #[inline]
    fn relu(self) -> Self {
        let x = self.value(KEY);
        if x <= 0.0 { self.chain(0.0, 0.0, KEY) } else { self }
    }

    /// |x|. The gradient at 0 is 0.
    #[inline]
    fn abs(self) -> Self {
        let x = self.value(KEY);
        self.chain(libm::fabs(x), sign(x), KEY)
    }

    /// The larger of two, with its gradient. A tie takes `self`; NaN on either side gives NaN.
    #[inline]
    fn maximum(self, other: impl Into<Self>) -> Self {
        let other = other.into();
        let (x, y) = (self.value(KEY), other.value(KEY));
        pick(self, other, x >= y, y > x)
    }

    /// The smaller of two, with its gradient. A tie takes `self`; NaN on either side gives NaN.
    #[inline]
    fn minimum(self, other: impl Into<Self>) -> Self {
        let other = other.into();
        let (x, y) = (self.value(KEY), other.value(KEY));
        pick(self, other, x <= y, y < x)
    }

    /// `low` below `low`, `high` above `high`, else x. The gradient is 1 from `low` to `high`, both
    /// included, and 0 outside.
    #[inline]
    fn clamp(self, low: f64, high: f64) -> Self {
        self.maximum(low).minimum(high)
    }

    /// `yes` where the condition holds, else `no`. The one not taken leaves no trace in the gradient.
    #[inline]
    fn select(condition: bool, yes: impl Into<Self>, no: impl Into<Self>) -> Self {
        if condition { yes.into() } else { no.into() }
    }
}

impl Scalar for f64 {}

/// `x` or `y`, whichever is said to win; neither wins where one is NaN, and the sum hands that on.
#[inline]
fn pick<S: Scalar>(x: S, y: S, x_wins: bool, y_wins: bool) -> S {
    match (x_wins, y_wins) {
        (true, _) => x,
        (_, true) => y,
        _ => x + y,
    }
}

/// σ(x), its slope and its integral, from the one exponential that they have in common: most of their cost.
#[derive(Clone, Copy)]
struct Logistic {
    x: f64,
    /// e^(−|x|), which never overflows.
    e: f64,
}

impl Logistic {
    #[inline]
    fn at(x: f64) -> Logistic {
        let e = libm::exp(-libm::fabs(x));
        Logistic { x, e }
    }

    /// σ(x).
    #[inline]
    fn sigmoid(self) -> f64 {
        let numerator = if self.x >= 0.0 { 1.0 } else { self.e };
        numerator / (1.0 + self.e)
    }

    /// σ′(x) = σ(x)·σ(−x), which keeps its digits where 1 − σ(x) would lose them.
    #[inline]
    fn slope(self) -> f64 {
        self.e / ((1.0 + self.e) * (1.0 + self.e))
    }

    /// ln(1 + eˣ) = max(x, 0) + ln(1 + e^(−|x|)).
    #[inline]
    fn softplus(self) -> f64 {
        let positive = if self.x > 0.0 { self.x } else { 0.0 };
        positive + libm::log1p(self.e)
    }
}

/// The slope of |x|: 0 at 0, NaN at NaN.
#[inline]
fn sign(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x * 0.0
    }
}

/// How a number type carries derivatives. Sealed: it cannot be named outside this crate, and its
/// methods ask for a key that only this crate has, so that a loss generic in [`Scalar`] cannot reach
/// a bare value either.
pub(crate) mod primitive {
    /// Opens the methods of [`Primitive`].
    #[derive(Clone, Copy)]
    pub struct Key(());

    /// The one key.
    pub(crate) const KEY: Key = Key(());

    /// A value, and the rule by which its derivatives go through a function of one or two arguments.
    pub trait Primitive: Copy {
        /// The bare value.
        fn value(self, key: Key) -> f64;

        /// f(x), given its value and f′(x).
        fn chain(self, value: f64, derivative: f64, key: Key) -> Self;

        /// f(x, y), given its value and (∂f/∂x, ∂f/∂y).
        fn join(self, other: Self, value: f64, derivatives: (f64, f64), key: Key) -> Self;
    }

    impl Primitive for f64 {
        #[inline]
        fn value(self, _: Key) -> f64 {
            self
        }

        #[inline]
        fn chain(self, value: f64, _: f64, _: Key) -> f64 {
            value
        }

        #[inline]
        fn join(self, _: f64, value: f64, _: (f64, f64), _: Key) -> f64 {
            value
        }
    }
}
