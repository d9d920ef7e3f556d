//! A crate that a user dropped: a folder with a `Cargo.toml`, read once into memory and audited there.
//!
//! What steers cargo or rustc is refused before either is called, wherever in the folder it lies, and so are symbolic
//! links. Only `Cargo.toml` and `src/**/*.rs` go any further: the compiler works on a copy of these in a fresh folder,
//! so a workspace, a `.cargo` or a toolchain file above the crate has no say, and `Cargo.lock` is not read, because
//! the one dependency is ours. Whether the manifest asks for more than guest-sdk is for the compile gate to say.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{Form, audit_text, parent_workspace, rules};
use crate::limits::{CRATE_ENTRIES_MAX, CRATE_FILES_MAX, CRATE_PATH_BYTES_MAX, SOURCE_BYTES_MAX};
use crate::printable::{name_of, printable};
use crate::rules::{Example, Rule};
use crate::{Failure, Fault, Rejection, Stage};

/// The pages that crates add to this gate.
pub(crate) const CRATE_RULES: [Rule; 1] = [LAYOUT];

const LAYOUT: Rule = Rule {
    name: "source/crate-layout",
    stage: Stage::Source,
    what: "crates with .cargo, rust-toolchain, build.rs or symbolic links anywhere, or other files than .rs in src; \
           a symbolic link in the place of a plugin",
    why: "these choose the compiler or run code before anything was audited",
    hint: "keep Cargo.toml and .rs files in src, with src/lib.rs as the root",
    rejected: Example::Crate(&[
        ("Cargo.toml", PLAIN_MANIFEST),
        ("src/lib.rs", PLAIN_ROOT),
        ("src/loss.rs", rules::PLAIN_LOSS),
        (".cargo/config.toml", "[build]\nrustc = \"./my-compiler\"\n"),
    ]),
    accepted: Example::Crate(&[
        ("Cargo.toml", PLAIN_MANIFEST),
        ("src/lib.rs", PLAIN_ROOT),
        ("src/loss.rs", rules::PLAIN_LOSS),
    ]),
};

/// The manifest of a crate that asks for nothing else than the SDK.
pub(crate) const PLAIN_MANIFEST: &str = include_str!("plain_manifest.toml");

/// The root of a crate that keeps its loss in a file of its own.
pub(crate) const PLAIN_ROOT: &str = "#![no_std]\n\nmod loss;\n\nguest_sdk::export!(loss::Loss);\n";

/// Names that steer cargo or rustc, in whatever case a file system may fold them to.
const REFUSED: [&str; 4] = [".cargo", "rust-toolchain", "rust-toolchain.toml", "build.rs"];
/// Folders of the crate's root that tools fill; nobody looks into them.
const NOT_LOOKED_INTO: [&str; 2] = ["target", ".git"];

/// A crate as it was dropped: its files as (path within the crate, text).
#[derive(Debug, Clone)]
pub struct CrateSource {
    files: Vec<(PathBuf, String)>,
}

/// A crate whose files kept every rule of the source gate. Only [`audit_crate`] makes one.
#[derive(Debug, Clone)]
pub struct AuditedCrate {
    source: CrateSource,
}

