//! A model as Hugging Face lays it out: `config.json`, `model.safetensors`, `tokenizer.json` and what goes with them.
//!
//! The same files may lie in a folder or inside the binary; the weights of a folder are mapped, not read. A
//! directory is also what training saves: the configuration and the tokenizer of the model that was
//! trained, with new weights. Not here: what the files mean (`config`, `checkpoint`).

use std::collections::BTreeMap;
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

impl Content {
    /// Lets go of the memory that a part of a mapped file has come to take; read again, it comes back from the file.
    /// `part` is a slice of this content, or of another, and then nothing happens.
    pub(crate) fn let_go(&self, part: &[u8]) {
        let Self::Mapped(map) = self else { return };
        let within = part.as_ptr().addr().checked_sub(map.as_ptr().addr());
        if let Some(start) = within.filter(|start| start + part.len() <= map.len()) {
            forget(map, start, part.len());
        }
    }
}

#[cfg(unix)]
fn forget(map: &memmap2::Mmap, start: usize, n_bytes: usize) {
    let advice = memmap2::UncheckedAdvice::DontNeed;
    // SAFETY: the map is of a file and never written to, so its pages hold nothing but what the file gives back.
    let told = unsafe { map.unchecked_advise_range(advice, start, n_bytes) };
    // It is advice: what is not taken costs memory and nothing else.
    drop(told);
}

#[cfg(not(unix))]
fn forget(_: &memmap2::Mmap, _: usize, _: usize) {}

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
    /// `model.safetensors`, or the files that its index names. Whoever has read them lets go of them.
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
        check_folder(folder)?;
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

    /// The content of a file that is carried over, if it is there.
    pub(crate) fn companion(&self, name: &str) -> Option<&[u8]> {
        self.companions.iter().find(|(known, _)| known == name).map(|(_, content)| &**content)
    }

    /// The content of `tokenizer.json`.
    pub fn tokenizer(&self) -> Result<&[u8], Fault> {
        let missing = || Fault::Tokenizer("the model has none".into());
        self.companion("tokenizer.json").ok_or_else(missing)
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
    let (one, index) = (folder.join("model.safetensors"), folder.join(INDEX));
    if one.exists() {
        let content = map(&one)?;
        checkpoint::whole(&one, &content)?;
        return Ok(vec![content]);
    }
    if !index.exists() {
        return Err(no_weights(folder));
    }
    let shards = shards(&files::read(&index)?)?;
    let mut contents = Vec::with_capacity(shards.len());
    for (name, tensors) in shards {
        let path = folder.join(&name);
        let content = map(&path)?;
        let shard = checkpoint::whole(&path, &content)?;
        if let Some(missing) = tensors.iter().find(|tensor| shard.tensor(tensor).is_err()) {
            return Err(unusable_index(&format!("{missing} is said to be in {name}, but is not")));
        }
        contents.push(content);
    }
    Ok(contents)
}

const INDEX: &str = "model.safetensors.index.json";

/// What to do about a folder without weights that can be read.
fn no_weights(folder: &Path) -> Fault {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let pickled = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .find(|name| name.starts_with("pytorch_model") && name.ends_with(".bin"));
    let here = format!("there is no model.safetensors in {}", folder.display());
    match pickled {
        None => Fault::weights(here, "copy or download the model again"),
        Some(name) => Fault::weights(
            format!("{here}, only {name}"),
            "save it anew with transformers: AutoModelForCausalLM.from_pretrained(HERE).save_pretrained(THERE), and \
             the tokenizer with AutoTokenizer the same way",
        ),
    }
}

/// Refuses a place that is no folder, and says what to do about a name on the Hub.
fn check_folder(folder: &Path) -> Result<(), Fault> {
    if folder.is_dir() {
        return Ok(());
    }
    let message = format!("there is no folder {}", folder.display());
    let name = folder.to_str().unwrap_or_default();
    let named = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(known)
    };
    Err(match !folder.exists() && name.split('/').count() <= 2 && name.split('/').all(named) {
        false => Fault::settings(message, "name the folder with config.json and model.safetensors"),
        true => Fault::settings(
            message,
            format!(
                "nothing is downloaded: if that is a name on the Hugging Face Hub, get it first with \
                 `hf download {name} --local-dir {name}`"
            ),
        ),
    })
}

fn unusable_index(message: &str) -> Fault {
    let hint = "copy or download it again, and the files that it names";
    Fault::weights(format!("{INDEX}: {message}"), hint)
}

/// The files that an index names, with the tensors that are said to be in each.
fn shards(index: &[u8]) -> Result<BTreeMap<String, Vec<String>>, Fault> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let index: Index =
        serde_json::from_slice(index).map_err(|error| unusable_index(&error.to_string()))?;
    let mut shards = BTreeMap::<String, Vec<String>>::new();
    for (tensor, name) in index.weight_map {
        shards.entry(name).or_default().push(tensor);
    }
    match shards.keys().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
        Some(name) => Err(unusable_index(&format!("{name} is not the name of a file beside it"))),
        None if shards.is_empty() => Err(unusable_index("it names no file")),
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

    #[track_caller]
    fn check_refused(folder: &Path, reasons: &[&str]) {
        let message = ModelDirectory::open(folder).expect_err("refused").to_string();
        assert!(reasons.iter().all(|reason| message.contains(reason)), "{message}");
    }

    fn file_with(tensor: &str) -> Vec<u8> {
        let bytes = 1f32.to_le_bytes();
        let dtype = safetensors::Dtype::F32;
        let view = safetensors::tensor::TensorView::new(dtype, vec![1], &bytes).expect("a tensor");
        safetensors::serialize([(tensor, view)], None).expect("a file")
    }

    #[test]
    fn a_folder_that_is_no_model_says_how_to_get_one() {
        check_refused(
            Path::new("some-one/any-model"),
            &["no folder", "hf download some-one/any-model"],
        );
        check_refused(Path::new("./any-model"), &["no folder ./any-model", "model.safetensors"]);
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, content: &[u8]| {
            std::fs::write(folder.path().join(name), content).expect("written");
        };
        write("config.json", b"{}");
        check_refused(folder.path(), &["no model.safetensors", "download"]);
        write("pytorch_model-00001-of-00002.bin", b"");
        check_refused(folder.path(), &["pytorch_model-00001", "save_pretrained"]);
        let index = br#"{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}"#;
        write(INDEX, index);
        let (one, two) = (file_with("a"), file_with("b"));
        write("one.safetensors", &one);
        write("two.safetensors", &two[..two.len() - 1]);
        check_refused(folder.path(), &["two.safetensors: not a whole"]);
        write("two.safetensors", &two);
        assert_eq!(ModelDirectory::open(folder.path()).expect("whole").weights.len(), 2);
        write("one.safetensors", &two);
        check_refused(folder.path(), &["a is said to be in one.safetensors"]);
        write("model.safetensors", &one[..4]);
        check_refused(folder.path(), &["model.safetensors: not a whole"]);
    }

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
        assert_eq!(good["model-00001-of-00001.safetensors"], ["a", "b"]);
        assert!(shards(b"{}").is_err());
        assert!(shards(br#"{"weight_map": {}}"#).is_err());
    }
}
