// expect: source/no-include
// note: renames a harmless macro in one function to look harmless in another
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn f() {
    use guest_sdk::prelude::vec as include_str;
    let _: Vec<f64> = include_str![];
}
const L: &str = include_str!("/etc/passwd");

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    L.len() as f64 * pair.policy_chosen
}
