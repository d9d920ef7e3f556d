//! The plugins, natively: the very files that become components, behind one function pointer each.
//!
//! They may use nothing but libm here too, as in a component.
#![deny(clippy::disallowed_methods)]

use guest_sdk::{Gradients, Metadata, Pairs, PreferenceLoss};

macro_rules! plugins {
    ($($name:ident: $path:literal),* $(,)?) => {
        $(#[path = $path]
        mod $name;)*

        /// Every plugin.
        pub(crate) const ALL: &[Plugin] = &[$(Plugin {
            file: stringify!($name),
            describe: $name::Loss::describe,
            evaluate: $name::Loss::evaluate,
        }),*];
    };
}

plugins! {
    aqfl: "../../../plugins/aqfl.rs",
    aql: "../../../plugins/aql.rs",
    cdpo: "../../../plugins/cdpo.rs",
    cell: "../../../plugins/cell.rs",
    dbaql: "../../../plugins/dbaql.rs",
    discopop: "../../../plugins/discopop.rs",
    dpo: "../../../plugins/dpo.rs",
    ipo: "../../../plugins/ipo.rs",
    kto_pair: "../../../plugins/kto_pair.rs",
    padll: "../../../plugins/padll.rs",
    pfl: "../../../plugins/pfl.rs",
    simpo: "../../../plugins/simpo.rs",
    slic: "../../../plugins/slic.rs",
}

/// A loss, and the name of its file.
pub(crate) struct Plugin {
    pub(crate) file: &'static str,
    pub(crate) describe: fn() -> Metadata,
    pub(crate) evaluate: fn(&Pairs, &[f64]) -> Result<Gradients, String>,
}

impl Plugin {
    pub(crate) fn named(file: &str) -> &'static Plugin {
        ALL.iter()
            .find(|plugin| plugin.file == file)
            .expect("the plugin exists")
    }

    /// Evaluates with the defaults, except for the hyperparameters that are set here.
    pub(crate) fn with(&self, pairs: &Pairs, settings: &[(&str, f64)]) -> Gradients {
        let hyperparameters = (self.describe)().hyperparameters;
        for (name, _) in settings {
            assert!(
                hyperparameters.iter().any(|it| it.name == *name),
                "{}: no {name}",
                self.file
            );
        }
        let values: Vec<f64> = hyperparameters
            .iter()
            .map(|it| {
                settings
                    .iter()
                    .find(|(name, _)| *name == it.name)
                    .map_or(it.default, |s| s.1)
            })
            .collect();
        (self.evaluate)(pairs, &values).expect("a well-formed call succeeds")
    }
}
