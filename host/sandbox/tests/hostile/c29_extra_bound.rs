// expect: compile/rustc
// note: asks for a bound that only f64 has
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss<S: Scalar + Into<f64>>(pair: &Pair<S>, hp: &Hyperparameters) -> S {
    let v: f64 = pair.policy_chosen.into();
    S::from(v * hp.beta)
}
