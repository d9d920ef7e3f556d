//! Training and generation on the machine's first card, held against the same numbers as the CPU and the emulated card.
//!
//! Without a card each test says on standard error that it was skipped, and why; `tests/cuda_emulated` needs none.

mod device;
#[path = "../trainer/families.rs"]
mod families;
#[path = "../cuda_emulated/generation.rs"]
mod generation;
#[path = "../cuda_emulated/models.rs"]
mod models;
#[path = "../trainer/support.rs"]
mod support;
#[path = "../cuda_emulated/training.rs"]
mod training;
