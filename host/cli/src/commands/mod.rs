//! One file per subcommand: each turns its arguments into a call of the libraries and prints the outcome.

pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod call;
pub(crate) mod discover;
pub(crate) mod doctor;
pub(crate) mod generate;
pub(crate) mod logps;
pub(crate) mod new;
pub(crate) mod plugins;
pub(crate) mod rules;
pub(crate) mod train;
