//! What the plugins say about themselves.

use guest_sdk::Scope;

use crate::plugins::{ALL, named};

/// File, scope, and hyperparameters with their defaults.
type Description = (&'static str, Scope, &'static [(&'static str, f64)]);

/// Defaults as in the papers: beta 0.05 and tau 0.05 for what was discovered with them.
const DESCRIPTIONS: &[Description] = &[
    ("aqfl", Scope::Batch, &[("beta", 0.05), ("tau", 0.05)]),
    ("aql", Scope::Batch, &[("beta", 0.05), ("tau", 0.05)]),
    ("cdpo", Scope::Pair, &[("beta", 0.1), ("label_smoothing", 0.1)]),
    ("cell", Scope::Pair, &[("beta", 0.05)]),
    ("dbaql", Scope::Batch, &[("beta", 0.05), ("tau", 0.05)]),
    ("discopop", Scope::Pair, &[("beta", 0.05), ("tau", 0.05)]),
    ("dpo", Scope::Pair, &[("beta", 0.1)]),
    ("ipo", Scope::Pair, &[("beta", 0.1)]),
    ("kto_pair", Scope::Batch, &[("beta", 0.1)]),
    ("padll", Scope::Pair, &[("beta", 0.05)]),
    ("pfl", Scope::Pair, &[("beta", 0.05), ("tau", 0.05)]),
    ("simpo", Scope::Pair, &[("beta", 2.0), ("gamma", 0.5)]),
    ("slic", Scope::Pair, &[("beta", 0.1)]),
];

#[test]
fn a_plugin_is_named_after_its_file() {
    for plugin in ALL {
        assert_eq!((plugin.describe)().name, plugin.name);
    }
}

#[test]
fn scopes_and_defaults_are_those_of_the_papers() {
    assert_eq!(ALL.len(), DESCRIPTIONS.len());
    for &(name, scope, defaults) in DESCRIPTIONS {
        let found = (named(name).describe)();
        let hyperparameters: Vec<(&str, f64)> =
            found.hyperparameters.iter().map(|it| (it.name.as_str(), it.default)).collect();
        assert_eq!(found.scope, scope, "{name}");
        assert_eq!(hyperparameters, defaults, "{name}");
    }
}

#[test]
fn every_plugin_cites_its_paper_and_summarises_itself() {
    for plugin in ALL {
        let found = (plugin.describe)();
        let citation = found.citation.expect("a published loss has a source");
        assert!(citation.starts_with("arXiv:") || citation.starts_with("https://"), "{citation}");
        assert!(!found.summary.is_empty() && !found.summary.ends_with('.'), "{}", found.summary);
    }
}
