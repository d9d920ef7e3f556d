//! `compile/crate-manifest`: what a crate may ask for; [`manifest`](super::super::manifest) and
//! [`cargo`](super::super::cargo) hold it against this.

use crate::Stage;
use crate::rules::Rule;

pub(crate) const MANIFEST: Rule = Rule {
    name: "compile/crate-manifest",
    stage: Stage::Compile,
    what: "crates that ask for more than guest-sdk: other dependencies, build scripts, proc-macros, features, workspaces",
    why: "other crates are not audited, and build scripts run before anything is",
    hint: "[package] with name and edition, [lib] with crate-type = [\"cdylib\"], [dependencies] with guest-sdk = \"0.1\"",
    rejected: "",
    accepted: "",
};
