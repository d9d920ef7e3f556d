//! Loss expressions: the genotype of the built-in search.
//!
//! Four sorts of expression are put together so that whatever is built is a loss: a [`Margin`] says how much the policy
//! prefers the chosen completion, a [`Statistic`] sums margins up over the batch, a [`Gate`] lies between 0 and 1, and a
//! [`Penalty`] falls where the margin grows. Growth is bounded by construction: the exponential goes on as a straight
//! line beyond [`EXPONENT_MAX`] and nothing divides by a variable, so values stay finite wherever log-ratios
//! are. Not here: meaning as numbers (`value`), as source (`print`), and how expressions change (`vary`).

use serde::{Deserialize, Serialize};

/// Beyond this exponent, eˣ goes on as a straight line.
pub(super) const EXPONENT_MAX: f64 = 10.0;

/// A loss: an expression and its β.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Genotype {
    /// Scales every input.
    pub(super) beta: f64,
    pub(super) loss: Penalty,
}

/// What a pair says, each times β.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Input {
    /// ρ, chosen minus rejected log-ratio.
    LogratioMargin,
    /// Chosen minus rejected log-prob, without a reference.
    PolicyMargin,
    /// Chosen minus rejected log-prob per token, without a reference.
    PerTokenMargin,
    /// Chosen minus rejected log-ratio per token.
    PerTokenLogratioMargin,
    /// The chosen log-ratio.
    ChosenLogratio,
    /// Minus the rejected log-ratio.
    RejectedDrop,
}

/// A number that grows with the preference for the chosen completion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Margin {
    Input(Input),
    /// c·m.
    Scaled(f64, Box<Margin>),
    /// m − γ.
    Shifted(Box<Margin>, f64),
    /// m/τ.
    Tempered(Box<Margin>, f64),
    Sum(Box<Margin>, Box<Margin>),
    /// tanh m.
    Squashed(Box<Margin>),
    /// |m|.
    Magnitude(Box<Margin>),
    /// m − c·s.
    Against(Box<Margin>, f64, Box<Statistic>),
}

/// One number for the whole batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Statistic {
    Mean(Margin),
    Deviation(Margin),
    MeanGate(Gate),
    /// max(0, s).
    Floored(Box<Statistic>),
    /// σ(s).
    Sigmoid(Box<Statistic>),
    Product(Box<Statistic>, Box<Statistic>),
}

/// A number between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Gate {
    Constant(f64),
    /// σ(m).
    Open(Margin),
    /// 1 − g.
    Not(Box<Gate>),
    Product(Box<Gate>, Box<Gate>),
    /// σ(s): the same for all pairs of the batch.
    Shared(Box<Statistic>),
}

/// A number that is small where the policy has learnt the pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Penalty {
    /// ln(1 + e⁻ᵐ).
    Logistic(Margin),
    /// max(0, 1 − m).
    Hinge(Margin),
    /// e⁻ᵐ.
    Exponential(Margin),
    /// (t − m)².
    Squared(f64, Margin),
    /// σ(−m).
    Sigmoid(Margin),
    /// −m.
    Linear(Margin),
    /// σ(−m)ᵏ ln(1 + e⁻ᵐ).
    Focal(u8, Margin),
    /// c·p.
    Weighted(f64, Box<Penalty>),
    Sum(Box<Penalty>, Box<Penalty>),
    /// p².
    Power(Box<Penalty>),
    /// √(1 + p²) − 1.
    Rounded(Box<Penalty>),
    /// g·p.
    Gated(Gate, Box<Penalty>),
    /// g·p + (1 − g)·q.
    Mixed(Gate, Box<Penalty>, Box<Penalty>),
    /// p where m ≥ 0, else q.
    Switched(Margin, Box<Penalty>, Box<Penalty>),
}

/// A subexpression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Margin(Margin),
    Statistic(Statistic),
    Gate(Gate),
    Penalty(Penalty),
}

