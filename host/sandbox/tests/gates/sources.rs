//! One-file losses: rejected early, by the rule that says best what is wrong.

use sandbox::{Rejection, Source, Stage, source};

use crate::support::{BODY_LINE, pair_loss, sandbox, validate, verdict};

/// The loss with this body is rejected at this stage by this rule.
#[track_caller]
fn check_rejected(body: &str, stage: Stage, rule: &str) -> Rejection {
    let rejection = validate(&pair_loss(body)).expect_err(body);
    assert_eq!((rejection.stage, rejection.rule.as_str()), (stage, rule), "{rejection:?}");
    rejection
}

#[test]
fn files_and_environment_are_out_of_reach() {
    for (call, rule) in [
        (r#"include_str!("/etc/hostname")"#, "source/no-include"),
        (r#"core::r#include_str!("/etc/hostname")"#, "source/no-include"),
        (r#"vec![include_bytes!("/dev/zero")]"#, "source/no-include"),
        (r#"env!("HOME")"#, "source/no-env"),
        ("file!()", "source/macros"),
    ] {
        check_rejected(
            &format!("let _ = {call}; hp.beta * pair.logratio_margin()"),
            Stage::Source,
            rule,
        );
    }
}

#[test]
fn unsafe_code_is_rejected_with_its_place() {
    let rejection = check_rejected(
        "unsafe { hp.beta * pair.logratio_margin() }",
        Stage::Source,
        "source/no-unsafe",
    );
    assert_eq!(rejection.span.map(|span| (span.line, span.column)), Some((BODY_LINE, 5)));
}

#[test]
fn compiler_errors_come_with_the_authors_line() {
    let rejection =
        check_rejected("hp.gamma * pair.logratio_margin()", Stage::Compile, "compile/rustc");
    assert_eq!(rejection.span.map(|span| span.line), Some(BODY_LINE));
    assert!(rejection.message.contains("no field `gamma`"), "{}", rejection.message);
    assert!(!rejection.message.contains("/tmp"), "{}", rejection.message);
}

#[test]
fn a_bare_value_is_no_loss() {
    let rejection = check_rejected("hp.beta", Stage::Compile, "compile/rustc");
    assert!(rejection.message.contains("expected `Dual`, found `f64`"), "{}", rejection.message);
}

#[test]
fn numbers_that_are_not_finite_are_rejected() {
    let rejection = check_rejected(
        "(hp.beta * pair.logratio_margin() - 1.0).ln()",
        Stage::Probe,
        "probe/finite",
    );
    assert!(rejection.message.contains("NaN"), "{}", rejection.message);
    check_rejected("(-pair.logratio_margin()).exp()", Stage::Probe, "probe/finite");
}

#[test]
fn overflow_beyond_a_thousand_nats_is_a_warning_and_says_from_where_on() {
    // The logarithm of the largest double is 709.783, which is 0.1 times a margin of 7,097.83.
    let plugin = validate(&pair_loss("(-hp.beta * pair.logratio_margin()).exp()")).unwrap();
    assert!(
        plugin.warnings().iter().any(|warning| warning.contains("margin -7097.8")),
        "{:?}",
        plugin.warnings()
    );
}

#[test]
fn work_without_end_runs_out_of_fuel() {
    check_rejected(
        "let mut x = hp.beta * pair.logratio_margin(); loop { x = x * 1.01; if x > 2.0 && x < 1.0 { break; } } x",
        Stage::Probe,
        "run/fuel",
    );
    check_rejected(
        "let n = pair.chosen_tokens; let mut x = pair.logratio_margin(); \
         for i in 0..n { for j in 0..n { x = x * (1.0 + 1e-12 * f64::from(i ^ j)); } } x",
        Stage::Probe,
        "run/fuel",
    );
}

#[test]
fn a_panic_is_a_trap() {
    for body in [
        "let n = [1.0, 2.0]; n[pair.chosen_tokens as usize] * pair.logratio_margin()",
        "assert!(pair.chosen_tokens < 2); pair.logratio_margin()",
        "let r = 7 / (pair.chosen_tokens / 100); f64::from(r) * pair.logratio_margin()",
    ] {
        check_rejected(body, Stage::Probe, "run/trap");
    }
}

#[test]
fn what_is_odd_is_said_and_passes() {
    for (body, warning) in [
        ("0.0 * pair.logratio_margin()", "does not depend on the policy"),
        ("hp.beta * pair.logratio_margin()", "wrong way"),
        ("-hp.beta * pair.logratio_margin()", "no lower bound"),
        ("(hp.beta * pair.logratio_margin()).relu()", "kink"),
    ] {
        let plugin = validate(&pair_loss(body)).expect(body);
        assert!(
            plugin.warnings().iter().any(|text| text.contains(warning)),
            "{body}: {:?}",
            plugin.warnings()
        );
    }
}

#[test]
fn names_that_contain_hostile_words_are_fine() {
    let body = "let unsafe_include_str_env = hp.beta * pair.logratio_margin(); -unsafe_include_str_env.log_sigmoid()";
    assert!(validate(&pair_loss(body)).is_ok());
}

/// The longest chains that the source gate lets pass, of the kinds that cost a compiler the most stack.
#[test]
fn the_compiler_survives_every_chain_that_the_source_gate_lets_pass() {
    for (before, after) in [
        ("return ", ""),
        ("return - ", ""),
        ("|y| ", ""),
        ("match ", "{ y => y } "),
        ("if let _ = ", "{ 1.0 } else { 2.0 } "),
    ] {
        let chain = |n_links: usize| {
            let (before, after) = (before.repeat(n_links), after.repeat(n_links));
            let body = format!("let _ = {before} x {after}; pair.policy_chosen");
            source::audit(Source::one_file(&pair_loss(&body)))
        };
        let longest = (1..600).rev().find_map(|n_links| match chain(n_links) {
            Ok(audited) => Some((n_links, audited)),
            Err(rejection) => {
                assert_eq!(rejection.rule, "source/nesting", "{before}: {rejection:?}");
                None
            }
        });
        let (n_links, audited) = longest.expect("a short one passes");
        assert!(n_links > 40, "{before}: {n_links}");
        // There is no x, so the compiler has something to say, and lives to say it.
        let rejection = verdict(sandbox().compile(&audited)).expect_err(before);
        assert_eq!(rejection.rule, "compile/rustc", "{before}: {rejection:?}");
    }
}
