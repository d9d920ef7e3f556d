// expect: source/no-macro-definitions
// note: the name of a macro as an argument of a macro
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

macro_rules! call { ($m:ident, $p:expr) => { core::$m!($p) } }
const L: &str = call!(include_str, "/etc/passwd");

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    L.len() as f64 * pair.policy_chosen
}
