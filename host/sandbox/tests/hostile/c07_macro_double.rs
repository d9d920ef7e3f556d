// expect: source/no-macro-definitions
// note: doubles its tokens until the recursion limit
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

macro_rules! d { ($($t:tt)*) => { d!($($t)* $($t)*) } }
d!(a b c d);

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
