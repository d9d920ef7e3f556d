//! What cargo makes of a crate's manifest: guest-sdk and nothing else.
//!
//! cargo only reads the manifest here, confined as the compiler is, in a copy of the crate that holds nothing but audited
//! files; the manifest has passed [`manifest`](super::manifest) before. The crate is then built as a one-file loss is, by
//! rustc against the SDK that the binary carries: no profile, feature or lint of the manifest matters, no target directory
//! is shared, and `guest-sdk = "0.1"` means that SDK, whatever a registry has under the name.

use std::path::Path;

use cargo_metadata::semver::Version;
use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand, Package, TargetKind};

use super::manifest::unreadable;
use super::process::{self, Run};
use super::rules::{MANIFEST, TIMEOUT};
use super::{Tried, space};
use crate::{Fault, Rejection, Sandbox};

/// guest-sdk's version: the workspace has one for all its crates.
const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The edition of a crate that asks for what it may.
pub(super) fn edition(sandbox: &Sandbox, folder: &Path) -> Tried<String> {
    refuse_if_steered(folder)?;
    let cargo = sandbox.toolchain.cargo();
    if !cargo.is_file() {
        return Err(Fault::NoCargo(std::io::ErrorKind::NotFound.into()).into());
    }
    let mut files = sandbox.toolchain.files(folder);
    files.readable.push(cargo.clone());
    let ended = process::run(
        &sandbox.child,
        Run {
            tool: &cargo,
            arguments: arguments(folder),
            // The user's own settings are for the user's own code, so cargo's home is empty.
            environment: vec![
                ("TMPDIR", folder.into()),
                ("PATH", sandbox.toolchain.sysroot().join("bin").into()),
                ("CARGO_HOME", folder.join("cargo-home").into()),
            ],
            files,
            wall: sandbox.compile_wall,
        },
    )?;
    if let Some(starved) = ended.starved {
        return Ok(Err(starved));
    }
    match ended.status {
        None => {
            let message = "cargo took too long to read the manifest";
            Err(TIMEOUT.rejection(message).into())
        }
        Some(status) if status.success() => {
            let metadata = MetadataCommand::parse(&ended.stdout)
                .map_err(|error| unreadable(&error.to_string()))?;
            Ok(Ok(judge(&metadata, folder)?))
        }
        Some(_) => {
            space::check(folder)?;
            // Where the copy of the crate lies says nothing to its author.
            let within = format!("{}/", folder.display());
            Err(unreadable(&ended.stderr.replace(&within, "")).into())
        }
    }
}

/// Without dependencies: nothing is resolved, and neither a registry nor a compiler is asked.
fn arguments(folder: &Path) -> Vec<std::ffi::OsString> {
    let mut arguments: Vec<std::ffi::OsString> = [
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version=1",
        "--color=never",
        "--manifest-path",
    ]
    .map(Into::into)
    .to_vec();
    arguments.push(folder.join("Cargo.toml").into());
    arguments
}

/// cargo looks for settings in every folder above, which belong to neither the candidate nor us. It could not read them,
/// but it would say that it cannot, and the candidate would get the blame.
fn refuse_if_steered(folder: &Path) -> Result<(), Fault> {
    let steering = folder
        .ancestors()
        .map(|ancestor| ancestor.join(".cargo"))
        .find(|path| path.symlink_metadata().is_ok());
    match steering {
        None => Ok(()),
        Some(path) => Err(Fault::Steered(path)),
    }
}

fn judge(metadata: &Metadata, folder: &Path) -> Result<String, Rejection> {
    let [package] = metadata.packages.as_slice() else {
        let n_packages = metadata.packages.len();
        return Err(
            MANIFEST.rejection(format!("the manifest has {n_packages} packages, expected 1"))
        );
    };
    check_targets(package, folder)?;
    check_dependencies(package)?;
    if let Some(feature) = package.features.keys().next() {
        return Err(
            MANIFEST.rejection(format!("the crate has the feature {feature:?}, expected none"))
        );
    }
    if let Some(links) = &package.links {
        return Err(MANIFEST.rejection(format!("the crate links {links:?}, expected nothing")));
    }
    Ok(package.edition.to_string())
}

fn check_targets(package: &Package, folder: &Path) -> Result<(), Rejection> {
    let is_root = |path: &Path| path == folder.join("src/lib.rs");
    let is_library =
        |kind: &TargetKind| matches!(kind, TargetKind::Lib | TargetKind::CDyLib | TargetKind::RLib);
    match package.targets.as_slice() {
        [target]
            if is_root(target.src_path.as_std_path()) && target.kind.iter().all(is_library) =>
        {
            Ok(())
        }
        targets => {
            let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
            Err(MANIFEST.rejection(format!(
                "the crate builds {names:?}, expected one library with its root at src/lib.rs"
            )))
        }
    }
}

fn check_dependencies(package: &Package) -> Result<(), Rejection> {
    let [dependency] = package.dependencies.as_slice() else {
        return Err(not_the_sdk(&package.dependencies));
    };
    let is_the_sdk = dependency.name == "guest-sdk"
        && dependency.kind == DependencyKind::Normal
        && dependency.rename.is_none()
        && dependency.target.is_none()
        && dependency.registry.is_none()
        && dependency.path.is_none()
        && !dependency.optional
        && dependency.features.is_empty();
    if !is_the_sdk {
        return Err(not_the_sdk(&package.dependencies));
    }
    let version = Version::parse(SDK_VERSION).expect("cargo checks a crate's own version");
    match dependency.req.matches(&version) {
        true => Ok(()),
        false => Err(MANIFEST.rejection(format!(
            "the crate asks for guest-sdk {}, this is {version}",
            dependency.req
        ))),
    }
}

fn not_the_sdk(dependencies: &[Dependency]) -> Rejection {
    let names: Vec<&str> = dependencies.iter().map(|dependency| dependency.name.as_str()).collect();
    MANIFEST.rejection(format!(
        "the crate depends on {names:?}, expected guest-sdk alone, by its version"
    ))
}
