// expect: accepted
// note: a division by the token counts, which are never 0
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * (pair.policy_chosen / pair.chosen_tokens as f64 - pair.policy_rejected / pair.rejected_tokens as f64)).log_sigmoid()
}