/// The place of a subexpression.
#[derive(Debug)]
pub(super) enum Place<'a> {
    Margin(&'a mut Margin),
    Statistic(&'a mut Statistic),
    Gate(&'a mut Gate),
    Penalty(&'a mut Penalty),
}

impl Genotype {
    /// Goes to every place, the whole first, a place before those in it. What a visitor puts there is visited in turn.
    pub(super) fn visit(&mut self, visitor: &mut dyn FnMut(&mut Place<'_>)) {
        walk(Place::Penalty(&mut self.loss), visitor);
    }

    /// Every subexpression, in the order of [`Genotype::visit`].
    pub(super) fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        self.clone().visit(&mut |place| parts.push(place.part()));
        parts
    }

    /// The expression with another part at this place of [`Genotype::parts`], which must be of the same sort.
    pub(super) fn with_part(&self, index: usize, part: &Part) -> Self {
        let mut changed = self.clone();
        let mut at = 0;
        changed.visit(&mut |place| {
            if at == index {
                place.put(part);
            }
            at += 1;
        });
        changed
    }

    /// Whether rows depend on the whole batch.
    pub(super) fn is_batch(&self) -> bool {
        self.parts().iter().any(|part| matches!(part, Part::Statistic(_)))
    }
}

impl Part {
    /// Whether both are of the same sort, so that one can take the other's place.
    pub(super) fn is_like(&self, other: &Part) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Place<'_> {
    fn part(&self) -> Part {
        match self {
            Place::Margin(margin) => Part::Margin((**margin).clone()),
            Place::Statistic(statistic) => Part::Statistic((**statistic).clone()),
            Place::Gate(gate) => Part::Gate((**gate).clone()),
            Place::Penalty(penalty) => Part::Penalty((**penalty).clone()),
        }
    }

    /// A part of another sort changes nothing.
    fn put(&mut self, part: &Part) {
        match (self, part) {
            (Place::Margin(place), Part::Margin(margin)) => **place = margin.clone(),
            (Place::Statistic(place), Part::Statistic(statistic)) => **place = statistic.clone(),
            (Place::Gate(place), Part::Gate(gate)) => **place = gate.clone(),
            (Place::Penalty(place), Part::Penalty(penalty)) => **place = penalty.clone(),
            _ => {}
        }
    }
}

fn walk(mut place: Place<'_>, visitor: &mut dyn FnMut(&mut Place<'_>)) {
    visitor(&mut place);
    for inner in within(place) {
        walk(inner, visitor);
    }
}

/// The places directly within a place.
fn within(place: Place<'_>) -> Vec<Place<'_>> {
    match place {
        Place::Margin(margin) => within_margin(margin),
        Place::Statistic(statistic) => within_statistic(statistic),
        Place::Gate(gate) => within_gate(gate),
        Place::Penalty(penalty) => within_penalty(penalty),
    }
}

fn within_margin(margin: &mut Margin) -> Vec<Place<'_>> {
    match margin {
        Margin::Input(_) => vec![],
        Margin::Scaled(_, m)
        | Margin::Shifted(m, _)
        | Margin::Tempered(m, _)
        | Margin::Squashed(m)
        | Margin::Magnitude(m) => vec![Place::Margin(m)],
        Margin::Sum(m, n) => vec![Place::Margin(m), Place::Margin(n)],
        Margin::Against(m, _, s) => vec![Place::Margin(m), Place::Statistic(s)],
    }
}

fn within_statistic(statistic: &mut Statistic) -> Vec<Place<'_>> {
    match statistic {
        Statistic::Mean(m) | Statistic::Deviation(m) => vec![Place::Margin(m)],
        Statistic::MeanGate(g) => vec![Place::Gate(g)],
        Statistic::Floored(s) | Statistic::Sigmoid(s) => vec![Place::Statistic(s)],
        Statistic::Product(s, t) => vec![Place::Statistic(s), Place::Statistic(t)],
    }
}

fn within_gate(gate: &mut Gate) -> Vec<Place<'_>> {
    match gate {
        Gate::Constant(_) => vec![],
        Gate::Open(m) => vec![Place::Margin(m)],
        Gate::Not(g) => vec![Place::Gate(g)],
        Gate::Product(g, h) => vec![Place::Gate(g), Place::Gate(h)],
        Gate::Shared(s) => vec![Place::Statistic(s)],
    }
}

fn within_penalty(penalty: &mut Penalty) -> Vec<Place<'_>> {
    match penalty {
        Penalty::Logistic(m)
        | Penalty::Hinge(m)
        | Penalty::Exponential(m)
        | Penalty::Squared(_, m)
        | Penalty::Sigmoid(m)
        | Penalty::Linear(m)
        | Penalty::Focal(_, m) => vec![Place::Margin(m)],
        Penalty::Weighted(_, p) | Penalty::Power(p) | Penalty::Rounded(p) => {
            vec![Place::Penalty(p)]
        }
        Penalty::Sum(p, q) => vec![Place::Penalty(p), Place::Penalty(q)],
        Penalty::Gated(g, p) => vec![Place::Gate(g), Place::Penalty(p)],
        Penalty::Mixed(g, p, q) => vec![Place::Gate(g), Place::Penalty(p), Place::Penalty(q)],
        Penalty::Switched(m, p, q) => vec![Place::Margin(m), Place::Penalty(p), Place::Penalty(q)],
    }
}