impl AuditedCrate {
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
        nothing_steers(folder)?;
        if let Some(root) = parent_workspace::of(folder) {
            let message = format!(
                "the crate lies in the workspace {}, which does not exclude it",
                name_of(&root)
            );
            return Err(LAYOUT.rejection(message).into());
        }
        let mut source = CrateSource { files: Vec::new() };
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
        let metadata = path.symlink_metadata().map_err(Fault::file("read", &path))?;
        if !metadata.is_dir() {
            return Err(LAYOUT.rejection(format!("{} is not a folder", name_of(folder))).into());
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
        let metadata = path.symlink_metadata().map_err(Fault::file("read", &path))?;
        let is_source = file.extension().is_some_and(|extension| extension == "rs")
            || file == Path::new("Cargo.toml");
        if !metadata.is_file() || !is_source {
            return Err(LAYOUT.rejection(format!("{} is not a Rust file", name_of(file))).into());
        }
        if self.files.len() == CRATE_FILES_MAX {
            return Err(LAYOUT
                .rejection(format!("the crate has more than {CRATE_FILES_MAX} files"))
                .into());
        }
        let mut bytes = Vec::new();
        fs::File::open(&path)
            .and_then(|opened| opened.take(SOURCE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
            .map_err(Fault::file("read", &path))?;
        if bytes.len() > SOURCE_BYTES_MAX {
            let message = format!("{} has more than {SOURCE_BYTES_MAX} bytes", name_of(file));
            return Err(rules::size::RULE.page.rejection(message).into());
        }
        let text =
            String::from_utf8(bytes).map_err(|_| in_file(file, rules::syntax::not_text()))?;
        self.files.push((file.to_owned(), text));
        Ok(())
    }
}

/// Refuses links and what steers the compiler, in the whole folder.
fn nothing_steers(root: &Path) -> Result<(), Failure> {
    let mut folders = vec![PathBuf::new()];
    let mut n_entries = 0_usize;
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        for entry in fs::read_dir(&path).map_err(Fault::file("list", &path))? {
            let entry = entry.map_err(Fault::file("list", &path))?;
            let kind = entry.file_type().map_err(Fault::file("read", entry.path()))?;
            let name = entry.file_name().to_string_lossy().to_lowercase();
            let within = folder.join(entry.file_name());
            n_entries += 1;
            if n_entries > CRATE_ENTRIES_MAX {
                let message = format!("the folder has more than {CRATE_ENTRIES_MAX} entries");
                return Err(LAYOUT.rejection(message).into());
            }
            // Beyond what a system takes for a path nobody could say anything of it.
            if within.as_os_str().len() > CRATE_PATH_BYTES_MAX {
                let beginning: String = name_of(&within).chars().take(40).collect();
                let message = format!(
                    "the path {beginning}… has {} bytes, expected at most {CRATE_PATH_BYTES_MAX}",
                    within.as_os_str().len()
                );
                return Err(LAYOUT.rejection(message).into());
            }
            if REFUSED.contains(&name.as_str()) {
                let message = format!("the crate has {}", name_of(&within));
                return Err(LAYOUT.rejection(message).into());
            }
            if kind.is_symlink() {
                let message = format!("{} is a symbolic link", name_of(&within));
                return Err(LAYOUT.rejection(message).into());
            }
            let is_tools = folder == Path::new("") && NOT_LOOKED_INTO.contains(&name.as_str());
            if kind.is_dir() && !is_tools {
                folders.push(within);
            }
        }
    }
    Ok(())
}

/// A link in the place of a plugin.
pub(crate) fn is_a_link(path: &Path) -> Rejection {
    let name = name_of(Path::new(path.file_name().unwrap_or_default()));
    Rejection {
        hint: "put the file or folder itself there, or name the one that it leads to".to_owned(),
        ..LAYOUT.rejection(format!("{name} is a symbolic link"))
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
        message: printable(&format!("{}: {}", name_of(file), rejection.message)),
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
            "src/build.rs",
            "src/.cargo/config.toml",
            "docs/.Cargo/config",
            "RUST-TOOLCHAIN",
            "src/data.bin",
        ] {
            let folder = dropped(&[("Cargo.toml", ""), ("src/lib.rs", ""), (name, "")]);
            check_refused(folder.path(), "source/crate-layout");
        }
    }

    /// The manifest as well, of which no more would be judged than was read.
    #[test]
    fn what_is_too_large_to_be_read_whole_is_refused() {
        let long = format!("{PLAIN_MANIFEST}#{}\n", "x".repeat(SOURCE_BYTES_MAX));
        for name in ["Cargo.toml", "src/more.rs"] {
            let folder =
                dropped(&[("Cargo.toml", PLAIN_MANIFEST), ("src/lib.rs", ""), (name, &long)]);
            check_refused(folder.path(), "source/size");
        }
    }

    /// Whoever names a file writes into the message.
    #[test]
    fn names_of_files_cannot_steer_a_terminal() {
        let name = "\u{1b}[2J\u{202e}.rs";
        let folder = dropped(&[("Cargo.toml", ""), ("src/lib.rs", "")]);
        let refused = |text: &str| {
            fs::write(folder.path().join("src").join(name), text).expect("can be written");
            match CrateSource::read(folder.path()).and_then(|source| Ok(audit_crate(source)?)) {
                Err(Failure::Rejected(rejection)) => rejection.message,
                other => panic!("expected a rejection, got {other:?}"),
            }
        };
        let shown = "src/\u{fffd}[2J\u{fffd}.rs";
        assert!(refused("unsafe fn f() {}").starts_with(shown));
        assert!(refused(&"x".repeat(SOURCE_BYTES_MAX + 1)).starts_with(shown));
        fs::remove_file(folder.path().join("src").join(name)).expect("removed");
        std::os::unix::fs::symlink("/", folder.path().join(name)).expect("a link");
        let linked = CrateSource::read(folder.path()).expect_err("a link");
        let Failure::Rejected(rejection) = linked else {
            panic!("expected a rejection");
        };
        assert_eq!(rejection.message, "\u{fffd}[2J\u{fffd}.rs is a symbolic link");
    }

