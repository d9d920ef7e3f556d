//! Components from elsewhere: whatever wrote them, the gates look at what they are and what they do.
//!
//! The plugins here implement the contract by hand, so that they can lie in ways in which the SDK's macros cannot.

use std::fs;
use std::process::{Command, Stdio};

use sandbox::limits::PAIRS_MAX;
use sandbox::{Failure, Fault, Options, Pairs, ProbedPlugin, Rejection, Sandbox, Stage};

use crate::support::{component, lying, one_pair, pair_loss, pairs, sandbox, validate, verdict};

fn load(root: &str) -> Result<ProbedPlugin, Rejection> {
    let folder = tempfile::tempdir().unwrap();
    verdict(sandbox().load(&component(folder.path(), root)))
}

#[track_caller]
fn check_rejected(items: &str, then: &str, rule: &str) -> Rejection {
    let rejection = load(&lying(items, then)).expect_err(rule);
    assert_eq!(rejection.rule, rule, "{rejection:?}");
    assert_eq!(rejection.stage, Stage::Probe);
    rejection
}

#[test]
fn the_honest_ones_pass() {
    let plugin = load(&lying("", "")).unwrap();
    assert_eq!(plugin.metadata().name, "candidate");
    assert!(plugin.warnings().is_empty(), "{:?}", plugin.warnings());
}

#[test]
fn lists_of_other_lengths_are_rejected_with_both_numbers() {
    let rejection =
        check_rejected("", "if pairs.len() == 64 { answer.losses.pop(); }", "run/lengths");
    let both = "expected 64 losses, got 63 (a call with 64 pairs of ";
    assert!(rejection.message.starts_with(both), "{rejection}");
    check_rejected("", "answer.policy_chosen.push(0.0);", "run/lengths");
    check_rejected("", "answer.policy_rejected.clear();", "run/lengths");
}

#[test]
fn gradients_that_are_not_the_losses_own_are_rejected() {
    check_rejected(
        "",
        "answer.policy_chosen.iter_mut().for_each(|g| *g *= 2.0);",
        "probe/gradient",
    );
    check_rejected(
        "",
        "answer.policy_rejected.iter_mut().for_each(|g| *g *= 1.001);",
        "probe/gradient",
    );
    check_rejected(
        "",
        "core::mem::swap(&mut answer.policy_chosen, &mut answer.policy_rejected);",
        "probe/gradient",
    );
    check_rejected("", "answer.losses.iter_mut().for_each(|l| *l = 0.0);", "probe/gradient");
}

#[test]
fn gradients_of_a_batch_are_checked_along_directions() {
    let batch =
        lying("", "answer.policy_chosen[0] += 1e-3;").replace("Scope::Pair", "Scope::Batch");
    assert_eq!(load(&batch).expect_err("wrong by a little").rule, "probe/gradient");
    let honest = lying("", "").replace("Scope::Pair", "Scope::Batch");
    assert!(load(&honest).is_ok());
}

#[test]
fn nan_in_a_gradient_is_found() {
    check_rejected(
        "",
        "if pairs.len() == 4096 { answer.policy_chosen[777] = f64::NAN; }",
        "probe/finite",
    );
}

#[test]
fn rows_that_see_other_rows_are_not_of_scope_pair() {
    let then = "let weight = 1.0 + pairs.policy_chosen_logps[0].abs() * 1e-9; \
                for list in [&mut answer.losses, &mut answer.policy_chosen, &mut answer.policy_rejected] { \
                    list.iter_mut().for_each(|value| *value *= weight); }";
    check_rejected("", then, "probe/scope");
}

/// A counter in a static grows with every call of an instance; every call has an instance of its own.
#[test]
fn nothing_is_remembered_between_calls() {
    let items = "use core::sync::atomic::{AtomicU32, Ordering}; static CALLS: AtomicU32 = AtomicU32::new(0);";
    let then = "let calls = f64::from(CALLS.fetch_add(1, Ordering::Relaxed)); \
                answer.losses.iter_mut().for_each(|loss| *loss += calls);";
    let plugin = load(&lying(items, then)).unwrap();
    let mut guest = verdict(sandbox().start(&plugin, Stage::Train)).unwrap();
    let pairs = one_pair();
    let first = verdict(guest.evaluate(&pairs, &[0.1])).unwrap();
    for _ in 0..3 {
        assert_eq!(verdict(guest.evaluate(&pairs, &[0.1])).unwrap(), first);
    }
    // ln 2, with no call before this one.
    assert!((first.losses[0] - core::f64::consts::LN_2).abs() < 1e-15);
}

#[test]
fn errors_on_good_calls_are_rejected_in_words_that_can_be_printed() {
    let rejection = check_rejected("", "return Err(\"\\u{1b}[2J no\".into());", "run/error");
    assert!(rejection.message.contains("no") && !rejection.message.contains('\u{1b}'));
}

#[test]
fn memory_stack_and_answers_without_end_are_traps() {
    let grow = "let mut hoard = Vec::new(); loop { hoard.push(Vec::<f64>::with_capacity(1 << 17)); if hoard.len() == 0 { break; } }";
    check_rejected("", grow, "run/trap");
    let items = "#[inline(never)] fn deep(n: u64) -> f64 { let a = [n as f64; 32]; \
                 let b = if n == 0 { 0.0 } else { deep(n + 1) }; core::hint::black_box(&a)[3] + b }";
    check_rejected(items, "answer.losses[0] += deep(1);", "run/trap");
    check_rejected(
        "",
        "if pairs.len() == 4096 { answer.losses = vec![0.0; 300_000]; }",
        "run/trap",
    );
}

