//! Where a run can go on: weights, both moments, the step, the place in the data, and what all of it belongs to.
//!
//! A checkpoint is a folder whose name is its step. It is written under another name and renamed, and older ones are
//! removed after that, so that there is a whole one at any time. The weights lie in it as a model that can be
//! loaded by itself.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::settings::Settings;
use crate::data::Position;
use crate::fault::Fault;
use crate::files;
use crate::lora;
use crate::model::{ModelDirectory, read_tensors, write_tensors};
use crate::step::{Trained, Trainer};

/// Everything about a place in a run but the weights and moments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Steps done.
    pub step: usize,
    /// Steps of the whole run.
    pub n_steps: usize,
    /// The next row.
    pub position: Position,
    /// Tokens trained on.
    pub num_tokens: u64,
    /// The step's evaluation has not been done.
    pub evaluation_due: bool,
    /// What chat templates are told of the time, in seconds since 1970: a prompt that holds the date stays the same.
    pub now_unix_seconds: i64,
    /// The content of the loss.
    pub loss_id: String,
    /// The content of the data and of the reference.
    pub sources: String,
    /// What the run was told.
    pub settings: Settings,
}

const PREFIX: &str = "step-";

/// Where checkpoints lie.
pub(super) fn folder(run: &Path) -> PathBuf {
    run.join("checkpoints")
}

/// The checkpoint of the latest step, if there is one.
pub(super) fn latest(run: &Path) -> Option<PathBuf> {
    all(run).into_iter().max().map(|(_, path)| path)
}

fn all(run: &Path) -> Vec<(usize, PathBuf)> {
    let entries = std::fs::read_dir(folder(run)).into_iter().flatten().flatten();
    let numbered = |path: PathBuf| {
        let step = path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok()?;
        Some((step, path))
    };
    entries.filter_map(|entry| numbered(entry.path())).collect()
}

/// Writes a checkpoint and removes the others. Says where it is.
pub(super) fn write(
    run: &Path,
    directory: &ModelDirectory,
    trainer: &Trainer,
    state: &State,
) -> Result<PathBuf, Fault> {
    let parent = folder(run);
    let place = parent.join(format!("{PREFIX}{}", state.step));
    if place.exists() {
        // The same weights; whether the step's evaluation is due may have changed.
        return write_state(&place, state).map(|()| place);
    }
    std::fs::create_dir_all(&parent).map_err(|source| Fault::file("create", &parent, source))?;
    files::create_folder(&place, |partial| fill(partial, directory, trainer, state))?;
    for (step, older) in all(run) {
        if step != state.step {
            std::fs::remove_dir_all(&older).map_err(|e| Fault::file("write", &older, e))?;
        }
    }
    Ok(place)
}

fn fill(
    place: &Path,
    directory: &ModelDirectory,
    trainer: &Trainer,
    state: &State,
) -> Result<(), Fault> {
    let (tensors, trained) = (trainer.trained_tensors(), trainer.trained()?);
    write_trained(place, directory, trainer, &state.settings.model)?;
    for (name, values) in MOMENTS.into_iter().zip([trained.first, trained.second]) {
        write_tensors(&place.join(name), tensors, &values)?;
    }
    write_state(place, state)
}

fn write_state(place: &Path, state: &State) -> Result<(), Fault> {
    let state = serde_json::to_vec_pretty(state).expect("a state is plain data");
    files::write(&place.join(STATE), &state)
}

/// Writes the trained model, or its adapters, into a folder, so that it can be loaded by itself.
pub(super) fn write_trained(
    place: &Path,
    directory: &ModelDirectory,
    trainer: &Trainer,
    base: &Path,
) -> Result<(), Fault> {
    if let Some(adapters) = trainer.adapters() {
        return adapters.write_into(place, base, directory);
    }
    directory.write_config(place)?;
    directory.write_companions(place)?;
    write_tensors(&place.join(MODEL), trainer.trained_tensors(), &trainer.weights()?)
}

const MODEL: &str = "model.safetensors";
const MOMENTS: [&str; 2] = ["first-moments.safetensors", "second-moments.safetensors"];
const STATE: &str = "state.json";

/// Reads a checkpoint's state.
pub(super) fn read_state(place: &Path) -> Result<State, Fault> {
    let path = place.join(STATE);
    serde_json::from_slice(&files::read(&path)?).map_err(|error| {
        let hint = "start anew with another --run";
        Fault::settings(format!("{}: not a checkpoint's state: {error}", path.display()), hint)
    })
}

/// Reads weights, or adapters, and moments.
pub(super) fn read_trained(place: &Path, trainer: &Trainer) -> Result<Trained<Vec<f32>>, Fault> {
    let read = |name: &str| read_tensors(&place.join(name), trainer.trained_tensors());
    let parameters = match trainer.adapters() {
        None => read(MODEL)?,
        Some(_) => read(lora::WEIGHTS)?,
    };
    let [first, second] = MOMENTS.map(read);
    Ok(Trained { parameters, first: first?, second: second? })
}
