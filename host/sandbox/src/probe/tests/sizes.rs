//! Plugins that are another loss, or none, for batches of one size.

use super::*;

/// A loss and its gradients together, so that nothing but the size of the batch betrays it.
#[test]
fn another_loss_for_batches_of_one_usual_size_is_rejected() {
    for size in [1, 63, 100, 200, 257, 1_000, 1_024, 2_048, 4_095, 8_192] {
        let turned = lying(|facts, numbers| {
            if facts.n_pairs == size {
                *numbers = numbers.map(|number| -number);
            }
        });
        let rejection = check_rejected(turned, "probe/scope");
        assert!(size < 65 || rejection.message.contains(&format!("{size} pairs")), "{rejection}");
    }
}

#[test]
fn a_nan_for_batches_of_one_usual_size_is_rejected_in_both_scopes() {
    for scope in [Scope::Pair, Scope::Batch] {
        let not_finite = probe(scope, |pairs, beta| {
            let mut answer =
                evaluate_pairs(pairs, |pair| dpo(pair, beta)).expect("lists are equally long");
            lie_in_rows(pairs, beta, &mut answer, |facts, numbers| {
                if facts.n_pairs == 1_023 && facts.row == 1_022 {
                    numbers[2] = f64::NAN;
                }
            });
            answer
        });
        let rejection = check_rejected(not_finite, "probe/finite");
        assert!(rejection.message.contains("a batch of 1023 pairs"), "{rejection}");
    }
}

/// Sizes that nobody trains with are as good a place to hide.
#[test]
fn a_gradient_that_turns_at_one_size_of_a_batch_is_found() {
    for size in [16, 57, 100, 1_024, 2_049] {
        let turn = move |pairs: &Pairs, answer: &mut Gradients| {
            if pairs.len() == size {
                for gradient in answer.policy_chosen.iter_mut().chain(&mut answer.policy_rejected) {
                    *gradient = -*gradient;
                }
            }
        };
        let rejection = batch_loss(centred, turn).expect_err("it lies");
        assert_eq!(rejection.rule, "probe/gradient", "{rejection:?}");
        let place = format!("a batch of {size} pairs");
        assert!(rejection.message.contains(&place), "{rejection:?}");
    }
}
