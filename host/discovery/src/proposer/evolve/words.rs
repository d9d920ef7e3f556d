//! Expressions in words: what a part is called, what it is good for, what a loss of it is named.
//!
//! Hypotheses are made of these, and they are what a researcher reads first. Formulas are in `formula`.

use super::expr::{Gate, Input, Margin, Part, Penalty, Statistic};

/// A part, with its article.
pub(super) fn part(part: &Part) -> String {
    match part {
        Part::Margin(margin) => of_margin(margin),
        Part::Statistic(statistic) => of_statistic(statistic),
        Part::Gate(gate) => of_gate(gate),
        Part::Penalty(penalty) => of_penalty(penalty),
    }
}

fn of_penalty(penalty: &Penalty) -> String {
    match penalty {
        Penalty::Logistic(_) => "a logistic loss".to_owned(),
        Penalty::Hinge(_) => "a hinge".to_owned(),
        Penalty::Exponential(_) => "an exponential loss".to_owned(),
        Penalty::Squared(target, _) => format!("a squared distance from {target}"),
        Penalty::Sigmoid(_) => "a sigmoid loss".to_owned(),
        Penalty::Linear(_) => "a linear loss".to_owned(),
        Penalty::Focal(power, _) => format!("a focal loss of power {power}"),
        Penalty::Weighted(weight, p) => format!("{weight} times {}", of_penalty(p)),
        Penalty::Sum(p, q) => format!("{} plus {}", of_penalty(p), of_penalty(q)),
        Penalty::Power(p) => format!("the square of {}", of_penalty(p)),
        Penalty::Rounded(p) => format!("{} rounded off near its minimum", of_penalty(p)),
        Penalty::Gated(_, p) => format!("{} behind a gate", of_penalty(p)),
        Penalty::Mixed(Gate::Constant(share), p, q) => {
            format!("a blend of {share} parts {} with {}", of_penalty(p), of_penalty(q))
        }
        Penalty::Mixed(_, p, q) => {
            format!("a gated mixture of {} and {}", of_penalty(p), of_penalty(q))
        }
        Penalty::Switched(_, p, q) => {
            format!("a switch between {} and {}", of_penalty(p), of_penalty(q))
        }
    }
}

fn of_margin(margin: &Margin) -> String {
    match margin {
        Margin::Input(input) => input.words().to_owned(),
        Margin::Scaled(factor, m) => format!("{factor} times {}", of_margin(m)),
        Margin::Shifted(m, offset) => format!("{} beyond an offset of {offset}", of_margin(m)),
        Margin::Tempered(m, tau) => format!("{} at temperature {tau}", of_margin(m)),
        Margin::Sum(m, n) => format!("the sum of {} and {}", of_margin(m), of_margin(n)),
        Margin::Squashed(m) => format!("{} squashed by tanh", of_margin(m)),
        Margin::Magnitude(m) => format!("the magnitude of {}", of_margin(m)),
        Margin::Against(m, factor, s) => {
            format!("{} measured against {factor} times {}", of_margin(m), of_statistic(s))
        }
    }
}

fn of_statistic(statistic: &Statistic) -> String {
    match statistic {
        Statistic::Mean(m) => format!("the batch mean of {}", of_margin(m)),
        Statistic::Deviation(m) => format!("the batch's spread of {}", of_margin(m)),
        Statistic::MeanGate(_) => "the mean of a gate over the batch".to_owned(),
        Statistic::Floored(s) => format!("the positive part of {}", of_statistic(s)),
        Statistic::Sigmoid(s) => format!("the sigmoid of {}", of_statistic(s)),
        Statistic::Product(s, t) => format!("{} times {}", of_statistic(s), of_statistic(t)),
    }
}

fn of_gate(gate: &Gate) -> String {
    match gate {
        Gate::Constant(share) => format!("a constant share of {share}"),
        Gate::Open(m) => format!("a gate that opens with {}", of_margin(m)),
        Gate::Not(g) => format!("the opposite of {}", of_gate(g)),
        Gate::Product(g, h) => format!("{} and {}", of_gate(g), of_gate(h)),
        Gate::Shared(s) => format!("a gate that opens with {}", of_statistic(s)),
    }
}

impl Input {
    pub(super) fn words(self) -> &'static str {
        match self {
            Input::LogratioMargin => "the log-ratio margin",
            Input::PolicyMargin => "the policy's own margin",
            Input::PerTokenMargin => "the policy's margin per token",
            Input::PerTokenLogratioMargin => "the log-ratio margin per token",
            Input::ChosenLogratio => "the chosen log-ratio",
            Input::RejectedDrop => "the fall of the rejected log-ratio",
        }
    }
}

