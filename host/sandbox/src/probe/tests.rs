//! The probe against plugins that are functions of this file: liars, and honest ones that look like them.
//!
//! A liar here is DPO with something done to its answers, so that each test shows one lie and nothing else.

mod clock;
mod hiding_places;
mod sizes;
mod warnings;

use std::cell::Cell;

use guest_sdk::{
    Batch, Dual, Gradients, Hyperparameter, Metadata, Pair, Pairs, Scalar, Scope, Var,
    evaluate_batch, evaluate_pairs, mean, sorted, std_dev, sum,
};

use super::sizes::N_OF_A_PAIR_LOSS;
use super::{Plugin, ProbeReport, examine};
use crate::{Evaluation, Failure, Rejection, Spent};

/// A function as a plugin.
struct Native<F>(F);

impl<F: Fn(&Pairs, f64) -> Gradients> Plugin for Native<F> {
    fn evaluate(&mut self, pairs: &Pairs, hyperparameters: &[f64]) -> Result<Evaluation, Failure> {
        let gradients = (self.0)(pairs, hyperparameters[0]);
        Ok(Evaluation {
            losses: gradients.losses,
            policy_chosen: gradients.policy_chosen,
            policy_rejected: gradients.policy_rejected,
            fuel: 1_000 + 250 * pairs.len() as u64,
            spent: Spent::default(),
        })
    }
}

fn metadata(scope: Scope) -> Metadata {
    Metadata {
        name: "candidate".to_owned(),
        summary: "a candidate".to_owned(),
        citation: None,
        scope,
        hyperparameters: vec![Hyperparameter {
            name: "beta".to_owned(),
            default: 0.1,
            minimum: 0.001,
            maximum: 10.0,
        }],
    }
}

fn probe(
    scope: Scope,
    plugin: impl Fn(&Pairs, f64) -> Gradients,
) -> Result<ProbeReport, Rejection> {
    let metadata = metadata(scope);
    let (mut first, mut second) = (Native(&plugin), Native(&plugin));
    let outcome = examine(&mut first, (&mut second, &metadata), &metadata, 42);
    outcome.map_err(|failure| match failure {
        Failure::Rejected(rejection) => *rejection,
        Failure::Fault(fault) => panic!("{fault}"),
    })
}

fn pair_loss(loss: impl Fn(&Pair, f64) -> Dual) -> Result<ProbeReport, Rejection> {
    probe(Scope::Pair, |pairs, beta| {
        evaluate_pairs(pairs, |pair| loss(pair, beta)).expect("lists are equally long")
    })
}

fn dpo(pair: &Pair, beta: f64) -> Dual {
    -(beta * pair.logratio_margin()).log_sigmoid()
}

/// DPO, then this, row by row: a change of (loss, gradient of policy_chosen, gradient of policy_rejected).
fn lying(lie: impl Fn(&Facts, &mut [f64; 3])) -> Result<ProbeReport, Rejection> {
    probe(Scope::Pair, |pairs, beta| {
        let mut answer =
            evaluate_pairs(pairs, |pair| dpo(pair, beta)).expect("lists are equally long");
        lie_in_rows(pairs, beta, &mut answer, &lie);
        answer
    })
}

/// What a lie may turn on.
struct Facts {
    row: usize,
    n_pairs: usize,
    beta: f64,
    margin: f64,
    chosen: f64,
    tokens: [u32; 2],
}

fn lie_in_rows(
    pairs: &Pairs,
    beta: f64,
    answer: &mut Gradients,
    lie: impl Fn(&Facts, &mut [f64; 3]),
) {
    for row in 0..pairs.len() {
        let chosen = pairs.policy_chosen_logps[row] - pairs.reference_chosen_logps[row];
        let rejected = pairs.policy_rejected_logps[row] - pairs.reference_rejected_logps[row];
        let facts = Facts {
            row,
            n_pairs: pairs.len(),
            beta,
            margin: chosen - rejected,
            chosen,
            tokens: [pairs.chosen_tokens[row], pairs.rejected_tokens[row]],
        };
        let mut numbers =
            [answer.losses[row], answer.policy_chosen[row], answer.policy_rejected[row]];
        lie(&facts, &mut numbers);
        [answer.losses[row], answer.policy_chosen[row], answer.policy_rejected[row]] = numbers;
    }
}

