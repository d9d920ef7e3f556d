//! The same function in fewer words.
//!
//! Variation leaves things like 1·m and 1 − (1 − g) behind. Simplified expressions are shorter to read and easier to
//! compare; the function stays the same, but for numbers being rounded to two digits.

use super::expr::{Gate, Genotype, Margin, Penalty, Place, Statistic};

/// The simplest form that the rules lead to.
pub(super) fn simplified(mut genotype: Genotype) -> Genotype {
    genotype.beta = tidy(genotype.beta);
    loop {
        let before = genotype.clone();
        genotype.visit(&mut |place| match place {
            Place::Margin(margin) => replace(&mut **margin, simpler_margin),
            Place::Statistic(statistic) => replace(&mut **statistic, simpler_statistic),
            Place::Gate(gate) => replace(&mut **gate, simpler_gate),
            Place::Penalty(penalty) => replace(&mut **penalty, simpler_penalty),
        });
        if genotype == before {
            return genotype;
        }
    }
}

/// Rounded to two significant digits.
pub(super) fn tidy(value: f64) -> f64 {
    format!("{value:.1e}").parse().expect("a number in exponent form")
}

fn replace<T: Clone>(place: &mut T, simpler: impl FnOnce(T) -> T) {
    *place = simpler(place.clone());
}

fn simpler_margin(margin: Margin) -> Margin {
    use Margin::{Against, Magnitude, Scaled, Shifted, Squashed, Sum, Tempered};
    match margin {
        Scaled(1.0, m) => *m,
        Shifted(m, 0.0) => *m,
        Tempered(m, 1.0) => *m,
        Against(m, 0.0, _) => *m,
        Scaled(factor, inner) => match *inner {
            Scaled(other, m) => Scaled(tidy(factor * other), m),
            m => Scaled(tidy(factor), Box::new(m)),
        },
        Shifted(inner, offset) => match *inner {
            Shifted(m, other) => Shifted(m, tidy(offset + other)),
            m => Shifted(Box::new(m), tidy(offset)),
        },
        Tempered(inner, tau) => match *inner {
            Tempered(m, other) => Tempered(m, tidy(tau * other)),
            m => Tempered(Box::new(m), tidy(tau)),
        },
        Squashed(inner) => match *inner {
            Squashed(m) => Squashed(m),
            m => Squashed(Box::new(m)),
        },
        Magnitude(inner) => match *inner {
            Magnitude(m) => Magnitude(m),
            m => Magnitude(Box::new(m)),
        },
        Sum(m, n) if m == n => Scaled(2.0, m),
        Against(m, factor, s) => Against(m, tidy(factor), s),
        margin => margin,
    }
}

fn simpler_statistic(statistic: Statistic) -> Statistic {
    use Statistic::{Floored, MeanGate, Sigmoid};
    match statistic {
        Floored(inner) => match *inner {
            Floored(s) => Floored(s),
            Sigmoid(s) => Sigmoid(s),
            s => Floored(Box::new(s)),
        },
        MeanGate(Gate::Shared(s)) => Sigmoid(s),
        statistic => statistic,
    }
}

fn simpler_gate(gate: Gate) -> Gate {
    use Gate::{Constant, Not, Product};
    match gate {
        Constant(weight) => Constant(tidy(weight.clamp(0.0, 1.0))),
        Not(inner) => match *inner {
            Not(g) => *g,
            Constant(weight) => Constant(tidy(1.0 - weight)),
            g => Not(Box::new(g)),
        },
        Product(g, h) => match (*g, *h) {
            (Constant(g), Constant(h)) => Constant(tidy(g * h)),
            (g, h) => Product(Box::new(g), Box::new(h)),
        },
        gate => gate,
    }
}

fn simpler_penalty(penalty: Penalty) -> Penalty {
    use Penalty::{
        Focal, Gated, Logistic, Mixed, Power, Rounded, Squared, Sum, Switched, Weighted,
    };
    match penalty {
        Weighted(1.0, p) => *p,
        Focal(0, m) => Logistic(m),
        Weighted(weight, inner) => match *inner {
            Weighted(other, p) => Weighted(tidy(weight * other), p),
            p => Weighted(tidy(weight), Box::new(p)),
        },
        Squared(target, m) => Squared(tidy(target), m),
        Sum(p, q) if p == q => Weighted(2.0, p),
        Mixed(_, p, q) | Switched(_, p, q) if p == q => *p,
        Mixed(Gate::Constant(1.0), p, _) => *p,
        Mixed(Gate::Constant(0.0), _, q) => *q,
        Mixed(Gate::Not(g), p, q) => Mixed(*g, q, p),
        Gated(Gate::Constant(weight), p) => Weighted(weight, p),
        Power(inner) => match *inner {
            Rounded(p) => Power(Box::new(Rounded(p))),
            Power(p) => Power(p),
            p => Power(Box::new(p)),
        },
        penalty => penalty,
    }
}

#[cfg(test)]
mod tests {
    use super::super::expr::Input;
    use super::*;

    fn x() -> Box<Margin> {
        Box::new(Margin::Input(Input::LogratioMargin))
    }

    #[track_caller]
    fn check(loss: Penalty, expected: Penalty) {
        assert_eq!(simplified(Genotype { beta: 0.1, loss }).loss, expected);
    }

    #[test]
    fn nothing_is_said_twice() {
        let logistic = || Box::new(Penalty::Logistic(*x()));
        check(Penalty::Weighted(2.0, Box::new(Penalty::Weighted(0.5, logistic()))), *logistic());
        check(Penalty::Mixed(Gate::Open(*x()), logistic(), logistic()), *logistic());
        check(
            Penalty::Mixed(
                Gate::Not(Box::new(Gate::Open(*x()))),
                logistic(),
                Box::new(Penalty::Hinge(*x())),
            ),
            Penalty::Mixed(Gate::Open(*x()), Box::new(Penalty::Hinge(*x())), logistic()),
        );
        check(
            Penalty::Hinge(Margin::Scaled(2.0, Box::new(Margin::Scaled(0.5, x())))),
            Penalty::Hinge(*x()),
        );
        check(
            Penalty::Hinge(Margin::Shifted(Box::new(Margin::Shifted(x(), 0.25)), 0.5)),
            Penalty::Hinge(Margin::Shifted(x(), 0.75)),
        );
    }

    #[test]
    fn numbers_have_two_digits() {
        assert_eq!([0.123_456, -19.96, 1e-7, 0.0].map(tidy), [0.12, -20.0, 1e-7, 0.0]);
    }
}
