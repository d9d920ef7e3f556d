//! From the contract's lists to an author's function and back: what `pair_loss!` and `batch_loss!` call.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::var::Tape;
use crate::{Batch, Dual, Gradients, Pair, Pairs, Var};

/// Losses and gradients of a loss that looks at one pair at a time.
///
/// Fails if the lists of `pairs` differ in length.
pub fn evaluate_pairs(pairs: &Pairs, loss: impl Fn(&Pair) -> Dual) -> Result<Gradients, String> {
    pairs.check_lengths()?;
    let mut gradients = with_capacity(pairs.len());
    for row in 0..pairs.len() {
        let pair = Pair::of_row(pairs, row, Dual::chosen, Dual::rejected);
        let (value, [chosen, rejected]) = loss(&pair).into_parts();
        gradients.losses.push(value);
        gradients.policy_chosen.push(chosen);
        gradients.policy_rejected.push(rejected);
    }
    Ok(gradients)
}

/// Losses of a loss that looks at the whole batch, and the gradients of their sum.
///
/// Fails if the lists of `pairs` differ in length, or if `losses` does not give one loss per pair.
pub fn evaluate_batch(
    pairs: &Pairs,
    losses: impl for<'t> Fn(&Batch<'t>) -> Vec<Var<'t>>,
) -> Result<Gradients, String> {
    pairs.check_lengths()?;
    let tape = Tape::new();
    let outputs = losses(&Batch::new(pairs, &tape));
    if outputs.len() != pairs.len() {
        return Err(format!("expected {} losses, got {}", pairs.len(), outputs.len()));
    }
    let derivatives = tape.gradient(&outputs);
    let mut gradients = with_capacity(pairs.len());
    for (output, inputs) in outputs.iter().zip(derivatives.chunks_exact(2)) {
        gradients.losses.push(output.into_value());
        gradients.policy_chosen.push(inputs[0]);
        gradients.policy_rejected.push(inputs[1]);
    }
    Ok(gradients)
}

fn with_capacity(n_pairs: usize) -> Gradients {
    Gradients {
        losses: Vec::with_capacity(n_pairs),
        policy_chosen: Vec::with_capacity(n_pairs),
        policy_rejected: Vec::with_capacity(n_pairs),
    }
}
