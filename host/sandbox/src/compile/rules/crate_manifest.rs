//! `compile/crate-manifest`

use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::{PLAIN_MANIFEST, PLAIN_ROOT, rules::PLAIN_LOSS};

pub(crate) const MANIFEST: Rule = Rule {
    name: "compile/crate-manifest",
    stage: Stage::Compile,
    what: "crates that ask for more than guest-sdk: other dependencies, build scripts, proc-macros, features, workspaces; another crate-type or an edition \
         before 2018",
    why: "other crates are not audited, and build scripts run before anything is",
    hint: "[package] with name and edition = \"2024\", [lib] with crate-type = [\"cdylib\"], [dependencies] with guest-sdk = \"0.1\"",
    rejected: Example::Crate(&[
        ("Cargo.toml", ANOTHER_DEPENDENCY),
        ("src/lib.rs", PLAIN_ROOT),
        ("src/loss.rs", PLAIN_LOSS),
    ]),
    accepted: Example::Crate(&[
        ("Cargo.toml", PLAIN_MANIFEST),
        ("src/lib.rs", PLAIN_ROOT),
        ("src/loss.rs", PLAIN_LOSS),
    ]),
};

const ANOTHER_DEPENDENCY: &str =
    concat!(include_str!("../../source/plain_manifest.toml"), "libc = \"0.2\"\n");
