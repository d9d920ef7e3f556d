// expect: compile/rustc
// note: a const parameter that grows with every call
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn f<const N: usize>(x: f64) -> f64 { if x > 0.0 { f::<{ N + 1 }>(x - 1.0) } else { x } }

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    f::<0>(1.0) * pair.logratio_margin()
}