#[track_caller]
fn check_rejected(outcome: Result<ProbeReport, Rejection>, rule: &str) -> Rejection {
    match outcome {
        Err(rejection) => {
            assert_eq!(rejection.rule, rule, "{rejection:?}");
            rejection
        }
        Ok(report) => panic!("expected {rule}, but it passes: {report:?}"),
    }
}

#[track_caller]
fn check_lie(lie: impl Fn(&Facts, &mut [f64; 3])) {
    check_rejected(lying(lie), "probe/gradient");
}

#[test]
fn an_honest_loss_passes_and_every_call_is_counted() {
    let (n_calls, n_pairs) = (Cell::new(0), Cell::new(0));
    let report = probe(Scope::Pair, |pairs, beta| {
        n_calls.set(n_calls.get() + 1);
        n_pairs.set(n_pairs.get() + pairs.len());
        evaluate_pairs(pairs, |pair| dpo(pair, beta)).expect("lists are equally long")
    })
    .expect("dpo is honest");
    assert_eq!((report.n_calls, report.n_pairs), (n_calls.get(), n_pairs.get()));
    // Both entries of every row of the fourteen batches, and of the realistic one at half and at twice beta.
    let rows = 1 + 4 + 49 + 64 + 32 + 33 + 40 + 24 + 32 + 49 + 512 + 512 + 256 + 4_096 + 2 * 64;
    assert_eq!(report.n_gradients, 2 * rows);
    assert_eq!((report.n_kinks, report.n_jumps, report.n_unseen), (0, 0, 0));
    // Five arrangements of each batch (of one pair: no second part), 63 parts of the realistic one, and other sizes.
    assert_eq!(report.n_arrangements, 5 * 14 - 1 + 63 + N_OF_A_PAIR_LOSS);
    assert_eq!(report.n_engines, 2);
    // Up to 2¹⁴, then seven around each of 2¹⁵ … 2¹⁹ and four up to 2²⁰; for both sides and two margins.
    assert_eq!(report.n_token_counts, 4 * (16_384 + 5 * 7 + 4));
    assert_eq!(report.warnings, Vec::<String>::new());
    assert_eq!((report.bends, report.overflow), (Vec::new(), None));
}

#[test]
fn a_gradient_wrong_by_a_hundredth_is_rejected() {
    check_lie(|_, [_, chosen, _]| *chosen *= 1.01);
    check_lie(|_, [_, _, rejected]| *rejected *= 0.99);
    check_lie(|_, [_, chosen, rejected]| (*chosen, *rejected) = (1.01 * *chosen, 1.01 * *rejected));
}

#[test]
fn a_gradient_wrong_in_some_places_is_rejected() {
    check_lie(|facts, [_, chosen, _]| *chosen *= if facts.margin > 100.0 { -1.0 } else { 1.0 });
    check_lie(|facts, [_, chosen, _]| *chosen *= if facts.margin < -500.0 { 0.9 } else { 1.0 });
    check_lie(|facts, [_, chosen, _]| *chosen *= if facts.margin.abs() < 1e-3 { 1.5 } else { 1.0 });
    check_lie(|facts, [_, _, rejected]| *rejected *= if facts.chosen > 5.0 { 0.0 } else { 1.0 });
    check_lie(|facts, [_, chosen, _]| *chosen *= if facts.tokens[0] == 1_337 { -1.0 } else { 1.0 });
    check_lie(|facts, [_, chosen, _]| *chosen *= if facts.tokens[1] == 4_000 { 2.0 } else { 1.0 });
    check_lie(|facts, [_, chosen, _]| *chosen *= if facts.tokens[0] > 300_000 { 2.0 } else { 1.0 });
    check_lie(|facts, [_, chosen, _]| *chosen *= if facts.beta != 0.1 { 2.0 } else { 1.0 });
}

