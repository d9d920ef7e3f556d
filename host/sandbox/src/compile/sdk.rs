//! The guest SDK, embedded in the binary and built once for each compiler.
//!
//! libm and guest-sdk are our own choice of code, so they are built outside any confinement. The built libraries appear
//! in the cache by a rename: two processes may race, and a killed one leaves nothing that looks finished.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Toolchain;
use super::folder::{self, Folder};
use crate::{Fault, hash};

/// (name, text) of every file, as build.rs found them.
static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));

/// Changes whenever the SDK is built differently from the same sources.
const RECIPE: &str = "3: with sums";

/// How the names of the folders begin that it is built in.
const WORKSHOP: &str = "building-";

/// What is built, and the file beside it that says so.
const LIBRARIES: [&str; 2] = ["liblibm.rlib", "libguest_sdk.rlib"];
const SUMS: &str = "sums";

/// The folder that holds the built SDK.
#[derive(Debug, Clone)]
pub(crate) struct Sdk {
    libraries: PathBuf,
}

impl Sdk {
    /// The SDK built by this compiler, from the cache or now.
    pub(crate) fn ready(
        cache: &Path,
        toolchain: &Toolchain,
        notify: &dyn Fn(&str),
    ) -> Result<Self, Fault> {
        let key = hash::of_parts([RECIPE, toolchain.version(), &sdk_hash()]);
        let shelf = cache.join("sdk");
        folder::sweep_in(&shelf, WORKSHOP);
        let libraries = shelf.join(&key[..32]);
        if libraries.is_dir() && !is_whole(&libraries) {
            notify("the guest SDK in the cache is damaged");
            let away = Folder::fresh_in(&shelf, WORKSHOP)?;
            // Where another process was faster, there is nothing left to move.
            let _ = fs::rename(&libraries, away.path().join("damaged"));
        }
        if !libraries.is_dir() {
            notify("building the guest SDK");
            fs::create_dir_all(&shelf).map_err(Fault::file("make", &shelf))?;
            build(&shelf, &libraries, toolchain)?;
        }
        Ok(Sdk { libraries })
    }

    /// The folder that a candidate's compiler reads.
    pub(crate) fn libraries(&self) -> &Path {
        &self.libraries
    }

    /// Whether the libraries are those that were built: what rustc finds wrong with a candidate beside others means nothing.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        match is_whole(&self.libraries) {
            true => Ok(()),
            false => Err(Fault::SdkDamaged(self.libraries.clone())),
        }
    }

    /// What rustc needs to find the SDK.
    pub(crate) fn arguments(&self) -> [OsString; 4] {
        let mut library = OsString::from("guest_sdk=");
        library.push(self.libraries.join("libguest_sdk.rlib"));
        let mut folder = OsString::from("dependency=");
        folder.push(&self.libraries);
        ["--extern".into(), library, "-L".into(), folder]
    }
}

/// The SDK's manual, or its contract where there is none.
pub(crate) fn sdk_manual() -> &'static str {
    let text = |wanted: &str| FILES.iter().find(|(name, _)| *name == wanted).map(|(_, text)| *text);
    text("guest-sdk/MANUAL.md").or_else(|| text("guest-sdk/wit/loss.wit")).unwrap_or_default()
}

/// Identity of all embedded sources.
pub(crate) fn sdk_hash() -> String {
    hash::of_parts(FILES.iter().flat_map(|(name, text)| [*name, *text]))
}

fn build(shelf: &Path, libraries: &Path, toolchain: &Toolchain) -> Result<(), Fault> {
    let workshop = Folder::fresh_in(shelf, WORKSHOP)?;
    let sources = workshop.path().join("sources");
    unpack(&sources)?;
    let built = workshop.path().join("built");
    fs::create_dir(&built).map_err(Fault::file("make", &built))?;
    rustc(toolchain, &sources, "libm", "2021", &built)?;
    rustc(toolchain, &sources, "guest-sdk", "2024", &built)?;
    let sums = sums(&built).map_err(Fault::file("read", &built))?;
    fs::write(built.join(SUMS), sums).map_err(Fault::file("write", built.join(SUMS)))?;
    match fs::rename(&built, libraries) {
        Err(_) if libraries.is_dir() => Ok(()),
        outcome => outcome.map_err(Fault::file("rename the built SDK to", libraries)),
    }
}

