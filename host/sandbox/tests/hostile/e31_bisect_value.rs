// expect: probe/gradient probe/finite
// note: a value found by halving, with no derivative
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let x = pair.logratio_margin(); let (mut lo, mut hi) = (-4000.0_f64, 4000.0_f64); for _ in 0..100 { let mid = 0.5 * (lo + hi); if x > mid { lo = mid } else { hi = mid } } lo * hp.beta + 0.0 * x
}
