//! Expressions as plugin source that a researcher would keep.
//!
//! Every quantity gets a name in the field's terms; what is used twice is computed once; offsets, temperatures and
//! shares are hyperparameters. The text is all there is to it: printing knows no value and no history.

use std::fmt::Write as _;

use super::expr::{EXPONENT_MAX, Gate, Genotype, Input, Margin, Penalty, Statistic};
use super::formula::formula;

/// Longest line of a doc comment.
const COLUMNS: usize = 100;

/// A one-file plugin.
pub(super) fn source(genotype: &Genotype, name: &str, title: &str, hypothesis: &str) -> String {
    let mut printer = Printer::default();
    let mut pair = Block::default();
    let loss = printer.penalty(&genotype.loss, &mut pair).text;
    let mut text = String::new();
    text.push_str(&doc(&format!("{}.", capitalised(title))));
    text.push_str("//!\n");
    text.push_str(&doc(&format!("Hypothesis: {hypothesis}")));
    text.push_str("//!\n");
    text.push_str(&doc(&format!("{}.", formula(genotype))));
    text.push_str("use guest_sdk::prelude::*;\n\n");
    text.push_str(&declaration(genotype, name, title, &printer.hyperparameters));
    text.push('\n');
    text.push_str(&match genotype.is_batch() {
        false => pair_function(&pair, &loss),
        true => batch_function(&printer.shared, &pair, &loss),
    });
    text
}

fn declaration(genotype: &Genotype, name: &str, title: &str, tuned: &[Hyperparameter]) -> String {
    let kind = if genotype.is_batch() { "batch_loss" } else { "pair_loss" };
    let mut hyperparameters = format!("beta: {:?} in 0.001..=10.0", genotype.beta);
    for Hyperparameter { name, default, range } in tuned {
        let _ = write!(hyperparameters, ", {name}: {default:?} in {range}");
    }
    let summary: String = title.chars().take(200).collect();
    format!(
        "{kind}! {{\n    name: {name:?},\n    summary: {summary:?},\n    hyperparameters: {{ {hyperparameters} }},\n}}\n"
    )
}

fn pair_function(pair: &Block, loss: &str) -> String {
    format!(
        "fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {{\n{}    {loss}\n}}\n",
        pair.lines(1)
    )
}

fn batch_function(shared: &Block, pair: &Block, loss: &str) -> String {
    format!(
        "fn losses<'t>(batch: &Batch<'t>, hp: &Hyperparameters) -> Vec<Var<'t>> {{\n{}    batch.map(|pair| {{\n{}        {loss}\n    }})\n}}\n",
        shared.lines(1),
        pair.lines(2)
    )
}

/// A doc comment, wrapped.
fn doc(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("//!");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines.push_str(&line);
            lines.push('\n');
            line = String::from("//!");
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// What has been named so far.
#[derive(Default)]
struct Printer {
    hyperparameters: Vec<Hyperparameter>,
    /// Numbers of the whole batch.
    shared: Block,
    names: Vec<String>,
}

struct Hyperparameter {
    name: String,
    default: f64,
    range: &'static str,
}

/// Names and what they stand for, in order.
#[derive(Default)]
struct Block {
    lets: Vec<(String, String)>,
    /// Stands within one expression: nothing is named.
    inline: bool,
}

impl Block {
    fn lines(&self, depth: usize) -> String {
        let indent = "    ".repeat(depth);
        self.lets.iter().fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(text, "{indent}let {name} = {value};");
            text
        })
    }
}

/// Rust code and how tightly it binds.
#[derive(Clone)]
struct Code {
    text: String,
    tight: Tight,
}

#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Tight {
    Sum,
    Product,
    Sign,
    Whole,
}

impl Code {
    fn new(tight: Tight, text: String) -> Self {
        Code { text, tight }
    }

    fn whole(text: impl Into<String>) -> Self {
        Code::new(Tight::Whole, text.into())
    }

    /// On the left of a sum, or anywhere that takes an expression.
    fn as_term(&self) -> &str {
        &self.text
    }

    /// Behind a minus, or as a factor on the left.
    fn as_factor(&self) -> String {
        self.at_least(Tight::Product)
    }

