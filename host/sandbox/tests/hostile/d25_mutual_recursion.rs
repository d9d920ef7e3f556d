// expect: run/trap run/fuel
// note: two functions that call each other by pointers
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn a(x: Dual, n: u32) -> Dual { let f: fn(Dual, u32) -> Dual = if n % 2 == 0 { a } else { b }; f(x, n.wrapping_add(1)) * 2.0 }
fn b(x: Dual, n: u32) -> Dual { a(x, n) + 1.0 }

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    a(pair.logratio_margin(), 0)
}
