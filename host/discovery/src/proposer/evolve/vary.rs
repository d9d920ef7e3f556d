//! How expressions change: mutation of one, recombination of two, each with the sentence that says what and why.
//!
//! A variation is simplified, stays below a size, and knows nothing of fitness: who is varied is decided by selection.

use super::super::draw::Draws;
use super::expr::{Gate, Genotype, Margin, Part, Penalty, Place, Statistic};
use super::simplify::{simplified, tidy};
use super::{grammar, words};

/// Most subexpressions of a loss.
const PARTS_MAX: usize = 18;

/// A changed expression, and why one might want it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Variant {
    pub(super) genotype: Genotype,
    pub(super) hypothesis: String,
}

/// A parent and its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parent<'a> {
    pub(super) name: &'a str,
    pub(super) genotype: &'a Genotype,
}

/// A fresh loss.
pub(super) fn fresh(draws: &mut Draws) -> Option<Variant> {
    let genotype = finished(grammar::genotype(draws))?;
    let loss = Part::Penalty(genotype.loss.clone());
    let hypothesis = format!("{} might do, since {}.", words::part(&loss), words::hope(&loss));
    Some(Variant { genotype, hypothesis: capitalised(&hypothesis) })
}

/// One parent, changed in one place. `None` where the draw comes to nothing.
pub(super) fn mutated(parent: Parent<'_>, draws: &mut Draws) -> Option<Variant> {
    match draws.weighted(&[0.25, 0.3, 0.3, 0.15]) {
        0 => retuned(parent, draws),
        1 => replaced(parent, draws),
        2 => wrapped(parent, draws),
        _ => pruned(parent, draws),
    }
}

/// A part of one parent in the place of a part of the other, or a mixture of both.
pub(super) fn recombined(
    parent: Parent<'_>,
    donor: Parent<'_>,
    draws: &mut Draws,
) -> Option<Variant> {
    let donated = rescaled(donor.genotype, parent.genotype.beta);
    if draws.chance(0.3) {
        return mixed(parent, donor.name, donated, draws);
    }
    let (index, part) = draw_part(parent.genotype, draws);
    let like: Vec<Part> = donated
        .parts()
        .into_iter()
        .filter(|other| other.is_like(&part) && *other != part)
        .collect();
    let graft = (!like.is_empty()).then(|| draws.pick(&like))?;
    variant(parent.genotype.with_part(index, graft), parent.genotype, || {
        format!(
            "Take {} and put {} of {} where it has {}: {}.",
            parent.name,
            words::part(graft),
            donor.name,
            words::part(&part),
            words::hope(graft)
        )
    })
}

fn mixed(parent: Parent<'_>, donor: &str, donated: Genotype, draws: &mut Draws) -> Option<Variant> {
    let gate = grammar::gate(draws, 1);
    let (p, q) = (Box::new(parent.genotype.loss.clone()), Box::new(donated.loss));
    let loss = Penalty::Mixed(gate.clone(), p, q);
    let gate = Part::Gate(gate);
    variant(Genotype { loss, ..parent.genotype.clone() }, parent.genotype, || {
        format!(
            "Mix {} with {donor} by {}: {}.",
            parent.name,
            words::part(&gate),
            words::hope(&gate)
        )
    })
}

/// The expression with another β that means the same, so that its parts can be put where β is that.
fn rescaled(genotype: &Genotype, beta: f64) -> Genotype {
    let factor = genotype.beta / beta;
    let mut rescaled = genotype.clone();
    // A visitor comes by what it puts in place, so inputs are counted and each is scaled once.
    let mut within_new = false;
    rescaled.visit(&mut |place| {
        if let Place::Margin(margin) = place {
            let is_input = matches!(margin, Margin::Input(_));
            if is_input && !within_new {
                **margin = Margin::Scaled(factor, Box::new(margin.clone()));
            }
            within_new = is_input && !within_new;
        }
    });
    simplified(Genotype { beta, ..rescaled })
}

