//! The built-in losses as expressions, so that the search can start from them.
//!
//! Each is the function of `plugins/NAME.rs` at its defaults, but for the exponential's straight continuation. The
//! plugins stay what is trained as baselines; a test holds these expressions against them.

use super::expr::{Gate, Genotype, Input, Margin, Penalty, Statistic};
use Gate::{Constant, Open, Shared};
use Margin::{Against, Magnitude, Scaled, Shifted, Tempered};
use Penalty::{Exponential, Hinge, Logistic, Mixed, Sigmoid, Squared, Sum, Switched, Weighted};

/// The expression of the built-in loss with this name.
pub(super) fn genotype(name: &str) -> Option<Genotype> {
    let (beta, loss) = match name {
        "dpo" => (0.1, Logistic(x())),
        "slic" => (0.1, Hinge(x())),
        "ipo" => (0.1, Weighted(100.0, boxed(Squared(0.5, x())))),
        "cdpo" => {
            (0.1, Mixed(Constant(0.1), boxed(Logistic(scaled(-1.0, x()))), boxed(Logistic(x()))))
        }
        "simpo" => (2.0, Logistic(Shifted(boxed(Margin::Input(Input::PerTokenMargin)), 0.5))),
        "kto_pair" => (0.1, kto_pair()),
        "discopop" => {
            (0.05, Mixed(Open(tempered()), boxed(Exponential(x())), boxed(Logistic(x()))))
        }
        "aql" => (0.05, aql()),
        "dbaql" => (0.05, dbaql()),
        "aqfl" => (0.05, aqfl()),
        "padll" => {
            let weighted = |weight| boxed(Weighted(weight, boxed(Logistic(x()))));
            (0.05, Switched(x(), weighted(0.9), weighted(0.45)))
        }
        "cell" => (0.05, Mixed(Constant(0.5), boxed(Logistic(x())), boxed(Exponential(x())))),
        "pfl" => {
            let logistic = boxed(Weighted(0.5, boxed(Logistic(tempered()))));
            let hinge = boxed(Weighted(2.0, boxed(Hinge(tempered()))));
            (0.05, Switched(Margin::Input(Input::PolicyMargin), logistic, hinge))
        }
        _ => return None,
    };
    Some(Genotype { beta, loss })
}

fn kto_pair() -> Penalty {
    let (chosen, drop) = (Margin::Input(Input::ChosenLogratio), Margin::Input(Input::RejectedDrop));
    let floored_mean = |margin| Box::new(Statistic::Floored(Box::new(Statistic::Mean(margin))));
    let chosen_above =
        Against(boxed(chosen.clone()), 1.0, floored_mean(scaled(-1.0, drop.clone())));
    let rejected_below = Against(boxed(drop), -1.0, floored_mean(chosen));
    Sum(boxed(Sigmoid(chosen_above)), boxed(Sigmoid(rejected_below)))
}

/// σ(τ m − x) with m = 0.495 + 0.01 E[σ(x/τ)] is 1 − σ(x − 0.02475 − 0.0005 E[σ(x/τ)]).
fn aql() -> Penalty {
    let quantile = Box::new(Statistic::MeanGate(Open(tempered())));
    let beyond = Against(boxed(Shifted(boxed(x()), 0.02475)), 0.0005, quantile);
    Mixed(Open(beyond), boxed(Hinge(x())), boxed(Logistic(x())))
}

fn dbaql() -> Penalty {
    let deviation = || Box::new(Statistic::Deviation(tempered()));
    let variance = Statistic::Product(deviation(), deviation());
    let logistic = boxed(Logistic(Tempered(boxed(x()), 0.9)));
    Mixed(Shared(Box::new(variance)), logistic, boxed(Exponential(scaled(0.9, x()))))
}

/// m₂ = 0.95 std·E[σ(−x/τ)] + 0.05 σ(E[x/τ]).
fn aqfl() -> Penalty {
    let below_zero = Statistic::MeanGate(Gate::Not(Box::new(Open(tempered()))));
    let spread =
        Statistic::Product(Box::new(Statistic::Deviation(tempered())), Box::new(below_zero));
    let centre = Statistic::Sigmoid(Box::new(Statistic::Mean(tempered())));
    let distance =
        Against(boxed(Against(boxed(tempered()), 0.95, Box::new(spread))), 0.05, Box::new(centre));
    let far = Open(scaled(0.1, Magnitude(boxed(distance))));
    Mixed(far, boxed(Logistic(x())), boxed(Hinge(x())))
}

/// x = βρ.
fn x() -> Margin {
    Margin::Input(Input::LogratioMargin)
}

/// x/τ at τ = 0.05.
fn tempered() -> Margin {
    Tempered(boxed(x()), 0.05)
}

