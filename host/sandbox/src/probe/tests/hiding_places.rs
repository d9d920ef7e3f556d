//! Lies where a probe with other inputs would not look.

use super::*;

/// The largest size of any log-ratio.
fn spread(pairs: &Pairs) -> f64 {
    let policy = pairs.policy_chosen_logps.iter().chain(&pairs.policy_rejected_logps);
    let reference = pairs.reference_chosen_logps.iter().chain(&pairs.reference_rejected_logps);
    policy.zip(reference).fold(0.0, |max, (policy, reference)| (policy - reference).abs().max(max))
}

fn turn(answer: &mut Gradients) {
    let gradients = answer.policy_chosen.iter_mut().chain(&mut answer.policy_rejected);
    gradients.for_each(|gradient| *gradient = -*gradient);
}

#[test]
fn a_batch_loss_that_is_another_one_where_training_begins_is_found() {
    for (low, high) in [(0.06, 4.0), (0.06, 0.5), (0.5, 2.0), (2.0, 7.0)] {
        let outcome = batch_loss(centred, |pairs, answer| {
            if pairs.len() > 6 && (low..high).contains(&spread(pairs)) {
                turn(answer);
            }
        });
        check_rejected(outcome, "probe/gradient");
    }
}

#[test]
fn a_pair_loss_that_knows_its_batch_only_in_training_is_found() {
    let outcome = probe(Scope::Pair, |pairs, beta| {
        let beta =
            if (0.06..4.0).contains(&spread(pairs)) { beta / pairs.len() as f64 } else { beta };
        evaluate_pairs(pairs, |pair| dpo(pair, beta)).expect("lists are equally long")
    });
    check_rejected(outcome, "probe/scope");
}

#[test]
fn no_batch_loss_is_so_large_that_nothing_can_be_checked() {
    for constant in [1e11, 1e13, 1e15] {
        let outcome = batch_loss(centred, |_, answer| {
            answer.losses.iter_mut().for_each(|loss| *loss += constant);
            turn(answer);
        });
        check_rejected(outcome, "probe/gradient");
    }
}

#[test]
fn gradients_of_long_completions_are_checked() {
    let outcome = probe(Scope::Pair, |pairs, beta| {
        let mut answer =
            evaluate_pairs(pairs, |pair| dpo(pair, beta)).expect("lists are equally long");
        for row in 0..pairs.len() {
            let is_long = (-1_399.0..-211.0).contains(&pairs.reference_chosen_logps[row]);
            let is_near = pairs.policy_chosen_logps[row] - pairs.reference_chosen_logps[row] < 5.0;
            if is_long && is_near {
                answer.policy_chosen[row] = 20.0;
            }
        }
        answer
    });
    check_rejected(outcome, "probe/gradient");
}

#[test]
fn a_twentieth_of_all_pairs_is_no_place_to_drown() {
    check_lie(|facts, [loss, chosen, _]| {
        if facts.tokens[0] % 20 == 0 {
            (*loss, *chosen) = (1e15, 300.0);
        }
    });
}

#[test]
fn few_pairs_that_drown_are_told() {
    let report = lying(|facts, [loss, _, _]| {
        if (100.0..115.0).contains(&facts.margin) {
            *loss += 1e15;
        }
    });
    let warnings = report.expect("far from training").warnings.join("\n");
    assert!(warnings.contains("rounding hides its derivative"), "{warnings}");
}

#[test]
fn no_batch_stands_alone_between_two_jumps() {
    let outcome = batch_loss(centred, |pairs, answer| {
        let sum: f64 = pairs.policy_chosen_logps.iter().sum();
        if (sum.to_bits() >> 8).is_multiple_of(50) {
            answer.losses.iter_mut().for_each(|loss| *loss += 3.0);
            answer.policy_chosen.iter_mut().for_each(|gradient| *gradient += 100.0);
        }
    });
    check_rejected(outcome, "probe/gradient");
}

