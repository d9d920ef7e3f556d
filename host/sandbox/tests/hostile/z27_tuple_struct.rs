// expect: accepted
// note: a struct with an impl, const fn, Self and shadowing
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

struct Smooth(f64);

impl Smooth {
    const DEFAULT: Self = Self(0.1);

    const fn new(epsilon: f64) -> Self {
        Self(epsilon)
    }

    fn loss(&self, x: Dual) -> Dual {
        let Self(epsilon) = *self;
        (1.0 - epsilon) * (-x).softplus() + epsilon * x.softplus()
    }
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let x = pair.logratio_margin();
    let x = x * hp.beta;
    let smooth = if hp.beta > 5.0 { Smooth::DEFAULT } else { Smooth::new(0.05) };
    smooth.loss(x)
}
