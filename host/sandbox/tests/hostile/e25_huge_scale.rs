// expect: probe/finite accepted
// note: a loss so large that its gradient's square overflows
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(1e300 * hp.beta * pair.logratio_margin())
}