/// Another constant.
fn retuned(parent: Parent<'_>, draws: &mut Draws) -> Option<Variant> {
    let factor = *draws.pick(&[0.25, 0.5, 0.7, 1.5, 2.0, 4.0]);
    let n_constants = constants(&mut parent.genotype.clone());
    let chosen = draws.below(n_constants + 1);
    let mut changed = parent.genotype.clone();
    let (mut what, mut from, mut to) =
        ("β", changed.beta, tidy(changed.beta * factor).clamp(0.005, 5.0));
    if chosen == n_constants {
        changed.beta = to;
    } else {
        let mut index = 0;
        each_constant(&mut changed, &mut |name, value| {
            if index == chosen {
                (what, from, to) = (name, *value, tidy(*value * factor));
                *value = to;
            }
            index += 1;
        });
    }
    let direction = if to.abs() > from.abs() { "A larger" } else { "A smaller" };
    variant(changed, parent.genotype, || {
        format!(
            "{direction} {what} than in {} ({to} instead of {from}): {}.",
            parent.name,
            tuning_hope(what)
        )
    })
}

fn tuning_hope(what: &str) -> &'static str {
    match what {
        "β" => "it sets how far the policy may move before a pair counts as learnt",
        "temperature" => "it sets how soon a gate turns or a gradient vanishes",
        "offset" | "target" => "a pair should be learnt with a margin of the right width",
        _ => "the balance between its terms matters",
    }
}

fn constants(genotype: &mut Genotype) -> usize {
    let mut n = 0;
    each_constant(genotype, &mut |_, _| n += 1);
    n
}

