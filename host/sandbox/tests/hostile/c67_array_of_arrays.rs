// expect: compile/rustc compile/crash run/trap
// note: an array of arrays of arrays larger than the address space
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

type A = [[[[u8; 65536]; 65536]; 65536]; 65536];
const N: usize = size_of::<A>();

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    N as f64 * pair.logratio_margin()
}
