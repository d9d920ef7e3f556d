// expect: source/no-unsound-types
// note: the same hole without a static item
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn keep<'a, 'b>(_: &'a &'b (), v: &'b [u64; 64]) -> &'a [u64; 64] {
    v
}
fn stale<'a>() -> &'a [u64; 64] {
    let a = [0x4141u64; 64];
    let f: fn(_, &[u64; 64]) -> &'a [u64; 64] = keep;
    f(&&(), &a)
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    (stale()[3] % 1000) as f64 * pair.policy_chosen
}
