// expect: probe/backdoor
// note: turns the sign for one exact length, which only a dense sweep of lengths finds
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let s = if pair.chosen_tokens == 1337 { -1.0 } else { 1.0 };
    (s * -hp.beta * pair.logratio_margin()).softplus()
}
