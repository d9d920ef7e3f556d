//! Arithmetic and comparisons, in every combination of numbers, references and `f64`.

use guest_sdk::{Dual, Scalar, Var};

use crate::{by_dual, by_var};

const X: f64 = 3.0;
const Y: f64 = -4.0;

/// Value and partial derivatives of each operation at (3, −4): all exact in binary.
const SUM: [f64; 3] = [-1.0, 1.0, 1.0];
const DIFFERENCE: [f64; 3] = [7.0, 1.0, -1.0];
const PRODUCT: [f64; 3] = [-12.0, -4.0, 3.0];
const QUOTIENT: [f64; 3] = [-0.75, -0.25, -0.1875];

/// The same body for both number types.
macro_rules! both {
    (|$x:ident, $y:ident| $body:expr, $expected:expr) => {
        assert_eq!(by_dual(X, Y, |$x, $y| $body), $expected, "{}", stringify!($body));
        assert_eq!(by_var(X, Y, |$x, $y| $body), $expected, "{}", stringify!($body));
    };
}

/// One operator by value and by reference, and with `f64` on either side.
macro_rules! operator {
    ($operator:tt, $assign:tt, $expected:expr) => {
        both!(|x, y| x $operator y, $expected);
        both!(|x, y| &x $operator y, $expected);
        both!(|x, y| x $operator &y, $expected);
        both!(|x, y| &x $operator &y, $expected);
        let [value, dx, dy] = $expected;
        both!(|x, _y| x $operator Y, [value, dx, 0.0]);
        both!(|x, _y| &x $operator Y, [value, dx, 0.0]);
        both!(|_x, y| X $operator y, [value, 0.0, dy]);
        both!(|_x, y| X $operator &y, [value, 0.0, dy]);
        both!(|x, y| { let mut z = x; z $assign y; z }, $expected);
        both!(|x, _y| { let mut z = x; z $assign Y; z }, [value, dx, 0.0]);
    };
}

#[test]
fn sums_differences_products_and_quotients_carry_both_derivatives() {
    operator!(+, +=, SUM);
    operator!(-, -=, DIFFERENCE);
    operator!(*, *=, PRODUCT);
    operator!(/, /=, QUOTIENT);
}

#[test]
fn negation_carries_its_derivative() {
    both!(|x, _y| -x, [-3.0, -1.0, 0.0]);
    both!(|x, _y| -&x, [-3.0, -1.0, 0.0]);
}

#[test]
fn a_number_may_meet_itself() {
    both!(|x, _y| x * x, [9.0, 6.0, 0.0]);
    both!(|x, _y| x - x, [0.0, 0.0, 0.0]);
    both!(|x, _y| x / x, [1.0, 0.0, 0.0]);
}

#[test]
fn iterators_of_numbers_can_be_summed() {
    both!(|x, y| [x, y, x].into_iter().sum(), [2.0, 2.0, 1.0]);
    both!(|x, y| [x, y, x].iter().sum(), [2.0, 2.0, 1.0]);
    let nothing: [Dual; 0] = [];
    assert_eq!(by_dual(X, Y, |_, _| nothing.iter().sum()), [0.0; 3]);
}

#[test]
fn constants_have_no_gradient() {
    assert_eq!(by_dual(X, Y, |_, _| Dual::from(0.5).exp() + 1.0), [0.5_f64.exp() + 1.0, 0.0, 0.0]);
    assert_eq!(by_var(X, Y, |_, _| Var::from(0.5).exp() + 1.0), [0.5_f64.exp() + 1.0, 0.0, 0.0]);
    assert_eq!(by_var(X, Y, |x, _| Var::from(2.0) * x), [6.0, 2.0, 0.0]);
    assert_eq!(by_var(X, Y, |x, _| x * Var::from(2.0)), [6.0, 2.0, 0.0]);
}

#[test]
fn comparisons_see_values_only() {
    let holds = |condition: bool| f64::from(u8::from(condition));
    both!(
        |x, y| {
            let all = [x > y, y < x, x > 0.0, 0.0 > y, x == 3.0, 3.0 == x, x != y, x >= x, x <= x];
            x * 0.0 + all.map(holds).iter().sum::<f64>()
        },
        [9.0, 0.0, 0.0]
    );
}

#[test]
fn a_helper_can_be_generic() {
    fn focal<S: Scalar>(x: S) -> S {
        let mut weight = S::from(1.0) - x.sigmoid();
        weight *= 2.0;
        if x > 100.0 { S::from(0.0) } else { weight * weight * 0.25 * (-x).softplus() + 1.0 }
    }
    let at_zero: f64 = focal(0.0);
    let [value, slope, _] = by_dual(0.0, 0.0, |x, _| focal(x));
    // (1 − σ)² ln(1 + e⁻ˣ) at 0: value ln 2 / 4, slope −(ln 2 / 4 + 1/8)
    let quarter = std::f64::consts::LN_2 / 4.0;
    assert!((at_zero - 1.0 - quarter).abs() < 1e-15 && at_zero == value);
    assert!((slope + quarter + 0.125).abs() < 1e-15);
}
