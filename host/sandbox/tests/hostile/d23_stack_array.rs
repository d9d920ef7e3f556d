// expect: run/fuel run/trap
// note: an array of half a gigabyte on the stack
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

#[inline(never)]
fn f(n: usize) -> f64 { let mut a = [0.0_f64; 1 << 26]; a[n % a.len()] = 1.0; let mut s = 0.0; for x in a.iter() { s += x; } s }

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    f(pair.chosen_tokens as usize) * pair.logratio_margin()
}
