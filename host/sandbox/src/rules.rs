//! The rules of all gates in one list, each as a page that `lossbox rules` prints.
//!
//! A rule's page stands in the file that enforces it; its examples are run by the tests.

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
    /// A file that it rejects; empty where an example would be no text.
    pub rejected: &'static str,
    /// The same idea done right.
    pub accepted: &'static str,
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
