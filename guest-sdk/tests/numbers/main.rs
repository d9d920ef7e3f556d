//! The numbers that losses are written with: functions, arithmetic, statistics, and the calls around
//! them, through the public interface alone. The published losses have tests of their own.
#![allow(
    clippy::disallowed_methods,
    reason = "expected values come from the standard library's maths, not from the libm under test"
)]

mod calls;
mod edges;
mod functions;
mod operators;
mod statistics;

use guest_sdk::{Dual, Gradients, Pairs, Var, evaluate_batch, evaluate_pairs};

/// Pairs whose chosen log-probs are `chosen` and whose rejected ones are `rejected`; all else is 0 or 1.
fn pairs(chosen: &[f64], rejected: &[f64]) -> Pairs {
    Pairs {
        policy_chosen_logps: chosen.to_vec(),
        policy_rejected_logps: rejected.to_vec(),
        reference_chosen_logps: vec![0.0; chosen.len()],
        reference_rejected_logps: vec![0.0; chosen.len()],
        chosen_tokens: vec![1; chosen.len()],
        rejected_tokens: vec![1; chosen.len()],
    }
}

/// f(x, y) of `Dual`s with both partial derivatives.
fn by_dual(x: f64, y: f64, f: impl Fn(Dual, Dual) -> Dual) -> [f64; 3] {
    let found =
        evaluate_pairs(&pairs(&[x], &[y]), |pair| f(pair.policy_chosen, pair.policy_rejected));
    only_row(found)
}

/// f(x, y) of `Var`s with both partial derivatives.
fn by_var(x: f64, y: f64, f: impl for<'t> Fn(Var<'t>, Var<'t>) -> Var<'t>) -> [f64; 3] {
    let found = evaluate_batch(&pairs(&[x], &[y]), |batch| {
        batch.map(|pair| f(pair.policy_chosen, pair.policy_rejected))
    });
    only_row(found)
}

fn only_row(found: Result<Gradients, String>) -> [f64; 3] {
    let found = found.expect("one well-formed pair");
    [found.losses[0], found.policy_chosen[0], found.policy_rejected[0]]
}
