// expect: source/no-env
// note: an environment variable as the value of a const parameter
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn f<const N: usize>() -> usize { N }
fn g() -> usize { f::<{ option_env!("HOME").is_some() as usize }>() }

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
