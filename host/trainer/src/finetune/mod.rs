//! Fine-tuning on a file of preference data: a Hugging Face model in, a Hugging Face model out.
//!
//! ```text
//! settings ─▶ reference log-probs, once ─▶ ┌─ rows in seeded order ─▶ step ─┐ ─▶ model
//!                                          └─ metrics, evaluation, ◀────────┘
//!                                             checkpoint
//! ```
//!
//! A run is a function of its settings and its files alone: one that was stopped and goes on from its checkpoint
//! writes the bytes of one that was never stopped. Everything it writes lies in one run folder.
//! Not here: one step's arithmetic (`step`), and the loss, which is the caller's.

mod checkpoint;
mod events;
mod frozen;
mod metrics;
mod references;
mod run;
mod settings;

pub use metrics::{EvalRecord, TrainRecord};
pub use run::{Finished, Job, Progress, Speed, run};
pub use settings::{MAX_LENGTH_DEFAULT, Settings};
