// expect: accepted
// note: normalised by length, with a guard
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let n = |k: u32| if k == 0 { 1.0 } else { f64::from(k) };
    let m = pair.policy_chosen / n(pair.chosen_tokens) - pair.policy_rejected / n(pair.rejected_tokens) - 0.3;
    (-m * hp.beta).softplus()
}
