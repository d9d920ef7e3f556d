// expect: compile/rustc
// note: types that grow with every call
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

#[derive(Clone, Copy)]
struct N<T>(T);
fn go<T: Copy>(n: u32, t: T) -> u32 {
    if n == 0 { 0 } else { 1 + go(n - 1, N(t)) }
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    f64::from(go(pair.chosen_tokens, 0u8)) * pair.policy_chosen
}
