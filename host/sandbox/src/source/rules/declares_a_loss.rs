//! `source/declares-a-loss`

use syn::Item;

use super::super::tokens::macro_calls;
use super::{Parsed, SourceRule};
use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::{Form, Offence};

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: Rule {
        name: "source/declares-a-loss",
        stage: Stage::Source,
        what: "a file without exactly one pair_loss! with its fn loss, or batch_loss! with its fn losses",
        why: "the declaration says what the loss is called, what can be set, and which function is the loss",
        hint: "begin with `use guest_sdk::prelude::*;` and one pair_loss! { name: …, summary: …, hyperparameters: { … } }, \
         then write fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual",
        rejected: Example::Source(
            "use guest_sdk::prelude::*;\nfn loss(pair: &Pair) -> Dual { -pair.logratio_margin().log_sigmoid() }",
        ),
        accepted: Example::PLAIN,
    },
    find: |parsed| match parsed.form {
        Form::OneFile => missing(parsed),
        // A crate may implement PreferenceLoss by hand; the compiler says whether it exports one.
        Form::Crate => None,
    },
};

fn missing(parsed: &Parsed) -> Option<Offence> {
    let declarations: Vec<&str> = macro_calls(&parsed.tokens)
        .map(|call| call.names[0])
        .filter(|name| matches!(*name, "pair_loss" | "batch_loss"))
        .collect();
    let function = match declarations.as_slice() {
        ["pair_loss"] => "loss",
        ["batch_loss"] => "losses",
        _ => {
            let message = format!("the file declares {} losses, expected 1", declarations.len());
            return Some(Offence::at(&parsed.file, message));
        }
    };
    let is_there = parsed
        .file
        .items
        .iter()
        .any(|item| matches!(item, Item::Fn(item) if item.sig.ident == function));
    let message = format!("{}! needs fn {function}, which the file does not have", declarations[0]);
    (!is_there).then(|| Offence::at(&parsed.file, message))
}
