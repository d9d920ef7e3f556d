// expect: compile/rustc
// note: constant evaluation without end: a lint that is denied by default stops it
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

const N: u64 = {
    let mut i = 0u64;
    loop {
        i = i.wrapping_add(1);
        if i == 0 {
            break i;
        }
    }
};

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    N as f64 * pair.policy_chosen
}