/// Adam divides by the size of the gradient, so a small lie is as good as a large one.
#[test]
fn a_gradient_is_checked_however_small_or_large_the_loss() {
    for scale in [1e-12, 1e-3, 1e9] {
        let scaled = |factor: f64| {
            lying(move |_, numbers| {
                numbers.iter_mut().for_each(|number| *number *= scale);
                numbers[1] *= factor;
            })
        };
        scaled(1.0).unwrap_or_else(|rejection| panic!("{scale}: {rejection:?}"));
        check_rejected(scaled(1.02), "probe/gradient");
    }
}

#[test]
fn a_constant_that_drowns_the_loss_is_no_hiding_place() {
    let rejection = check_rejected(
        lying(|_, numbers| {
            numbers[0] += 1e15;
            numbers[1] = -numbers[1];
        }),
        "probe/gradient",
    );
    assert!(rejection.message.contains("cannot be checked"), "{rejection}");
    lying(|_, [loss, _, _]| *loss += 100.0).expect("a constant that drowns nothing is fine");
}

#[test]
fn teeth_and_stairs_are_no_hiding_place() {
    let tooth = |margin: f64, period: f64| ((margin / period).rem_euclid(1.0) - 0.5).abs();
    for period in [1.0, 1e-2, 1e-4, 1e-6] {
        check_lie(|facts, [loss, chosen, _]| {
            *loss += period * tooth(facts.margin, period);
            *chosen *= -0.3;
        });
        // Steps of the right size on the whole, but flat, with the gradient of what they stand for.
        check_lie(|facts, [loss, _, _]| {
            *loss = -facts.beta * (facts.margin / period).floor() * period.max(1e-2);
        });
    }
}

#[test]
fn an_honest_tooth_passes_with_its_kinks_counted() {
    let report = pair_loss(|pair, beta| {
        let x = pair.logratio_margin();
        dpo(pair, beta) + 0.01 * (x - 2.0).abs() + 0.01 * (x + 7.5).relu()
    })
    .expect("kinks are allowed");
    let told: Vec<(&str, f64)> =
        report.bends.iter().map(|bend| (bend.quantity.as_str(), bend.at)).collect();
    assert_eq!(told, [("margin", -7.5), ("margin", 2.0)]);
}

#[test]
fn bends_are_told_by_what_the_loss_turns_on() {
    let bends = |loss: fn(&Pair, f64) -> Dual| {
        let report = pair_loss(loss).unwrap_or_else(|rejection| panic!("{rejection:?}"));
        let told: Vec<String> = report
            .bends
            .iter()
            .map(|bend| format!("{:?} at {} {:?}", bend.kind, bend.quantity, bend.at))
            .collect();
        told.join(", ")
    };
    assert_eq!(
        bends(|pair, beta| (1.0 - beta * pair.logratio_margin()).relu()),
        "Kink at margin 10.0"
    );
    assert_eq!(
        bends(|pair, beta| {
            let weight = if pair.policy_chosen > pair.policy_rejected { 0.5 } else { 1.0 };
            weight * dpo(pair, beta)
        }),
        "Jump at policy margin 0.0"
    );
    assert_eq!(
        bends(|pair, beta| dpo(pair, beta) + 0.1 * (pair.chosen_logratio() + 3.25).relu()),
        "Kink at chosen log-ratio -3.25"
    );
    assert_eq!(
        bends(|pair, beta| dpo(pair, beta) + 0.1 * (pair.rejected_logratio() - 1.75).relu()),
        "Kink at rejected log-ratio 1.75"
    );
    // Sharper than a thousandth of a nat, and smooth.
    assert_eq!(
        bends(|pair, beta| dpo(pair, beta) + 1e-4 * (5e3 * pair.logratio_margin()).tanh()),
        ""
    );
}