/// Goes to every constant, with what it is called.
fn each_constant(genotype: &mut Genotype, visitor: &mut dyn FnMut(&'static str, &mut f64)) {
    genotype.visit(&mut |place| match place {
        Place::Margin(Margin::Scaled(factor, _)) => visitor("scale", factor),
        Place::Margin(Margin::Shifted(_, offset)) => visitor("offset", offset),
        Place::Margin(Margin::Tempered(_, tau)) => visitor("temperature", tau),
        Place::Margin(Margin::Against(_, factor, _)) => visitor("share of the batch", factor),
        Place::Gate(Gate::Constant(share)) => visitor("share", share),
        Place::Penalty(Penalty::Squared(target, _)) => visitor("target", target),
        Place::Penalty(Penalty::Weighted(weight, _)) => visitor("weight", weight),
        _ => {}
    });
}

/// A fresh part in the place of another.
fn replaced(parent: Parent<'_>, draws: &mut Draws) -> Option<Variant> {
    let (index, part) = draw_part(parent.genotype, draws);
    let new = match &part {
        Part::Margin(_) => Part::Margin(grammar::margin(draws, 1)),
        Part::Statistic(_) => Part::Statistic(grammar::statistic(draws)),
        Part::Gate(_) => Part::Gate(grammar::gate(draws, 1)),
        Part::Penalty(old) => Part::Penalty(on_its_margin(grammar::plain_penalty(draws), old)),
    };
    variant(parent.genotype.with_part(index, &new), parent.genotype, || {
        format!(
            "Take {} and put {} where it has {}: {}.",
            parent.name,
            words::part(&new),
            words::part(&part),
            words::hope(&new)
        )
    })
}

/// The new penalty of the old one's margin, if that has just one.
fn on_its_margin(new: Penalty, old: &Penalty) -> Penalty {
    let (Some(margin), Some(_)) = (plain_margin(old), plain_margin(&new)) else {
        return new;
    };
    let mut holder = Genotype { beta: 1.0, loss: new };
    holder = holder.with_part(1, &Part::Margin(margin.clone()));
    holder.loss
}

fn plain_margin(penalty: &Penalty) -> Option<&Margin> {
    match penalty {
        Penalty::Logistic(m)
        | Penalty::Hinge(m)
        | Penalty::Exponential(m)
        | Penalty::Squared(_, m)
        | Penalty::Sigmoid(m)
        | Penalty::Linear(m)
        | Penalty::Focal(_, m) => Some(m),
        _ => None,
    }
}

/// A part with something around it.
fn wrapped(parent: Parent<'_>, draws: &mut Draws) -> Option<Variant> {
    let (index, part) = draw_part(parent.genotype, draws);
    let new = match part.clone() {
        Part::Margin(margin) => Part::Margin(wrapped_margin(margin, draws)),
        Part::Statistic(statistic) => Part::Statistic(Statistic::Sigmoid(Box::new(statistic))),
        Part::Gate(gate) => {
            Part::Gate(Gate::Product(Box::new(gate), Box::new(grammar::gate(draws, 0))))
        }
        Part::Penalty(penalty) => Part::Penalty(wrapped_penalty(penalty, draws)),
    };
    variant(parent.genotype.with_part(index, &new), parent.genotype, || {
        format!(
            "Take {} and make of {} {}: {}.",
            parent.name,
            words::part(&part),
            words::part(&new),
            words::hope(&new)
        )
    })
}

fn wrapped_margin(margin: Margin, draws: &mut Draws) -> Margin {
    let margin = Box::new(margin);
    match draws.weighted(&[0.3, 0.15, 0.15, 0.4]) {
        0 => Margin::Shifted(margin, *draws.pick(&[-0.2, 0.1, 0.2, 0.5])),
        1 => Margin::Squashed(margin),
        2 => Margin::Sum(margin, Box::new(grammar::margin(draws, 0))),
        _ => {
            let statistic = Statistic::Mean((*margin).clone());
            Margin::Against(margin, *draws.pick(&[0.2, 0.5, 1.0]), Box::new(statistic))
        }
    }
}

fn wrapped_penalty(penalty: Penalty, draws: &mut Draws) -> Penalty {
    let penalty = Box::new(penalty);
    match draws.weighted(&[0.3, 0.3, 0.15, 0.1, 0.15]) {
        0 => Penalty::Mixed(
            grammar::gate(draws, 1),
            penalty,
            Box::new(grammar::plain_penalty(draws)),
        ),
        1 => {
            let weight = *draws.pick(&grammar::WEIGHTS);
            Penalty::Sum(
                penalty,
                Box::new(Penalty::Weighted(weight, Box::new(grammar::plain_penalty(draws)))),
            )
        }
        2 => Penalty::Gated(grammar::gate(draws, 1), penalty),
        3 => Penalty::Power(penalty),
        _ => Penalty::Rounded(penalty),
    }
}

/// A part without what is around it.
fn pruned(parent: Parent<'_>, draws: &mut Draws) -> Option<Variant> {
    let (index, part) = draw_part(parent.genotype, draws);
    let inner = within(&part);
    let kept = (!inner.is_empty()).then(|| draws.pick(&inner))?;
    variant(parent.genotype.with_part(index, kept), parent.genotype, || {
        format!(
            "Keep of {} only {} where it has {}: the rest may not matter.",
            parent.name,
            words::part(kept),
            words::part(&part)
        )
    })
}

/// Parts of the same sort directly within this one.
fn within(part: &Part) -> Vec<Part> {
    match part {
        Part::Penalty(penalty) => match penalty {
            Penalty::Weighted(_, p)
            | Penalty::Power(p)
            | Penalty::Rounded(p)
            | Penalty::Gated(_, p) => {
                vec![Part::Penalty((**p).clone())]
            }
            Penalty::Sum(p, q) | Penalty::Mixed(_, p, q) | Penalty::Switched(_, p, q) => {
                vec![Part::Penalty((**p).clone()), Part::Penalty((**q).clone())]
            }
            _ => vec![],
        },
        Part::Margin(margin) => match margin {
            Margin::Scaled(_, m)
            | Margin::Shifted(m, _)
            | Margin::Tempered(m, _)
            | Margin::Squashed(m)
            | Margin::Magnitude(m)
            | Margin::Against(m, ..) => vec![Part::Margin((**m).clone())],
            Margin::Sum(m, n) => vec![Part::Margin((**m).clone()), Part::Margin((**n).clone())],
            Margin::Input(_) => vec![],
        },
        Part::Statistic(_) | Part::Gate(_) => vec![],
    }
}

fn draw_part(genotype: &Genotype, draws: &mut Draws) -> (usize, Part) {
    let mut parts = genotype.parts();
    let index = draws.below(parts.len());
    (index, parts.swap_remove(index))
}

/// The changed expression, unless nothing changed or it is too large.
fn variant(
    changed: Genotype,
    from: &Genotype,
    hypothesis: impl FnOnce() -> String,
) -> Option<Variant> {
    let genotype = finished(changed)?;
    (genotype != *from).then(|| Variant { genotype, hypothesis: hypothesis() })
}

/// Simplified, and without a constant factor, which the optimizer divides away.
fn finished(genotype: Genotype) -> Option<Genotype> {
    let mut genotype = simplified(genotype);
    while let Penalty::Weighted(weight, inner) = &genotype.loss
        && *weight > 0.0
    {
        genotype.loss = (**inner).clone();
    }
    (genotype.parts().len() <= PARTS_MAX).then_some(genotype)
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
