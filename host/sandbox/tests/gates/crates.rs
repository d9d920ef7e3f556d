//! Crates that a user drops: guest-sdk and nothing else, whatever the manifest says.

use std::fs;
use std::path::Path;

use sandbox::{ProbedPlugin, Rejection, Submission};

use crate::support::{sandbox, verdict};

const MANIFEST: &str = include_str!("../../src/source/plain_manifest.toml");

const ROOT: &str =
    "//! My loss.\n#![no_std]\n\nmod helpers;\nmod loss;\n\nguest_sdk::export!(loss::Loss);\n";

const LOSS: &str = r#"use guest_sdk::prelude::*;

use crate::helpers::scaled;

pair_loss! {
    name: "mine",
    summary: "a loss in two files",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -scaled(pair, hp.beta).log_sigmoid()
}
"#;

const HELPERS: &str = "use guest_sdk::prelude::*;\n\npub(crate) fn scaled(pair: &Pair, beta: f64) -> Dual {\n    beta * pair.logratio_margin()\n}\n";

/// The crate above with this manifest and these files on top.
fn load(manifest: &str, files: &[(&str, &str)]) -> Result<ProbedPlugin, Rejection> {
    let folder = tempfile::tempdir().unwrap();
    let sources = [
        ("Cargo.toml", manifest),
        ("src/lib.rs", ROOT),
        ("src/loss.rs", LOSS),
        ("src/helpers.rs", HELPERS),
    ];
    for (name, text) in sources.iter().chain(files) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    verdict(sandbox().load(folder.path()))
}

#[track_caller]
fn check_rejected(manifest: &str, files: &[(&str, &str)], rule: &str) -> Rejection {
    let rejection = load(manifest, files).expect_err(rule);
    assert_eq!(rejection.rule, rule, "{rejection:?}");
    rejection
}

#[test]
fn a_crate_of_several_files_passes() {
    let plugin = load(
        MANIFEST,
        &[("README.md", "mine"), ("tests/native.rs", "include_str!()")],
    )
    .unwrap();
    assert_eq!(plugin.metadata().name, "mine");
}

#[test]
fn a_manifest_may_ask_for_the_sdk_alone() {
    for (from, to) in [
        ("guest-sdk = \"0.1\"", "guest-sdk = \"0.1\"\nlibc = \"0.2\""),
        ("guest-sdk = \"0.1\"", "libc = \"0.2\""),
        (
            "guest-sdk = \"0.1\"",
            "guest-sdk = { package = \"libc\", version = \"0.2\" }",
        ),
        (
            "guest-sdk = \"0.1\"\n",
            "guest-sdk = \"0.1\"\n[build-dependencies]\nlibc = \"0.2\"\n",
        ),
        (
            "guest-sdk = \"0.1\"\n",
            "guest-sdk = \"0.1\"\n[features]\nfast = []\n",
        ),
        (
            "guest-sdk = \"0.1\"\n",
            "guest-sdk = \"0.1\"\n[[bin]]\nname = \"b\"\npath = \"src/helpers.rs\"\n",
        ),
        ("crate-type = [\"cdylib\"]", "proc-macro = true"),
        ("crate-type = [\"cdylib\"]", "path = \"/etc/hostname\""),
        (
            "edition = \"2024\"",
            "edition = \"2024\"\nbuild = \"src/helpers.rs\"",
        ),
        ("[package]", "[package"),
        ("\"0.1\"", "\"99\""),
        ("\"0.1\"", "{ path = \"../guest-sdk\" }"),
        ("edition", "links = \"z\"\nedition"),
        ("edition", "workspace = \"..\"\nedition"),
        (
            "guest-sdk = \"0.1\"\n",
            "guest-sdk = \"0.1\"\n[lints.rust]\nunsafe_code = \"forbid\"\n",
        ),
        (
            "guest-sdk = \"0.1\"\n",
            "guest-sdk = \"0.1\"\n[patch.crates-io]\nguest-sdk = { path = \"../evil\" }\n",
        ),
        (
            "guest-sdk = \"0.1\"\n",
            "guest-sdk = \"0.1\"\n[profile.release]\nrustflags = [\"-Clinker=/bin/sh\"]\n",
        ),
    ] {
        check_rejected(&MANIFEST.replace(from, to), &[], "compile/crate-manifest");
    }
}