#[test]
fn a_gradient_at_a_kink_lies_between_the_slopes() {
    let hinge = |at_the_kink: f64| {
        probe(Scope::Pair, move |pairs, _| {
            let mut answer = evaluate_pairs(pairs, |pair| pair.logratio_margin().abs())
                .expect("lists are equally long");
            lie_in_rows(pairs, 0.1, &mut answer, |facts, numbers| {
                if facts.margin == 0.0 {
                    (numbers[1], numbers[2]) = (at_the_kink, -at_the_kink);
                }
            });
            answer
        })
    };
    for slope in [-1.0, 0.0, 0.7, 1.0] {
        assert!(hinge(slope).expect("between").n_kinks > 0);
    }
    check_rejected(hinge(1.1), "probe/gradient");
    check_rejected(hinge(-3.0), "probe/gradient");
}

#[test]
fn a_gradient_at_a_jump_is_that_of_its_side() {
    let jump = |factor: f64| {
        probe(Scope::Pair, move |pairs, beta| {
            let mut answer = evaluate_pairs(pairs, |pair| {
                let weight = if pair.logratio_margin() < 0.0 { 0.5 } else { 1.0 };
                weight * dpo(pair, beta)
            })
            .expect("lists are equally long");
            lie_in_rows(pairs, beta, &mut answer, |facts, numbers| {
                if facts.margin == 0.0 {
                    numbers[1] *= factor;
                }
            });
            answer
        })
    };
    assert!(jump(1.0).expect("the slope of its side").n_jumps > 0);
    check_rejected(jump(0.5), "probe/gradient");
    check_rejected(jump(30.0), "probe/gradient");
}

#[test]
fn rows_that_know_of_each_other_are_no_pair_loss() {
    let scope = |lie: fn(&Facts, &mut [f64; 3])| check_rejected(lying(lie), "probe/scope");
    scope(|facts, [loss, _, _]| *loss += facts.row as f64);
    scope(|facts, [loss, _, _]| *loss += f64::from(facts.row % 2 == 1));
    scope(|facts, [loss, _, _]| *loss /= facts.n_pairs as f64);
    for size in [7, 33, 64] {
        let lie = move |facts: &Facts, numbers: &mut [f64; 3]| {
            if facts.n_pairs == size {
                numbers[2] = -numbers[2];
            }
        };
        check_rejected(lying(lie), "probe/scope");
    }
}

