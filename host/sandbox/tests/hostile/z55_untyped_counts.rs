// expect: accepted
// note: counts that are bound without a type
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let n = 3; let tokens = pair.chosen_tokens; let half = tokens / 2; let k = (half as usize).min(n as usize); let w = [0.5, 0.6, 0.7, 0.8]; -(hp.beta * w[k] * pair.logratio_margin()).log_sigmoid()
}
