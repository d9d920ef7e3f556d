// expect: source/paths
// note: starts a process
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let _ = std::process::Command::new("sh").arg("-c").arg("id").status();
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
