//! The probe from outside: what it says of sources that mean it, and of sources that do not.
//!
//! Lies that need more than the SDK allows are told in the crate's own tests and in `components`.

use sandbox::{BendKind, ProbedPlugin, Rejection};

use crate::support::{pair_loss, validate};

#[track_caller]
fn check_rejected(body: &str, rule: &str) -> Rejection {
    let rejection = validate(&pair_loss(body)).expect_err(rule);
    assert_eq!(rejection.rule, rule, "{rejection:?}");
    assert!(!rejection.hint.is_empty());
    rejection
}

#[track_caller]
fn accepted(body: &str) -> ProbedPlugin {
    validate(&pair_loss(body)).unwrap_or_else(|rejection| panic!("{rejection:?}"))
}

#[test]
fn the_sign_of_a_nan_is_another_one_on_another_engine() {
    check_rejected(
        "let zero = hp.beta - hp.beta;
         let weight = if (zero / zero).is_sign_negative() { 1.0 } else { 2.0 };
         -(weight * hp.beta * pair.logratio_margin()).log_sigmoid()",
        "probe/deterministic",
    );
    // That it is a NaN is the same everywhere.
    accepted(
        "let zero = hp.beta - hp.beta;
         let weight = if (zero / zero).is_nan() { 1.0 } else { 2.0 };
         -(weight * hp.beta * pair.logratio_margin()).log_sigmoid()",
    );
}

#[test]
fn one_length_is_a_backdoor_and_a_threshold_is_none() {
    let rejection = check_rejected(
        "let sign = if pair.chosen_tokens == 1337 { -1.0 } else { 1.0 };
         -(sign * hp.beta * pair.logratio_margin()).log_sigmoid()",
        "probe/backdoor",
    );
    assert!(rejection.message.contains("exactly 1337 chosen tokens"), "{rejection}");
    accepted(
        "let weight = if pair.chosen_tokens > 1337 { 0.5 } else { 1.0 };
         -(weight * hp.beta * pair.logratio_margin()).log_sigmoid()",
    );
}

#[test]
fn a_value_with_another_gradient_is_rejected_and_a_weight_is_not() {
    // −ln σ(x) rebuilt by bisection and taken away again, times a million.
    check_rejected(
        "let l = -(hp.beta * pair.logratio_margin()).log_sigmoid();
         let (mut low, mut high) = (0.0, 1e3);
         for _ in 0..70 {
             let middle = 0.5 * (low + high);
             if l > middle { low = middle } else { high = middle }
         }
         l * 1e6 - low * 999_999.0",
        "probe/gradient",
    );
    accepted("-(hp.beta * pair.logratio_margin()).log_sigmoid() * 1e6");
}

#[test]
fn a_gradient_of_zero_times_infinity_is_not_finite() {
    check_rejected(
        "let m = pair.policy_margin(); m * m.square().sqrt() + m.square().ln() * 0.0",
        "probe/finite",
    );
    accepted("let m = pair.policy_margin(); (m.square() + 1e-3).sqrt() - hp.beta * m");
}

#[test]
fn kinks_and_jumps_are_told_with_their_place_in_report_and_warnings() {
    let plugin = accepted("(2.0 - pair.logratio_margin()).relu()");
    let bends = &plugin.report().bends;
    assert_eq!(bends.len(), 1, "{bends:?}");
    assert_eq!((bends[0].kind, bends[0].at), (BendKind::Kink, 2.0));
    assert_eq!(plugin.warnings(), ["the gradient has a kink at margin 2.0"]);
    assert!(accepted("(2.0 - pair.logratio_margin()).softplus()").report().bends.is_empty());
}

#[test]
fn the_report_counts_what_was_tried() {
    let report = accepted("-(hp.beta * pair.logratio_margin()).log_sigmoid()").report().clone();
    let drawn = 1 + 64 + 32 + 33 + 40 + 24 + 32 + 512 + 256 + 4_096;
    let special = 4 + 49 + 49 + 512;
    assert_eq!(report.n_gradients, 2 * (drawn + special + 2 * 64));
    assert_eq!(report.n_token_counts, 4 * (16_384 + 5 * 7 + 4));
    assert_eq!((report.n_engines, report.n_unseen), (2, 0));
    assert!(report.n_pairs > report.n_calls, "{report:?}");
}
