//! `compile/rustc`

use crate::Stage;
use crate::rules::{Example, Rule};

pub(crate) const RUSTC: Rule = Rule {
    name: "compile/rustc",
    stage: Stage::Compile,
    what: "source that the compiler does not accept",
    why: "only a component can be run",
    hint: "read the compiler's message; the SDK's manual lists every function",
    rejected: Example::Source(UNKNOWN_HYPERPARAMETER),
    accepted: Example::PLAIN,
};

/// It uses a hyperparameter that it does not declare.
const UNKNOWN_HYPERPARAMETER: &str = r#"use guest_sdk::prelude::*;

pair_loss! {
    name: "example",
    summary: "negative log-sigmoid of the scaled margin",
    hyperparameters: {},
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
"#;
