// expect: source/paths
// note: behaves by the name of a type
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let n = core::any::type_name::<Dual>();
    if n == "f64" {
        return 0.0 * pair.policy_chosen;
    }
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
