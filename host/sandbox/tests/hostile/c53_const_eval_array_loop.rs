// expect: compile/rustc compile/timeout compile/crash
// note: a constant that fills 512 MiB
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

const fn fill() -> [u8; 1 << 29] { let mut a = [0; 1 << 29]; let mut i = 0; while i < a.len() { a[i] = 1; i += 4096; } a }
const A: [u8; 1 << 29] = fill();

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    A[pair.chosen_tokens as usize] as f64 * pair.logratio_margin()
}
