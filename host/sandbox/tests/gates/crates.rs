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
    let plugin =
        load(MANIFEST, &[("README.md", "mine"), ("tests/native.rs", "include_str!()")]).unwrap();
    assert_eq!(plugin.metadata().name, "mine");
}

/// The contract's macros and bindings mean the same in each.
#[test]
fn a_crate_may_be_of_any_edition_that_is_not_refused() {
    for edition in ["2018", "2021"] {
        let manifest = MANIFEST.replace("2024", edition);
        let plugin = load(&manifest, &[]).unwrap_or_else(|r| panic!("{edition}: {r:?}"));
        assert_eq!(plugin.metadata().name, "mine");
    }
}

/// In a crate a name may come from another file, and a method may be another file's.
#[test]
fn what_casts_in_a_crate_is_declared_in_the_same_file() {
    let good = "pub(crate) enum E { A } pub(crate) fn f<const N: usize>() -> i32 { let n = 3; N as i32 + E::A as i32 + n as i32 }";
    let kept = load(MANIFEST, &[("src/more.rs", good)]);
    assert!(kept.is_ok(), "{kept:?}");
    for text in [
        "use super::other::E; pub(crate) fn f() -> usize { E::A as usize }",
        "use super::other::*; pub(crate) fn f() -> usize { E::A as usize }",
        "enum E { A } mod inner { use crate::other::*; pub(crate) fn f() -> usize { E::A as usize } }",
        "enum E { A } fn f() -> usize { use crate::other::*; E::A as usize }",
        "fn f(x: &S) -> usize { let n = x.len(); n as usize }",
        "fn f(x: &S) -> usize { let n = x.field; n as usize }",
    ] {
        check_rejected(MANIFEST, &[("src/more.rs", text)], "source/no-pointers");
    }
}

#[test]
fn a_manifest_may_ask_for_the_sdk_alone() {
    for (from, to) in [
        ("guest-sdk = \"0.1\"", "guest-sdk = \"0.1\"\nlibc = \"0.2\""),
        ("guest-sdk = \"0.1\"", "libc = \"0.2\""),
        ("guest-sdk = \"0.1\"", "guest-sdk = { package = \"libc\", version = \"0.2\" }"),
        ("guest-sdk = \"0.1\"\n", "guest-sdk = \"0.1\"\n[build-dependencies]\nlibc = \"0.2\"\n"),
        ("guest-sdk = \"0.1\"\n", "guest-sdk = \"0.1\"\n[features]\nfast = []\n"),
        (
            "guest-sdk = \"0.1\"\n",
            "guest-sdk = \"0.1\"\n[[bin]]\nname = \"b\"\npath = \"src/helpers.rs\"\n",
        ),
        ("crate-type = [\"cdylib\"]", "proc-macro = true"),
        ("crate-type = [\"cdylib\"]", "path = \"/etc/hostname\""),
        ("edition = \"2024\"", "edition = \"2024\"\nbuild = \"src/helpers.rs\""),
        ("[package]", "[package"),
        ("\"0.1\"", "\"99\""),
        ("\"0.1\"", "{ path = \"../guest-sdk\" }"),
        ("edition", "links = \"z\"\nedition"),
        ("edition", "workspace = \"..\"\nedition"),
        ("guest-sdk = \"0.1\"\n", "guest-sdk = \"0.1\"\n[lints.rust]\nunsafe_code = \"forbid\"\n"),
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
    check_rejected(MANIFEST, &[(".cargo/config.toml", config)], "source/crate-layout");
    check_rejected(
        MANIFEST,
        &[("rust-toolchain.toml", "[toolchain]\npath = \"/tmp\"\n")],
        "source/crate-layout",
    );
    check_rejected(MANIFEST, &[("build.rs", "fn main() {}")], "source/crate-layout");
}

#[test]
fn every_file_is_audited_and_errors_name_it() {
    let rejection = check_rejected(
        MANIFEST,
        &[("src/helpers.rs", "const X: &str = include_str!(\"/etc/hostname\");")],
        "source/no-include",
    );
    assert!(rejection.message.starts_with("src/helpers.rs: "), "{}", rejection.message);
    let rejection = check_rejected(MANIFEST, &[("src/helpers.rs", "")], "compile/rustc");
    assert!(rejection.message.contains("src/loss.rs line 3: "), "{}", rejection.message);
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
        ("[\"cdylib\"]", "[\"staticlib\"]", "the crate-type \"staticlib\""),
        ("edition = \"2024\"", "edition = \"2015\"", "the edition \"2015\""),
        ("edition = \"2024\"\n", "", "no edition"),
        ("edition = \"2024\"", "edition = \"2024\"\nrust-version = \"1.50\"", "1.50"),
        ("edition = \"2024\"", "edition = \"2024\"\nrust-version = \"x\"", "rust-version"),
    ] {
        let manifest = MANIFEST.replace(from, to);
        let rejection = check_rejected(&manifest, &[], "compile/crate-manifest");
        assert!(rejection.message.contains(message), "{rejection:?}");
        assert!(!rejection.message.contains("/tmp/"), "{rejection:?}");
        assert!(rejection.hint.contains("2024"), "{rejection:?}");
    }
}

