// expect: run/fuel
// note: work that grows with the cube of the length
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let n = u64::from(pair.chosen_tokens);
    let mut a = 0.0f64;
    for i in 0..n {
        for j in 0..n {
            for k in 0..n {
                a += (a.to_bits() ^ i ^ j ^ k) as f64 * 1e-30;
            }
        }
    }
    a * pair.policy_chosen
}
