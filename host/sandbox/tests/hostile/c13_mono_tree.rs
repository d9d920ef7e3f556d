// expect: source/items
// note: 2^18 instantiations of a trait's method, without a macro or the recursion limit
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

struct Z;
struct Sx<T>(core::marker::PhantomData<T>);
struct A<T>(core::marker::PhantomData<T>);
struct B<T>(core::marker::PhantomData<T>);
trait Go { fn go<L: Len>(x: f64) -> f64; }
trait Len { fn len() -> f64; }
impl Len for Z { #[inline(never)] fn len() -> f64 { 1.0 } }
impl<T: Len> Len for A<T> { #[inline(never)] fn len() -> f64 { T::len() * 1.5 + 1.0 } }
impl<T: Len> Len for B<T> { #[inline(never)] fn len() -> f64 { T::len() * 0.5 - 1.0 } }
impl Go for Z { fn go<L: Len>(x: f64) -> f64 { L::len() * x } }
impl<T: Go> Go for Sx<T> { #[inline(never)] fn go<L: Len>(x: f64) -> f64 { T::go::<A<L>>(x) + T::go::<B<L>>(-x) } }
type S6<T> = Sx<Sx<Sx<Sx<Sx<Sx<T>>>>>>;

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    <S6<S6<S6<Z>>>>::go::<Z>(f64::from(pair.chosen_tokens)) * pair.policy_chosen
}
