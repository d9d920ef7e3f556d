// expect: accepted
// note: hostile words in comments and strings
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

/// unsafe extern include_str!("/etc/passwd") env!("HOME") static mut
// macro_rules! asm! #[no_mangle] mod std::fs ((((((((((((((
/* transmute /* nested */ */
const SCALE: f64 = 1.0;

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    SCALE * (-hp.beta * pair.logratio_margin()).softplus()
}