#[test]
fn what_steers_the_compiler_is_refused_before_it_runs() {
    let config = "[build]\nrustc = \"/bin/false\"\n";
    check_rejected(
        MANIFEST,
        &[(".cargo/config.toml", config)],
        "source/crate-layout",
    );
    check_rejected(
        MANIFEST,
        &[("rust-toolchain.toml", "[toolchain]\npath = \"/tmp\"\n")],
        "source/crate-layout",
    );
    check_rejected(
        MANIFEST,
        &[("build.rs", "fn main() {}")],
        "source/crate-layout",
    );
}

#[test]
fn every_file_is_audited_and_errors_name_it() {
    let rejection = check_rejected(
        MANIFEST,
        &[(
            "src/helpers.rs",
            "const X: &str = include_str!(\"/etc/hostname\");",
        )],
        "source/no-include",
    );
    assert!(
        rejection.message.starts_with("src/helpers.rs: "),
        "{}",
        rejection.message
    );
    let rejection = check_rejected(MANIFEST, &[("src/helpers.rs", "")], "compile/rustc");
    assert!(
        rejection.message.contains("src/loss.rs line 3: "),
        "{}",
        rejection.message
    );
}

#[test]
fn a_link_in_the_place_of_a_plugin_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (file, crate_folder) = (folder.path().join("good.rs"), folder.path().join("good"));
    fs::write(&file, crate::support::pair_loss("-pair.logratio_margin()")).unwrap();
    fs::create_dir(&crate_folder).unwrap();
    for (name, target) in [("a.rs", &file), ("a.wasm", &file), ("a", &crate_folder)] {
        let link = folder.path().join(name);
        std::os::unix::fs::symlink(target, &link).unwrap();
        let entry = Submission::read_entry(&link).unwrap();
        let rejection = verdict(sandbox().admit(&entry)).expect_err(name);
        assert_eq!(rejection.rule, "source/crate-layout");
        let expected = format!("{name} is a symbolic link");
        assert_eq!(rejection.message, expected);
        assert!(rejection.hint.contains("itself"), "{}", rejection.hint);
    }
    let entry = Submission::read_entry(&file).unwrap();
    assert!(entry.text().is_some());
}

/// What a manifest says and cargo or rustc would complain about in words of their own.
#[test]
fn a_crate_that_would_be_built_otherwise_is_told_how() {
    for (from, to, message) in [
        ("[\"cdylib\"]", "[\"dylib\"]", "the crate-type \"dylib\""),
        (
            "[\"cdylib\"]",
            "[\"staticlib\"]",
            "the crate-type \"staticlib\"",
        ),
        (
            "edition = \"2024\"",
            "edition = \"2015\"",
            "the edition \"2015\"",
        ),
        ("edition = \"2024\"\n", "", "no edition"),
        (
            "edition = \"2024\"",
            "edition = \"2024\"\nrust-version = \"1.50\"",
            "1.50",
        ),
        (
            "edition = \"2024\"",
            "edition = \"2024\"\nrust-version = \"x\"",
            "rust-version",
        ),
    ] {
        let manifest = MANIFEST.replace(from, to);
        let rejection = check_rejected(&manifest, &[], "compile/crate-manifest");
        assert!(rejection.message.contains(message), "{rejection:?}");
        assert!(!rejection.message.contains("/tmp/"), "{rejection:?}");
        assert!(rejection.hint.contains("2024"), "{rejection:?}");
    }
}

#[test]
fn an_empty_folder_is_our_users_mistake_and_no_crate() {
    let folder = tempfile::tempdir().unwrap();
    assert!(sandbox().load(folder.path()).is_err());
    assert!(sandbox().load(Path::new("/nonexistent.rs")).is_err());
}
