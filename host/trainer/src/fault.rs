//! What can go wrong, in two kinds that are never mixed.
//!
//! A [`Rejected`] is the loss's fault: it is data, goes into the archive and back to the proposer. A
//! [`Fault`] is ours or the machine's (a file that cannot be read, a model of an unknown kind): its
//! message names the remedy and it stops the work. [`TrainFailure`] is either, as training ends in either.

use std::path::{Path, PathBuf};

use crate::loss::{LossFailure, Rejected};

/// Why a training run gave no result.
#[derive(Debug)]
pub enum TrainFailure {
    /// The loss is at fault.
    Rejected(Rejected),
    /// We or the machine are.
    Fault(Fault),
}

impl From<Fault> for TrainFailure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Rejected> for TrainFailure {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl From<LossFailure> for TrainFailure {
    fn from(failure: LossFailure) -> Self {
        match failure {
            LossFailure::Rejected(rejected) => Self::Rejected(rejected),
            LossFailure::Fault(source) => Self::Fault(Fault::Loss(source)),
        }
    }
}

/// Our fault or the machine's, with the remedy in the message.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A file or folder could not be read or written.
    #[error(
        "cannot {action} {path}: {source}\nhint: check that it exists, that this user may use it, and that its disk is not full",
        path = path.display()
    )]
    File {
        /// "read", "write" or "create".
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A model configuration that this crate does not understand, or that contradicts itself.
    #[error("config.json: {field}: {message}\nhint: {hint}")]
    Config {
        /// The field at fault.
        field: String,
        /// What is wrong with it.
        message: String,
        /// What would help.
        hint: String,
    },
    /// Weights that do not fit the configuration.
    #[error("weights: {message}\nhint: {hint}")]
    Weights {
        /// Which tensor, and what is wrong with it.
        message: String,
        /// What would help.
        hint: String,
    },
    /// A tokenizer file that cannot be used.
    #[error("tokenizer.json: {0}\nhint: use the tokenizer.json that came with the model")]
    Tokenizer(String),
    /// A file beside `tokenizer.json` that cannot be read.
    #[error("{file}: {message}\nhint: use the file that came with the model")]
    TokenizerConfig {
        /// Its name.
        file: String,
        /// What is wrong with it.
        message: String,
    },
    /// A chat template that is needed and missing, or that cannot be used.
    #[error(
        "chat template: {0}\nhint: conversations need a model with a chat template \
         (chat_template.jinja, or chat_template in tokenizer_config.json); plain texts do not"
    )]
    ChatTemplate(String),
    /// A row of a data file that cannot be trained on.
    #[error(transparent)]
    Row(Box<crate::data::BadRow>),
    /// A data file that cannot be used at all.
    #[error("{path}: {message}\nhint: {hint}", path = path.display())]
    Data {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
        /// What would help.
        hint: String,
    },
    /// Settings that cannot be met.
    #[error("{message}\nhint: {hint}")]
    Settings {
        /// Which setting, and both numbers.
        message: String,
        /// What would help.
        hint: String,
    },
    /// The device that computes, or what is needed to use it.
    #[error(transparent)]
    Device(#[from] kernels::cuda::Fault),
    /// What runs the loss broke down.
    #[error("the loss could not be called: {0}")]
    Loss(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Fault {
    pub(crate) fn file(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { action, path: path.to_path_buf(), source }
    }

    /// The message without its hint, for whoever has a better one.
    pub(crate) fn without_hint(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_owned()
    }

    pub(crate) fn config(field: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Config { field: field.into(), message: message.into(), hint: hint.into() }
    }

    pub(crate) fn weights(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Weights { message: message.into(), hint: hint.into() }
    }

    pub(crate) fn data(path: &Path, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Data { path: path.to_path_buf(), message: message.into(), hint: hint.into() }
    }

    pub(crate) fn settings(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Settings { message: message.into(), hint: hint.into() }
    }
}
