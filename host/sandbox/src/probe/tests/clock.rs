//! Plugins that take their time, which is told and not spent here.

use std::time::Duration;

use super::*;

/// DPO that says how long each of its calls took.
struct Slow(Duration);

impl Plugin for Slow {
    fn evaluate(&mut self, pairs: &Pairs, hyperparameters: &[f64]) -> Result<Evaluation, Failure> {
        let honest = |pairs: &Pairs, beta| {
            evaluate_pairs(pairs, |pair| dpo(pair, beta)).expect("lists are equally long")
        };
        let evaluation = Native(honest).evaluate(pairs, hyperparameters)?;
        let spent = Spent { instantiate: self.0 / 2, evaluate: self.0 / 2 };
        Ok(Evaluation { spent, ..evaluation })
    }
}

#[test]
fn calls_that_take_too_long_together_are_rejected() {
    let metadata = metadata(Scope::Pair);
    let slow = |per_call| {
        let (mut first, mut second) = (Slow(per_call), Slow(per_call));
        examine(&mut first, (&mut second, &metadata), &metadata, 42)
    };
    match slow(Duration::from_secs(2)) {
        Err(Failure::Rejected(rejection)) => {
            assert_eq!(rejection.rule, "run/timeout");
            // The sixteenth call is the first that passes 30 s.
            assert!(rejection.message.starts_with("16 calls"), "{rejection}");
        }
        other => panic!("expected a time-out, got {other:?}"),
    }
    slow(Duration::from_millis(1)).expect("a usual loss");
}
