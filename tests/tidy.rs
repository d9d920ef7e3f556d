//! The repository held against its own promises: the arrows of ARCHITECTURE.md, how files open, what must be absent.
//!
//! Every check reads text; nothing here runs lossbox.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the repository has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use proc_macro2::{TokenStream, TokenTree};

/// `from -> to to`, as listed in the `arrows` blocks of ARCHITECTURE.md.
type Arrows = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn architecture() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

/// Of the workspace's own crates: what they depend on need not be there for every platform.
fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .unwrap()
}

/// The lines of every fenced block of this kind, as `from -> to to`.
fn arrows(kind: &str) -> Arrows {
    let text = architecture();
    let mut arrows = Arrows::new();
    let opening = format!("```{kind}");
    let mut inside = false;
    for line in text.lines() {
        match line {
            _ if line == opening => inside = true,
            "```" => inside = false,
            _ if inside => {
                let (from, to) = line.split_once("->").unwrap_or((line, ""));
                let to = to.split_whitespace().map(str::to_owned).collect();
                arrows.insert(from.trim().to_owned(), to);
            }
            _ => {}
        }
    }
    assert!(!arrows.is_empty(), "ARCHITECTURE.md has no ```{kind} block");
    arrows
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let hidden = path.file_name().unwrap().to_string_lossy().starts_with('.');
            if hidden || path.ends_with("target") || path.ends_with("hostile") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The words and marks of a file's code, without comments, and with a string as one word that is never looked into.
fn words(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let stream: TokenStream =
        text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut words = Vec::new();
    flatten(stream, &mut words);
    words
}

fn flatten(stream: TokenStream, words: &mut Vec<String>) {
    for tree in stream {
        match tree {
            TokenTree::Group(group) => {
                words.push("{".to_owned());
                flatten(group.stream(), words);
                words.push("}".to_owned());
            }
            TokenTree::Literal(_) => words.push("\"\"".to_owned()),
            word => words.push(word.to_string()),
        }
    }
}

/// Whether these words follow each other in the file.
fn says(file: &Path, sought: &[&str]) -> bool {
    let words = words(file);
    words.windows(sought.len()).any(|window| window == sought)
}

#[test]
fn crates_depend_on_each_other_only_as_architecture_says() {
    let allowed = arrows("crate-arrows");
    let metadata = metadata();
    let ours: BTreeSet<&str> =
        metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    for package in metadata.workspace_packages() {
        let allowed = allowed
            .get(package.name.as_str())
            .unwrap_or_else(|| panic!("{} is not in ARCHITECTURE.md's crate-arrows", package.name));
        for dependency in &package.dependencies {
            let checked = dependency.kind != DependencyKind::Development
                && ours.contains(dependency.name.as_str());
            assert!(
                !checked || allowed.contains(&dependency.name),
                "{} -> {} is not among ARCHITECTURE.md's crate-arrows",
                package.name,
                dependency.name
            );
        }
    }
}

#[test]
fn modules_use_each_other_only_as_architecture_says() {
    for (from, allowed) in arrows("module-arrows") {
        let (folder, module) = from.split_once("::").unwrap();
        let source = root().join(folder).join("src");
        let files = module_files(&source, module);
        assert!(!files.is_empty(), "ARCHITECTURE.md lists {from}, which does not exist");
        for file in files {
            for used in modules_used(&file) {
                assert!(
                    used == module || allowed.contains(&used) || !is_module(&source, &used),
                    "{} uses crate::{used}, which ARCHITECTURE.md's module-arrows do not allow for {from}",
                    file.display()
                );
            }
        }
    }
}

/// A module's own file, and those of its folder.
fn module_files(source: &Path, module: &str) -> Vec<PathBuf> {
    let mut files = match source.join(module) {
        folder if folder.is_dir() => rust_files(&folder),
        _ => Vec::new(),
    };
    files.push(source.join(format!("{module}.rs")));
    files.retain(|file| file.is_file());
    files
}

/// Crates of which every module has its arrows.
const LISTED: [&str; 4] = ["host/trainer", "host/sandbox", "host/discovery", "host/cli"];

/// A crate whose modules are listed has all of them listed, so that a new one finds its place.
#[test]
fn a_crate_lists_all_its_modules_or_none() {
    let arrows = arrows("module-arrows");
    let listed: BTreeSet<&str> =
        arrows.keys().filter_map(|from| from.split_once("::")).map(|(folder, _)| folder).collect();
    for folder in LISTED {
        assert!(listed.contains(folder), "{folder} has no module-arrows");
        for entry in fs::read_dir(root().join(folder).join("src")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let listed = arrows.contains_key(&format!("{folder}::{name}"));
            assert!(
                listed || ["lib", "main", "bin"].contains(&name),
                "ARCHITECTURE.md's module-arrows have no line for {folder}::{name}"
            );
        }
    }
}

/// An arrow that no path takes any more is an invitation.
#[test]
fn no_arrow_is_stale() {
    for folder in LISTED {
        let source = root().join(folder).join("src");
        for (from, allowed) in arrows("module-arrows") {
            let Some(module) = from.strip_prefix(&format!("{folder}::")) else {
                continue;
            };
            let files = module_files(&source, module);
            let used: BTreeSet<String> = files.iter().flat_map(|file| modules_used(file)).collect();
            for to in allowed {
                assert!(used.contains(&to), "{from} -> {to} is not used any more");
            }
        }
    }
}

/// What opens a socket or a database is a dependency of `lossbox-discovery` alone.
#[test]
fn only_discovery_opens_sockets_and_databases() {
    for package in metadata().workspace_packages() {
        let opens = |name: &str| ["async-openai", "rusqlite", "reqwest"].contains(&name);
        let found = package.dependencies.iter().find(|dependency| opens(&dependency.name));
        assert!(
            found.is_none() || package.name == "lossbox-discovery",
            "{} depends on {}",
            package.name,
            found.unwrap().name
        );
    }
    for folder in ["guest-sdk", "kernels", "host/catalogue", "host/trainer", "host/sandbox"] {
        for file in rust_files(&root().join(folder).join("src")) {
            // Tests of the confinement try.
            if file.ends_with("confine/tests.rs") {
                continue;
            }
            for socket in ["TcpStream", "TcpListener", "UdpSocket", "UnixStream"] {
                assert!(!says(&file, &[socket, ":", ":"]), "{} opens a socket", file.display());
            }
        }
    }
}

/// The first segment of every `crate::…` path of a file, also of those in braces.
fn modules_used(file: &Path) -> BTreeSet<String> {
    let words = words(file);
    let mut used = BTreeSet::new();
    for start in 0..words.len() {
        if words[start] != "crate" || words.get(start + 2).map(String::as_str) != Some(":") {
            continue;
        }
        let path = &words[start + 3..];
        match path.first().map(String::as_str) {
            Some("{") => used.extend(first_segments(path)),
            Some(segment) => used.extend([segment.to_owned()]),
            None => {}
        }
    }
    used
}

/// The words that begin an entry of the list in braces with which `words` begins.
fn first_segments(words: &[String]) -> Vec<String> {
    let (mut depth, mut begins, mut segments) = (0, false, Vec::new());
    for word in words {
        match word.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ if depth == 1 && begins => segments.push(word.clone()),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        begins = depth == 1 && matches!(word.as_str(), "{" | ",");
    }
    segments
}

fn is_module(source: &Path, name: &str) -> bool {
    source.join(name).is_dir() || source.join(format!("{name}.rs")).is_file()
}

#[test]
fn every_file_opens_with_what_it_is() {
    for file in rust_files(&root()) {
        let text = fs::read_to_string(&file).unwrap();
        let generated = text.starts_with("// Generated by");
        assert!(text.starts_with("//!") || generated, "{} does not open with //!", file.display());
    }
}

#[test]
fn files_hold_one_idea() {
    for file in rust_files(&root()) {
        let text = fs::read_to_string(&file).unwrap();
        let n_lines = text.lines().count();
        let generated = file.ends_with("guest-sdk/src/bindings.rs");
        assert!(
            n_lines <= 700 || generated,
            "{} has {n_lines} lines, expected at most 700",
            file.display()
        );
    }
}

#[test]
fn only_the_command_line_prints() {
    let printers = ["println", "eprintln", "print", "eprint", "dbg"];
    for folder in [
        "guest-sdk/src",
        "kernels/src",
        "host/catalogue/src",
        "host/sandbox/src",
        "host/trainer/src",
        "host/discovery/src",
    ] {
        for file in rust_files(&root().join(folder)) {
            let printer = printers.iter().find(|printer| says(&file, &[printer, "!"]));
            assert!(printer.is_none(), "{} prints with {}!", file.display(), printer.unwrap());
        }
    }
}

#[test]
fn only_the_sandbox_starts_processes() {
    for folder in [
        "guest-sdk/src",
        "kernels/src",
        "host/catalogue/src",
        "host/trainer/src",
        "host/discovery/src",
        "host/cli/src",
    ] {
        for file in rust_files(&root().join(folder)) {
            assert!(
                !says(&file, &["Command", ":", ":", "new"]),
                "{} starts a process",
                file.display()
            );
        }
    }
}

#[test]
fn every_dependency_is_explained() {
    let text = architecture();
    for package in metadata().workspace_packages() {
        for dependency in &package.dependencies {
            let explained = text.contains(&format!("`{}`", dependency.name));
            assert!(explained, "ARCHITECTURE.md does not say why {} is there", dependency.name);
        }
    }
}

#[test]
fn the_program_has_a_place_in_every_table() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for command in ["cargo run --release -- discover", "cargo test --workspace"] {
        assert!(readme.contains(command), "README.md does not show `{command}`");
    }
}
