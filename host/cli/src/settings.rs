//! What holds for a whole command, whatever it is: made once of what the user said, and passed along.

use std::path::PathBuf;

use anyhow::Result;
use sandbox::MissingLayers;

use crate::cache;

/// Settings of the machine rather than of a command.
pub(crate) struct Settings {
    /// Folder for what can be made again; it exists.
    pub(crate) cache: PathBuf,
    /// What a sandbox does where this machine lacks a layer: refuse, unless the user accepted the risk.
    pub(crate) missing_layers: MissingLayers,
}

impl Settings {
    /// # Errors
    /// When there is no place for the cache.
    pub(crate) fn new(cache: Option<PathBuf>, accept_missing_confinement: bool) -> Result<Self> {
        Ok(Settings {
            cache: cache::folder(cache)?,
            missing_layers: match accept_missing_confinement {
                true => MissingLayers::Accept,
                false => MissingLayers::Refuse,
            },
        })
    }
}