    /// As a divisor, or as a factor on the right.
    fn as_unit(&self) -> String {
        self.at_least(Tight::Sign)
    }

    /// In front of a method.
    fn as_receiver(&self) -> String {
        self.at_least(Tight::Whole)
    }

    fn at_least(&self, tight: Tight) -> String {
        if self.tight >= tight { self.text.clone() } else { format!("({})", self.text) }
    }

    fn negated(&self) -> Code {
        match self.text.strip_prefix('-') {
            Some(positive) if self.tight == Tight::Sign => Code::whole(positive),
            _ => Code::new(Tight::Sign, format!("-{}", self.as_receiver())),
        }
    }

    fn method(&self, call: &str) -> Code {
        Code::whole(format!("{}.{call}", self.as_receiver()))
    }
}

impl Printer {
    /// A name for this value within the block; the name that it has, if it has one.
    fn bind(&mut self, block: &mut Block, name: &str, value: Code) -> Code {
        if block.inline {
            return value;
        }
        if let Some((known, _)) = block.lets.iter().find(|(_, text)| *text == value.text) {
            return Code::whole(known.clone());
        }
        let name = self.unused(name);
        block.lets.push((name.clone(), value.text));
        Code::whole(name)
    }

    fn bind_shared(&mut self, name: &str, value: Code) -> Code {
        let mut shared = std::mem::take(&mut self.shared);
        let bound = self.bind(&mut shared, name, value);
        self.shared = shared;
        bound
    }

    fn unused(&mut self, name: &str) -> String {
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
        let unused =
            candidates.find(|name| !self.names.contains(name)).expect("numbers do not end");
        self.names.push(unused.clone());
        unused
    }

    /// The hyperparameter of this name and default.
    fn tuned(&mut self, name: &str, default: f64, range: &'static str) -> Code {
        let base = |known: &str| {
            known.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_').to_owned()
        };
        let mut alike = self.hyperparameters.iter().filter(|known| base(&known.name) == name);
        if let Some(known) = alike.clone().find(|known| known.default == default) {
            return Code::whole(format!("hp.{}", known.name));
        }
        let name = match alike.by_ref().count() {
            0 => name.to_owned(),
            n => format!("{name}_{}", n + 1),
        };
        self.hyperparameters.push(Hyperparameter { name: name.clone(), default, range });
        Code::whole(format!("hp.{name}"))
    }

    fn penalty(&mut self, penalty: &Penalty, block: &mut Block) -> Code {
        match penalty {
            Penalty::Logistic(m) => {
                let margin = self.margin(m, block);
                self.bind(block, "logistic", margin.negated().method("softplus()"))
            }
            Penalty::Hinge(m) => {
                let margin = self.margin(m, block);
                let gap = Code::new(Tight::Sum, format!("1.0 - {}", margin.as_factor()));
                self.bind(block, "hinge", gap.method("relu()"))
            }
            Penalty::Exponential(m) => {
                let exponent = self.margin(m, block).negated();
                let exponent = self.bind(block, "exponent", exponent);
                self.bind(block, "exponential", guarded_exp(&exponent))
            }
            Penalty::Squared(target, m) => {
                let target = self.tuned("target", *target, "-10.0..=10.0");
                let margin = self.margin(m, block);
                let distance =
                    Code::new(Tight::Sum, format!("{} - {}", target.as_term(), margin.as_factor()));
                self.bind(block, "squared_distance", distance.method("square()"))
            }
            Penalty::Sigmoid(m) => {
                let margin = self.margin(m, block);
                self.bind(block, "sigmoid", margin.negated().method("sigmoid()"))
            }
            Penalty::Linear(m) => self.margin(m, block).negated(),
            Penalty::Focal(power, m) => {
                let falling = self.margin(m, block).negated();
                let unlearnt = self.bind(block, "unlearnt", falling.method("sigmoid()"));
                let focus =
                    if *power == 1 { unlearnt } else { unlearnt.method(&format!("powi({power})")) };
                let focal =
                    format!("{} * {}", focus.as_factor(), falling.method("softplus()").text);
                self.bind(block, "focal", Code::new(Tight::Product, focal))
            }
            Penalty::Weighted(weight, p) => times(*weight, &self.penalty(p, block)),
            Penalty::Sum(p, q) => {
                let (p, q) = (self.penalty(p, block), self.penalty(q, block));
                Code::new(Tight::Sum, format!("{} + {}", p.as_term(), q.as_factor()))
            }
            Penalty::Power(p) => {
                let inner = self.named_penalty(p, block);
                inner.method("square()")
            }
            Penalty::Rounded(p) => {
                let inner = self.named_penalty(p, block);
                let root =
                    Code::new(Tight::Sum, format!("1.0 + {}", inner.method("square()").text))
                        .method("sqrt()");
                Code::new(Tight::Sum, format!("{} - 1.0", root.text))
            }
            Penalty::Gated(g, p) => {
                let gate = self.gate(g, block);
                let inner = self.named_penalty(p, block);
                Code::new(Tight::Product, format!("{} * {}", gate.as_factor(), inner.as_unit()))
            }
            Penalty::Mixed(g, p, q) => {
                let gate = self.gate(g, block);
                let (p, q) = (self.named_penalty(p, block), self.named_penalty(q, block));
                let (gate, p, q) = (gate.as_factor(), p.as_unit(), q.as_unit());
                Code::new(Tight::Sum, format!("{gate} * {p} + (1.0 - {gate}) * {q}"))
            }
            Penalty::Switched(m, p, q) => {
                let margin = self.margin(m, block);
                let (p, q) = (self.penalty(p, block), self.penalty(q, block));
                let either = format!(
                    "if {} >= 0.0 {{ {} }} else {{ {} }}",
                    margin.as_term(),
                    p.text,
                    q.text
                );
                self.bind(block, "switched", Code::new(Tight::Sum, either))
            }
        }
    }

