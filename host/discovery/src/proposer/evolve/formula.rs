//! Expressions as formulas, for the head of a printed loss.
//!
//! One line of mathematics with the symbols that papers use; numbers are the defaults. It is for reading: what is
//! computed stands in the code below it.

use super::expr::{Gate, Genotype, Input, Margin, Part, Penalty, Statistic};

/// The loss, and what its symbols mean.
pub(super) fn formula(genotype: &Genotype) -> String {
    let parts = genotype.parts();
    let inputs = [
        Input::LogratioMargin,
        Input::PolicyMargin,
        Input::PerTokenMargin,
        Input::PerTokenLogratioMargin,
        Input::ChosenLogratio,
        Input::RejectedDrop,
    ];
    let used =
        inputs.into_iter().filter(|&input| parts.contains(&Part::Margin(Margin::Input(input))));
    let meanings: Vec<String> =
        used.map(|input| format!("{} = β times {}", input.symbol(), input.words())).collect();
    let over_batch = if genotype.is_batch() { "; E and std are over the batch" } else { "" };
    format!("loss = {}, with {}{over_batch}", penalty(&genotype.loss).text, meanings.join(", "))
}

/// A formula and how tightly it binds.
struct Text {
    text: String,
    tight: Tight,
}

#[derive(PartialEq, PartialOrd)]
enum Tight {
    Sum,
    Product,
    Whole,
}

impl Text {
    fn sum(text: String) -> Self {
        Text { text, tight: Tight::Sum }
    }

    fn product(text: String) -> Self {
        Text { text, tight: Tight::Product }
    }

    fn whole(text: String) -> Self {
        Text { text, tight: Tight::Whole }
    }

    /// As a factor.
    fn factor(self) -> String {
        if self.tight >= Tight::Product { self.text } else { format!("({})", self.text) }
    }

    /// As the base of a power, the dividend of a fraction, or what follows a sign.
    fn atom(self) -> String {
        if self.tight >= Tight::Whole { self.text } else { format!("({})", self.text) }
    }
}

fn penalty(of: &Penalty) -> Text {
    match of {
        Penalty::Logistic(m) => Text::whole(format!("softplus({})", minus(margin(m)))),
        Penalty::Hinge(m) => Text::whole(format!("max(0, 1 − {})", margin(m).factor())),
        Penalty::Exponential(m) => Text::whole(format!("exp({})", minus(margin(m)))),
        Penalty::Squared(target, m) => Text::whole(format!("({target} − {})²", margin(m).factor())),
        Penalty::Sigmoid(m) => Text::whole(format!("σ({})", minus(margin(m)))),
        Penalty::Linear(m) => Text::product(minus(margin(m))),
        Penalty::Focal(power, m) => {
            let falling = minus(margin(m));
            let exponent = if *power == 1 { String::new() } else { format!("^{power}") };
            Text::product(format!("σ({falling}){exponent} softplus({falling})"))
        }
        Penalty::Weighted(weight, p) => Text::product(format!("{weight} {}", penalty(p).factor())),
        Penalty::Sum(p, q) => Text::sum(format!("{} + {}", penalty(p).text, penalty(q).text)),
        Penalty::Power(p) => Text::whole(format!("{}²", penalty(p).atom())),
        Penalty::Rounded(p) => Text::sum(format!("√(1 + {}²) − 1", penalty(p).atom())),
        Penalty::Gated(g, p) => {
            Text::product(format!("{} {}", gate(g).factor(), penalty(p).factor()))
        }
        Penalty::Mixed(Gate::Constant(share), p, q) => {
            let rest = super::simplify::tidy(1.0 - share);
            Text::sum(format!("{share} {} + {rest} {}", penalty(p).factor(), penalty(q).factor()))
        }
        Penalty::Mixed(g, p, q) => {
            let (open, closed) = (gate(g), Text::sum(format!("1 − {}", gate(g).factor())));
            Text::sum(format!(
                "{} {} + {} {}",
                open.factor(),
                penalty(p).factor(),
                closed.factor(),
                penalty(q).factor()
            ))
        }
        Penalty::Switched(m, p, q) => Text::whole(format!(
            "[{} where {} ≥ 0, else {}]",
            penalty(p).text,
            margin(m).text,
            penalty(q).text
        )),
    }
}

fn gate(of: &Gate) -> Text {
    match of {
        Gate::Constant(share) => Text::whole(share.to_string()),
        Gate::Open(m) => Text::whole(format!("σ({})", margin(m).text)),
        Gate::Not(g) => Text::sum(format!("1 − {}", gate(g).factor())),
        Gate::Product(g, h) => Text::product(format!("{} {}", gate(g).factor(), gate(h).factor())),
        Gate::Shared(s) => Text::whole(format!("σ({})", statistic(s).text)),
    }
}

fn statistic(of: &Statistic) -> Text {
    match of {
        Statistic::Mean(m) => Text::whole(format!("E[{}]", margin(m).text)),
        Statistic::Deviation(m) => Text::whole(format!("std[{}]", margin(m).text)),
        Statistic::MeanGate(g) => Text::whole(format!("E[{}]", gate(g).text)),
        Statistic::Floored(s) => Text::whole(format!("max(0, {})", statistic(s).text)),
        Statistic::Sigmoid(s) => Text::whole(format!("σ({})", statistic(s).text)),
        Statistic::Product(s, t) => {
            Text::product(format!("{} {}", statistic(s).factor(), statistic(t).factor()))
        }
    }
}

fn margin(of: &Margin) -> Text {
    match of {
        Margin::Input(input) => Text::whole(input.symbol().to_owned()),
        Margin::Scaled(factor, m) if *factor == -1.0 => Text::product(minus(margin(m))),
        Margin::Scaled(factor, m) => {
            Text::product(format!("{} {}", signed(*factor), margin(m).factor()))
        }
        Margin::Shifted(m, offset) if *offset < 0.0 => {
            Text::sum(format!("{} + {}", margin(m).text, -offset))
        }
        Margin::Shifted(m, offset) => Text::sum(format!("{} − {offset}", margin(m).text)),
        Margin::Tempered(m, tau) => Text::product(format!("{}/{tau}", margin(m).atom())),
        Margin::Sum(m, n) => Text::sum(format!("{} + {}", margin(m).text, margin(n).text)),
        Margin::Squashed(m) => Text::whole(format!("tanh({})", margin(m).text)),
        Margin::Magnitude(m) => Text::whole(format!("|{}|", margin(m).text)),
        Margin::Against(m, factor, s) => {
            let (sign, factor) = if *factor < 0.0 { ("+", -factor) } else { ("−", *factor) };
            let subtracted = statistic(s).factor();
            let term = if factor == 1.0 { subtracted } else { format!("{factor} {subtracted}") };
            Text::sum(format!("{} {sign} {term}", margin(m).text))
        }
    }
}

fn minus(text: Text) -> String {
    let text = text.factor();
    match text.strip_prefix('−') {
        Some(positive) => positive.to_owned(),
        None => format!("−{text}"),
    }
}

fn signed(number: f64) -> String {
    number.to_string().replace('-', "−")
}

impl Input {
    fn symbol(self) -> &'static str {
        match self {
            Input::LogratioMargin => "x",
            Input::PolicyMargin => "p",
            Input::PerTokenMargin => "q",
            Input::PerTokenLogratioMargin => "y",
            Input::ChosenLogratio => "a",
            Input::RejectedDrop => "d",
        }
    }
}
