// expect: run/trap
// note: recursion without end
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

#[inline(never)]
fn r(n: u64, a: [f64; 16]) -> f64 {
    let mut b = a;
    b[(n % 16) as usize] += 1.0;
    if n == u64::MAX { b[0] } else { r(n + 1, b) + b[3] }
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    r(0, [hp.beta; 16]) * pair.policy_chosen
}
