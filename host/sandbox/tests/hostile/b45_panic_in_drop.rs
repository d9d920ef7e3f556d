// expect: run/trap
// note: a panic while a panic goes on
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

struct S;
impl Drop for S { fn drop(&mut self) { panic!("again") } }

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let _s = S; if pair.chosen_tokens > 0 { panic!("first") } pair.policy_chosen
}
