//! What is a matter of taste, and told.

use super::*;

#[test]
fn a_push_the_wrong_way_for_some_lengths_is_told_with_them() {
    let warnings = |is_wrong: fn(&Pair) -> bool| {
        let turned = pair_loss(|pair, beta| {
            let sign = if is_wrong(pair) { -1.0 } else { 1.0 };
            -(sign * beta * pair.logratio_margin()).log_sigmoid()
        });
        let report = turned.unwrap_or_else(|rejection| panic!("{rejection:?}"));
        report.warnings.join("\n")
    };
    let odd = warnings(|pair| pair.chosen_tokens % 2 == 1);
    assert!(odd.contains("wrong way") && odd.contains("tokens: 1/1, 41/37, 333/120)"), "{odd}");
    let middling = warnings(|pair| (50..400).contains(&pair.chosen_tokens));
    assert!(middling.contains("tokens: 100/100, 333/120)"), "{middling}");
    let sums = warnings(|pair| (pair.chosen_tokens + pair.rejected_tokens) % 2 == 1);
    assert!(sums.contains("tokens: 333/120)"), "{sums}");
    // None of the lengths that directions are looked at for.
    let long = warnings(|pair| pair.chosen_tokens > 400);
    let told = "at a margin of 5.5 nats for chosen completions of 401 to 1048576 tokens, beside rejected of 100";
    assert!(long.contains(told), "{long}");
    let everywhere = warnings(|_| true);
    assert!(everywhere.contains("wrong way") && !everywhere.contains("tokens"), "{everywhere}");
}

#[test]
fn taste_is_a_warning() {
    let warnings = |loss: fn(&Pair, f64) -> Dual| {
        pair_loss(loss).unwrap_or_else(|rejection| panic!("{rejection:?}")).warnings.join("\n")
    };
    let constant =
        warnings(|pair, beta| 0.0 * pair.policy_chosen + (beta * pair.reference_margin()).tanh());
    assert!(constant.contains("does not depend on the policy"), "{constant}");
    let backwards = warnings(|pair, beta| -(-beta * pair.logratio_margin()).log_sigmoid());
    // β σ(βρ) falls to a billionth of β at βρ = −20.72.
    assert!(
        backwards.contains("wrong way") && backwards.contains("at margins above -207.2"),
        "{backwards}"
    );
    let unbounded = warnings(|pair, beta| -beta * pair.logratio_margin());
    assert!(unbounded.contains("no lower bound"), "{unbounded}");
    let parabola = warnings(|pair, beta| (pair.logratio_margin() - 0.5 / beta).square());
    assert!(parabola.contains("at margins above 5.0000 nats"), "{parabola}");
    // Where training begins, and nowhere else.
    let narrow = warnings(|pair, beta| {
        let x = beta * pair.logratio_margin();
        3.0 * (-(200.0 * x - 1.3).square()).exp() - x.log_sigmoid()
    });
    assert!(narrow.contains("wrong way"), "{narrow}");
}
