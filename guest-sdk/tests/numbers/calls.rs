//! The call around a loss: what the macros declare, and what a wrong call is told.

use guest_sdk::prelude::*;
use guest_sdk::{PreferenceLoss, Scope, evaluate_batch, evaluate_pairs};

use crate::pairs;

mod without_citation {
    use guest_sdk::prelude::*;

    pair_loss! {
        name: "shift",
        summary: "chosen minus rejected, shifted",
        hyperparameters: { shift: -1.5 in -2.0..=2.0, scale: 2.0 in 0.0..=4.0 },
    }

    fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
        (pair.policy_margin() - hp.shift) * hp.scale
    }
}

mod without_hyperparameters {
    use guest_sdk::prelude::*;

    batch_loss! { name: "plain", summary: "every other row", citation: "arXiv:0000.00000", hyperparameters: {} }

    fn losses<'t>(batch: &Batch<'t>, _: &Hyperparameters) -> Vec<Var<'t>> {
        let mut losses = vec![];
        for pair in batch {
            losses.push(pair.policy_chosen - batch[0].policy_chosen);
        }
        losses
    }
}

#[test]
fn a_declaration_becomes_metadata() {
    let found = without_citation::Loss::describe();
    assert_eq!((found.name.as_str(), found.scope), ("shift", Scope::Pair));
    assert_eq!(
        (found.summary.as_str(), &found.citation),
        ("chosen minus rejected, shifted", &None)
    );
    assert_eq!(found.defaults(), [-1.5, 2.0]);
    assert_eq!((found.hyperparameters[0].minimum, found.hyperparameters[0].maximum), (-2.0, 2.0));

    let found = without_hyperparameters::Loss::describe();
    assert_eq!((found.scope, found.hyperparameters), (Scope::Batch, vec![]));
    assert_eq!(found.citation.as_deref(), Some("arXiv:0000.00000"));
}

#[test]
fn hyperparameters_arrive_by_name_in_order() {
    let found = without_citation::Loss::evaluate(&pairs(&[1.0, 2.0], &[0.0, 5.0]), &[0.5, 3.0]);
    let found = found.expect("a well-formed call");
    assert_eq!(found.losses, [1.5, -10.5]);
    assert_eq!((found.policy_chosen, found.policy_rejected), (vec![3.0; 2], vec![-3.0; 2]));
}

#[test]
fn a_batch_gets_the_gradient_of_the_sum_of_its_losses() {
    let found = without_hyperparameters::Loss::evaluate(&pairs(&[1.0, 2.0, 4.0], &[0.0; 3]), &[]);
    let found = found.expect("a well-formed call");
    assert_eq!(found.losses, [0.0, 1.0, 3.0]);
    assert_eq!((found.policy_chosen, found.policy_rejected), (vec![-2.0, 1.0, 1.0], vec![0.0; 3]));
}

#[test]
fn rows_may_share_one_loss() {
    let found = evaluate_batch(&pairs(&[1.0, 2.0, 6.0], &[0.0; 3]), |batch| {
        let shared = mean(&batch.map(|pair| pair.policy_chosen));
        vec![shared; batch.len()]
    });
    let found = found.expect("a well-formed call");
    assert_eq!((found.losses, found.policy_chosen), (vec![3.0; 3], vec![1.0; 3]));
}

#[test]
fn a_wrong_call_is_told_both_numbers() {
    let good = pairs(&[1.0, 2.0], &[0.0, 0.0]);
    let refusal = without_citation::Loss::evaluate(&good, &[1.0]).err();
    assert_eq!(refusal.as_deref(), Some("expected 2 hyperparameters, got 1"));

    let mut short = good.clone();
    short.reference_rejected_logps.pop();
    let expected = Some("expected 2 reference-rejected-logps, got 1");
    assert_eq!(without_citation::Loss::evaluate(&short, &[0.0, 1.0]).err().as_deref(), expected);
    assert_eq!(without_hyperparameters::Loss::evaluate(&short, &[]).err().as_deref(), expected);

    let refusal = evaluate_batch(&good, |_| vec![Var::from(0.0)]).err();
    assert_eq!(refusal.as_deref(), Some("expected 2 losses, got 1"));
}

#[test]
fn a_pair_has_the_fields_terms() {
    let mut pair = pairs(&[-10.0], &[-30.0]);
    pair.reference_chosen_logps = vec![-12.0];
    pair.reference_rejected_logps = vec![-25.0];
    pair.chosen_tokens = vec![4];
    pair.rejected_tokens = vec![5];
    let value = |f: fn(&Pair) -> Dual| {
        let found = evaluate_pairs(&pair, f).expect("a well-formed pair");
        (found.losses[0], found.policy_chosen[0], found.policy_rejected[0])
    };
    assert_eq!(value(Pair::chosen_logratio), (2.0, 1.0, 0.0));
    assert_eq!(value(Pair::rejected_logratio), (-5.0, 0.0, 1.0));
    assert_eq!(value(Pair::logratio_margin), (7.0, 1.0, -1.0));
    assert_eq!(value(Pair::policy_margin), (20.0, 1.0, -1.0));
    assert_eq!(value(|pair| pair.reference_margin().into()), (13.0, 0.0, 0.0));
    assert_eq!(value(|pair| pair.chosen_reward(0.5)), (1.0, 0.5, 0.0));
    assert_eq!(value(|pair| pair.rejected_reward(0.5)), (-2.5, 0.0, 0.5));
    assert_eq!(value(Pair::chosen_mean_logp), (-2.5, 0.25, 0.0));
    assert_eq!(value(Pair::rejected_mean_logp), (-6.0, 0.0, 0.2));
}

#[test]
fn a_long_chain_of_operations_is_swept_without_recursion() {
    let n_steps = 1_000_000;
    let found = evaluate_batch(&pairs(&[0.5], &[0.0]), |batch| {
        batch.map(|pair| (0..n_steps).fold(pair.policy_chosen, |x, _| x + 0.25))
    });
    let found = found.expect("a well-formed pair");
    assert_eq!((found.losses[0], found.policy_chosen[0]), (0.5 + 0.25 * n_steps as f64, 1.0));
}

#[test]
fn a_number_does_not_print_its_value() {
    let found = evaluate_pairs(&pairs(&[1234.5], &[0.0]), |pair| {
        assert!(!format!("{pair:?}").contains("1234"), "{pair:?}");
        pair.policy_chosen
    });
    assert!(found.is_ok());
}
