//! What an expression says in numbers, and its fingerprint.
//!
//! A search that proposes the same function in other words wastes a training, so a candidate's behaviour on fixed
//! pairs is compared before it is proposed. Scale and offset of a loss do not count: AdamW divides a constant factor
//! away. The values are for comparing and for a first look; the loss that is trained is the printed source.

use super::expr::{EXPONENT_MAX, Gate, Genotype, Input, Margin, Penalty, Statistic};

/// The numbers of one pair. Log-ratios and log-probs in nats.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) chosen_logratio: f64,
    pub(super) rejected_logratio: f64,
    pub(super) policy_chosen: f64,
    pub(super) policy_rejected: f64,
    pub(super) chosen_tokens: f64,
    pub(super) rejected_tokens: f64,
}

/// The loss of each row of a batch.
pub(super) fn losses(genotype: &Genotype, rows: &[Row]) -> Vec<f64> {
    let batch = Batch { beta: genotype.beta, rows };
    rows.iter().map(|row| batch.penalty(&genotype.loss, row)).collect()
}

/// Behaviour on fixed pairs, without scale and offset, in steps of a thousandth. `None` for a loss that is the same or
/// not finite everywhere.
pub(super) fn fingerprint(genotype: &Genotype) -> Option<Vec<i32>> {
    let values: Vec<f64> = batches().iter().flat_map(|rows| losses(genotype, rows)).collect();
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| {
            (low.min(value), high.max(value))
        });
    let finite = values.iter().all(|value| value.is_finite());
    let differ = high - low > 1e-6 * (1.0 + high.abs().max(low.abs()));
    let step = |value: f64| ((value - low) / (high - low) * 1000.0).round() as i32;
    (finite && differ).then(|| values.into_iter().map(step).collect())
}

/// Pairs as they come in training: all like the reference at first, then learnt by and by, of different lengths.
fn batches() -> [Vec<Row>; 2] {
    let row = |index: usize, spread: f64| {
        let turn = index as f64;
        let chosen_logratio = spread * libm::sin(1.3 * turn + 0.2);
        let rejected_logratio = spread * libm::cos(2.1 * turn) - 0.3 * spread;
        let (reference_chosen, reference_rejected) =
            (-60.0 - 3.0 * libm::sin(turn), -61.0 + 5.0 * libm::cos(1.7 * turn));
        Row {
            chosen_logratio,
            rejected_logratio,
            policy_chosen: reference_chosen + chosen_logratio,
            policy_rejected: reference_rejected + rejected_logratio,
            chosen_tokens: (20 + index % 7) as f64,
            rejected_tokens: (20 + index % 5) as f64,
        }
    };
    [
        (0..12).map(|index| row(index, 2.0)).collect(),
        (12..36).map(|index| row(index, 15.0)).collect(),
    ]
}

struct Batch<'a> {
    beta: f64,
    rows: &'a [Row],
}

impl Batch<'_> {
    fn penalty(&self, penalty: &Penalty, row: &Row) -> f64 {
        let margin = |m: &Margin| self.margin(m, row);
        let inner = |p: &Penalty| self.penalty(p, row);
        match penalty {
            Penalty::Logistic(m) => softplus(-margin(m)),
            Penalty::Hinge(m) => (1.0 - margin(m)).max(0.0),
            Penalty::Exponential(m) => guarded_exp(-margin(m)),
            Penalty::Squared(target, m) => (target - margin(m)).powi(2),
            Penalty::Sigmoid(m) => sigmoid(-margin(m)),
            Penalty::Linear(m) => -margin(m),
            Penalty::Focal(power, m) => {
                sigmoid(-margin(m)).powi(i32::from(*power)) * softplus(-margin(m))
            }
            Penalty::Weighted(weight, p) => weight * inner(p),
            Penalty::Sum(p, q) => inner(p) + inner(q),
            Penalty::Power(p) => inner(p).powi(2),
            Penalty::Rounded(p) => libm::sqrt(1.0 + inner(p).powi(2)) - 1.0,
            Penalty::Gated(g, p) => self.gate(g, row) * inner(p),
            Penalty::Mixed(g, p, q) => {
                let gate = self.gate(g, row);
                gate * inner(p) + (1.0 - gate) * inner(q)
            }
            Penalty::Switched(m, p, q) => inner(if margin(m) >= 0.0 { p } else { q }),
        }
    }

    fn gate(&self, gate: &Gate, row: &Row) -> f64 {
        match gate {
            Gate::Constant(weight) => *weight,
            Gate::Open(m) => sigmoid(self.margin(m, row)),
            Gate::Not(g) => 1.0 - self.gate(g, row),
            Gate::Product(g, h) => self.gate(g, row) * self.gate(h, row),
            Gate::Shared(s) => sigmoid(self.statistic(s)),
        }
    }

    fn statistic(&self, statistic: &Statistic) -> f64 {
        let margins =
            |m: &Margin| self.rows.iter().map(|row| self.margin(m, row)).collect::<Vec<_>>();
        match statistic {
            Statistic::Mean(m) => mean(&margins(m)),
            Statistic::Deviation(m) => deviation(&margins(m)),
            Statistic::MeanGate(g) => {
                mean(&self.rows.iter().map(|row| self.gate(g, row)).collect::<Vec<_>>())
            }
            Statistic::Floored(s) => self.statistic(s).max(0.0),
            Statistic::Sigmoid(s) => sigmoid(self.statistic(s)),
            Statistic::Product(s, t) => self.statistic(s) * self.statistic(t),
        }
    }

    fn margin(&self, margin: &Margin, row: &Row) -> f64 {
        match margin {
            Margin::Input(input) => self.beta * input.of(row),
            Margin::Scaled(factor, m) => factor * self.margin(m, row),
            Margin::Shifted(m, offset) => self.margin(m, row) - offset,
            Margin::Tempered(m, tau) => self.margin(m, row) / tau,
            Margin::Sum(m, n) => self.margin(m, row) + self.margin(n, row),
            Margin::Squashed(m) => libm::tanh(self.margin(m, row)),
            Margin::Magnitude(m) => self.margin(m, row).abs(),
            Margin::Against(m, factor, s) => self.margin(m, row) - factor * self.statistic(s),
        }
    }
}

impl Input {
    fn of(self, row: &Row) -> f64 {
        match self {
            Input::LogratioMargin => row.chosen_logratio - row.rejected_logratio,
            Input::PolicyMargin => row.policy_chosen - row.policy_rejected,
            Input::PerTokenMargin => {
                row.policy_chosen / row.chosen_tokens - row.policy_rejected / row.rejected_tokens
            }
            Input::PerTokenLogratioMargin => {
                row.chosen_logratio / row.chosen_tokens
                    - row.rejected_logratio / row.rejected_tokens
            }
            Input::ChosenLogratio => row.chosen_logratio,
            Input::RejectedDrop => -row.rejected_logratio,
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    libm::sqrt(squares / (values.len() - 1) as f64)
}

fn sigmoid(x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

/// eˣ up to [`EXPONENT_MAX`], its tangent there beyond.
fn guarded_exp(x: f64) -> f64 {
    libm::exp(x.min(EXPONENT_MAX)) * (1.0 + (x - EXPONENT_MAX).max(0.0))
}
