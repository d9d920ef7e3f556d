//! What a crate's `Cargo.toml` may say, held against an allow-list before cargo sees it.
//!
//! cargo obeys a manifest in more ways than anybody can list: a parent workspace, patches, lints that name tools, flags of
//! profiles, unstable features. So what is not known to be harmless is refused by name. Profiles are allowed as far as
//! their settings only say how to optimise: they have no effect here, since every candidate is compiled with the same
//! arguments.

use toml::{Table, Value};

use super::rules::MANIFEST;
use crate::Rejection;

/// Tables of a manifest.
const TABLES: &[&str] = &["package", "lib", "dependencies", "profile"];
/// Who made it, for whom, under which terms; and the edition. Each is a plain value, not inherited from a workspace.
const PACKAGE: &[&str] = &[
    "authors",
    "categories",
    "description",
    "documentation",
    "edition",
    "homepage",
    "keywords",
    "license",
    "name",
    "publish",
    "readme",
    "repository",
    "rust-version",
    "version",
];
const LIB: &[&str] = &["crate-type", "name", "path"];
const CRATE_TYPES: &[&str] = &["cdylib", "lib", "rlib"];
const DEPENDENCY: &[&str] = &["version"];
const PROFILE: &[&str] = &[
    "codegen-units",
    "debug",
    "debug-assertions",
    "incremental",
    "inherits",
    "lto",
    "opt-level",
    "overflow-checks",
    "panic",
    "strip",
];

/// The manifest as it is given to cargo: one that may be, and its own workspace, so that cargo looks for no other.
///
/// # Errors
/// The first thing in it that is not allowed.
pub(super) fn checked(text: &str) -> Result<String, Rejection> {
    let manifest: Table =
        text.parse().map_err(|error: toml::de::Error| unreadable(error.message()))?;
    only(TABLES, "the manifest", &manifest)?;
    if let Some(package) = table(&manifest, "package")? {
        only(PACKAGE, "[package]", package)?;
        plain("[package]", package)?;
        edition(package)?;
    }
    if let Some(lib) = table(&manifest, "lib")? {
        only(LIB, "[lib]", lib)?;
        crate_type(lib)?;
    }
    if let Some(dependencies) = table(&manifest, "dependencies")? {
        for (name, dependency) in dependencies {
            if let Value::Table(dependency) = dependency {
                only(DEPENDENCY, &format!("the dependency {name:?}"), dependency)?;
            }
        }
    }
    if let Some(profiles) = table(&manifest, "profile")? {
        for (name, _) in profiles {
            if let Some(profile) = table(profiles, name)? {
                only(PROFILE, &format!("[profile.{name}]"), profile)?;
            }
        }
    }
    Ok(format!("{text}\n[workspace]\n"))
}

/// Older ones have other names in reach, and the errors would be about those.
fn edition(package: &Table) -> Result<(), Rejection> {
    let message = match package.get("edition").map(Value::as_str) {
        // One that is no text is for cargo to name.
        Some(None | Some("2018" | "2021" | "2024")) => return Ok(()),
        Some(Some(other)) => format!("[package] has the edition {other:?}, expected \"2024\""),
        None => "[package] has no edition, expected \"2024\"".to_owned(),
    };
    Err(MANIFEST.rejection(message))
}

fn crate_type(lib: &Table) -> Result<(), Rejection> {
    let types = lib.get("crate-type").and_then(Value::as_array);
    let mut names = types.into_iter().flatten().filter_map(Value::as_str);
    match names.find(|name| !CRATE_TYPES.contains(name)) {
        None => Ok(()),
        Some(name) => {
            Err(MANIFEST
                .rejection(format!("[lib] has the crate-type {name:?}, expected \"cdylib\"")))
        }
    }
}

pub(super) fn unreadable(error: &str) -> Rejection {
    let text: String = error.trim_end().chars().take(500).collect();
    MANIFEST.rejection(format!("cargo cannot read the manifest: {text}"))
}

fn table<'a>(within: &'a Table, name: &str) -> Result<Option<&'a Table>, Rejection> {
    match within.get(name) {
        None => Ok(None),
        Some(Value::Table(table)) => Ok(Some(table)),
        Some(_) => Err(MANIFEST.rejection(format!("{name:?} is not a table"))),
    }
}