/// What one may hope for from this part.
pub(super) fn hope(part: &Part) -> &'static str {
    match part {
        Part::Penalty(Penalty::Logistic(_)) => "it keeps pulling on learnt pairs, ever more gently",
        Part::Penalty(Penalty::Hinge(_)) => "it leaves learnt pairs alone",
        Part::Penalty(Penalty::Exponential(_)) => "it pulls hardest on the worst pairs",
        Part::Penalty(Penalty::Squared(..)) => {
            "it stops at its target instead of pulling the policy ever further away"
        }
        Part::Penalty(Penalty::Sigmoid(_)) => {
            "it does not insist on pairs that are hopelessly wrong, which may be mislabelled"
        }
        Part::Penalty(Penalty::Linear(_)) => "it pulls equally on every pair",
        Part::Penalty(Penalty::Focal(..)) => "it spends itself on pairs that are not learnt yet",
        Part::Penalty(Penalty::Weighted(..)) => "the balance between its terms matters",
        Part::Penalty(Penalty::Sum(..)) => "each term corrects where the other is flat",
        Part::Penalty(Penalty::Power(_)) => "large losses should count more",
        Part::Penalty(Penalty::Rounded(_)) => "gradients should fade out smoothly near the minimum",
        Part::Penalty(Penalty::Gated(..)) => "not every pair deserves the same attention",
        Part::Penalty(Penalty::Mixed(..)) => "different pairs want different losses",
        Part::Penalty(Penalty::Switched(..)) => "learnt and unlearnt pairs want different losses",
        Part::Margin(Margin::Input(Input::ChosenLogratio)) => {
            "holding on to the chosen completion may be what matters"
        }
        Part::Margin(Margin::Input(Input::RejectedDrop)) => {
            "pushing the rejected completion down may be what matters"
        }
        Part::Margin(Margin::Input(Input::PerTokenMargin | Input::PerTokenLogratioMargin)) => {
            "long completions should not count for more"
        }
        Part::Margin(Margin::Input(Input::PolicyMargin)) => {
            "what the policy says matters, not where it came from"
        }
        Part::Margin(Margin::Input(Input::LogratioMargin)) => {
            "the gain over the reference is the plainest signal"
        }
        Part::Margin(Margin::Shifted(..)) => {
            "a pair should be learnt with a margin of the right width"
        }
        Part::Margin(Margin::Tempered(..) | Margin::Scaled(..)) => {
            "how sharp the margin is decides where gradients vanish"
        }
        Part::Margin(Margin::Sum(..)) => "two views of a pair see more than one",
        Part::Margin(Margin::Squashed(_)) => "bounded margins keep single pairs from dominating",
        Part::Margin(Margin::Magnitude(_)) => "how far a pair has moved matters more than where to",
        Part::Margin(Margin::Against(..)) => {
            "a pair should be judged against the rest of its batch"
        }
        Part::Statistic(_) => "what the batch has in common can set the scale",
        Part::Gate(Gate::Constant(_)) => "a fixed blend may be all that is needed",
        Part::Gate(Gate::Shared(_)) => "the loss should change as the whole batch is learnt",
        Part::Gate(_) => "the loss should change as a pair is learnt",
    }
}

/// A name for a loss: what it is made of, in the words of a variable.
pub(super) fn name(penalty: &Penalty) -> String {
    match penalty {
        Penalty::Logistic(m) => kind(m, "logistic"),
        Penalty::Hinge(m) => kind(m, "hinge"),
        Penalty::Exponential(m) => kind(m, "exponential"),
        Penalty::Squared(_, m) => kind(m, "squared"),
        Penalty::Sigmoid(m) => kind(m, "sigmoid"),
        Penalty::Linear(m) => kind(m, "linear"),
        Penalty::Focal(_, m) => kind(m, "focal"),
        Penalty::Weighted(_, p) => name(p),
        Penalty::Sum(p, q) => format!("{}_plus_{}", name(p), name(q)),
        Penalty::Power(p) => format!("powered_{}", name(p)),
        Penalty::Rounded(p) => format!("rounded_{}", name(p)),
        Penalty::Gated(_, p) => format!("gated_{}", name(p)),
        Penalty::Mixed(Gate::Constant(_), p, q) => format!("blended_{}_{}", name(p), name(q)),
        Penalty::Mixed(_, p, q) => format!("mixed_{}_{}", name(p), name(q)),
        Penalty::Switched(_, p, q) => format!("switched_{}_{}", name(p), name(q)),
    }
}

fn kind(margin: &Margin, kind: &str) -> String {
    let adjective = match margin {
        Margin::Input(Input::LogratioMargin) => return kind.to_owned(),
        Margin::Input(Input::PolicyMargin) => "policy",
        Margin::Input(Input::PerTokenMargin | Input::PerTokenLogratioMargin) => "per_token",
        Margin::Input(Input::ChosenLogratio) => "chosen",
        Margin::Input(Input::RejectedDrop) => "rejected",
        Margin::Scaled(_, m) => return self::kind(m, kind),
        Margin::Shifted(..) => "offset",
        Margin::Tempered(..) => "tempered",
        Margin::Sum(..) => "joint",
        Margin::Squashed(_) => "squashed",
        Margin::Magnitude(_) => "absolute",
        Margin::Against(..) => "relative",
    };
    format!("{adjective}_{kind}")
}
