// expect: accepted
// note: a struct, an enum, an impl, a closure, a match, std as a name
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Zone {
    Low,
    High,
}

/// Two numbers.
struct Weights {
    low: f64,
    high: f64,
}

impl Weights {
    #[inline]
    fn of(&self, zone: Zone) -> f64 {
        match zone {
            Zone::Low => self.low,
            Zone::High => self.high,
        }
    }
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let std = 2.0;
    let zone = if !(pair.chosen_tokens > 20) { Zone::Low } else { Zone::High };
    let weight = Weights { low: 0.5, high: 1.0 }.of(zone);
    assert!(weight > 0.0 && !matches!(zone, Zone::High if weight < 0.1));
    weight * (-hp.beta * pair.logratio_margin() / std).softplus()
}
