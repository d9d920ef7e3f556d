//! Trains a language model with a preference loss, on the CPU or a CUDA device, and says what the loss is worth.
//!
//! ```text
//! tokens ─▶ model forward ─▶ token log-probs ─▶ sum over the completion ─▶ pairs ──┐
//!                                                                                 │ one call per batch
//! weights ◀─ optimizer ◀─ model backward ◀─ scale by dloss/dlogps ◀─ gradients ◀──┘
//! ```
//!
//! The loss is whatever implements [`loss::PreferenceLoss`]; this crate knows no plugin and no sandbox. A
//! [`model`] knows no loss, a training [`step`] knows no task, and a [`task`] turns a loss into a
//! [fitness](task::fitness). The arithmetic is in the `kernels` crate. Same seed and same instruction set: same
//! bytes, whatever the number of threads.

mod arithmetic;
pub mod batch;
pub mod bench;
pub mod data;
pub mod device;
mod engine;
pub mod fault;
mod files;
pub mod finetune;
pub mod folder;
pub mod generate;
mod hash;
pub mod lora;
pub mod loss;
pub mod model;
pub mod optimizer;
pub mod pairs;
pub mod random;
pub mod score;
pub mod stats;
pub mod step;
pub mod task;
pub mod tokenizer;
pub mod tokens;
pub mod train;

pub use fault::{Fault, TrainFailure};
pub use files::refuse_existing;
pub use loss::{LossFailure, LossGradients, PairBatch, PreferenceLoss, Rejected};
pub use task::fitness::{Fitness, SeedResult, TrajectoryPoint};
pub use task::sentiment::{Preparation, Progress, Sentiment, SentimentSettings};

/// Beyond it threads wait for each other, up to a standstill.
const THREADS_PER_CORE_MAX: usize = 4;

/// Sets the number of threads of everything that follows. At the start of a process, and once.
///
/// # Errors
///
/// More than four for each core, or threads that are running already or cannot be started.
pub fn use_threads(n_threads: usize) -> Result<(), Fault> {
    let n_cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let n_most = THREADS_PER_CORE_MAX * n_cores;
    if n_threads > n_most {
        let message = format!("threads: expected 1 to {n_most}, got {n_threads}");
        let hint = format!("this machine has {n_cores} cores: set --threads to about that number");
        return Err(Fault::settings(message, hint));
    }
    rayon::ThreadPoolBuilder::new().num_threads(n_threads).build_global().map_err(|error| {
        let message = format!("{n_threads} threads cannot be started: {error}");
        Fault::settings(message, "ask for fewer, or leave the number out")
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn more_threads_than_help_are_refused_with_the_number_that_would() {
        let message = super::use_threads(9_999_999).expect_err("refused").to_string();
        assert!(message.contains("got 9999999") && message.contains("--threads"), "{message}");
    }
}
