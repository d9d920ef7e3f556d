// expect: source/paths
// note: crate:: and super:: reach the wrapper
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

type C = crate::__Component;

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    super::__Component::evaluate;
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
