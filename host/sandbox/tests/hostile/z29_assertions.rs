// expect: accepted
// note: assertions and a panic that never comes
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    debug_assert!(pair.chosen_tokens >= 1, "tokens are at least {}", 1);
    assert_ne!(hp.beta, 0.0);
    let side = if pair.logratio_margin() >= 0.0 { 1_u8 } else { 0 };
    let slope = match side {
        0 => 1.0,
        1 => 0.5,
        _ => panic!("a side is 0 or 1"),
    };
    slope * (-hp.beta * pair.logratio_margin()).softplus()
}
