//! From what the user calls a plugin to a plugin that has passed every gate.
//!
//! A plugin is named by a path (`.rs`, a crate's folder, `.wasm`) or by a name, which is looked up in the plugins
//! folder first and among the built-in losses then. A name never reaches outside the plugins folder. `name@hash` asks
//! for one content and takes no other: what is hashed is what is run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use discovery::CandidateId;
use sandbox::{
    CachePolicy, Failure, KnownComponent, Options, ProbedPlugin, Rejection, Sandbox, Submission,
};
use serde_json::{Value, json};

use crate::args::Plugin;
use crate::folder::{self, Entry, Form};
use crate::settings::Settings;
use crate::{cache, screen};

/// Hexadecimal digits of a hash that are printed beside a name.
const SHOWN_DIGITS: usize = 12;
/// Digits that are enough to name a content. They guard against mistakes: against a stranger who chooses the content, give
/// all 64.
const DIGITS_MIN: usize = 8;
const DIGITS_MAX: usize = 64;

/// A plugin that was found, with its content in memory.
pub(crate) struct Named {
    entry: Entry,
    pub(crate) submission: Submission,
    /// The digits that its hash must begin with.
    digits: Option<String>,
    /// What is known of its component, once it has been through the gates.
    pub(crate) component: Option<KnownComponent>,
}

impl Named {
    /// What it is called on the command line.
    pub(crate) fn name(&self) -> &str {
        &self.entry.name
    }

    /// Name and source, for a plugin that has no component.
    pub(crate) fn identity(&self) -> String {
        let name = printable(self.name());
        match self.submission.sha256() {
            Some(hash) => format!("{name}@{}", shown(hash)),
            None => name,
        }
    }

    /// The candidate's identity, as runs and leaderboards print it, if it is a one-file loss.
    pub(crate) fn id(&self) -> Option<CandidateId> {
        self.submission.text().map(CandidateId::of)
    }

    /// The verdict on a rejected plugin, as every command with `--json` prints it.
    pub(crate) fn rejected(&self, rejection: &Rejection) -> Value {
        let component = self.component.as_ref();
        let report = component.and_then(|known| known.report.as_ref());
        json!({
            "verdict": "rejected",
            "stage": rejection.stage,
            "rule": rejection.rule,
            "message": rejection.message,
            "hint": rejection.hint,
            "span": rejection.span,
            "warnings": [],
            "hash": component.map(|known| &known.sha256),
            "bytes": component.map(|known| known.bytes),
            "exports": report.map(|report| &report.exports),
            "imports": report.map(|report| &report.imports),
            "limits": report.map(|report| &report.limits),
            "scope": null,
            "name": self.name(),
            "id": self.id(),
            "source_hash": self.submission.sha256(),
        })
    }

    /// Refuses what the user did not ask for. The digits may be of the component, of the source as it is, or of the
    /// candidate's identity.
    fn check_digits(&self) -> Result<()> {
        let Some(digits) = &self.digits else {
            return Ok(());
        };
        let id = self.id();
        let hashes = [
            ("component", self.component.as_ref().map(|known| &*known.sha256)),
            ("source", self.submission.sha256()),
            ("candidate", id.as_ref().map(CandidateId::as_str)),
        ];
        let there = hashes.iter().filter_map(|(what, hash)| Some((*what, (*hash)?)));
        if there.clone().any(|(_, hash)| hash.starts_with(digits)) {
            return Ok(());
        }
        let hashes: Vec<String> =
            there.map(|(what, hash)| format!("{what} {}", shown(hash))).collect();
        bail!(
            "{} is not {}@{digits}: its hashes are {}\nhint: `lossbox plugins` lists what is there",
            self.entry.place(),
            self.name(),
            none_or(&hashes)
        )
    }
}

/// A file may be called anything, what steers a terminal, ends a line or turns it round too.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(sandbox::shown).collect()
}

/// The first digits of a hash, enough to name a content.
pub(crate) fn shown(hash: &str) -> &str {
    &hash[..SHOWN_DIGITS.min(hash.len())]
}

/// Name and content of a plugin that passed, as every command prints it.
pub(crate) fn identity(plugin: &ProbedPlugin) -> String {
    format!("{}@{}", plugin.metadata().name, shown(plugin.hash()))
}

/// Opens the sandbox of this machine: finds the compiler, adds the wasm target if it is missing, builds the SDK.
pub(crate) fn open_sandbox(settings: &Settings, strict: bool) -> Result<Sandbox> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut options = Options::new(&settings.cache, program);
    options.cache = CachePolicy::Keep { key_file: cache::key_file(&settings.cache) };
    options.missing_layers = settings.missing_layers;
    options.strict = strict;
    options.notify = Some(Box::new(screen::note));
    Ok(Sandbox::open(options)?)
}

/// Takes the plugin that is called so through all gates that apply to it. The inner error is the plugin's fault, the outer
/// ours.
pub(crate) fn load(
    plugin: &Plugin,
    settings: &Settings,
) -> Result<(Sandbox, Named, Result<ProbedPlugin, Rejection>)> {
    let mut named = find(&plugin.plugin, &plugin.plugins)?;
    let sandbox = open_sandbox(settings, plugin.strict)?;
    let examined = sandbox.examine(&named.submission);
    let loaded = rejection_apart(examined.verdict)?;
    named.component = examined.component;
    named.check_digits()?;
    Ok((sandbox, named, loaded))
}

/// Splits the candidate's fault, which is data, from ours, which ends the command.
pub(crate) fn rejection_apart<T>(outcome: Result<T, Failure>) -> Result<Result<T, Rejection>> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(Failure::Rejected(rejection)) => Ok(Err(*rejection)),
        Err(Failure::Fault(fault)) => Err(fault.into()),
    }
}

