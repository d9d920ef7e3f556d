//! A crate that a user dropped: a folder with a `Cargo.toml`, read once into memory and audited there.
//!
//! What steers cargo or rustc is refused before either is called, and only `Cargo.toml` and `src/**/*.rs`
//! go any further: what is not read here does not exist for the compiler. Whether the manifest asks for more
//! than guest-sdk is for the compile gate to say.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{Form, audit_text, rules};
use crate::limits::{CRATE_FILES_MAX, SOURCE_BYTES_MAX};
use crate::rules::{Example, Rule};
use crate::{Failure, Fault, Rejection, Stage};

/// The pages that crates add to this gate.
pub(crate) const CRATE_RULES: [Rule; 1] = [LAYOUT];

const LAYOUT: Rule = Rule {
    name: "source/crate-layout",
    stage: Stage::Source,
    what: "crates with .cargo, rust-toolchain, build.rs, links, or other files than .rs in src",
    why: "these choose the compiler or run code before anything was audited",
    hint: "keep Cargo.toml and .rs files in src, with src/lib.rs as the root",
    rejected: Example::Crate(&[
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", ROOT),
        ("src/loss.rs", rules::PLAIN_LOSS),
        (".cargo/config.toml", "[build]\nrustc = \"./my-compiler\"\n"),
    ]),
    accepted: Example::Crate(&[
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", ROOT),
        ("src/loss.rs", rules::PLAIN_LOSS),
    ]),
};

/// The manifest of a crate that asks for nothing else than the SDK.
pub(crate) const MANIFEST: &str = r#"[package]
name = "mine"
version = "0.1.0"
edition = "2024"

[lib]
crate-type = ["cdylib"]

[dependencies]
guest-sdk = "0.1"
"#;

/// The root of a crate that keeps its loss in a file of its own.
pub(crate) const ROOT: &str = "#![no_std]\n\nmod loss;\n\nguest_sdk::export!(loss::Loss);\n";

/// Names that steer cargo or rustc.
const REFUSED: [&str; 4] = [
    ".cargo",
    "rust-toolchain",
    "rust-toolchain.toml",
    "build.rs",
];

/// A crate as it was dropped: its name, and its files as (path within the crate, text).
#[derive(Debug, Clone)]
pub struct CrateSource {
    name: String,
    files: Vec<(PathBuf, String)>,
}

/// A crate whose files kept every rule of the source gate. Only [`audit_crate`] makes one.
#[derive(Debug, Clone)]
pub struct AuditedCrate {
    source: CrateSource,
}

impl AuditedCrate {
    /// Its folder's name.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// (path within the crate, text) of every file.
    pub(crate) fn files(&self) -> &[(PathBuf, String)] {
        &self.source.files
    }
}

impl CrateSource {
    /// Reads `Cargo.toml` and `src/**/*.rs`.
    ///
    /// # Errors
    /// A rejection if something in the folder steers the compiler, is a link or is no text; a fault if a file cannot
    /// be read.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        for name in REFUSED {
            if folder.join(name).symlink_metadata().is_ok() {
                return Err(LAYOUT.rejection(format!("the crate has {name}")).into());
            }
        }
        let mut source = CrateSource {
            name: folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            files: Vec::new(),
        };
        source.add_file(folder, Path::new("Cargo.toml"))?;
        source.add_folder(folder, Path::new("src"))?;
        Ok(source)
    }

    /// (path within the crate, text) of every file.
    pub(crate) fn files(&self) -> &[(PathBuf, String)] {
        &self.files
    }

    fn add_folder(&mut self, root: &Path, folder: &Path) -> Result<(), Failure> {
        let path = root.join(folder);
        let metadata = path
            .symlink_metadata()
            .map_err(Fault::file("read", &path))?;
        if !metadata.is_dir() {
            return Err(LAYOUT
                .rejection(format!("{} is not a folder", folder.display()))
                .into());
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(Fault::file("list", &path))? {
            names.push(entry.map_err(Fault::file("list", &path))?.file_name());
        }
        names.sort();
        for name in names {
            let within = folder.join(name);
            let kind = root
                .join(&within)
                .symlink_metadata()
                .map_err(Fault::file("read", root.join(&within)))?;
            if kind.is_dir() {
                self.add_folder(root, &within)?;
            } else {
                self.add_file(root, &within)?;
            }
        }
        Ok(())
    }

    fn add_file(&mut self, root: &Path, file: &Path) -> Result<(), Failure> {
        let path = root.join(file);
        let metadata = path
            .symlink_metadata()
            .map_err(Fault::file("read", &path))?;
        let is_source = file.extension().is_some_and(|extension| extension == "rs")
            || file == Path::new("Cargo.toml");
        if !metadata.is_file() || !is_source {
            return Err(LAYOUT
                .rejection(format!("{} is not a Rust file", file.display()))
                .into());
        }
        if self.files.len() == CRATE_FILES_MAX {
            return Err(LAYOUT
                .rejection(format!("the crate has more than {CRATE_FILES_MAX} files"))
                .into());
        }
        let mut bytes = Vec::new();
        fs::File::open(&path)
            .and_then(|opened| {
                opened
                    .take(SOURCE_BYTES_MAX as u64 + 1)
                    .read_to_end(&mut bytes)
            })
            .map_err(Fault::file("read", &path))?;
        let text =
            String::from_utf8(bytes).map_err(|_| in_file(file, rules::syntax::not_text()))?;
        self.files.push((file.to_owned(), text));
        Ok(())
    }
}

