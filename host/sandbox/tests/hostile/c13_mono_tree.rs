// expect: source/items
// note: 2^18 instantiations of a trait's method
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

trait Len {
    fn len() -> f64;
}
struct Z;
impl Len for Z {
    fn len() -> f64 {
        1.0
    }
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
