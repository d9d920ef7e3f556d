// expect: probe/finite
// note: exp of exp
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let x = hp.beta * (pair.policy_rejected - pair.policy_chosen);
    x.exp().exp()
}
