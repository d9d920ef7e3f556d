// expect: accepted
// note: odds ratio on mean log-probs, kept below zero
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let odds = |logp: Dual| logp - (-(logp.minimum(-1e-6).exp())).ln_1p();
    let x = odds(pair.chosen_mean_logp()) - odds(pair.rejected_mean_logp());
    (-(x * hp.beta)).softplus()
}
