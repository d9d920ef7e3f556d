//! The rules of all gates in one list, each as a page that `lossbox rules` prints.
//!
//! A rule's page stands in the file that enforces it: what it forbids, why, and two examples, one that it rejects and
//! one that passes every gate. The tests run both, so a page cannot say what the gate does not do.

use crate::{Rejection, Stage};

/// One rule as its page shows it.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Stage and name, as in `source/no-include`.
    pub name: &'static str,
    /// The gate that enforces it.
    pub stage: Stage,
    /// What it forbids.
    pub what: &'static str,
    /// Why.
    pub why: &'static str,
    /// What an author does instead.
    pub hint: &'static str,
    /// What it rejects.
    pub rejected: Example,
    /// What passes this rule and every other.
    pub accepted: Example,
}

/// A candidate small enough for a page, or a function that writes one that is not.
#[derive(Debug, Clone, Copy)]
pub enum Example {
    /// The text of a one-file loss.
    Source(&'static str),
    /// The files of a crate, as (path within its folder, text).
    Crate(&'static [(&'static str, &'static str)]),
    /// A component as WebAssembly text.
    Component(&'static str),
    /// A one-file loss that is too long to show.
    LongSource {
        /// What it is, in words.
        shown: &'static str,
        /// Writes its text.
        text: fn() -> String,
    },
    /// A component that is too long to show.
    LongComponent {
        /// What it is, in words.
        shown: &'static str,
        /// Writes it as WebAssembly text.
        text: fn() -> String,
    },
    /// None is known: the rule is there for what nobody foresees, and its own tests play it. Says what it waits for.
    NoneKnown(&'static str),
}

impl Example {
    /// What most rules accept: a loss that keeps every rule of every gate, and so does what it compiles to.
    pub(crate) const PLAIN: Example = Example::Source(crate::source::rules::PLAIN_LOSS);
}

impl Rule {
    /// A rejection by this rule, with its hint.
    pub(crate) fn rejection(&self, message: impl Into<String>) -> Rejection {
        Rejection::new(self.stage, self.name, message, self.hint)
    }
}

/// Every rule, in the order of the gates.
pub fn all() -> Vec<Rule> {
    crate::source::rules::pages()
        .chain(crate::source::CRATE_RULES)
        .chain(crate::compile::rules::ALL)
        .chain(crate::component::rules::pages())
        .chain(crate::guest::rules::ALL)
        .chain(crate::probe::RULES)
        .collect()
}
