// expect: compile/rustc compile/timeout compile/crash
// note: a type parameter that doubles with every call
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn f<T: Copy>(x: T, n: u32) -> u32 { if n == 0 { 0 } else { f((x, x), n - 1) } }

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    f(1.0, 3) as f64 * pair.logratio_margin()
}