/// A line of digits and name for each library.
fn sums(libraries: &Path) -> std::io::Result<String> {
    let sum = |name: &str| {
        let bytes = fs::read(libraries.join(name))?;
        Ok(format!("{} {name}\n", hash::of(bytes)))
    };
    LIBRARIES.iter().map(|name| sum(name)).collect()
}

fn is_whole(libraries: &Path) -> bool {
    let written = fs::read_to_string(libraries.join(SUMS));
    matches!((written, sums(libraries)), (Ok(written), Ok(now)) if written == now)
}

fn unpack(folder: &Path) -> Result<(), Fault> {
    for (name, text) in FILES {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(Fault::file("make", parent))?;
        }
        fs::write(&path, text).map_err(Fault::file("write", path))?;
    }
    Ok(())
}

/// Builds one of the two crates. Paths are mapped away: a component must not depend on where the cache is.
fn rustc(
    toolchain: &Toolchain,
    sources: &Path,
    package: &str,
    edition: &str,
    built: &Path,
) -> Result<(), Fault> {
    let after = |text: &str, path: &Path| {
        let mut argument = OsString::from(text);
        argument.push(path);
        argument
    };
    let mut compiler = Command::new(toolchain.rustc());
    compiler
        .args(["--crate-type=rlib", "--target=wasm32-wasip2", "--cap-lints=allow"])
        .args([
            "-Copt-level=3",
            "-Cpanic=abort",
            "-Ccodegen-units=1",
            "--cfg=optimizations_enabled",
        ])
        .arg(format!("--crate-name={}", package.replace('-', "_")))
        .arg(format!("--edition={edition}"))
        .arg({
            let mut mapping = after("--remap-path-prefix=", sources);
            mapping.push("=sdk");
            mapping
        })
        .arg(after("--out-dir=", built))
        .arg(after("-Ldependency=", built))
        .arg(sources.join(package).join("src/lib.rs"));
    let libm = built.join("liblibm.rlib");
    if libm.is_file() {
        compiler.arg("--extern").arg(after("libm=", &libm));
    }
    let output = compiler.output().map_err(Fault::NoCompiler)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Fault::SdkBuild(
            String::from_utf8_lossy(&output.stderr).chars().take(2_000).collect(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    /// Of two that are as old, the one that a living process builds in stays.
    #[test]
    fn what_killed_builders_left_is_swept() {
        let cache = tempfile::tempdir().expect("a folder");
        let shelf = cache.path().join("sdk");
        let killed = shelf.join("building-killed");
        fs::create_dir_all(killed.join("sources")).expect("made");
        let at_work = Folder::fresh_in(&shelf, WORKSHOP).expect("a folder");
        for folder in [killed.as_path(), at_work.path()] {
            let old = SystemTime::now() - Duration::from_secs(3_600);
            let opened = fs::File::open(folder).expect("there");
            opened.set_modified(old).expect("ours");
        }
        let toolchain = Toolchain::find(&|_| {}).expect("a toolchain");
        let sdk = Sdk::ready(cache.path(), &toolchain, &|_| {}).expect("built");
        assert!(sdk.check().is_ok());
        assert!(!killed.exists());
        assert!(at_work.path().exists());
        drop(at_work);
        assert_eq!(fs::read_dir(shelf).expect("listed").count(), 1);
    }

    #[test]
    fn libraries_that_are_not_what_was_built_are_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text);
        for name in LIBRARIES {
            write(name, "library").expect("can be written");
        }
        assert!(!is_whole(folder.path()), "nobody said what was built");
        write(SUMS, &sums(folder.path()).expect("readable")).expect("can be written");
        assert!(is_whole(folder.path()));
        write(LIBRARIES[1], "librar").expect("can be written");
        assert!(!is_whole(folder.path()), "cut off");
        fs::remove_file(folder.path().join(LIBRARIES[1])).expect("there");
        assert!(!is_whole(folder.path()), "gone");
    }
}
