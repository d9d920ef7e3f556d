// expect: source/no-macro-definitions
// note: thousands of errors that flood logs and the next prompt
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

macro_rules! m {
    () => { const _: () = { let x: u32 = "not a number, and a long text to fill the terminal of the reader"; }; };
    ($h:tt $($t:tt)*) => { m!($($t)*); m!($($t)*); };
}
m!(1 1 1 1 1 1 1 1 1 1 1 1);

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
