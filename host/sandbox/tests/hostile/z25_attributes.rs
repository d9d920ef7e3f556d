// expect: accepted
// note: attributes of taste
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

#[allow(clippy::excessive_precision, non_upper_case_globals)]
const ln2: f64 = 0.693_147_180_559_945_3;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    #[default]
    Plain,
    Scaled,
}

#[inline(always)]
#[must_use = "it is the loss"]
fn scale(kind: Kind) -> f64 {
    if kind == Kind::Scaled { 1.0 / ln2 } else { 1.0 }
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    scale(Kind::default()) * (-hp.beta * pair.logratio_margin()).softplus()
}
