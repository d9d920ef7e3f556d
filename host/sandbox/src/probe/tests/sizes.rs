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
        assert!(
            size < 65 || rejection.message.contains(&format!("{size} pairs")),
            "{rejection}"
        );
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
        assert!(
            rejection.message.contains("a batch of 1023 pairs"),
            "{rejection}"
        );
    }
}