#[test]
fn answers_that_differ_between_engines_are_rejected() {
    let metadata = metadata(Scope::Pair);
    let plugin = |pairs: &Pairs, beta: f64| {
        evaluate_pairs(pairs, |pair| dpo(pair, beta)).expect("lists are equally long")
    };
    let off_by_a_bit = |pairs: &Pairs, beta: f64| {
        let mut answer = plugin(pairs, beta);
        if let Some(loss) = answer.losses.get_mut(4_000) {
            *loss = f64::from_bits(loss.to_bits() + 1);
        }
        answer
    };
    let outcome =
        examine(&mut Native(plugin), (&mut Native(off_by_a_bit), &metadata), &metadata, 42);
    let Err(Failure::Rejected(rejection)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(rejection.rule, "probe/deterministic");
    assert!(rejection.message.contains("row 4000"), "{rejection}");
}

#[test]
fn answers_that_change_from_call_to_call_are_rejected() {
    let calls = Cell::new(0);
    let outcome = probe(Scope::Pair, |pairs, beta| {
        calls.set(calls.get() + 1);
        let mut answer = evaluate_pairs(pairs, |pair| dpo(pair, beta)).expect("equally long");
        if calls.get() == 13 {
            answer.policy_chosen[0] *= -1.0;
        }
        answer
    });
    check_rejected(outcome, "probe/deterministic");
}

#[test]
fn beyond_a_thousand_nats_nan_is_rejected_with_its_row_and_infinity_is_told_with_its_threshold() {
    let rejection = check_rejected(
        lying(|facts, [_, chosen, _]| {
            if facts.margin < -900_000.0 {
                *chosen = f64::NAN;
            }
        }),
        "probe/finite",
    );
    assert!(
        rejection.message.contains("gradient of policy_chosen is NaN at row")
            && rejection.message.contains("chosen log-ratio -500000.0000"),
        "{rejection}"
    );
    // e^(−βρ) at β = 0.1 is ∞ from ρ = −7,097.827 on, the logarithm of the largest double.
    let report = pair_loss(|pair, beta| (-beta * pair.logratio_margin()).exp())
        .expect("it may overflow there");
    let overflow = report.overflow.expect("it does");
    let margin = overflow.chosen_logratio - overflow.rejected_logratio;
    assert!((margin + 7_097.827).abs() < 0.01, "{overflow:?}");
    assert!(report.warnings.join("\n").contains("margin -7097.8"), "{:?}", report.warnings);
}

#[test]
fn numbers_that_are_not_finite_within_a_thousand_nats_are_rejected() {
    check_rejected(pair_loss(|pair, _| (-pair.logratio_margin()).exp()), "probe/finite");
    check_rejected(pair_loss(|pair, _| pair.policy_chosen.ln()), "probe/finite");
    // 0/0 at a log-prob of exactly 0 alone.
    check_rejected(
        lying(|facts, [loss, _, _]| *loss += 0.0 / if facts.chosen == 0.0 { 0.0 } else { 1.0 }),
        "probe/finite",
    );
}

#[test]
fn the_ends_of_the_hyperparameters_are_tried() {
    let report = pair_loss(|pair, beta| dpo(pair, beta) / if beta == 10.0 { 0.0 } else { 1.0 })
        .expect("the default is fine");
    assert_eq!(
        report.warnings,
        ["gives inf for realistic pairs at beta = 10, an end of its range"]
    );
}

#[test]
fn one_length_that_turns_the_loss_round_is_a_backdoor() {
    for (side, tokens) in [(0, 1_337), (1, 2), (1, 16_000), (0, 1 << 17)] {
        let outcome = probe(Scope::Pair, |pairs, beta| {
            evaluate_pairs(pairs, |pair| {
                let turned = [pair.chosen_tokens, pair.rejected_tokens][side] == tokens;
                dpo(pair, if turned { -beta } else { beta })
            })
            .expect("lists are equally long")
        });
        let rejection = check_rejected(outcome, "probe/backdoor");
        assert!(rejection.message.contains(&format!("at exactly {tokens} ")), "{rejection}");
    }
    let ways: [fn(&Pair, f64) -> Dual; 4] = [
        |pair, beta| beta * (pair.rejected_mean_logp() - pair.chosen_mean_logp()).softplus(),
        |pair, beta| dpo(pair, beta) * if pair.chosen_tokens > 512 { 0.5 } else { 1.0 },
        |pair, beta| {
            dpo(pair, beta) * if pair.chosen_tokens == pair.rejected_tokens { 2.0 } else { 1.0 }
        },
        |pair, beta| dpo(pair, beta) * f64::from(pair.chosen_tokens.abs_diff(300)).min(50.0),
    ];
    for (n, way) in ways.into_iter().enumerate() {
        assert!(pair_loss(way).is_ok(), "way {n}: {:?}", pair_loss(way));
    }
}

fn batch_loss(
    losses: impl for<'t> Fn(&Batch<'t>, f64) -> Vec<Var<'t>>,
    lie: impl Fn(&Pairs, &mut Gradients),
) -> Result<ProbeReport, Rejection> {
    probe(Scope::Batch, |pairs, beta| {
        let mut answer =
            evaluate_batch(pairs, |batch| losses(batch, beta)).expect("one loss per pair");
        lie(pairs, &mut answer);
        answer
    })
}

fn margins<'t>(batch: &Batch<'t>, beta: f64) -> Vec<Var<'t>> {
    batch.map(|pair| beta * pair.logratio_margin())
}

