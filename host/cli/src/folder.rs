//! What a plugins folder holds, and which of its entries a name means.
//!
//! Only places are looked at here; what lies there is for the gates to say. Names come from the folder's own listing, so
//! that none reaches outside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use discovery::CandidateId;
use discovery::baselines::{self, Baseline};
use sandbox::{Fault, Submission};
use serde::Serialize;

/// What a plugin is, in the order in which a name is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Form {
    /// `name.rs`
    File,
    /// `name/Cargo.toml`
    Crate,
    /// `name.wasm`
    Component,
    /// `generated/name.rs`
    Generated,
    /// In the program.
    BuiltIn,
}

/// Where a plugin comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A built-in loss: one that the program carries, or a copy of it in the folder.
    BuiltIn,
    /// The winner of a run.
    Generated,
    /// Whatever somebody put there.
    User,
}

/// A plugin that is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// What it is called on the command line.
    pub(crate) name: String,
    pub(crate) form: Form,
    /// `None` for a built-in loss.
    pub(crate) path: Option<PathBuf>,
}

/// All entries by name; of those with one name, the first is what the name means, and the others are shadowed by it.
///
/// # Errors
/// When the folder is there and cannot be listed.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = baselines::ALL
        .iter()
        .map(|baseline| Entry { name: baseline.name.to_owned(), form: Form::BuiltIn, path: None })
        .collect();
    entries.extend(listed(folder)?.into_iter().filter_map(plugin_at));
    let generated = listed(&folder.join("generated"))?;
    entries.extend(generated.into_iter().filter_map(plugin_at).filter_map(|entry| {
        (entry.form == Form::File).then_some(Entry { form: Form::Generated, ..entry })
    }));
    entries.sort();
    Ok(entries)
}

/// Nothing where there is no folder.
fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(listed) => listed.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The plugin at this path, if it looks like one. What begins with a point is somebody's working copy.
fn plugin_at(path: PathBuf) -> Option<Entry> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let (name, form) = match path.extension().and_then(|extension| extension.to_str()) {
        _ if name.starts_with('.') => return None,
        Some("rs") => (name.strip_suffix(".rs")?.to_owned(), Form::File),
        Some("wasm") => (name.strip_suffix(".wasm")?.to_owned(), Form::Component),
        _ if path.join("Cargo.toml").symlink_metadata().is_ok() => (name, Form::Crate),
        _ => return None,
    };
    Some(Entry { name, form, path: Some(path) })
}

impl Entry {
    /// Its content as it is now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(&self) -> Result<Submission, Fault> {
        match (&self.path, baselines::named(&self.name)) {
            (Some(path), _) => Submission::read_entry(path),
            (None, Some(baseline)) => Ok(Submission::one_file(baseline.source)),
            (None, None) => Err(Fault::Call(format!("{} is not built in", self.name))),
        }
    }

    /// Where it comes from, judged by its content.
    pub(crate) fn kind(&self, submission: &Submission) -> Kind {
        let is_copy = |baseline: &Baseline| {
            let text = submission.text();
            text.is_some_and(|text| CandidateId::of(text) == CandidateId::of(baseline.source))
        };
        match self.form {
            Form::BuiltIn => Kind::BuiltIn,
            Form::Generated => Kind::Generated,
            Form::File if baselines::named(&self.name).is_some_and(is_copy) => Kind::BuiltIn,
            Form::File | Form::Crate | Form::Component => Kind::User,
        }
    }

    /// Its path, or what stands for one.
    pub(crate) fn place(&self) -> String {
        match &self.path {
            Some(path) => path.display().to_string(),
            None => format!("the built-in {}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_the_folders_file_before_crate_component_generated_and_built_in() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |path: &str| folder.path().join(path);
        for path in ["dpo.rs", "dpo.wasm", "generated/dpo.rs", "dpo/Cargo.toml"] {
            fs::create_dir_all(at(path).parent().expect("in the folder")).expect("made");
            fs::write(at(path), "").expect("written");
        }
        for path in ["README.md", ".hidden.rs", ".rs", "generated/x.wasm", "rs"] {
            fs::write(at(path), "").expect("written");
        }
        fs::create_dir(at("no_crate")).expect("made");
        let entries = entries(folder.path()).expect("listed");
        let forms: Vec<Form> =
            entries.iter().filter(|entry| entry.name == "dpo").map(|entry| entry.form).collect();
        assert_eq!(
            forms,
            [Form::File, Form::Crate, Form::Component, Form::Generated, Form::BuiltIn]
        );
        assert_eq!(entries.len(), baselines::ALL.len() + 4);
    }

    #[test]
    fn a_copy_of_a_built_in_loss_is_built_in_and_another_text_under_its_name_is_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("dpo.rs");
        let dpo = baselines::named("dpo").expect("built in").source;
        let kind = |text: &str| {
            fs::write(&path, text).expect("written");
            let entry = plugin_at(path.clone()).expect("a plugin");
            entry.kind(&entry.read().expect("read"))
        };
        assert_eq!(kind(&format!("// mine\n{dpo}")), Kind::BuiltIn);
        assert_eq!(kind(&dpo.replace("0.1", "0.2")), Kind::User);
    }

    #[test]
    fn where_there_is_no_folder_the_built_in_losses_are_left() {
        let entries = entries(Path::new("/nonexistent/plugins")).expect("no error");
        assert_eq!(entries.len(), baselines::ALL.len());
    }
}
