//! What a crate's manifest may ask for: guest-sdk, and nothing that runs or chooses anything at build time.
//!
//! cargo only reads the manifest here, in a copy of the crate that holds nothing but audited files. The crate is then
//! built as a one-file loss is, by rustc against the same SDK, so that no profile, feature or lint of the manifest
//! matters and no target directory is shared.

use std::path::Path;
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, TargetKind};

use super::rules::MANIFEST;
use crate::{Fault, Rejection, Sandbox};

/// The edition of a crate that asks for what it may.
pub(super) fn edition(
    sandbox: &Sandbox,
    folder: &Path,
) -> Result<Result<String, Rejection>, Fault> {
    let mut command = MetadataCommand::new();
    command
        .cargo_path(sandbox.toolchain.cargo())
        .manifest_path(folder.join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".to_owned()]);
    let output = alone(command.cargo_command(), folder)
        .output()
        .map_err(Fault::NoCargo)?;
    if !output.status.success() {
        return Ok(Err(unreadable(&output.stderr)));
    }
    let metadata = MetadataCommand::parse(String::from_utf8_lossy(&output.stdout));
    Ok(metadata
        .map_err(|error| unreadable(error.to_string().as_bytes()))
        .and_then(|metadata| judge(&metadata, folder)))
}

/// cargo with an empty home: the user's own settings are for the user's own code.
fn alone(mut cargo: Command, folder: &Path) -> Command {
    cargo
        .env_clear()
        .env("CARGO_HOME", folder.join("cargo-home"))
        .current_dir(folder);
    cargo
}

fn unreadable(error: &[u8]) -> Rejection {
    let text: String = String::from_utf8_lossy(error)
        .chars()
        .filter(|c| !c.is_control())
        .take(500)
        .collect();
    MANIFEST.rejection(format!("cargo cannot read the manifest: {text}"))
}

fn judge(metadata: &Metadata, folder: &Path) -> Result<String, Rejection> {
    let [package] = metadata.packages.as_slice() else {
        let n_packages = metadata.packages.len();
        return Err(MANIFEST.rejection(format!(
            "the manifest has {n_packages} packages, expected 1"
        )));
    };
    check_targets(package, folder)?;
    check_dependencies(package)?;
    if let Some(feature) = package.features.keys().next() {
        return Err(MANIFEST.rejection(format!(
            "the crate has the feature {feature:?}, expected none"
        )));
    }
    Ok(package.edition.to_string())
}

fn check_targets(package: &Package, folder: &Path) -> Result<(), Rejection> {
    let is_root = |path: &Path| path == folder.join("src/lib.rs");
    let is_library = |kind: &TargetKind| {
        matches!(
            kind,
            TargetKind::Lib | TargetKind::CDyLib | TargetKind::RLib
        )
    };
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
    let is_the_sdk = |dependency: &cargo_metadata::Dependency| {
        dependency.name == "guest-sdk"
            && dependency.kind == DependencyKind::Normal
            && dependency.rename.is_none()
            && dependency.target.is_none()
    };
    match package.dependencies.as_slice() {
        [dependency] if is_the_sdk(dependency) => Ok(()),
        dependencies => {
            let names: Vec<&str> = dependencies
                .iter()
                .map(|dependency| dependency.name.as_str())
                .collect();
            Err(MANIFEST.rejection(format!(
                "the crate depends on {names:?}, expected [\"guest-sdk\"]"
            )))
        }
    }
}
