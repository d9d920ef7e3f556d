// expect: source/macros
// note: remembers the last row in a thread local
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

thread_local! {
    static LAST: core::cell::Cell<f64> = const { core::cell::Cell::new(0.0) };
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
