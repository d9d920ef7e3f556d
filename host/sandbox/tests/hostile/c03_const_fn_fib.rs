// expect: source/attributes
// note: the same lint switched off
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

#[allow(long_running_const_eval)]
const F: u64 = fib(60);
const fn fib(n: u64) -> u64 {
    if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    F as f64 * pair.policy_chosen
}
