//! `lossbox new NAME`: a commented skeleton to start a loss from.

use std::fs;

use anyhow::{Context, Result, bail};
use discovery::baselines;

use crate::args::New;
use crate::{Outcome, screen};

const SKELETON: &str = include_str!("../../../../templates/plugin/skeleton.rs");

pub(crate) fn run(args: &New) -> Result<Outcome> {
    check_name(&args.name)?;
    let path = args.plugins.join(format!("{}.rs", args.name));
    fs::create_dir_all(&args.plugins)
        .with_context(|| format!("cannot make {}", args.plugins.display()))?;
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).open(&path).with_context(|| {
            format!("cannot make {}\nhint: is there a plugin of this name?", path.display())
        })?;
    std::io::Write::write_all(&mut file, SKELETON.replace("{{name}}", &args.name).as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    screen::note(&format!("wrote {}", path.display()));
    screen::note(&format!(
        "next: edit it, then `lossbox audit {0}` and `lossbox train --loss {0}`",
        args.name
    ));
    Ok(Outcome::Done)
}

/// A name is a file's name and a loss's name at once, so it cannot be a path.
fn check_name(name: &str) -> Result<()> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    let goes_on_well =
        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !starts_well || !goes_on_well || name.len() > 64 {
        bail!(
            "{name:?} cannot be a plugin's name\nhint: a lower case letter, then at most 63 lower case letters, \
             digits and underscores"
        );
    }
    if baselines::named(name).is_some() {
        bail!(
            "{name} is a built-in loss, and a plugin of that name would hide it\nhint: take another name, \
             as in my_{name}"
        );
    }
    if KEYWORDS.contains(&name) || is_device(name) {
        bail!(
            "{name} is a word of Rust or a device of Windows\nhint: take another name, as in {name}_loss"
        );
    }
    Ok(())
}

/// What cannot name a module or a crate, in the edition that plugins are compiled in, reserved words included.
const KEYWORDS: [&str; 51] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Whether a file `name.rs` cannot be on Windows.
fn is_device(name: &str) -> bool {
    let numbered = |device: &str| {
        let rest = name.strip_prefix(device);
        rest.is_some_and(|rest| matches!(rest.as_bytes(), [b'1'..=b'9']))
    };
    ["con", "prn", "aux", "nul"].contains(&name) || numbered("com") || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn names_that_are_paths_are_refused() {
        for name in ["../x", "a/b", "", "1st", "Größe", "a.rs"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("my_loss2").is_ok());
    }

    #[test]
    fn names_that_something_else_has_are_refused_with_a_remedy() {
        for name in ["dpo", "ipo", "fn", "self", "yield", "con", "lpt9"] {
            let error = check_name(name).expect_err("taken").to_string();
            assert!(error.contains("hint: take another name"), "{error}");
        }
        for name in ["my_dpo", "fn_loss", "com0", "console"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
    }
}