fn only(allowed: &[&str], place: &str, table: &Table) -> Result<(), Rejection> {
    match table.keys().find(|key| !allowed.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            Err(MANIFEST.rejection(format!("{place} has {key:?}, expected only {allowed:?}")))
        }
    }
}

/// `{ workspace = true }` takes a value from a parent workspace.
fn plain(place: &str, table: &Table) -> Result<(), Rejection> {
    match table.iter().find(|(_, value)| value.is_table()) {
        None => Ok(()),
        Some((key, _)) => Err(MANIFEST
            .rejection(format!("{place} takes {key:?} from elsewhere, expected a plain value"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::PLAIN_MANIFEST;

    #[test]
    fn a_plain_manifest_becomes_its_own_workspace() {
        let profile = format!("{PLAIN_MANIFEST}[profile.release]\nopt-level = 3\nlto = true\n");
        for text in [PLAIN_MANIFEST, &profile] {
            let checked = checked(text).expect("allowed");
            let parsed: Table = checked.parse().expect("still a manifest");
            assert!(parsed.contains_key("workspace"));
        }
    }

    /// Each addition runs something, changes flags or reaches out of the crate, in one cargo or another.
    #[test]
    fn what_runs_something_or_changes_flags_is_refused_by_name() {
        for (addition, name) in [
            ("[lints.rust]\nunsafe_code = \"forbid\"\n", "lints"),
            ("[profile.release]\nrustflags = [\"-Clinker=/bin/sh\"]\n", "rustflags"),
            ("[profile.dev.build-override]\nopt-level = 3\n", "build-override"),
            ("[profile.dev.package.a]\nrustflags = []\n", "package"),
            ("[patch.crates-io]\nguest-sdk = { path = \"../evil\" }\n", "patch"),
            ("[replace]\n\"guest-sdk:0.1.0\" = { path = \"../evil\" }\n", "replace"),
            ("[workspace]\nmembers = [\"..\"]\n", "workspace"),
            ("[features]\nfast = []\n", "features"),
            ("[build-dependencies]\nlibc = \"0.2\"\n", "build-dependencies"),
            ("[dev-dependencies]\nlibc = \"0.2\"\n", "dev-dependencies"),
            ("[target.wasm32-wasip2.dependencies]\nlibc = \"0.2\"\n", "target"),
            ("[[bin]]\nname = \"b\"\npath = \"src/b.rs\"\n", "bin"),
            ("[[example]]\nname = \"b\"\n", "example"),
            ("[badges]\n", "badges"),
            ("[hints]\nmostly-unused = true\n", "hints"),
        ] {
            let rejection = checked(&format!("{PLAIN_MANIFEST}{addition}")).expect_err(name);
            assert_eq!(rejection.rule, MANIFEST.name);
            assert!(
                rejection.message.contains(&format!("{name:?}")),
                "{name}: {}",
                rejection.message
            );
        }
        for (from, to, name) in [
            ("[package]", "cargo-features = [\"profile-rustflags\"]\n[package]", "cargo-features"),
            ("edition", "links = \"z\"\nedition", "links"),
            ("edition", "build = \"src/build.rs\"\nedition", "build"),
            ("edition", "build = false\nedition", "build"),
            ("edition", "workspace = \"..\"\nedition", "workspace"),
            ("edition", "metadata.x = 1\nedition", "metadata"),
            ("edition", "default-run = \"x\"\nedition", "default-run"),
            ("edition", "forced-target = \"x\"\nedition", "forced-target"),
            ("version = \"0.1.0\"", "version.workspace = true", "version"),
            ("crate-type", "proc-macro = true\ncrate-type", "proc-macro"),
            ("crate-type", "plugin = true\ncrate-type", "plugin"),
            ("\"0.1\"", "{ path = \"../evil\" }", "path"),
            ("\"0.1\"", "{ git = \"https://example.org\" }", "git"),
            ("\"0.1\"", "{ version = \"0.1\", registry = \"mine\" }", "registry"),
            ("\"0.1\"", "{ package = \"libc\", version = \"0.2\" }", "package"),
            ("\"0.1\"", "{ workspace = true }", "workspace"),
            ("\"0.1\"", "{ version = \"0.1\", artifact = \"bin\" }", "artifact"),
        ] {
            let rejection = checked(&PLAIN_MANIFEST.replacen(from, to, 1)).expect_err(name);
            assert!(
                rejection.message.contains(&format!("{name:?}")),
                "{name}: {}",
                rejection.message
            );
        }
    }
}
