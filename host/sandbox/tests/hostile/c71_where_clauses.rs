// expect: compile/rustc
// note: bounds that hold only if they hold
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

struct W<T>(T);
impl<T> Clone for W<T> where W<W<T>>: Clone { fn clone(&self) -> Self { loop {} } }
fn f<T: Clone>() {}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    f::<W<f64>>(); pair.logratio_margin()
}
