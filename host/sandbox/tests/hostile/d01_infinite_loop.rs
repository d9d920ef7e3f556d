// expect: run/fuel
// note: a loop without end
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let mut a = hp.beta;
    loop {
        a = a * 1.0000001 + 1e-9;
        if a < -1.0 {
            break;
        }
    }
    a * pair.policy_chosen
}
