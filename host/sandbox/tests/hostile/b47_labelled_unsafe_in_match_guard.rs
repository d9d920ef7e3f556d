// expect: source/no-unsafe
// note: unsafe in the guard of a match in a closure in a constant
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

const X: fn(u8) -> u8 = |x| match x { y if unsafe { true } => y, z => z };

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
