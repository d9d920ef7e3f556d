//! The rules that hold whenever a plugin runs, in the probe and in training.
//!
//! They have no gate of their own: a rejection by one of them carries the stage in which the plugin ran.

use crate::Stage;
use crate::rules::{Example, Rule};

/// Every page.
pub(crate) const ALL: [Rule; 7] = [WORLD, FUEL, TIMEOUT, CRASH, TRAP, ERROR, LENGTHS];

pub(super) const WORLD: Rule = Rule {
    name: "run/world",
    stage: Stage::Probe,
    what: "components that cannot be instantiated as the world preference-loss, or import WASI 0.2 with types of their own",
    why: "types and functions must be those of guest-sdk/wit/loss.wit and of WASI",
    hint: "export the world preference-loss of guest-sdk/wit/loss.wit, and import interfaces of WASI 0.2 as they are",
    rejected: Example::LongComponent {
        shown: "a component that imports `wasi:clocks/monotonic-clock@0.2.6` with a clock of 32 bits: \
                `(export \"now\" (func (result u32)))`",
        text: a_clock_of_another_type,
    },
    accepted: Example::PLAIN,
};

/// The component gate knows the interfaces of WASI by name; their types meet when the runtime links them.
fn a_clock_of_another_type() -> String {
    let clock = r#"(import "wasi:clocks/monotonic-clock@0.2.6" (instance (export "now" (func (result u32)))))"#;
    let plain = include_str!("../component/rules/accepted.wat");
    plain.replacen("(component", &format!("(component {clock}"), 1)
}

pub(super) const FUEL: Rule = Rule {
    name: "run/fuel",
    stage: Stage::Probe,
    what: "calls that take more fuel than their number of pairs allows",
    why: "a loss is called at every step; fuel is the same on every machine",
    hint: "no loops but those over the batch, no work that grows with the token counts, and no large lists: to fill one takes fuel \
     by the byte",
    rejected: Example::Source(
        r#"use guest_sdk::prelude::*;

pair_loss! {
    name: "example",
    summary: "counts for ever",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let mut x = hp.beta * pair.logratio_margin();
    while x < 1e9 || x >= 1e9 {
        x = x * 1.5;
    }
    x
}
"#,
    ),
    accepted: Example::PLAIN,
};

pub(crate) const TIMEOUT: Rule = Rule {
    name: "run/timeout",
    stage: Stage::Probe,
    what: "plugins that take too long to compile or to answer",
    why: "the wall clock guards what fuel does not count",
    hint: "make the code smaller; call no function of WASI in a loop, since its work costs no fuel and all the more time",
    rejected: Example::NoneKnown("work that takes long and little fuel"),
    accepted: Example::PLAIN,
};

pub(super) const CRASH: Rule = Rule {
    name: "run/crash",
    stage: Stage::Probe,
    what: "plugins whose process dies or answers nonsense",
    why: "nothing that it says can be believed",
    hint: "build the component with the SDK",
    rejected: Example::NoneKnown("an error of the compiler or the runtime of WebAssembly"),
    accepted: Example::PLAIN,
};

pub(super) const TRAP: Rule = Rule {
    name: "run/trap",
    stage: Stage::Probe,
    what: "calls that trap: a panic, an index out of bounds, a division of integers by zero, too much memory or stack",
    why: "a training step cannot go on without its gradient",
    hint: "check lengths and divisors; a batch may have one pair",
    rejected: Example::Source(
        r#"use guest_sdk::prelude::*;

pair_loss! {
    name: "example",
    summary: "looks up a weight by length",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let weights = [0.5, 1.0, 2.0];
    let weight = weights[pair.chosen_tokens as usize / 10];
    -(weight * hp.beta * pair.logratio_margin()).log_sigmoid()
}
"#,
    ),
    accepted: Example::PLAIN,
};

pub(super) const ERROR: Rule = Rule {
    name: "run/error",
    stage: Stage::Probe,
    what: "calls that the plugin answers with an error",
    why: "pairs and hyperparameters were well formed",
    hint: "return an error only for calls that break the contract; from batch_loss!, one loss per pair",
    rejected: Example::Source(
        r#"use guest_sdk::prelude::*;

batch_loss! {
    name: "example",
    summary: "one loss for the whole batch",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn losses<'t>(batch: &Batch<'t>, hp: &Hyperparameters) -> Vec<Var<'t>> {
    let losses: Vec<Var<'t>> = batch.iter().map(|pair| -(hp.beta * pair.logratio_margin()).log_sigmoid()).collect();
    vec![mean(&losses)]
}
"#,
    ),
    accepted: Example::PLAIN,
};

pub(super) const LENGTHS: Rule = Rule {
    name: "run/lengths",
    stage: Stage::Probe,
    what: "lists with another number of entries than there are pairs",
    why: "every pair needs its loss and its two gradients",
    hint: "return one loss per pair, in order",
    rejected: Example::Crate(&[
        ("Cargo.toml", crate::source::PLAIN_MANIFEST),
        ("src/lib.rs", ONE_LOSS_FOR_ALL),
    ]),
    accepted: Example::PLAIN,
};

const ONE_LOSS_FOR_ALL: &str = r#"#![no_std]

use guest_sdk::prelude::*;
use guest_sdk::{__String as Text, Gradients, Metadata, Pairs, PreferenceLoss, Scope};

pub struct Loss;

impl PreferenceLoss for Loss {
    fn describe() -> Metadata {
        Metadata {
            name: "example".into(),
            summary: "one loss for the whole batch".into(),
            citation: None,
            scope: Scope::Batch,
            hyperparameters: vec![],
        }
    }

    fn evaluate(_: &Pairs, _: &[f64]) -> Result<Gradients, Text> {
        Ok(Gradients {
            losses: vec![1.0],
            policy_chosen: vec![0.0],
            policy_rejected: vec![0.0],
        })
    }
}

guest_sdk::export!(Loss);
"#;
