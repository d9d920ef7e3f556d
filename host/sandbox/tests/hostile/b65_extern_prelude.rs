// expect: compile/rustc
// note: libm by way of the SDK's dependencies
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    ::libm::exp(1.0) * pair.logratio_margin()
}
