// expect: accepted
// note: match, while, for, if let, labelled breaks
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

enum Length {
    Short,
    Medium(f64),
    Long { weight: f64 },
}

fn length(tokens: u32) -> Length {
    match tokens {
        0..=8 => Length::Short,
        9..=64 => Length::Medium(0.9),
        _ => Length::Long { weight: 0.8 },
    }
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let weight = match length(pair.chosen_tokens) {
        Length::Short => 1.0,
        Length::Medium(weight) | Length::Long { weight } => weight,
    };
    let mut terms = 0;
    let mut sum = Dual::from(0.0);
    'terms: loop {
        for k in 1..=3 {
            if terms >= 3 {
                break 'terms;
            }
            sum += (-hp.beta * pair.logratio_margin() / f64::from(k)).softplus();
            terms += 1;
        }
    }
    weight * sum
}
