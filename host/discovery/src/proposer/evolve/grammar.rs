//! Fresh expressions: which forms are drawn, and how often.
//!
//! The weights are a taste: simple forms more often than involved ones, the log-ratio margin more often than any other
//! input. Everything that the grammar can say has a weight above 0.

use super::super::draw::Draws;
use super::expr::{Gate, Genotype, Input, Margin, Penalty, Statistic};

const BETAS: [f64; 5] = [0.02, 0.05, 0.1, 0.2, 0.5];
pub(super) const WEIGHTS: [f64; 6] = [0.1, 0.25, 0.5, 1.5, 2.0, 4.0];
const OFFSETS: [f64; 8] = [-0.5, -0.2, -0.1, 0.05, 0.1, 0.2, 0.5, 1.0];
const TEMPERATURES: [f64; 6] = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0];
const SHARES: [f64; 6] = [0.1, 0.2, 0.3, 0.5, 0.7, 0.9];
const TARGETS: [f64; 5] = [0.2, 0.5, 1.0, 2.0, 4.0];
/// A completion has some twenty tokens: a per-token margin times this is about as large as a summed one.
const TOKENS: f64 = 20.0;

/// A whole loss.
pub(super) fn genotype(draws: &mut Draws) -> Genotype {
    Genotype { beta: *draws.pick(&BETAS), loss: penalty(draws, 2) }
}

/// A penalty with at most so many penalties on top of each other, besides its own kind.
pub(super) fn penalty(draws: &mut Draws, depth: usize) -> Penalty {
    let inner = |draws: &mut Draws| Box::new(penalty(draws, depth.saturating_sub(1)));
    match depth {
        0 => plain_penalty(draws),
        _ => match draws.weighted(&[0.36, 0.16, 0.24, 0.06, 0.05, 0.06, 0.07]) {
            0 => plain_penalty(draws),
            1 => {
                let (p, q) = (inner(draws), inner(draws));
                Penalty::Sum(p, Box::new(Penalty::Weighted(*draws.pick(&WEIGHTS), q)))
            }
            2 => {
                let gate = gate(draws, 1);
                Penalty::Mixed(gate, inner(draws), inner(draws))
            }
            3 => {
                let gate = gate(draws, 1);
                Penalty::Gated(gate, inner(draws))
            }
            4 => Penalty::Power(inner(draws)),
            5 => Penalty::Rounded(inner(draws)),
            _ => {
                let margin = margin(draws, 0);
                let (p, q) = (inner(draws), inner(draws));
                Penalty::Switched(margin, p, Box::new(Penalty::Weighted(*draws.pick(&WEIGHTS), q)))
            }
        },
    }
}

/// A penalty of a margin.
pub(super) fn plain_penalty(draws: &mut Draws) -> Penalty {
    let kind = draws.weighted(&[0.32, 0.16, 0.12, 0.12, 0.12, 0.06, 0.10]);
    let margin = margin(draws, 1);
    match kind {
        0 => Penalty::Logistic(margin),
        1 => Penalty::Hinge(margin),
        2 => Penalty::Exponential(margin),
        3 => Penalty::Squared(*draws.pick(&TARGETS), margin),
        4 => Penalty::Sigmoid(margin),
        5 => Penalty::Linear(margin),
        _ => Penalty::Focal(*draws.pick(&[1, 2, 3]), margin),
    }
}

/// A margin with at most so many operations on top of each other.
pub(super) fn margin(draws: &mut Draws, depth: usize) -> Margin {
    let inner = |draws: &mut Draws| Box::new(margin(draws, depth.saturating_sub(1)));
    match depth {
        0 => input(draws),
        _ => match draws.weighted(&[0.46, 0.16, 0.08, 0.08, 0.07, 0.07, 0.08]) {
            0 => input(draws),
            1 => Margin::Shifted(inner(draws), *draws.pick(&OFFSETS)),
            2 => Margin::Tempered(inner(draws), *draws.pick(&TEMPERATURES)),
            3 => Margin::Scaled(*draws.pick(&WEIGHTS), inner(draws)),
            4 => Margin::Sum(inner(draws), inner(draws)),
            5 => Margin::Squashed(inner(draws)),
            _ => Margin::Against(inner(draws), *draws.pick(&SHARES), Box::new(statistic(draws))),
        },
    }
}

fn input(draws: &mut Draws) -> Margin {
    let per_token = |input| Margin::Scaled(TOKENS, Box::new(Margin::Input(input)));
    match draws.weighted(&[0.70, 0.05, 0.05, 0.08, 0.06, 0.06]) {
        0 => Margin::Input(Input::LogratioMargin),
        1 => Margin::Input(Input::PolicyMargin),
        2 => per_token(Input::PerTokenMargin),
        3 => per_token(Input::PerTokenLogratioMargin),
        4 => Margin::Input(Input::ChosenLogratio),
        _ => Margin::Input(Input::RejectedDrop),
    }
}

/// A gate with at most so many operations on top of each other.
pub(super) fn gate(draws: &mut Draws, depth: usize) -> Gate {
    let open = |draws: &mut Draws| {
        let margin = Box::new(margin(draws, 0));
        Gate::Open(Margin::Tempered(margin, *draws.pick(&TEMPERATURES)))
    };
    match depth {
        0 => open(draws),
        _ => match draws.weighted(&[0.46, 0.16, 0.10, 0.10, 0.08, 0.10]) {
            0 => open(draws),
            1 => Gate::Constant(*draws.pick(&SHARES)),
            2 => Gate::Not(Box::new(open(draws))),
            3 => Gate::Open(Margin::Magnitude(Box::new(margin(draws, 0)))),
            4 => Gate::Product(Box::new(open(draws)), Box::new(gate(draws, 0))),
            _ => Gate::Shared(Box::new(statistic(draws))),
        },
    }
}

/// A statistic of a margin.
pub(super) fn statistic(draws: &mut Draws) -> Statistic {
    let kind = draws.weighted(&[0.40, 0.34, 0.12, 0.08, 0.06]);
    let margin = margin(draws, 0);
    let tempered = Margin::Tempered(Box::new(margin.clone()), *draws.pick(&TEMPERATURES));
    match kind {
        0 => Statistic::Mean(margin),
        1 => Statistic::Deviation(margin),
        2 => Statistic::MeanGate(Gate::Open(tempered)),
        3 => Statistic::Floored(Box::new(Statistic::Mean(margin))),
        _ => Statistic::Product(
            Box::new(Statistic::Deviation(margin)),
            Box::new(Statistic::MeanGate(Gate::Open(tempered))),
        ),
    }
}
