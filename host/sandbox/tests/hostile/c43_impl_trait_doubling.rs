// expect: compile/rustc compile/timeout compile/crash
// note: iterators that are twice the one before: a type of 2^26 parts
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn i0(x: f64) -> impl Iterator<Item = f64> + Clone { core::iter::once(x) }
fn i1(x: f64) -> impl Iterator<Item = f64> + Clone { i0(x).chain(i0(x)) }
fn i2(x: f64) -> impl Iterator<Item = f64> + Clone { i1(x).chain(i1(x)) }
fn i3(x: f64) -> impl Iterator<Item = f64> + Clone { i2(x).chain(i2(x)) }
fn i4(x: f64) -> impl Iterator<Item = f64> + Clone { i3(x).chain(i3(x)) }
fn i5(x: f64) -> impl Iterator<Item = f64> + Clone { i4(x).chain(i4(x)) }
fn i6(x: f64) -> impl Iterator<Item = f64> + Clone { i5(x).chain(i5(x)) }
fn i7(x: f64) -> impl Iterator<Item = f64> + Clone { i6(x).chain(i6(x)) }
fn i8(x: f64) -> impl Iterator<Item = f64> + Clone { i7(x).chain(i7(x)) }
fn i9(x: f64) -> impl Iterator<Item = f64> + Clone { i8(x).chain(i8(x)) }
fn i10(x: f64) -> impl Iterator<Item = f64> + Clone { i9(x).chain(i9(x)) }
fn i11(x: f64) -> impl Iterator<Item = f64> + Clone { i10(x).chain(i10(x)) }
fn i12(x: f64) -> impl Iterator<Item = f64> + Clone { i11(x).chain(i11(x)) }
fn i13(x: f64) -> impl Iterator<Item = f64> + Clone { i12(x).chain(i12(x)) }
fn i14(x: f64) -> impl Iterator<Item = f64> + Clone { i13(x).chain(i13(x)) }
fn i15(x: f64) -> impl Iterator<Item = f64> + Clone { i14(x).chain(i14(x)) }
fn i16(x: f64) -> impl Iterator<Item = f64> + Clone { i15(x).chain(i15(x)) }
fn i17(x: f64) -> impl Iterator<Item = f64> + Clone { i16(x).chain(i16(x)) }
fn i18(x: f64) -> impl Iterator<Item = f64> + Clone { i17(x).chain(i17(x)) }
fn i19(x: f64) -> impl Iterator<Item = f64> + Clone { i18(x).chain(i18(x)) }
fn i20(x: f64) -> impl Iterator<Item = f64> + Clone { i19(x).chain(i19(x)) }
fn i21(x: f64) -> impl Iterator<Item = f64> + Clone { i20(x).chain(i20(x)) }
fn i22(x: f64) -> impl Iterator<Item = f64> + Clone { i21(x).chain(i21(x)) }
fn i23(x: f64) -> impl Iterator<Item = f64> + Clone { i22(x).chain(i22(x)) }
fn i24(x: f64) -> impl Iterator<Item = f64> + Clone { i23(x).chain(i23(x)) }
fn i25(x: f64) -> impl Iterator<Item = f64> + Clone { i24(x).chain(i24(x)) }
fn i26(x: f64) -> impl Iterator<Item = f64> + Clone { i25(x).chain(i25(x)) }


fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    i26(1.0).sum::<f64>() * pair.logratio_margin()
}
