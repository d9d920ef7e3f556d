// expect: run/trap
// note: a list of as many entries as there are numbers
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let v = vec![0.0_f64; usize::MAX / 4]; v[0] * pair.logratio_margin()
}
