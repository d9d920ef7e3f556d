//! The one function: what happens to every candidate, baseline or proposal.

use trainer::Fitness;

use crate::bench::{Bench, Setback};
use crate::stages::Stages;

/// Takes a candidate from its source to its fitness. Each step is in the archive before the next one starts.
pub(crate) fn judge<S: Stages>(bench: &Bench<'_, S>) -> Result<Fitness, Setback> {
    let source = bench.audit_source()?;
    let component = bench.compile(&source)?;
    let component = bench.audit_component(component)?;
    let loss = bench.probe(component)?;
    let trained = bench.train(loss)?;
    Ok(bench.evaluate(&trained))
}