    /// Nor a second line, which would look like one of ours.
    #[test]
    fn names_of_files_stay_within_their_line() {
        let forged = "a\naccepted example@0123456789ab";
        let message_on = |files: &[(&str, &str)]| {
            let folder = dropped(files);
            match CrateSource::read(folder.path()).and_then(|source| Ok(audit_crate(source)?)) {
                Err(Failure::Rejected(rejection)) => rejection.message,
                other => panic!("expected a rejection, got {other:?}"),
            }
        };
        let (manifest, root) = (("Cargo.toml", ""), ("src/lib.rs", ""));
        let long = "x".repeat(SOURCE_BYTES_MAX + 1);
        for (name, text) in [
            (format!("src/{forged}"), ""),
            (format!("src/{forged}.rs"), "unsafe fn f() {}"),
            (format!("src/{forged}.rs"), long.as_str()),
            (format!("{forged}/build.rs"), ""),
        ] {
            let message = message_on(&[manifest, root, (&name, text)]);
            assert!(message.contains("a\u{fffd}accepted"), "{message:?}");
            assert!(!message.contains('\n'), "{message:?}");
        }
    }

    /// In few words, however long it is.
    #[test]
    fn paths_that_are_too_long_are_refused() {
        let deep = |n_folders: usize| format!("src/{}m.rs", "dddd/".repeat(n_folders));
        let within = deep((CRATE_PATH_BYTES_MAX - 8) / 5);
        let folder = dropped(&[("Cargo.toml", ""), ("src/lib.rs", ""), (&within, "")]);
        assert!(CrateSource::read(folder.path()).is_ok());
        let beyond = deep(CRATE_PATH_BYTES_MAX / 5);
        let folder = dropped(&[("Cargo.toml", ""), ("src/lib.rs", ""), (&beyond, "")]);
        check_refused(folder.path(), "source/crate-layout");
        let Err(Failure::Rejected(rejection)) = CrateSource::read(folder.path()) else {
            panic!("expected a rejection");
        };
        assert!(rejection.message.len() < 200, "{rejection:?}");
    }

    #[test]
    fn links_are_refused_wherever_they_lie() {
        for name in ["src/loss.rs", "src/more", "README.md", "docs/more", "Cargo.lock"] {
            let folder = dropped(&[("Cargo.toml", ""), ("src/lib.rs", ""), ("docs/a", "")]);
            std::os::unix::fs::symlink("/etc/hostname", folder.path().join(name)).expect("a link");
            check_refused(folder.path(), "source/crate-layout");
        }
    }

    #[test]
    fn folders_without_end_are_refused() {
        let folder = dropped(&[("Cargo.toml", ""), ("src/lib.rs", "")]);
        for n in 0..=CRATE_ENTRIES_MAX {
            fs::write(folder.path().join(format!("{n}")), "").expect("can be written");
        }
        check_refused(folder.path(), "source/crate-layout");
    }

    /// The manifest is one of them.
    #[test]
    fn crates_of_too_many_files_are_refused() {
        let folder = dropped(&[("Cargo.toml", ""), ("src/lib.rs", "")]);
        for n in 2..CRATE_FILES_MAX {
            fs::write(folder.path().join(format!("src/m{n}.rs")), "").expect("can be written");
        }
        let read = CrateSource::read(folder.path()).expect("as many as there may be");
        assert_eq!(read.files.len(), CRATE_FILES_MAX);
        fs::write(folder.path().join("src/one_more.rs"), "").expect("can be written");
        check_refused(folder.path(), "source/crate-layout");
    }

    #[test]
    fn only_the_manifest_and_the_sources_are_read() {
        let parent = dropped(&[
            (".cargo/config.toml", "[build]\nrustc = \"/bin/false\"\n"),
            ("rust-toolchain.toml", "[toolchain]\npath = \"/tmp\"\n"),
            ("mine/Cargo.toml", PLAIN_MANIFEST),
            ("mine/Cargo.lock", "not even a lock file"),
            ("mine/target/debug/.cargo/config.toml", ""),
            ("mine/src/lib.rs", PLAIN_ROOT),
            ("mine/src/loss.rs", rules::PLAIN_LOSS),
        ]);
        let read = CrateSource::read(&parent.path().join("mine")).expect("a crate");
        let names: Vec<String> =
            read.files.iter().map(|(name, _)| name.display().to_string()).collect();
        assert_eq!(names, ["Cargo.toml", "src/lib.rs", "src/loss.rs"]);
    }

    #[test]
    fn every_file_is_audited() {
        let folder = dropped(&[
            ("Cargo.toml", ""),
            ("src/lib.rs", "#![no_std]\nmod loss;\nguest_sdk::export!(loss::Loss);"),
            ("src/loss.rs", "const X: &str = include_str!(\"/etc/hostname\");"),
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
