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
//!
//! # Embedding it
//!
//! The package is `lossbox-sandbox`, the library `sandbox`. No registry has it, so a host depends on it by a path into a
//! copy of lossbox's repository, or by the repository's address, which cargo resolves to the whole workspace as well: the
//! build script packs the sources of `guest-sdk`, which lies two folders above, and of libm into the host's program.
//!
//! ```toml
//! [dependencies]
//! lossbox-sandbox = { path = "../lossbox/host/sandbox" }
//! ```
//!
//! Where the host runs there must be:
//!
//! - Linux 5.19 or newer with Landlock and seccomp, or an embedder that accepts what is missing
//!   ([`Options::missing_layers`], [`confine::layers`]);
//! - rustup's `rustc` in `PATH`, for components too, with the target `wasm32-wasip2`, which [`Sandbox::open`] has rustup
//!   add if it is missing; for crates the toolchain's cargo as well;
//! - a cache folder and a folder for temporary files (`TMPDIR`) that can be written.
//!
//! Most hosts need one call for everything: [`Sandbox::load`] for a path, be it a one-file loss (`.rs`), a crate's folder
//! or a component (`.wasm`); [`Sandbox::admit`] for a [`Submission`], which is a text in memory, or content that was read
//! once, so that its hash is that of what is judged; [`Sandbox::examine`] for the same with what is known of a component
//! that is rejected. These remember verdicts ([`Options::cache`]); the single gates, as in the example below, do not.
//!
//! What is compiled here imports nothing. A component from elsewhere may import WASI 0.2, which is served from an empty
//! context, unless [`Options::strict`] is set; gate by gate, [`component::audit_with`] takes the choice as [`Imports`], and
//! [`Component::from_bytes`] the bytes.
//!
//! ```no_run
//! # fn main() -> Result<(), sandbox::Failure> {
//! # sandbox::child::run_if_child();
//! # let (cache, program) = (std::env::temp_dir(), std::env::current_exe().expect("this program"));
//! use sandbox::{Options, Sandbox, Stage};
//!
//! let mut options = Options::new(cache, program);
//! options.strict = true;
//! let sandbox = Sandbox::open(options)?;
//! let plugin = sandbox.load("plugins/mine.wasm".as_ref())?;
//! let mut guest = sandbox.start(&plugin, Stage::Train)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Example
//!
//! A loss through all four gates, and one call of it. The child program is the host itself, so its `main` begins with
//! [`child::run_if_child`].
//!
//! ```standalone_crate
//! use sandbox::{Failure, Options, Pairs, Sandbox, Source, Stage, child, source};
//!
//! const DPO: &str = r#"
//! use guest_sdk::prelude::*;
//!
//! pair_loss! {
//!     name: "dpo",
//!     summary: "negative log-sigmoid of the scaled margin",
//!     hyperparameters: { beta: 0.1 in 0.001..=10.0 },
//! }
//!
//! fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
//!     -(hp.beta * pair.logratio_margin()).log_sigmoid()
//! }
//! "#;
//!
//! fn main() {
//!     child::run_if_child();
//!     let cache = tempfile::tempdir().expect("a temporary folder");
//!     let program = std::env::current_exe().expect("this program");
//!     let sandbox = Sandbox::open(Options::new(cache.path(), program)).expect("a machine that can confine");
//!     match loss_at_margin_zero(&sandbox) {
//!         Ok(loss) => assert!((loss - f64::ln(2.0)).abs() < 1e-12),
//!         // Data: for a person, or for the next prompt of whoever wrote the loss.
//!         Err(Failure::Rejected(rejection)) => panic!("{rejection}\nhint: {}", rejection.hint),
//!         Err(Failure::Fault(fault)) => panic!("{fault}"),
//!     }
//! }
//!
//! fn loss_at_margin_zero(sandbox: &Sandbox) -> Result<f64, Failure> {
//!     let audited = source::audit(Source::one_file(DPO))?;
//!     let component = sandbox.compile(&audited)?;
//!     let audited = sandbox.audit(component)?;
//!     let plugin = sandbox.probe(audited)?;
//!     let mut guest = sandbox.start(&plugin, Stage::Train)?;
//!     let pairs = Pairs {
//!         policy_chosen_logps: vec![-10.0],
//!         policy_rejected_logps: vec![-12.0],
//!         reference_chosen_logps: vec![-10.0],
//!         reference_rejected_logps: vec![-12.0],
//!         chosen_tokens: vec![5],
//!         rejected_tokens: vec![6],
//!     };
//!     Ok(guest.evaluate(&pairs, &[0.1])?.losses[0])
//! }
//! ```
//!
//! # How long one candidate may take
//!
//! | gate | clock | default |
//! | --- | --- | --- |
//! | source | none: [`limits::SOURCE_BYTES_MAX`] and its like bound the work | milliseconds |
//! | compile | [`limits::COMPILE_WALL`], three times where the compiler hardly had a processor; of a crate once more, for cargo to read its manifest | 10 s, 30 s; 20 s, 60 s |
//! | component | none: [`limits::COMPONENT_BYTES_MAX`] and its like bound the work | milliseconds |
//! | start, each time | [`Walls::start`], twice where a clock was met | 15 s; 30 s |
//! | probe | [`limits::PROBE_WALL`] of the child's processor for all calls, then one call ([`Walls::call`]), twice where a clock was met | 30 s, then 15 s; 30 s |
//!
//! The probe starts a plugin as it is trained with, and with NaN made canonical. A usual candidate takes a second through
//! all gates. Not covered: waiting for other candidates, while one that met its clock is tried alone, and
//! [`Sandbox::open`], which builds the SDK once.

mod cache;
pub mod child;
mod compile;
pub mod component;
pub mod confine;
mod fault;
mod guest;
mod hash;
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
pub use component::{AuditedComponent, ComponentReport, Imports, KnownComponent};
pub use confine::MissingLayers;
pub use fault::Fault;
pub use guest::{Evaluation, Guest, InProcess, Spent};
pub use guest_sdk::{Gradients, Hyperparameter, Metadata, Pairs, Scope};
pub use limits::Walls;
pub use printable::shown;
pub use probe::{BendKind, BendReport, Overflow, ProbeReport, ProbedPlugin};
pub use rejection::{Failure, Rejection, Span, Stage};
pub use sandbox::{Examined, Notify, Options, Sandbox};
pub use source::{AuditedSource, Source};
pub use submission::Submission;