    /// A penalty that stands in the middle of something gets a name if it is more than a word.
    fn named_penalty(&mut self, penalty: &Penalty, block: &mut Block) -> Code {
        let code = self.penalty(penalty, block);
        match code.tight {
            Tight::Whole | Tight::Sign => code,
            _ => self.bind(block, "penalty", code),
        }
    }

    fn gate(&mut self, gate: &Gate, block: &mut Block) -> Code {
        match gate {
            Gate::Constant(share) => self.tuned("alpha", *share, "0.0..=1.0"),
            Gate::Open(m) => {
                let margin = self.margin(m, block);
                self.bind(block, "gate", margin.method("sigmoid()"))
            }
            Gate::Not(g) => {
                let inner = self.gate(g, block);
                self.bind(
                    block,
                    "closed",
                    Code::new(Tight::Sum, format!("1.0 - {}", inner.as_factor())),
                )
            }
            Gate::Product(g, h) => {
                let (g, h) = (self.gate(g, block), self.gate(h, block));
                self.bind(
                    block,
                    "gates",
                    Code::new(Tight::Product, format!("{} * {}", g.as_factor(), h.as_unit())),
                )
            }
            Gate::Shared(s) => {
                let statistic = self.statistic(s);
                self.bind_shared("shared_gate", statistic.method("sigmoid()"))
            }
        }
    }

    fn statistic(&mut self, statistic: &Statistic) -> Code {
        match statistic {
            Statistic::Mean(m) => {
                let rows = self.rows(|printer, block| printer.margin(m, block));
                self.bind_shared("mean_margin", Code::whole(format!("mean(&{rows})")))
            }
            Statistic::Deviation(m) => {
                let rows = self.rows(|printer, block| printer.margin(m, block));
                self.bind_shared("spread", Code::whole(format!("std_dev(&{rows})")))
            }
            Statistic::MeanGate(g) => {
                let rows = self.rows(|printer, block| match g {
                    Gate::Constant(_) => {
                        Code::whole(format!("Var::from({})", printer.gate(g, block).text))
                    }
                    _ => printer.gate(g, block),
                });
                self.bind_shared("mean_gate", Code::whole(format!("mean(&{rows})")))
            }
            Statistic::Floored(s) => {
                let inner = self.statistic(s);
                self.bind_shared("floored", inner.method("relu()"))
            }
            Statistic::Sigmoid(s) => {
                let inner = self.statistic(s);
                self.bind_shared("level", inner.method("sigmoid()"))
            }
            Statistic::Product(s, t) => {
                let (s, t) = (self.statistic(s), self.statistic(t));
                self.bind_shared(
                    "product",
                    Code::new(Tight::Product, format!("{} * {}", s.as_factor(), t.as_unit())),
                )
            }
        }
    }

