// expect: run/fuel
// note: a loop in what runs when a value goes
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

struct S;
impl Drop for S { fn drop(&mut self) { let mut n = 1_u64; while n != 0 { n = n.wrapping_mul(3) | 1; } } }

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let _s = S; -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
