//! Confinement as an embedder meets it: candidates side by side, output without end, a machine that lacks a layer.
//!
//! What a confined process can still reach is tried from within one, in the crate's own tests.

use std::collections::HashSet;
use std::thread;

use sandbox::confine::{Layer, layers};
use sandbox::{Source, Stage, source};

use crate::support::{one_pair, pair_loss, sandbox, validate, verdict};

/// Two at a time, all by one name and one description: only what they compute tells them apart.
#[test]
fn candidates_compiled_at_the_same_time_get_their_own_components() {
    let weights: Vec<u32> = (1..=8).collect();
    let losses = |weights: &[u32]| -> Vec<f64> { weights.iter().map(|&w| loss_at_0(w)).collect() };
    let (odd, even): (Vec<u32>, Vec<u32>) = weights.iter().partition(|&&w| w % 2 == 1);
    let (of_odd, of_even) = thread::scope(|scope| {
        let beside = scope.spawn(|| losses(&even));
        (losses(&odd), beside.join().unwrap())
    });
    // The negative log-sigmoid of no margin at all is ln 2.
    for (weights, losses) in [(odd, of_odd), (even, of_even)] {
        let expected: Vec<f64> =
            weights.iter().map(|&weight| f64::from(weight) * std::f64::consts::LN_2).collect();
        assert_eq!(losses, expected);
    }
}

/// A candidate that differs from the others in a number, through all gates, and its loss at a margin of 0.
fn loss_at_0(weight: u32) -> f64 {
    let body = format!("-{weight}.0 * (hp.beta * pair.logratio_margin()).log_sigmoid()");
    let plugin = validate(&pair_loss(&body)).unwrap();
    let mut guest = verdict(sandbox().start(&plugin, Stage::Train)).unwrap();
    verdict(guest.evaluate(&one_pair(), &[0.1])).unwrap().losses[0]
}

/// Three hundred errors are more than anybody reads.
#[test]
fn output_without_end_becomes_a_short_rejection() {
    let unknown = "unknown_".repeat(12);
    let body: String = (0..300).map(|number| format!("let _ = {unknown}{number};\n")).collect();
    let text = source::audit(Source::one_file(&pair_loss(&body))).unwrap();
    let rejection = verdict(sandbox().compile(&text)).unwrap_err();
    assert_eq!(rejection.rule, "compile/rustc");
    assert!(rejection.message.len() < 8_000, "{}", rejection.message.len());
    assert!(rejection.span.is_some());
}

#[test]
fn layers_have_names_and_risks_of_their_own() {
    let found = layers();
    assert_eq!(found.len(), Layer::ALL.len());
    let names: HashSet<&str> = found.iter().map(|status| status.layer.name()).collect();
    let risks: HashSet<&str> = found.iter().map(|status| status.layer.risk()).collect();
    assert_eq!((names.len(), risks.len()), (found.len(), found.len()));
}