    /// One number for each pair of the batch, as a closure of one expression.
    fn rows(&mut self, row: impl FnOnce(&mut Self, &mut Block) -> Code) -> String {
        let mut block = Block { inline: true, ..Block::default() };
        format!("batch.map(|pair| {})", row(self, &mut block).text)
    }

    fn margin(&mut self, margin: &Margin, block: &mut Block) -> Code {
        match margin {
            Margin::Input(input) => {
                let (name, value) = input.code();
                self.bind(block, name, Code::new(Tight::Product, value.to_owned()))
            }
            Margin::Scaled(factor, m) => times(*factor, &self.margin(m, block)),
            Margin::Shifted(m, offset) => {
                let gamma = self.tuned("gamma", *offset, "-10.0..=10.0");
                let inner = self.margin(m, block);
                Code::new(Tight::Sum, format!("{} - {}", inner.as_term(), gamma.text))
            }
            Margin::Tempered(m, tau) => {
                let tau = self.tuned("tau", *tau, "0.001..=10.0");
                let inner = self.margin(m, block);
                Code::new(Tight::Product, format!("{} / {}", inner.as_factor(), tau.text))
            }
            Margin::Sum(m, n) => {
                let (m, n) = (self.margin(m, block), self.margin(n, block));
                self.bind(
                    block,
                    "joint_margin",
                    Code::new(Tight::Sum, format!("{} + {}", m.as_term(), n.as_factor())),
                )
            }
            Margin::Squashed(m) => {
                let inner = self.margin(m, block);
                self.bind(block, "squashed_margin", inner.method("tanh()"))
            }
            Margin::Magnitude(m) => {
                let inner = self.margin(m, block);
                self.bind(block, "magnitude", inner.method("abs()"))
            }
            Margin::Against(m, factor, s) => {
                let inner = self.margin(m, block);
                let statistic = self.statistic(s);
                let (sign, term) = match *factor < 0.0 {
                    true => ("+", times(-factor, &statistic)),
                    false => ("-", times(*factor, &statistic)),
                };
                let relative = Code::new(
                    Tight::Sum,
                    format!("{} {sign} {}", inner.as_term(), term.as_factor()),
                );
                self.bind(block, "relative_margin", relative)
            }
        }
    }
}

/// eˣ, going on as a straight line where x is large.
fn guarded_exp(exponent: &Code) -> Code {
    let beyond = Code::new(Tight::Sum, format!("{} - {EXPONENT_MAX:?}", exponent.as_term()))
        .method("relu()");
    let exp = exponent.method(&format!("minimum({EXPONENT_MAX:?}).exp()"));
    Code::new(Tight::Product, format!("{} * (1.0 + {})", exp.text, beyond.text))
}

fn times(factor: f64, code: &Code) -> Code {
    if factor == 1.0 {
        return code.clone();
    }
    if factor == -1.0 {
        return code.negated();
    }
    Code::new(Tight::Product, format!("{factor:?} * {}", code.as_unit()))
}

impl Input {
    /// Its name in printed source, and what it is.
    fn code(self) -> (&'static str, &'static str) {
        match self {
            Input::LogratioMargin => ("margin", "hp.beta * pair.logratio_margin()"),
            Input::PolicyMargin => ("policy_margin", "hp.beta * pair.policy_margin()"),
            Input::PerTokenMargin => (
                "per_token_margin",
                "hp.beta * (pair.chosen_mean_logp() - pair.rejected_mean_logp())",
            ),
            Input::PerTokenLogratioMargin => (
                "per_token_logratio_margin",
                "hp.beta * (pair.chosen_logratio() / f64::from(pair.chosen_tokens) - pair.rejected_logratio() / f64::from(pair.rejected_tokens))",
            ),
            Input::ChosenLogratio => ("chosen_reward", "hp.beta * pair.chosen_logratio()"),
            Input::RejectedDrop => ("rejected_drop", "hp.beta * -pair.rejected_logratio()"),
        }
    }
}