/// Looks a plugin up by path or name, and reads it.
///
/// # Errors
/// When there is no such file and no built-in loss of this name, it cannot be read, or what follows `@` is no hash.
pub(crate) fn find(plugin: &str, folder: &Path) -> Result<Named> {
    let (name, digits) = digits_apart(plugin)?;
    let entry = match is_path(name) {
        true => at_path(name)?,
        false => in_folder(name, folder)?,
    };
    let submission = entry.read()?;
    Ok(Named { entry, submission, digits, component: None })
}

/// `name@digits` in two; a path that is there may contain anything.
fn digits_apart(plugin: &str) -> Result<(&str, Option<String>)> {
    let Some((name, digits)) = plugin.rsplit_once('@') else {
        return Ok((plugin, None));
    };
    if is_path(plugin) && Path::new(plugin).exists() {
        return Ok((plugin, None));
    }
    let is_hash = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash || !(DIGITS_MIN..=DIGITS_MAX).contains(&digits.len()) {
        bail!(
            "{digits:?} is not the beginning of a hash: expected {DIGITS_MIN} to {DIGITS_MAX} hexadecimal digits\
             \nhint: `lossbox plugins` prints them"
        );
    }
    Ok((name, Some(digits.to_ascii_lowercase())))
}

fn at_path(plugin: &str) -> Result<Entry> {
    let path = PathBuf::from(plugin);
    if path.is_dir() && !path.join("Cargo.toml").exists() {
        bail!("{plugin} is a folder, but no crate: it has no Cargo.toml\nhint: name a file in it");
    }
    if !path.exists() {
        bail!(
            "there is no {plugin}\nhint: a plugin is named, as `lossbox plugins` lists it, or is the path of a .rs or \
             .wasm file or of a crate's folder"
        );
    }
    let form = match path.extension().and_then(|extension| extension.to_str()) {
        _ if path.is_dir() => Form::Crate,
        Some("wasm") => Form::Component,
        _ => Form::File,
    };
    let name = path.file_stem().unwrap_or_default();
    Ok(Entry { name: name.to_string_lossy().into_owned(), form, path: Some(path) })
}

fn in_folder(name: &str, folder: &Path) -> Result<Entry> {
    let entries = folder::entries(folder)
        .with_context(|| format!("cannot list the plugins folder {}", folder.display()))?;
    match entries.into_iter().find(|entry| entry.name == name) {
        Some(entry) => Ok(entry),
        None if Path::new(name).exists() => {
            bail!("{name} is here, but not a plugin's name\nhint: write ./{name} for the path")
        }
        None => bail!(
            "no plugin called {name} in {}\nhint: the built-in losses are {}",
            folder.display(),
            built_in_names()
        ),
    }
}

fn built_in_names() -> String {
    let names: Vec<&str> = discovery::baselines::ALL.iter().map(|baseline| baseline.name).collect();
    names.join(", ")
}

fn is_path(plugin: &str) -> bool {
    plugin.contains(['/', '\\'])
        || plugin.ends_with(".rs")
        || plugin.ends_with(".wasm")
        || plugin.starts_with('.')
}

/// Turns `beta=0.1` settings into one value per hyperparameter, in the metadata's order.
///
/// # Errors
/// When a setting is not of the form NAME=NUMBER, names no hyperparameter or is out of its range.
pub(crate) fn hyperparameters(plugin: &ProbedPlugin, settings: &[String]) -> Result<Vec<f64>> {
    let declared = &plugin.metadata().hyperparameters;
    let mut values: Vec<f64> =
        declared.iter().map(|hyperparameter| hyperparameter.default).collect();
    let mut set = BTreeSet::new();
    for setting in settings {
        let (name, number) = setting.split_once('=').with_context(|| {
            format!("{setting:?} is not a setting\nhint: write NAME=VALUE, as in beta=0.1")
        })?;
        let value: f64 =
            number.trim().parse().with_context(|| format!("{name}: {number:?} is not a number"))?;
        let Some(index) =
            declared.iter().position(|hyperparameter| hyperparameter.name == name.trim())
        else {
            let names: Vec<&str> =
                declared.iter().map(|hyperparameter| hyperparameter.name.as_str()).collect();
            bail!("no hyperparameter called {name}\nhint: this loss has {}", none_or(&names));
        };
        let (minimum, maximum) = (declared[index].minimum, declared[index].maximum);
        if !(minimum..=maximum).contains(&value) {
            bail!("{name} = {value} is out of range: expected {minimum} to {maximum}");
        }
        if !set.insert(index) {
            bail!("{} is set twice\nhint: leave one", name.trim());
        }
        values[index] = value;
    }
    Ok(values)
}

fn none_or<T: AsRef<str>>(names: &[T]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::digits_apart;

    #[test]
    fn a_hash_follows_the_last_at_sign() {
        let apart = |text| digits_apart(text).expect("well formed");
        assert_eq!(apart("dpo"), ("dpo", None));
        assert_eq!(apart("dpo@0123ABCD"), ("dpo", Some("0123abcd".to_owned())));
        assert_eq!(apart("./a@b.rs@0123abcd"), ("./a@b.rs", Some("0123abcd".to_owned())));
        for text in ["dpo@", "dpo@0123abc", "dpo@latest00", "dpo@0123 bcd"] {
            assert!(digits_apart(text).is_err(), "{text}");
        }
        assert!(digits_apart(&format!("dpo@{}", "0".repeat(65))).is_err());
    }
}
