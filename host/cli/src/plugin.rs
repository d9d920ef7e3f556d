//! From what the user calls a plugin to a plugin that has passed every gate.
//!
//! A plugin is named by a path (`.rs`, a crate's folder, `.wasm`) or by a name, which is looked up in the plugins
//! folder first and among the built-in losses then. A name never reaches outside the plugins folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sandbox::{Failure, Options, ProbedPlugin, Rejection, Sandbox, Source};

use crate::args::Plugin;
use crate::screen;

/// Where a plugin's text or component comes from.
pub(crate) enum Found {
    Path(PathBuf),
    BuiltIn(Source),
}

/// Opens the sandbox of this machine: finds the compiler, adds the wasm target if it is missing, builds the SDK.
pub(crate) fn open_sandbox(cache: &Path, strict: bool) -> Result<Sandbox> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut options = Options::new(cache, program);
    options.strict = strict;
    options.notify = Some(Box::new(screen::note));
    Ok(Sandbox::open(options)?)
}

/// Takes the plugin through all gates that apply to it. The inner error is the plugin's fault, the outer ours.
pub(crate) fn load(
    plugin: &Plugin,
    cache: &Path,
) -> Result<(Sandbox, Result<ProbedPlugin, Rejection>)> {
    let found = find(&plugin.plugin, &plugin.plugins)?;
    let sandbox = open_sandbox(cache, plugin.strict)?;
    let loaded = match &found {
        Found::Path(path) => sandbox.load(path),
        Found::BuiltIn(source) => sandbox.validate(source),
    };
    Ok((sandbox, rejection_apart(loaded)?))
}

/// Splits the candidate's fault, which is data, from ours, which ends the command.
pub(crate) fn rejection_apart<T>(outcome: Result<T, Failure>) -> Result<Result<T, Rejection>> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(Failure::Rejected(rejection)) => Ok(Err(*rejection)),
        Err(Failure::Fault(fault)) => Err(fault.into()),
    }
}

/// Looks a plugin up by path or name.
///
/// # Errors
/// When there is no such file, and no built-in loss of this name.
pub(crate) fn find(plugin: &str, folder: &Path) -> Result<Found> {
    if is_path(plugin) {
        let path = PathBuf::from(plugin);
        if !path.exists() {
            bail!(
                "no such plugin: {plugin} (hint: a path ends in .rs or .wasm or is a crate's folder)"
            );
        }
        return Ok(Found::Path(path));
    }
    let in_folder = [
        folder.join(format!("{plugin}.rs")),
        folder.join(plugin),
        folder.join(format!("{plugin}.wasm")),
        folder.join("generated").join(format!("{plugin}.rs")),
    ];
    if let Some(path) = in_folder.into_iter().find(|path| path.exists()) {
        return Ok(Found::Path(path));
    }
    match discovery::baselines::named(plugin) {
        Some(baseline) => Ok(Found::BuiltIn(Source::one_file(
            baseline.name,
            baseline.source,
        ))),
        None => bail!(
            "no plugin called {plugin} in {} (hint: the built-in losses are {})",
            folder.display(),
            built_in_names()
        ),
    }
}

fn built_in_names() -> String {
    let names: Vec<&str> = discovery::baselines::ALL
        .iter()
        .map(|baseline| baseline.name)
        .collect();
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
    let mut values: Vec<f64> = declared
        .iter()
        .map(|hyperparameter| hyperparameter.default)
        .collect();
    for setting in settings {
        let (name, number) = setting.split_once('=').with_context(|| {
            format!("{setting:?} is not a setting (hint: write NAME=VALUE, as in beta=0.1)")
        })?;
        let value: f64 = number
            .trim()
            .parse()
            .with_context(|| format!("{name}: {number:?} is not a number"))?;
        let Some(index) = declared
            .iter()
            .position(|hyperparameter| hyperparameter.name == name.trim())
        else {
            let names: Vec<&str> = declared
                .iter()
                .map(|hyperparameter| hyperparameter.name.as_str())
                .collect();
            bail!(
                "no hyperparameter called {name} (hint: this loss has {})",
                none_or(&names)
            );
        };
        let (minimum, maximum) = (declared[index].minimum, declared[index].maximum);
        if !(minimum..=maximum).contains(&value) {
            bail!("{name} = {value} is out of range: expected {minimum} to {maximum}");
        }
        values[index] = value;
    }
    Ok(values)
}

fn none_or(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        _ => names.join(", "),
    }
}
