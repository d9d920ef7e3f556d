//! The four gates from outside: what passes, what is rejected, by which rule and where.

#![allow(clippy::unwrap_used, reason = "a test that cannot run has failed")]

mod attacks;
mod casts;
mod clocks;
mod components;
mod confinement;
mod crates;
mod hostile_components;
mod limits;
mod plugins;
mod probes;
mod rules;
mod run;
mod sources;
mod support;
