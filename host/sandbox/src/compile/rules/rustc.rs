//! `compile/rustc`: the compiler has the last word on what is Rust.

use crate::Stage;
use crate::rules::Rule;

pub(crate) const RUSTC: Rule = Rule {
    name: "compile/rustc",
    stage: Stage::Compile,
    what: "source that the compiler does not accept",
    why: "only a component can be run",
    hint: "read the compiler's message; the SDK's manual lists every function",
    rejected: concat!(
        "use guest_sdk::prelude::*;\n\n",
        "pair_loss! {\n    name: \"example\",\n    summary: \"an example\",\n    hyperparameters: {},\n}\n\n",
        "fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {\n    hp.beta * pair.logratio_margin()\n}\n"
    ),
    accepted: crate::source::rules::PLAIN_LOSS,
};
