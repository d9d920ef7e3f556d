// expect: accepted
// note: variables called env, std, file, alloc, test, path, raw
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let (env, std, file, alloc) = (1.0, 2.0, 3.0, 4.0);
    let (test, path, raw, line) = (0.5, 0.25, 0.125, 0.0625);
    let weight = env * std / file / alloc + test * path - raw * line;
    weight * (-hp.beta * pair.logratio_margin()).softplus()
}
