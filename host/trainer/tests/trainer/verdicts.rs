//! What a run says of the pair that a loss fails on, and of rows that it leaves out.

use std::ops::ControlFlow;

use crate::finetuning::{Place, failing, job, on};
use crate::support::pairs;
use trainer::TrainFailure;
use trainer::finetune::{Settings, run};

/// A run of a loss that fails after `n_good` calls is ended with all of this.
#[track_caller]
fn check_said(place: &Place, settings: Settings, n_good: usize, parts: [&str; 3]) {
    let settings = Settings { no_shuffle: true, run: place.path("run"), ..settings };
    match run(&job(settings), &mut failing(n_good, false), &mut |_| ControlFlow::Continue(())) {
        Err(TrainFailure::Rejected(rejected)) => {
            let said = rejected.message;
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
            assert!(said.ends_with(parts[2]), "{said}");
        }
        other => panic!("must fail: {other:?}"),
    }
}

/// The second call is for the second pair of the first step.
#[test]
fn a_pair_is_counted_in_the_whole_step_and_named_by_its_line() {
    let place = Place::with(&pairs("llama"));
    let parts = Settings {
        pass_pairs: Some(1),
        eval_data: None,
        eval_every: 0,
        ..place.settings("llama", "run")
    };
    let said = ["of pair 1 (chosen: ", "became NaN at training step 1; ", "pairs.jsonl: line 2"];
    check_said(&place, parts.clone(), 1, said);
    // Of four pairs, the second step has the last one.
    let place = Place::with(&pairs("llama"));
    let parts = Settings { data: place.path("pairs.jsonl"), ..parts };
    let said = ["of pair 0 (chosen: ", "became NaN at training step 2; ", "pairs.jsonl: line 4"];
    check_said(&place, parts, 3, said);
}

/// The second call is for the first held-out pairs, the third for the others.
#[test]
fn a_failure_in_an_evaluation_is_not_called_a_step() {
    let place = Place::with(&pairs("llama"));
    let settings = Settings { eval_every: 1, ..place.settings("llama", "run") };
    let said = ["of pair 0 (", "NaN in the evaluation after step 1; ", "pairs.jsonl: line 1"];
    check_said(&place, settings.clone(), 1, said);
    let place = Place::with(&pairs("llama"));
    let eval_data = Some(place.path("pairs.jsonl"));
    let settings = Settings { data: place.path("pairs.jsonl"), eval_data, ..settings };
    let said = ["of pair 0 (", "NaN in the evaluation after step 1; ", "pairs.jsonl: line 4"];
    check_said(&place, settings, 2, said);
}

#[test]
fn bad_rows_of_held_out_data_are_counted() {
    let place = Place::with(&pairs("llama"));
    let mut held_out = std::fs::read(place.path("pairs.jsonl")).expect("pairs");
    held_out.extend(b"{}\n");
    std::fs::write(place.path("held_out.jsonl"), &held_out).expect("written");
    let finished = on(&job(Settings {
        eval_data: Some(place.path("held_out.jsonl")),
        skip_bad_rows: true,
        ..place.settings("llama", "run")
    }));
    let tally = finished.held_out.expect("an evaluation");
    assert_eq!((tally.rows, tally.pairs, tally.bad), (tally.pairs + 1, tally.pairs, 1));
    assert!(tally.pairs > 0 && tally.first_messages.len() == 1, "{tally:?}");
}
