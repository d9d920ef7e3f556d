// expect: compile/rustc compile/crash compile/timeout component/memory component/size run/trap run/fuel
// note: the same as a constant
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

const B: [u8; 1 << 30] = [1; 1 << 30];

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    f64::from(B[pair.chosen_tokens as usize]) * pair.policy_chosen
}
