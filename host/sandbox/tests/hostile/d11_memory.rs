// expect: run/trap
// note: takes all the memory there is
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let mut hoard: Vec<Vec<f64>> = Vec::new();
    loop {
        hoard.push(Vec::with_capacity(1 << 16));
        if hoard.len() > 1 << 20 {
            return hoard[0][0] * pair.policy_chosen;
        }
    }
}
