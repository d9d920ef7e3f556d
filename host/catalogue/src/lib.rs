//! The published losses, carried by the program: each as the text of its plugin and as native code made from that file.
//!
//! The text goes through the gates like any other plugin. The native code is what a component is held against: the same
//! bits, and a measure of its speed. As in a component there is no standard library, whose f64 functions would be the
//! machine's own. This is the one list of these losses; their files live in the project's plugins folder.

#![no_std]

extern crate alloc;

use alloc::string::String;

use guest_sdk::{Gradients, Metadata, Pairs, PreferenceLoss};

/// A published loss.
#[derive(Debug, Clone, Copy)]
pub struct Published {
    /// Its name, which is also its file's.
    pub name: &'static str,
    /// The one-file plugin.
    pub source: &'static str,
    /// [`PreferenceLoss::describe`] of this file, natively.
    pub describe: fn() -> Metadata,
    /// [`PreferenceLoss::evaluate`] of this file, natively.
    pub evaluate: fn(&Pairs, &[f64]) -> Result<Gradients, String>,
}

macro_rules! published {
    ($($name:ident: $path:literal),* $(,)?) => {
        $(#[path = $path]
        mod $name;)*

        /// Every published loss: classics first, then DiscoPOP's discoveries.
        pub const ALL: &[Published] = &[$(Published {
            name: stringify!($name),
            source: include_str!($path),
            describe: $name::Loss::describe,
            evaluate: $name::Loss::evaluate,
        }),*];
    };
}

published! {
    dpo: "../../../plugins/dpo.rs",
    slic: "../../../plugins/slic.rs",
    ipo: "../../../plugins/ipo.rs",
    cdpo: "../../../plugins/cdpo.rs",
    simpo: "../../../plugins/simpo.rs",
    kto_pair: "../../../plugins/kto_pair.rs",
    discopop: "../../../plugins/discopop.rs",
    aql: "../../../plugins/aql.rs",
    dbaql: "../../../plugins/dbaql.rs",
    aqfl: "../../../plugins/aqfl.rs",
    padll: "../../../plugins/padll.rs",
    cell: "../../../plugins/cell.rs",
    pfl: "../../../plugins/pfl.rs",
}

/// The published loss of this name.
pub fn named(name: &str) -> Option<&'static Published> {
    ALL.iter().find(|published| published.name == name)
}