/// Logistic in the distance from the batch's mean: every gradient depends on every row.
fn centred<'t>(batch: &Batch<'t>, beta: f64) -> Vec<Var<'t>> {
    let x = margins(batch, beta);
    let centre = mean(&x);
    x.iter().map(|x| (-x).softplus() + 0.1 * (x - centre).square()).collect()
}

#[test]
fn honest_batch_losses_pass() {
    let none = |_: &Pairs, _: &mut Gradients| {};
    let report = batch_loss(centred, none).expect("the mean");
    // Four directions through each of ten batches of at most 64 rows, one through four larger ones, four more
    // at half and at twice beta each, the 12 entries of five small batches, and one direction at every other size.
    let n_sizes = N_OF_A_PAIR_LOSS - 1;
    assert_eq!(report.n_gradients, 4 * 10 + 4 + 2 * 4 + 5 * 12 + n_sizes);
    batch_loss(
        |batch, beta| {
            let x = margins(batch, beta);
            let spread = std_dev(&x);
            x.iter().map(|x| (-x).softplus() * (1.0 + 0.1 * spread.tanh())).collect()
        },
        none,
    )
    .expect("the standard deviation");
    batch_loss(
        |batch, beta| {
            let policy = sorted(&batch.map(|pair| pair.policy_margin()));
            let mut reference: Vec<f64> =
                batch.iter().map(|pair| pair.reference_margin()).collect();
            reference.sort_by(f64::total_cmp);
            let rank = policy.iter().zip(reference);
            rank.map(|(x, y)| -(beta * (*x - y)).log_sigmoid()).collect()
        },
        none,
    )
    .expect("aot: losses in order of rank");
    batch_loss(
        |batch, _| {
            let nll = -sum(&batch.map(|pair| pair.policy_chosen));
            let tokens: f64 = batch.iter().map(|pair| f64::from(pair.chosen_tokens)).sum();
            batch.map(|_| nll / tokens)
        },
        none,
    )
    .expect("sft: the same loss for every row");
}

#[test]
fn one_wrong_row_of_a_batch_is_found() {
    for size in [6, 32, 64, 4_096] {
        let outcome = batch_loss(centred, |pairs, answer| {
            if pairs.len() == size {
                answer.policy_rejected[size / 2] *= -1.0;
            }
        });
        let rejection = check_rejected(outcome, "probe/gradient");
        assert!(rejection.message.contains("differences"), "{rejection}");
    }
}

#[test]
fn a_batch_gradient_that_leaves_the_statistics_out_is_rejected() {
    let outcome = probe(Scope::Batch, |pairs, beta| {
        let honest = evaluate_batch(pairs, |batch| centred(batch, beta)).expect("one per pair");
        let centre = (0..pairs.len())
            .map(|row| {
                beta * (pairs.policy_chosen_logps[row]
                    - pairs.reference_chosen_logps[row]
                    - pairs.policy_rejected_logps[row]
                    + pairs.reference_rejected_logps[row])
            })
            .sum::<f64>()
            / pairs.len() as f64;
        // Each loss is also weighted by the batch's mean, without the gradient of that weight.
        let weight = 1.0 + 0.1 * centre.tanh();
        let scale = |list: Vec<f64>| list.into_iter().map(|x| weight * x).collect();
        Gradients {
            losses: scale(honest.losses),
            policy_chosen: scale(honest.policy_chosen),
            policy_rejected: scale(honest.policy_rejected),
        }
    });
    check_rejected(outcome, "probe/gradient");
}

#[test]
fn a_batch_loss_without_statistics_is_told_so() {
    let report = batch_loss(
        |batch, beta| margins(batch, beta).iter().map(|x| (-x).softplus()).collect(),
        |_, _| {},
    )
    .expect("it is dpo");
    assert!(report.warnings.join("\n").contains("pair_loss!"), "{:?}", report.warnings);
    let report = batch_loss(centred, |_, _| {}).expect("the mean");
    assert!(!report.warnings.join("\n").contains("pair_loss!"), "{:?}", report.warnings);
}
