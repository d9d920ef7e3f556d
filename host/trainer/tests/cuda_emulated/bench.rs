//! What is measured on a card: all of it runs, and says what cuBLASLt did not do.

use std::collections::BTreeSet;
use std::sync::Arc;

use cuda_emulator::Emulator;
use trainer::bench::cuda::{Extent, measure};

use crate::device::{another, session};

#[test]
fn epilogues_that_are_refused_are_reported() {
    let Some(_session) = session("epilogues_that_are_refused_are_reported") else { return };
    let emulator = Emulator::install().expect("installed by the session");
    let card = another().expect("a second time");
    emulator.refuse_epilogues(true);
    let report = measure(&Arc::new(card), Extent::Tiny);
    emulator.refuse_epilogues(false);
    let report = report.expect("kernels do what is refused");
    let names: BTreeSet<&str> =
        report.refused_epilogues.iter().map(|refused| refused.epilogue).collect();
    assert_eq!(Vec::from_iter(names), ["BGRADB", "BIAS", "DGELU", "GELU_AUX_BIAS"]);
    let bf16 = report.refused_epilogues.iter().filter(|refused| refused.real == "bf16");
    assert!(bf16.clone().count() > 0, "steps are made in bf16");
    for refused in &report.refused_epilogues {
        assert_eq!(refused.reason, "cuBLASLt has no algorithm", "{refused:?}");
    }
    assert!(report.parity.iter().all(|parity| parity.good), "{:?}", report.parity);
    assert!(report.steps.iter().all(|step| step.figures.is_some()), "{:?}", report.steps);
}
