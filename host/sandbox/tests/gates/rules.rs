//! The rules' pages: every example is rejected or accepted as it says.

use std::collections::HashSet;

use sandbox::{Stage, rules};

use crate::support::validate;

#[test]
fn rules_have_names_of_their_own_and_tell_what_to_do() {
    let mut names = HashSet::new();
    for rule in rules::all() {
        assert!(names.insert(rule.name), "{} twice", rule.name);
        for text in [rule.what, rule.why, rule.hint] {
            assert!(
                !text.is_empty() && !text.ends_with('.'),
                "{}: {text:?}",
                rule.name
            );
        }
    }
}

/// The source gate's examples are tested beside their rules, the component gate's are WebAssembly text.
#[test]
fn losses_that_a_page_rejects_are_rejected_by_its_rule() {
    let pages = rules::all();
    let run = pages
        .iter()
        .filter(|rule| matches!(rule.stage, Stage::Compile | Stage::Probe));
    let with_example: Vec<_> = run.filter(|rule| !rule.rejected.is_empty()).collect();
    assert!(with_example.len() >= 6);
    for rule in with_example {
        let rejection = validate(rule.rejected).expect_err(rule.name);
        assert_eq!(rejection.rule, rule.name, "{rejection:?}");
        assert_eq!(rejection.hint, rule.hint);
        assert!(validate(rule.accepted).is_ok(), "{}", rule.name);
    }
}
