//! A model as Hugging Face lays it out: `config.json`, `model.safetensors`, `tokenizer.json` and what goes with them.
//!
//! The same files may lie in a folder or inside the binary; the weights of a folder are mapped, not read. A
//! directory is also what training saves: the configuration and the tokenizer of the model that was
//! trained, with new weights. Not here: what the files mean (`config`, `checkpoint`).

use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;
use std::path::Path;

use serde_json::Value;

use super::{Layout, checkpoint};
use crate::fault::Fault;
use crate::files;

/// The content of a file: part of the binary, read, or mapped.
#[derive(Debug)]
pub enum Content {
    /// Part of the binary.
    Embedded(&'static [u8]),
    /// Read into memory.
    Read(Vec<u8>),
    /// Mapped into memory.
    Mapped(memmap2::Mmap),
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Embedded(bytes) => bytes,
            Self::Read(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

/// The files of a model.
#[derive(Debug)]
pub struct ModelDirectory {
    /// `config.json`
    pub config: Content,
    /// `model.safetensors`, or the files that its index names.
    pub weights: Vec<Content>,
    /// Files that are saved again unchanged, such as `tokenizer.json`, by name.
    pub companions: Vec<(String, Content)>,
}

/// Files that are carried over from the model that is trained to the model that is saved.
const COMPANIONS: [&str; 6] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
];

/// The folder of chat templates that have a name of their own, and how their files end.
const TEMPLATES: &str = "additional_chat_templates";
const TEMPLATE_SUFFIX: &str = ".jinja";

/// Chat templates among companions, by name.
pub(crate) fn additional_templates(
    companions: &[(String, Content)],
) -> impl Iterator<Item = (&str, &[u8])> {
    companions.iter().filter_map(|(name, content)| {
        let file = name.strip_prefix(TEMPLATES)?.strip_prefix('/')?;
        Some((file.strip_suffix(TEMPLATE_SUFFIX)?, &**content))
    })
}

impl ModelDirectory {
    /// Opens a folder.
    pub fn open(folder: &Path) -> Result<Self, Fault> {
        let mut companions = Vec::new();
        for name in COMPANIONS.into_iter().filter(|name| folder.join(name).is_file()) {
            companions.push((name.to_owned(), read(&folder.join(name))?));
        }
        companions.extend(Self::read_additional_chat_templates(folder)?);
        Ok(Self {
            config: read(&folder.join("config.json"))?,
            weights: open_weights(folder)?,
            companions,
        })
    }

    /// The files in `additional_chat_templates`, in the order of their names.
    pub(crate) fn read_additional_chat_templates(
        folder: &Path,
    ) -> Result<Vec<(String, Content)>, Fault> {
        let entries = std::fs::read_dir(folder.join(TEMPLATES)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| name.ends_with(TEMPLATE_SUFFIX));
        names.sort_unstable();
        let names = names.into_iter().map(|name| format!("{TEMPLATES}/{name}"));
        names.map(|name| Ok((name.clone(), read(&folder.join(&name))?))).collect()
    }

    /// Chat templates that have a name of their own.
    pub(crate) fn additional_chat_templates(&self) -> impl Iterator<Item = (&str, &[u8])> {
        additional_templates(&self.companions)
    }

    /// The content of `tokenizer.json`.
    pub fn tokenizer(&self) -> Result<&[u8], Fault> {
        match self.companions.iter().find(|(name, _)| name == "tokenizer.json") {
            Some((_, content)) => Ok(content),
            None => Err(Fault::Tokenizer("the model has none".into())),
        }
    }

    /// Saves weights as a new folder, with this directory's configuration and companions; all or nothing.
    ///
    /// Weights are saved as `f32`, so that what is loaded is what was trained.
    pub fn save_with(&self, layout: &Layout, weights: &[f32], folder: &Path) -> Result<(), Fault> {
        files::create_folder(folder, |partial| {
            self.write_config(partial)?;
            self.write_companions(partial)?;
            checkpoint::write(&partial.join("model.safetensors"), &layout.tensors, weights)
        })
    }

    /// Writes the files that are carried over into a folder.
    pub(crate) fn write_companions(&self, folder: &Path) -> Result<(), Fault> {
        for (name, content) in &self.companions {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(|e| Fault::file("create", parent, e))?;
            }
            files::write(&path, content)?;
        }
        Ok(())
    }

    /// Writes the configuration of weights that are `f32`.
    pub(crate) fn write_config(&self, folder: &Path) -> Result<(), Fault> {
        files::write(&folder.join("config.json"), &config_of_f32(&self.config)?)
    }
}

/// The same configuration, with the type of the weights that are saved beside it.
fn config_of_f32(config: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut config: Value = serde_json::from_slice(config).map_err(|error| {
        Fault::config("the file", error.to_string(), "use the config.json that came with the model")
    })?;
    for field in ["dtype", "torch_dtype"] {
        if let Some(value) = config.get_mut(field) {
            *value = "float32".into();
        }
    }
    Ok(format!("{config:#}\n").into_bytes())
}

fn read(path: &Path) -> Result<Content, Fault> {
    files::read(path).map(Content::Read)
}

fn open_weights(folder: &Path) -> Result<Vec<Content>, Fault> {
    let index = folder.join("model.safetensors.index.json");
    if folder.join("model.safetensors").exists() || !index.exists() {
        return Ok(vec![map(&folder.join("model.safetensors"))?]);
    }
    shards(&files::read(&index)?)?.iter().map(|name| map(&folder.join(name))).collect()
}

/// The files that an index names, each once.
fn shards(index: &[u8]) -> Result<BTreeSet<String>, Fault> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    let unusable = |message: String| {
        let hint = "copy or download model.safetensors.index.json again";
        Fault::weights(format!("model.safetensors.index.json: {message}"), hint)
    };
    let index: Index =
        serde_json::from_slice(index).map_err(|error| unusable(error.to_string()))?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    match shards.iter().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
        Some(name) => Err(unusable(format!("{name} is not the name of a file beside it"))),
        None if shards.is_empty() => Err(unusable("it names no file".into())),
        None => Ok(shards),
    }
}

fn map(path: &Path) -> Result<Content, Fault> {
    let file = std::fs::File::open(path).map_err(|source| Fault::file("read", path, source))?;
    // SAFETY: the map is only read. A file that another process shortens meanwhile ends this process with a bus
    // error, as with every mapped file; writers in this crate replace files by renaming and never shorten them.
    let map =
        unsafe { memmap2::Mmap::map(&file) }.map_err(|source| Fault::file("read", path, source))?;
    Ok(Content::Mapped(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_files_beside_it_and_nothing_else() {
        let index = |name: &str| {
            format!(r#"{{"metadata": {{}}, "weight_map": {{"a": "{name}", "b": "{name}"}}}}"#)
        };
        let good =
            shards(index("model-00001-of-00001.safetensors").as_bytes()).expect("a good index");
        assert_eq!(good.len(), 1);
        for name in ["../secret", "/etc/passwd", "", ".."] {
            assert!(shards(index(name).as_bytes()).is_err(), "{name:?} was taken");
        }
        assert!(shards(b"{}").is_err());
        assert!(shards(br#"{"weight_map": {}}"#).is_err());
    }
}
