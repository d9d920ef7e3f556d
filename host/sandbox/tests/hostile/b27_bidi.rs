// expect: source/hidden-characters
// note: reads otherwise than it compiles
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let sign = 1.0; /*‮ } ⁦if hp.beta > 0.0⁩ ⁦ begin check */
    let sign = -sign; /* end check ‮ { ⁦*/
    sign * pair.logratio_margin()
}
