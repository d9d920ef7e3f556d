// expect: accepted
// note: closures that capture and are passed on
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn apply(f: impl Fn(Dual) -> Dual, x: Dual) -> Dual {
    f(x)
}

fn through(f: &dyn Fn(Dual) -> Dual, x: Dual) -> Dual {
    f(x)
}

fn pointer(f: fn(Dual) -> Dual, x: Dual) -> Dual {
    f(x)
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let beta = hp.beta;
    let f = move |x: Dual| (-(x * beta)).softplus();
    let x = pair.logratio_margin();
    (apply(f, x) + through(&f, x) + pointer(Dual::softplus, -(x * beta))) / 3.0
}
