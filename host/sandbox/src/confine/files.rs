//! The files layer: Landlock, which files and folders a child can still reach.
//!
//! The rights of Landlock's second version (Linux 5.19) are required, or this fails: best effort would return success on a
//! kernel without it. The first will not do, since it cannot let rustc move a file between folders of its own. What later
//! versions added is taken where it is there, and seccomp covers it where it is not: truncating a file that is only
//! readable (version 3), sockets (4), devices' `ioctl` (5), signals (6).
//!
//! Not covered: metadata. `stat`, `access`, `readlink` and `chdir` work on any path. Modes and times, which Landlock does
//! not cover either, are the system-call layer's.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::Files;

/// The version without which there is no confinement.
const REQUIRED: ABI = ABI::V2;
/// The newest version whose rights are taken where the kernel has them.
const NEWEST: ABI = ABI::V9;

/// What an error of the ruleset itself means; its own words list rights.
const ABSENT: &str = "the kernel has no Landlock of version 2 or later, or it is switched off";

/// Where a dynamically linked compiler finds its libraries and their loader; what is not there is left out.
const SYSTEM: [&str; 5] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"];

/// Restricts the calling thread to `files`, or to none; also sets `no_new_privs`. The error says why not.
pub(super) fn restrict(files: Option<&Files>) -> Result<(), String> {
    let mut ruleset = handled().map_err(|_| ABSENT.to_owned())?;
    if let Some(files) = files {
        for path in SYSTEM.iter().map(Path::new).filter(|path| path.exists()) {
            ruleset = allow(ruleset, path, readable(path))?;
        }
        for path in &files.readable {
            ruleset = allow(ruleset, path, readable(path))?;
        }
        ruleset = allow(ruleset, &files.writable, own_folder())?;
    }
    let status = ruleset.restrict_self().map_err(|error| error.to_string())?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("the kernel did not enforce the rules".to_owned()),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

/// Everything that Landlock can deny, denied.
fn handled() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(REQUIRED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()
}

fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, String> {
    let failed = |error: String| format!("{}: {error}", path.display());
    let opened = PathFd::new(path).map_err(|error| failed(error.to_string()))?;
    ruleset.add_rule(PathBeneath::new(opened, rights)).map_err(|error| failed(error.to_string()))
}

/// A rule on a plain file must not carry the rights of folders, or it is only partly enforced.
fn readable(path: &Path) -> BitFlags<AccessFs> {
    match path.is_dir() {
        true => AccessFs::from_read(REQUIRED),
        false => AccessFs::from_read(REQUIRED) & AccessFs::from_file(REQUIRED),
    }
}

/// Files and folders can be made, changed, moved within and removed; nothing can be executed, made a symbolic link or a
/// device. Moving in or out would need the right to in both places; hard links are denied by seccomp.
fn own_folder() -> BitFlags<AccessFs> {
    AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::Refer
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
}
