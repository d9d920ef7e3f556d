//! Confinement as an embedder meets it: candidates side by side, output without end, a machine that lacks a layer.
//!
//! What a confined process can still reach is tried from within one, in the crate's own tests.

use std::collections::HashSet;
use std::thread;

use sandbox::confine::{Layer, layers};
use sandbox::{Source, source};

use crate::support::{pair_loss, sandbox, verdict};

/// Each has a name of its own in its metadata, and gets the component that says so.
#[test]
fn candidates_compiled_at_the_same_time_get_their_own_components() {
    let names: Vec<String> = (0..6)
        .map(|number| format!("side_by_side_{number}"))
        .collect();
    let plugins: Vec<_> = thread::scope(|scope| {
        let compile = |name: &str| {
            let text = pair_loss("-(hp.beta * pair.logratio_margin()).log_sigmoid()")
                .replace("name: \"candidate\"", &format!("name: {name:?}"));
            let audited = source::audit(Source::one_file("candidate", &text)).unwrap();
            let component = verdict(sandbox().compile(&audited)).unwrap();
            let audited = sandbox().audit(component).unwrap();
            verdict(sandbox().probe(audited)).unwrap()
        };
        let running: Vec<_> = names
            .iter()
            .map(|name| scope.spawn(move || compile(name)))
            .collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for (name, plugin) in names.iter().zip(&plugins) {
        assert_eq!(&plugin.metadata().name, name);
    }
}

/// Three hundred errors are more than anybody reads.
#[test]
fn output_without_end_becomes_a_short_rejection() {
    let unknown = "unknown_".repeat(12);
    let body: String = (0..300)
        .map(|number| format!("let _ = {unknown}{number};\n"))
        .collect();
    let text = source::audit(Source::one_file("candidate", &pair_loss(&body))).unwrap();
    let rejection = verdict(sandbox().compile(&text)).unwrap_err();
    assert_eq!(rejection.rule, "compile/rustc");
    assert!(
        rejection.message.len() < 8_000,
        "{}",
        rejection.message.len()
    );
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