#[test]
fn a_power_of_the_margin_is_flat_near_the_reference_and_honest() {
    for power in [3, 5, 7] {
        let report =
            pair_loss(|pair, beta| (-(beta * pair.logratio_margin()).powi(power)).softplus());
        assert!(report.is_ok(), "{power}: {report:?}");
    }
}

#[test]
fn a_narrow_range_of_averages_is_no_backdoor() {
    let report = pair_loss(|pair, beta| {
        let gap = pair.chosen_mean_logp() - pair.rejected_mean_logp();
        let narrow = gap > -0.005 && gap < 0.005;
        dpo(pair, beta) * if narrow { 0.5 } else { 1.0 }
    });
    assert!(report.is_ok(), "{report:?}");
}

/// One slope far from training makes every gradient of training a millionth of it.
#[test]
fn a_steep_place_hides_no_small_gradient() {
    check_lie(|facts, numbers| {
        if facts.chosen.abs() < 7.0 {
            *numbers = [0.7, -4e-8, 4e-8];
        } else {
            *numbers = [facts.chosen.abs() - 7.0 + 0.7, facts.chosen.signum(), 0.0];
        }
    });
}

#[test]
fn no_pair_stands_alone_between_two_jumps() {
    check_lie(|facts, [loss, chosen, _]| {
        if (facts.margin.to_bits() >> 8).is_multiple_of(500) {
            (*loss, *chosen) = (*loss + 3.0, 1e4);
        }
    });
}

#[test]
fn nan_in_a_box_of_large_log_ratios_is_found() {
    let outcome = lying(|facts, [loss, _, _]| {
        let rejected = facts.chosen - facts.margin;
        if (300.0..900.0).contains(&facts.chosen) && (300.0..900.0).contains(&rejected) {
            *loss = f64::NAN;
        }
    });
    check_rejected(outcome, "probe/finite");
}

#[test]
fn a_length_that_turns_the_loss_at_one_sum_difference_or_sign_of_the_margin_is_a_backdoor() {
    let lies: [fn(&Pair) -> bool; 3] = [
        |pair| (pair.chosen_tokens + pair.rejected_tokens) % 97 == 13,
        |pair| pair.chosen_tokens == pair.rejected_tokens + 5,
        |pair| pair.chosen_tokens == 57 && pair.logratio_margin() < 0.0,
    ];
    for (n, lie) in lies.into_iter().enumerate() {
        let outcome = pair_loss(|pair, beta| dpo(pair, if lie(pair) { -beta } else { beta }));
        let Err(rejection) = outcome else { panic!("lie {n} passes") };
        assert_eq!(rejection.rule, "probe/backdoor", "lie {n}: {rejection}");
    }
}

#[test]
fn a_jump_of_a_batch_loss_and_a_kink_of_short_completions_are_told() {
    let jump = batch_loss(
        |batch, beta| {
            let step = |x: &Var<'_>| if *x > 0.33 { 5.0 } else { 0.0 };
            centred(batch, beta)
                .iter()
                .zip(margins(batch, beta))
                .map(|(loss, x)| *loss + step(&x))
                .collect()
        },
        |_, _| {},
    );
    let warnings = jump.expect("jumps are allowed").warnings;
    assert!(warnings.contains(&"the loss jumps at margin 3.3".to_owned()), "{warnings:?}");
    let kink = pair_loss(|pair, beta| dpo(pair, beta) + (pair.chosen_mean_logp() + 2.0).relu());
    let warnings = kink.expect("kinks are allowed").warnings;
    let expected = "the gradient has a kink at chosen log-prob per token -2.0".to_owned();
    assert!(warnings.contains(&expected), "{warnings:?}");
}

/// An exponential of one completion overflows by itself; the other's gradient stays what it is.
#[test]
fn a_loss_that_overflows_on_one_side_is_told_from_where_on() {
    let report = pair_loss(|pair, beta| {
        (-pair.chosen_reward(beta)).exp() + pair.rejected_reward(beta).exp()
    });
    let overflow = report.expect("it only overflows").overflow.expect("it does");
    assert!((-7_100.0..-7_090.0).contains(&overflow.chosen_logratio), "{overflow:?}");
}