#[test]
fn descriptions_without_sense_are_rejected() {
    let described =
        |from: &str, to: &str| load(&lying("", "").replace(from, to)).expect_err(to).rule;
    assert_eq!(described("default: 0.1", "default: 11.0"), "probe/metadata");
    assert_eq!(described("maximum: 10.0", "maximum: f64::INFINITY"), "probe/metadata");
    assert_eq!(described("\"candidate\".into()", "\"../x\".into()"), "probe/metadata");
    assert_eq!(described("\"candidate\".into()", "\"a\".repeat(100_000)"), "probe/metadata");
    assert_eq!(described("name: \"beta\".into()", "name: \"\\u{1b}\".into()"), "probe/metadata");
    for n_more in [32, 1_000] {
        let more = format!(
            "].into_iter().chain((0..{n_more}).map(|n| Hyperparameter {{ \
             name: alloc::format!(\"beta{{n}}\"), default: 0.1, minimum: 0.0, maximum: 1.0 }})).collect(),"
        );
        let many = lying("", "").replace("                    ],\n", &more);
        assert_eq!(load(&many).expect_err("too many").rule, "probe/metadata");
    }
}

#[test]
fn what_goes_wrong_in_training_is_a_matter_of_training() {
    let plugin = load(&lying("", "if pairs.len() == 5003 { answer.losses.pop(); }")).unwrap();
    let mut guest = verdict(sandbox().start(&plugin, Stage::Train)).unwrap();
    let mut pairs = one_pair();
    let rejection =
        |pairs: &Pairs, guest: &mut sandbox::Guest| verdict(guest.evaluate(pairs, &[0.1])).err();
    assert_eq!(rejection(&pairs, &mut guest), None);
    for list in [
        &mut pairs.policy_chosen_logps,
        &mut pairs.policy_rejected_logps,
        &mut pairs.reference_chosen_logps,
        &mut pairs.reference_rejected_logps,
    ] {
        list.resize(5_003, -10.0);
    }
    pairs.chosen_tokens.resize(5_003, 5);
    pairs.rejected_tokens.resize(5_003, 5);
    let got = rejection(&pairs, &mut guest)
        .expect("a loss too few, in a batch of a size that no probe has");
    assert_eq!((got.stage, got.rule.as_str()), (Stage::Train, "run/lengths"));
    // The guest lives on: one bad call costs one call.
    assert_eq!(rejection(&one_pair(), &mut guest), None);
}

#[test]
fn a_call_that_is_not_well_formed_is_our_fault() {
    let plugin = validate(&pair_loss("-(hp.beta * pair.logratio_margin()).log_sigmoid()")).unwrap();
    let mut guest = verdict(sandbox().start(&plugin, Stage::Train)).unwrap();
    let mut short = one_pair();
    short.chosen_tokens.clear();
    for outcome in [
        guest.evaluate(&short, &[0.1]),
        guest.evaluate(&one_pair(), &[0.1, 0.2]),
        guest.evaluate(&pairs(PAIRS_MAX + 1), &[0.1]),
    ] {
        assert!(matches!(outcome, Err(Failure::Fault(Fault::Call(_)))), "{outcome:?}");
    }
    let most = verdict(guest.evaluate(&pairs(PAIRS_MAX), &[0.1])).unwrap();
    assert_eq!(most.losses.len(), PAIRS_MAX);
}

#[test]
fn a_program_that_is_no_child_of_the_sandbox_is_our_fault() {
    let cache = tempfile::tempdir().unwrap();
    assert!(matches!(
        Sandbox::open(Options::new(cache.path(), "/bin/true")),
        Err(Fault::NotAChild(_))
    ));
}

/// When its host dies, a child reads the end of its pipe and has nothing left to do.
#[test]
fn a_child_ends_with_the_pipe_that_it_reads_from() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lossbox-sandbox-child"))
        .arg("__lossbox-guest")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn bytes_that_are_no_component_of_ours_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    for (bytes, rule) in [
        (b"hello".to_vec(), "component/valid"),
        (wat::parse_str("(module)").unwrap(), "component/valid"),
        (wat::parse_str("(component)").unwrap(), "component/world"),
        (wat::parse_str(r#"(component (import "a" (func)))"#).unwrap(), "component/no-imports"),
    ] {
        let path = folder.path().join("dropped.wasm");
        fs::write(&path, bytes).unwrap();
        assert_eq!(verdict(sandbox().load(&path)).expect_err(rule).rule, rule);
    }
}

#[test]
fn an_interface_of_other_types_is_not_the_world() {
    let text = r#"(component
        (core module $m (func (export "evaluate") (result i32) (i32.const 7)))
        (core instance $i (instantiate $m))
        (func $f (result u32) (canon lift (core func $i "evaluate")))
        (instance $loss (export "evaluate" (func $f)))
        (export "lossbox:preference/loss@0.1.0" (instance $loss)))"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.wasm");
    fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    assert_eq!(verdict(sandbox().load(&path)).expect_err("other types").rule, "component/world");
}