fn scaled(factor: f64, margin: Margin) -> Margin {
    Scaled(factor, boxed(margin))
}

fn boxed<T>(value: T) -> Box<T> {
    Box::new(value)
}

#[cfg(test)]
mod tests {
    use super::super::value::{Row, losses};
    use super::*;

    const ROWS: [Row; 3] = [row(0.4, 0.1, 20.0), row(-2.0, 3.0, 10.0), row(5.0, -1.0, 40.0)];

    const fn row(chosen_logratio: f64, rejected_logratio: f64, tokens: f64) -> Row {
        Row {
            chosen_logratio,
            rejected_logratio,
            policy_chosen: -50.0 + chosen_logratio,
            policy_rejected: -51.0 + rejected_logratio,
            chosen_tokens: tokens,
            rejected_tokens: 25.0,
        }
    }

    /// Formulas of the papers, at the rows' numbers.
    #[test]
    fn expressions_are_the_published_formulas() {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let softplus = |x: f64| x.exp().ln_1p();
        let rho = ROWS.map(|row| row.chosen_logratio - row.rejected_logratio);
        let check = |name: &str, formula: &dyn Fn(usize) -> f64| {
            let got = losses(&genotype(name).expect(name), &ROWS);
            assert_eq!(got.len(), ROWS.len(), "{name}");
            for (index, got) in got.into_iter().enumerate() {
                let expected = formula(index);
                assert!(
                    (got - expected).abs() < 1e-12 * (1.0 + expected.abs()),
                    "{name} {index}: {got} {expected}"
                );
            }
        };
        check("dpo", &|i| softplus(-0.1 * rho[i]));
        check("slic", &|i| (1.0 - 0.1 * rho[i]).max(0.0));
        check("ipo", &|i| (rho[i] - 5.0).powi(2));
        check("cdpo", &|i| 0.9 * softplus(-0.1 * rho[i]) + 0.1 * softplus(0.1 * rho[i]));
        check("simpo", &|i| {
            let row = ROWS[i];
            softplus(
                0.5 - 2.0
                    * (row.policy_chosen / row.chosen_tokens
                        - row.policy_rejected / row.rejected_tokens),
            )
        });
        check("discopop", &|i| {
            let (x, gate) = (0.05 * rho[i], sigmoid(rho[i]));
            (1.0 - gate) * softplus(-x) + gate * (-x).exp()
        });
        check("padll", &|i| if rho[i] >= 0.0 { 0.9 } else { 0.45 } * softplus(-0.05 * rho[i]));
        check("cell", &|i| 0.5 * softplus(-0.05 * rho[i]) + 0.5 * (-0.05 * rho[i]).exp());
        check("pfl", &|i| match ROWS[i].policy_chosen > ROWS[i].policy_rejected {
            true => 0.5 * softplus(-rho[i]),
            false => 2.0 * (1.0 - rho[i]).max(0.0),
        });
        let mean = |of: &dyn Fn(usize) -> f64| (of(0) + of(1) + of(2)) / 3.0;
        let variance = (0..3).map(|i| (rho[i] - mean(&|i| rho[i])).powi(2)).sum::<f64>() / 2.0;
        let (z_w, z_l) = (
            mean(&|i| ROWS[i].chosen_logratio).max(0.0),
            mean(&|i| ROWS[i].rejected_logratio).max(0.0),
        );
        check("kto_pair", &|i| {
            let (a, b) = (ROWS[i].chosen_logratio, ROWS[i].rejected_logratio);
            1.0 - sigmoid(0.1 * (a - z_l)) + 1.0 - sigmoid(0.1 * (z_w - b))
        });
        check("aql", &|i| {
            let x = 0.05 * rho[i];
            let q = sigmoid(0.05 * (0.5 + 0.01 * (mean(&|i| sigmoid(rho[i])) - 0.5)) - x);
            q * softplus(-x) + (1.0 - q) * (1.0 - x).max(0.0)
        });
        check("dbaql", &|i| {
            let (x, c) = (0.05 * rho[i], sigmoid(variance));
            c * softplus(-x / 0.9) + (1.0 - c) * (-0.9 * x).exp()
        });
        check("aqfl", &|i| {
            let (x, m1) = (0.05 * rho[i], variance.sqrt() * mean(&|i| sigmoid(-rho[i])));
            let m2 = m1 + 0.05 * (sigmoid(mean(&|i| rho[i])) - m1);
            let r = sigmoid(0.1 * (rho[i] - m2).abs());
            r * softplus(-x) + (1.0 - r) * (1.0 - x).max(0.0)
        });
    }

    #[test]
    fn every_baseline_has_its_expression() {
        for baseline in crate::baselines::ALL {
            assert!(genotype(baseline.name).is_some(), "{}", baseline.name);
        }
    }
}
