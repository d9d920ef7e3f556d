//! Searches for preference losses: proposers, stages, archive, and the run that joins them.
//!
//! ```text
//! Proposal ─ audit source ─▶ compile ─▶ audit component ─▶ probe ─▶ train ─▶ evaluate
//!    ▲                                                                        │
//!    └───────────────────────────── archive ◀─────────────────────────────────┘
//! ```
//!
//! [`run`] is the way in; the file `pipeline.rs` is the drawing above as code. What can be seen of a run while it lasts
//! goes to an [`Observer`], what is left of it is a [`Report`] and a directory with the archive. A candidate's own fault
//! is a [`sandbox::Rejection`] and never stops a run; anything else is a [`Fault`]. Nothing here prints.

mod archive;
pub mod baselines;
mod bench;
mod candidate;
mod config;
mod crew;
mod executor;
mod fault;
mod files;
mod journal;
mod lock;
mod observer;
mod pipeline;
mod proposer;
mod provenance;
mod report;
mod run;
mod schedule;
mod search;
mod stages;

pub use candidate::{Candidate, CandidateId, Outcome};
pub use config::{Config, LlmSettings, ProposerChoice, SearchSettings};
pub use executor::GuestLoss;
pub use fault::{Difference, Fault};
pub use observer::{Event, Observer};
pub use report::{Counts, LeaderboardRow, RejectedRow, Report, Winner};
pub use run::run;

/// What rejects a proposal before any gate: a rule's name, and what it forbids.
pub const RULES: [(&str, &str); 2] = [proposer::reply::RULE, search::DUPLICATE];
