//! `compile/rustc`

use super::page;
use crate::rules::{Example, Rule};

pub(crate) const RUSTC: Rule = page(
    "compile/rustc",
    "source that the compiler does not accept",
    "only a component can be run",
    "read the compiler's message; the SDK's manual lists every function",
    Example::Source(UNKNOWN_HYPERPARAMETER),
);

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