/// Manifests and layouts that try what readers of TOML, cargo and a copy of a folder may stumble over.
#[test]
fn odd_crates_are_refused_and_nothing_stumbles() {
    let deep_array = format!("{MANIFEST}x = {}{}\n", "[".repeat(20_000), "]".repeat(20_000));
    let deep_key = format!("{MANIFEST}{}b = 1\n", "a.".repeat(20_000));
    let deep_table = format!("{MANIFEST}[{}b]\n", "a.".repeat(20_000));
    let deep_inline = format!("{MANIFEST}x = {}1{}\n", "{a=".repeat(5_000), "}".repeat(5_000));
    let long = format!("{MANIFEST}# {}\n", "x".repeat(70_000));
    let refused = |manifest: &str, rule: &str| {
        let rejection = check_rejected(manifest, &[], rule);
        assert!(!rejection.message.contains('\u{1b}'), "{rejection:?}");
        assert!(!rejection.hint.is_empty());
    };
    refused(&long, "source/size");
    for manifest in [
        deep_array.as_str(),
        &deep_key,
        &deep_table,
        &deep_inline,
        "",
        "\0",
        &MANIFEST.replace("0.1.0", "\\u001b[2J"),
        &MANIFEST.replace("\"mine\"", "\"../mine\""),
        &MANIFEST.replace("\"mine\"", "[\"mine\"]"),
        &MANIFEST.replace("[package]", "[project]"),
        &MANIFEST.replace("[package]", "[[package]]"),
        &MANIFEST.replace("[dependencies]", "[dependencies]\nguest_sdk = \"0.1\""),
        &MANIFEST.replace("guest-sdk = \"0.1\"", "guest-sdk = \"*\"\nguest-sdk = \"0.1\""),
        &MANIFEST.replace("\"0.1\"", "\">=0.1, <0.1\""),
        &MANIFEST.replace("\"0.1\"", "{ version = \"0.1\", features = [\"std\"] }"),
        &MANIFEST.replace("\"0.1\"", "{ version = \"0.1\", optional = true }"),
        &MANIFEST.replace("[\"cdylib\"]", "[\"cdylib\", \"bin\"]"),
        &MANIFEST.replace("edition", "autobins = true\nedition"),
        &MANIFEST.replace("edition", "include = [\"/etc/*\"]\nedition"),
        &MANIFEST.replace("2024", "2027"),
        &MANIFEST.replace("\"2024\"", "2024"),
    ] {
        refused(manifest, "compile/crate-manifest");
    }
    for (file, text, rule) in [
        ("src/main.rs", "fn main() {}", "compile/crate-manifest"),
        ("src/bin/other.rs", "fn main() {}", "compile/crate-manifest"),
        ("src/loss.RS", "", "source/crate-layout"),
        ("src/.hidden", "", "source/crate-layout"),
        ("src/data/table.csv", "1,2", "source/crate-layout"),
        ("src/helpers.rs", "#![no_std]\n#![feature(asm)]", "source/attributes"),
        (
            "src/helpers.rs",
            "pub mod deep { #[path = \"/etc/passwd\"] pub mod deeper; }",
            "source/no-modules",
        ),
        (
            "src/lib.rs",
            "#![no_std]\n#[cfg_attr(all(), path = \"/etc/passwd\")]\nmod loss;",
            "source/attributes",
        ),
        ("src/lib.rs", "#![no_std]\nextern crate alloc;", "source/no-extern"),
        ("src/lib.rs", "#![no_std]\nmod nowhere;", "compile/rustc"),
        ("src/lib.rs", "#![no_std]\nmod helpers;", "component/world"),
        (
            "src/lib.rs",
            "#![no_std]\nmod loss;\nmod helpers;\nguest_sdk::export!(loss::Loss);\nguest_sdk::export!(loss::Loss);",
            "compile/rustc",
        ),
        (
            "src/lib.rs",
            "#![no_std]\n#![recursion_limit = \"4096\"]\nmod loss;",
            "source/attributes",
        ),
    ] {
        let rejection = check_rejected(MANIFEST, &[(file, text)], rule);
        assert!(!rejection.hint.is_empty(), "{rejection:?}");
    }
}

#[test]
fn an_empty_folder_is_our_users_mistake_and_no_crate() {
    let folder = tempfile::tempdir().unwrap();
    assert!(sandbox().load(folder.path()).is_err());
    assert!(sandbox().load(Path::new("/nonexistent.rs")).is_err());
}
