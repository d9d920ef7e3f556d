//! A model as Hugging Face lays it out: `config.json`, `model.safetensors`, `tokenizer.json` and what goes with them.
//!
//! The same files may lie in a folder or inside the binary; the weights of a folder are mapped, not read. A
//! directory is also what training saves: the configuration and the tokenizer of the model that was
//! trained, with new weights. Not here: what the files mean (`config`, `checkpoint`).

use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Model, checkpoint};
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
    /// `model.safetensors`
    pub weights: Content,
    /// Files that are saved again unchanged, such as `tokenizer.json`, by name.
    pub companions: Vec<(String, Content)>,
}

/// Files that are carried over from the model that is trained to the model that is saved.
const COMPANIONS: [&str; 5] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
];

impl ModelDirectory {
    /// Opens a folder.
    pub fn open(folder: &Path) -> Result<Self, Fault> {
        let mut companions = Vec::new();
        for name in COMPANIONS.into_iter().filter(|name| folder.join(name).is_file()) {
            companions.push((name.to_owned(), read(&folder.join(name))?));
        }
        Ok(Self {
            config: read(&folder.join("config.json"))?,
            weights: map_weights(folder)?,
            companions,
        })
    }

    /// The content of `tokenizer.json`.
    pub fn tokenizer(&self) -> Result<&[u8], Fault> {
        match self.companions.iter().find(|(name, _)| name == "tokenizer.json") {
            Some((_, content)) => Ok(content),
            None => Err(Fault::Tokenizer("the model has none".into())),
        }
    }

    /// Saves a model as a new folder, with this directory's configuration and companions; all or nothing.
    ///
    /// Weights are saved as `f32`, so that what is loaded is what was trained.
    pub fn save_with(&self, model: &Model, folder: &Path) -> Result<(), Fault> {
        if folder.exists() {
            return Err(Fault::settings(
                format!("{} exists already", folder.display()),
                "choose another folder, or remove this one",
            ));
        }
        let partial = partial_sibling(folder);
        let written = self.write_into(model, &partial).and_then(|()| {
            std::fs::rename(&partial, folder)
                .map_err(|source| Fault::file("create", folder, source))
        });
        if written.is_err() {
            // What was written so far is of no use; the first failure is the one to report.
            let _ = std::fs::remove_dir_all(&partial);
        }
        written
    }

    fn write_into(&self, model: &Model, folder: &Path) -> Result<(), Fault> {
        std::fs::create_dir_all(folder).map_err(|source| Fault::file("create", folder, source))?;
        for (name, content) in &self.companions {
            files::write(&folder.join(name), content)?;
        }
        files::write(&folder.join("config.json"), &config_of_f32(&self.config)?)?;
        files::write(&folder.join("model.safetensors"), &checkpoint::write(model))
    }
}

fn partial_sibling(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}.{}.partial", std::process::id()))
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

fn map_weights(folder: &Path) -> Result<Content, Fault> {
    let path = folder.join("model.safetensors");
    if !path.exists() && folder.join("model.safetensors.index.json").exists() {
        return Err(Fault::weights(
            "they are spread over several files (model.safetensors.index.json)",
            "save the model again in one file, with max_shard_size larger than the model",
        ));
    }
    let file = std::fs::File::open(&path).map_err(|source| Fault::file("read", &path, source))?;
    // SAFETY: the map is only read. A file that another process shortens meanwhile ends this process with a bus
    // error, as with every mapped file; writers in this crate replace files by renaming and never shorten them.
    let map = unsafe { memmap2::Mmap::map(&file) }
        .map_err(|source| Fault::file("read", &path, source))?;
    Ok(Content::Mapped(map))
}
