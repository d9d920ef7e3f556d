//! Audits, compiles, probes and runs untrusted preference losses.
//!
//! ```text
//! Source ─ audit ─▶ AuditedSource ─ compile ─▶ Component ─ audit ─▶ AuditedComponent ─ probe ─▶ ProbedPlugin
//! ```
//!
//! Each type can only be made by the gate before it, so a skipped gate does not compile. A gate fails with a
//! [`Rejection`], which is the candidate's fault and plain data, or with a [`Fault`], which is ours. Compiler and guest
//! run in child processes of the host's own program: its `main` calls [`child::run_if_child`] first. What these children
//! give up, and what that does not cover, stands in [`confine`].
//!
//! This crate knows no model and no LLM. The limits are in [`limits`], the rules in [`rules`].

mod cache;
pub mod child;
mod compile;
pub mod component;
pub mod confine;
mod fault;
mod guest;
pub mod limits;
mod printable;
mod probe;
mod rejection;
pub mod rules;
mod sandbox;
pub mod source;
mod submission;
mod workroom;

pub use cache::CachePolicy;
pub use compile::Component;
pub use component::{AuditedComponent, ComponentReport, Imports};
pub use confine::MissingLayers;
pub use fault::Fault;
pub use guest::{Evaluation, Guest, InProcess, Spent};
pub use guest_sdk::{Gradients, Hyperparameter, Metadata, Pairs, Scope};
pub use limits::Walls;
pub use printable::shown;
pub use probe::{BendKind, BendReport, Overflow, ProbeReport, ProbedPlugin};
pub use rejection::{Failure, Rejection, Span, Stage};
pub use sandbox::{Notify, Options, Sandbox};
pub use source::{AuditedSource, Source};
pub use submission::Submission;
