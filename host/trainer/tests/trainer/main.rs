//! The trainer from outside: parity with PyTorch, the sentiment task's base model, and the task from end to end.
//!
//! One binary for all, because each would link the same libraries. Where the golden numbers come from is in
//! `tests/golden/README.md`.

mod central_differences;
mod families;
mod family_parity;
mod finetuning;
mod helpers;
mod plain_decoder;
mod preference_data;
mod reference_parity;
mod scoring;
mod sentiment_base;
mod sentiment_task;
mod support;
mod training_curves;
mod verdicts;
