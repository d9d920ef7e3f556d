//! Tasks: what a loss is trained on and how the policy it makes is judged.
//!
//! A task turns a loss into a number with an interval. Today there is one, `sentiment`; what every task shares
//! is the [`fitness`].

pub mod fitness;
pub mod sentiment;
