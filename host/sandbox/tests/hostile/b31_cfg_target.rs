// expect: source/attributes
// note: behaves in WebAssembly otherwise than in native tests
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

#[cfg(target_arch = "wasm32")]
const SIGN: f64 = -1.0;
#[cfg(not(target_arch = "wasm32"))]
const SIGN: f64 = 1.0;

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    SIGN * (-hp.beta * pair.logratio_margin()).softplus()
}