/// Holds every Rust file of the crate against the rules of this gate.
///
/// # Errors
/// The first rule that a file breaks; the message begins with the file.
pub fn audit_crate(source: CrateSource) -> Result<AuditedCrate, Rejection> {
    for (file, text) in &source.files {
        if file.extension().is_some_and(|extension| extension == "rs") {
            audit_text(text, Form::Crate).map_err(|rejection| in_file(file, rejection))?;
        }
    }
    Ok(AuditedCrate { source })
}

fn in_file(file: &Path, rejection: Rejection) -> Rejection {
    Rejection {
        message: format!("{}: {}", file.display(), rejection.message),
        ..rejection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("in the folder")).expect("can be made");
            fs::write(path, text).expect("can be written");
        }
        folder
    }

    #[track_caller]
    fn check_refused(folder: &Path, rule: &str) {
        let audited = CrateSource::read(folder).and_then(|source| Ok(audit_crate(source)?));
        match audited {
            Err(Failure::Rejected(rejection)) => assert_eq!(rejection.rule, rule, "{rejection:?}"),
            other => panic!("expected {rule}, got {other:?}"),
        }
    }

    #[test]
    fn what_steers_the_compiler_is_refused() {
        for name in [
            ".cargo/config.toml",
            "rust-toolchain",
            "rust-toolchain.toml",
            "build.rs",
            "src/data.bin",
        ] {
            let folder = dropped(&[("Cargo.toml", ""), ("src/lib.rs", ""), (name, "")]);
            check_refused(folder.path(), "source/crate-layout");
        }
    }

    #[test]
    fn links_are_refused() {
        let folder = dropped(&[("Cargo.toml", ""), ("src/lib.rs", "")]);
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("src/loss.rs"))
            .expect("a link");
        check_refused(folder.path(), "source/crate-layout");
    }

    #[test]
    fn every_file_is_audited() {
        let folder = dropped(&[
            ("Cargo.toml", ""),
            (
                "src/lib.rs",
                "#![no_std]\nmod loss;\nguest_sdk::export!(loss::Loss);",
            ),
            (
                "src/loss.rs",
                "const X: &str = include_str!(\"/etc/hostname\");",
            ),
        ]);
        check_refused(folder.path(), "source/no-include");
    }

    #[test]
    fn a_crate_has_modules_and_exports_its_loss() {
        let folder = dropped(&[
            ("Cargo.toml", ""),
            (
                "src/lib.rs",
                "#![no_std]\n#![forbid(unsafe_code)]\nmod loss;\nguest_sdk::export!(loss::Loss);",
            ),
            ("src/loss.rs", rules::PLAIN_LOSS),
        ]);
        let audited = CrateSource::read(folder.path()).and_then(|source| Ok(audit_crate(source)?));
        assert!(audited.is_ok(), "{audited:?}");
    }
}
