//! The published losses natively, and how a test calls one: the very files that become components.

use guest_sdk::{Gradients, Pairs};

pub(crate) use catalogue::{ALL, Published as Plugin};

/// A published loss that exists.
pub(crate) fn named(name: &str) -> &'static Plugin {
    catalogue::named(name).expect("the plugin exists")
}

/// A call with settings by name.
pub(crate) trait With {
    /// Evaluates with the defaults, except for the hyperparameters that are set here.
    fn with(&self, pairs: &Pairs, settings: &[(&str, f64)]) -> Gradients;
}

impl With for Plugin {
    fn with(&self, pairs: &Pairs, settings: &[(&str, f64)]) -> Gradients {
        let hyperparameters = (self.describe)().hyperparameters;
        for (name, _) in settings {
            assert!(hyperparameters.iter().any(|it| it.name == *name), "{}: no {name}", self.name);
        }
        let values: Vec<f64> = hyperparameters
            .iter()
            .map(|it| {
                settings.iter().find(|(name, _)| *name == it.name).map_or(it.default, |s| s.1)
            })
            .collect();
        (self.evaluate)(pairs, &values).expect("a well-formed call succeeds")
    }
}
