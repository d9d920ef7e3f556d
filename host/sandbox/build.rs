//! Packs the sources of guest-sdk and of libm into the binary, so that plugins compile anywhere.
//!
//! libm lies wherever cargo keeps it: a crate that depends on it alone is made in the output folder, and cargo is
//! asked, offline, where its dependency is. It is there, because guest-sdk needs it natively too.
//!
//! The gates themselves get an identity here: a cached verdict is worth something as long as nothing that made it changed.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::MetadataCommand;
use sha2::{Digest as _, Sha256};

fn main() {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    let sdk =
        manifest.join("../../guest-sdk").canonicalize().expect("guest-sdk lies in the workspace");
    println!("cargo:rerun-if-changed={}", sdk.display());
    println!("cargo:rerun-if-changed=build.rs");

    let mut files = Vec::new();
    for (folder, parts) in
        [(&sdk, ["src", "wit"].as_slice()), (&libm(&sdk, &out), ["src"].as_slice())]
    {
        let name = match folder == &sdk {
            true => "guest-sdk",
            false => "libm",
        };
        for part in parts {
            collect(&folder.join(part), &format!("{name}/{part}"), &mut files);
        }
        files.push((format!("{name}/Cargo.toml"), folder.join("Cargo.toml")));
    }
    for name in ["MANUAL.md", "LICENSE.txt"] {
        for (folder, path) in [("guest-sdk", sdk.join(name)), ("libm", libm(&sdk, &out).join(name))]
        {
            if path.is_file() {
                files.push((format!("{folder}/{name}"), path));
            }
        }
    }
    files.sort();
    let mut table = String::from("&[\n");
    for (name, path) in files {
        let _ = writeln!(table, "    ({name:?}, include_str!({:?})),", path.display().to_string());
    }
    table.push_str("]\n");
    fs::write(out.join("sdk_files.rs"), table).expect("the output folder can be written");
    println!("cargo:rustc-env=LOSSBOX_GATES={}", gates(&manifest));
}

/// Hash of everything in the workspace that a verdict depends on, but for the SDK: the gates' own source, what they wrap
/// a loss in, and the versions of what they are built with.
fn gates(manifest: &Path) -> String {
    let mut files = Vec::new();
    collect(&manifest.join("src"), "src", &mut files);
    for name in ["templates/plugin/lib.rs", "Cargo.lock"] {
        let path = manifest.join("../..").join(name);
        println!("cargo:rerun-if-changed={}", path.display());
        files.push((name.to_owned(), path));
    }
    println!("cargo:rerun-if-changed=src");
    files.sort();
    let mut hasher = Sha256::new();
    for (name, path) in files {
        let bytes = fs::read(path).expect("the sources can be read");
        for part in [name.as_bytes(), &bytes] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    let mut digits = String::new();
    for byte in hasher.finalize() {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// Where cargo keeps the version of libm that guest-sdk asks for.
fn libm(sdk: &Path, out: &Path) -> PathBuf {
    let asked = out.join("libm-finder");
    fs::create_dir_all(asked.join("src")).expect("the output folder can be written");
    fs::write(asked.join("src/lib.rs"), "").expect("the output folder can be written");
    let root =
        fs::read_to_string(sdk.join("../Cargo.toml")).expect("guest-sdk lies in the workspace");
    let requirement = root
        .lines()
        .find(|line| line.starts_with("libm = "))
        .expect("the workspace fixes libm's version");
    let manifest = format!(
        "[package]\nname = \"libm-finder\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n{requirement}\n"
    );
    fs::write(asked.join("Cargo.toml"), manifest).expect("the output folder can be written");
    let metadata = MetadataCommand::new()
        .manifest_path(asked.join("Cargo.toml"))
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .expect("cargo knows where libm is, since guest-sdk depends on it");
    let libm = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == "libm")
        .expect("libm is the only dependency");
    let manifest = libm.manifest_path.as_std_path();
    manifest.parent().expect("a manifest lies in a folder").to_owned()
}

/// Every `.rs` and `.wit` file below `folder`, as (name in the archive, path).
fn collect(folder: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).expect("the sources can be read") {
        let path = entry.expect("the sources can be read").path();
        let file = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        let name = format!("{name}/{file}");
        if path.is_dir() {
            collect(&path, &name, files);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "wit")
        {
            files.push((name, path));
        }
    }
}
