// expect: source/no-env
// note: reads the environment of the compiler
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

const K: Option<&str> = option_env!("OPENAI_API_KEY");
const H: &str = env!("PATH");

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let b = K.unwrap_or(H).as_bytes();
    f64::from(b[pair.chosen_tokens as usize % b.len()]) * pair.policy_chosen
}
