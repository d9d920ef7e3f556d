//! The log-probability of given tokens: output projection, log-softmax and gather in one operation.
//!
//! With logits l\[r, v\] = hidden\[r\]·head\[v\], or c·tanh of their c-th part with a soft cap c, logp\[r\] = l\[r, targets\[r\]\] − ln Σᵥ exp l\[r, v\]. Backward
//! takes dlogp and forms dl\[r, v\] = dlogp\[r\]·(1\[v = targets\[r\]\] − softmax(l\[r\])ᵥ), with a cap times 1 − (l/c)²; then
//! dhidden = dl·head and dhead = dlᵀ·hidden. Logits take [`LOGITS_BYTES_MAX`] at most, whatever the number of rows: where
//! all of them fit, forward keeps them for backward; otherwise they exist for a chunk of rows only and backward computes
//! them again. No sum over tokens, no loss.

mod cpu;
pub mod cuda;
mod statistics;

pub use statistics::Statistics;

use crate::Write;
use tracing::trace_span;

/// Memory for logits at any one time, unless a single row needs more.
pub const LOGITS_BYTES_MAX: usize = 64 << 20;

/// The sizes of the output projection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Hidden rows, one per target.
    pub rows: usize,
    /// Width of a hidden row.
    pub width: usize,
    /// Rows of the head.
    pub vocabulary: usize,
    /// Bound c of the logits: l → c·tanh(l/c).
    pub softcap: Option<f32>,
}

impl Shape {
    /// Floating-point operations of one product.
    fn flop(&self) -> u64 {
        2 * (self.rows * self.width * self.vocabulary) as u64
    }

    fn check(&self, logp: &[f32], lse: &[f32], hidden: &[f32], head: &[f32], targets: &[u32]) {
        assert_eq!(hidden.len(), self.rows * self.width, "hidden is not [rows, width] of {self:?}");
        assert_eq!(
            head.len(),
            self.vocabulary * self.width,
            "the head is not [vocabulary, width] of {self:?}"
        );
        assert_eq!(targets.len(), self.rows, "targets are not [rows] of {self:?}");
        assert_eq!(logp.len(), self.rows, "log-probs are not [rows] of {self:?}");
        assert_eq!(lse.len(), self.rows, "lse is not [rows] of {self:?}");
        if let Some(target) = targets.iter().find(|&&target| target as usize >= self.vocabulary) {
            panic!("target {target} is outside the vocabulary of {}", self.vocabulary);
        }
    }
}

/// What the log-probs are computed from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// \[rows, width\]
    pub hidden: &'a [f32],
    /// \[vocabulary, width\]
    pub head: &'a [f32],
    /// \[rows\]
    pub targets: &'a [u32],
}

/// logp and lse (the logits' log-sum-exp, kept for [`backward`]) are overwritten. Shapes: both \[rows\].
///
/// `kept` is memory that [`backward`] gets again; its former content does not matter. Afterwards it holds
/// the logits of all rows if they fit (padded a little beyond rows·vocabulary), and a chunk's if not. `None` says that no backward follows: forward then
/// borrows memory for a chunk of rows and returns it.
pub fn forward(
    logp: &mut [f32],
    lse: &mut [f32],
    kept: Option<&mut Vec<f32>>,
    inputs: Inputs,
    shape: Shape,
) {
    let _span = trace_span!("logprob forward", flop = shape.flop()).entered();
    shape.check(logp, lse, inputs.hidden, inputs.head, inputs.targets);
    cpu::forward(logp, lse, None, kept.unwrap_or(&mut Vec::new()), inputs, shape);
}

/// [`forward`] with the same results, and what else there is to say of each row's distribution, \[rows\]: one more
/// pass over the logits.
pub fn forward_with_statistics(
    logp: &mut [f32],
    lse: &mut [f32],
    statistics: &mut [Statistics],
    kept: Option<&mut Vec<f32>>,
    inputs: Inputs,
    shape: Shape,
) {
    let _span = trace_span!("logprob forward", flop = shape.flop()).entered();
    shape.check(logp, lse, inputs.hidden, inputs.head, inputs.targets);
    assert_eq!(statistics.len(), shape.rows, "statistics are not [rows] of {shape:?}");
    cpu::forward(logp, lse, Some(statistics), kept.unwrap_or(&mut Vec::new()), inputs, shape);
}

/// dhidden \[rows, width\] is overwritten, dhead \[vocabulary, width\] is or grows, as `write` says. dlogp and lse \[rows\].
///
/// `kept` is what [`forward`] left there for the same inputs. It is used up: the vector keeps its memory but gets too
/// short to be taken for logits, so a second backward computes them again.
#[expect(clippy::too_many_arguments, reason = "forward's, and a gradient of each")]
pub fn backward(
    dhidden: &mut [f32],
    dhead: &mut [f32],
    dlogp: &[f32],
    lse: &[f32],
    kept: &mut Vec<f32>,
    inputs: Inputs,
    shape: Shape,
    write: Write,
) {
    let _span = trace_span!("logprob backward", flop = 2 * shape.flop()).entered();
    shape.check(dlogp, lse, inputs.hidden, inputs.head, inputs.targets);
    assert_eq!(dhidden.len(), inputs.hidden.len(), "dhidden and hidden differ in size");
    assert_eq!(dhead.len(), inputs.head.len(), "dhead and head differ in size");
    cpu::backward(dhidden, dhead, dlogp, lse, kept, inputs, shape, write);
}

/// l becomes cap·tanh(l/cap), in place: the logits of a capped model, for who samples from them.
pub fn cap(logits: &mut [f32], cap: f32) {
    cpu::cap(logits, cap);
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    const fn plain(rows: usize, width: usize, vocabulary: usize) -> Shape {
        Shape { rows, width, vocabulary, softcap: None }
    }

    const SHAPES: [Shape; 6] = [
        plain(1, 1, 2),
        plain(7, 5, 33),
        plain(300, 31, 517),
        plain(520, 16, 67),
        Shape { softcap: Some(1.5), ..plain(300, 31, 517) },
        // 64 MiB of logits are 2^24: these do not fit.
        Shape { softcap: Some(4.0), ..plain(3, 1, 6_000_000) },
    ];

    struct Operands {
        hidden: Vec<f32>,
        head: Vec<f32>,
        targets: Vec<u32>,
        dlogp: Vec<f32>,
    }

    impl Operands {
        fn new(shape: Shape) -> Self {
            let Shape { rows, width, vocabulary, .. } = shape;
            Self {
                hidden: random(rows * width, 1).iter().map(|x| 3.0 * x).collect(),
                head: random(vocabulary * width, 2),
                targets: random_ids(rows, vocabulary, 3),
                dlogp: random(rows, 4),
            }
        }

        fn inputs(&self) -> Inputs<'_> {
            Inputs { hidden: &self.hidden, head: &self.head, targets: &self.targets }
        }
    }

    /// logp, lse, dhidden, dhead.
    fn forward_and_backward(
        operands: &Operands,
        kept: &mut Vec<f32>,
        shape: Shape,
    ) -> [Vec<f32>; 4] {
        let [mut logp, mut lse] = [vec![f32::NAN; shape.rows], vec![f32::NAN; shape.rows]];
        forward(&mut logp, &mut lse, Some(kept), operands.inputs(), shape);
        let (mut dhidden, mut dhead) =
            (vec![f32::NAN; operands.hidden.len()], vec![f32::NAN; operands.head.len()]);
        let (dlogp, inputs, write) = (&operands.dlogp, operands.inputs(), Write::Overwrite);
        backward(&mut dhidden, &mut dhead, dlogp, &lse, kept, inputs, shape, write);
        [logp, lse, dhidden, dhead]
    }

    #[test]
    fn forward_and_backward_agree_with_the_reference() {
        let mut kept = Vec::new();
        for shape in SHAPES {
            let operands = Operands::new(shape);
            let [logp, lse, dhidden, dhead] = forward_and_backward(&operands, &mut kept, shape);
            let (hidden, head, dlogp) =
                (to_f64(&operands.hidden), to_f64(&operands.head), to_f64(&operands.dlogp));
            let (expected_logp, expected_lse) =
                reference::forward(&hidden, &head, &operands.targets, shape);
            let (expected_dhidden, expected_dhead) =
                reference::backward(&dlogp, &hidden, &head, &operands.targets, shape);
            assert_close(&logp, &expected_logp, 5e-7);
            assert_close(&lse, &expected_lse, 5e-7);
            assert_close(&dhidden, &expected_dhidden, 3e-6);
            assert_close(&dhead, &expected_dhead, 3e-6);
        }
    }

    #[test]
    fn statistics_agree_with_the_reference_and_leave_log_probs_alone() {
        for shape in SHAPES {
            let operands = Operands::new(shape);
            let [mut logp, mut lse] = [vec![f32::NAN; shape.rows], vec![f32::NAN; shape.rows]];
            forward(&mut logp, &mut lse, None, operands.inputs(), shape);
            let [mut again, mut lse_again] =
                [logp.clone(), lse.clone()].map(|x| vec![f32::NAN; x.len()]);
            let mut got = vec![Statistics::default(); shape.rows];
            let inputs = operands.inputs();
            forward_with_statistics(&mut again, &mut lse_again, &mut got, None, inputs, shape);
            assert_eq!((again, lse_again), (logp, lse));
            let (hidden, head) = (to_f64(&operands.hidden), to_f64(&operands.head));
            let (entropies, means) = reference::statistics(&hidden, &head, shape);
            let of = |part: fn(&Statistics) -> f32| got.iter().map(part).collect::<Vec<f32>>();
            assert_close(&of(|row| row.entropy), &entropies, 2e-6);
            // The mean of thousands of logits of either sign is small beside them.
            let means_off = of(|row| row.mean_logit)
                .iter()
                .zip(&means)
                .map(|(got, mean)| (f64::from(*got) - mean).abs())
                .fold(0.0, f64::max);
            assert!(means_off < 1e-6, "{means_off:e}");
        }
    }

    /// Logits 0, 2, 1, 2, 0 by a width of 1.
    #[test]
    fn the_first_of_equal_maxima_is_the_likeliest() {
        let head = [0.0, 2.0, 1.0, 2.0, 0.0];
        let shape = plain(5, 1, 5);
        let inputs = Inputs { hidden: &[1.0; 5], head: &head, targets: &[0, 1, 2, 3, 4] };
        let (mut logp, mut lse, mut got) = ([0.0; 5], [0.0; 5], [Statistics::default(); 5]);
        forward_with_statistics(&mut logp, &mut lse, &mut got, None, inputs, shape);
        assert_eq!(got.map(|row| row.is_likeliest), [false, true, false, false, false]);
        assert_eq!(got[0].mean_logit, 1.0);
    }

    #[test]
    fn logits_are_kept_exactly_when_they_fit() {
        for shape in SHAPES {
            let (operands, mut kept) = (Operands::new(shape), vec![f32::NAN; 10]);
            let [mut logp, mut lse] = [vec![f32::NAN; shape.rows], vec![f32::NAN; shape.rows]];
            forward(&mut logp, &mut lse, Some(&mut kept), operands.inputs(), shape);
            let all = cpu::kept_len(shape);
            assert!(all >= shape.rows * shape.vocabulary);
            assert_eq!(kept.len() == all, 4 * all <= LOGITS_BYTES_MAX);
            assert!(kept.len() <= all && 4 * kept.len() <= LOGITS_BYTES_MAX);
            let [mut alone, mut lse_alone] = [logp.clone(), lse.clone()];
            forward(&mut alone, &mut lse_alone, None, operands.inputs(), shape);
            assert_eq!((alone, lse_alone), (logp, lse));
        }
    }

    #[test]
    fn a_second_backward_adds_the_same_to_the_gradient_of_the_head() {
        for shape in SHAPES {
            let (operands, mut kept) = (Operands::new(shape), Vec::new());
            let [_, lse, once, dhead] = forward_and_backward(&operands, &mut kept, shape);
            let (mut dhidden, mut twice, dlogp) = (once.clone(), dhead.clone(), &operands.dlogp);
            let (inputs, write) = (operands.inputs(), Write::Accumulate);
            backward(&mut dhidden, &mut twice, dlogp, &lse, &mut kept, inputs, shape, write);
            let doubled: Vec<f64> = dhead.iter().map(|&dhead| 2.0 * f64::from(dhead)).collect();
            assert_eq!(dhidden, once);
            assert_close(&twice, &doubled, 1e-6);
        }
    }

    #[test]
    fn reference_gradients_are_central_differences() {
        let shape = Shape { softcap: Some(0.9), ..plain(3, 4, 6) };
        let operands = Operands::new(shape);
        let (hidden, head, dlogp) =
            (to_f64(&operands.hidden), to_f64(&operands.head), to_f64(&operands.dlogp));
        let targets = &operands.targets;
        let (dhidden, dhead) = reference::backward(&dlogp, &hidden, &head, targets, shape);
        let by_hidden = differences(&hidden, |h| {
            inner(&reference::forward(h, &head, targets, shape).0, &dlogp)
        });
        let by_head = differences(&head, |w| {
            inner(&reference::forward(&hidden, w, targets, shape).0, &dlogp)
        });
        assert_close_f64(&dhidden, &by_hidden, 1e-7);
        assert_close_f64(&dhead, &by_head, 1e-7);
    }

    #[test]
    fn equal_logits_give_the_log_of_the_vocabulary() {
        let shape = plain(2, 3, 1000);
        let inputs = Inputs { hidden: &[0.0; 6], head: &vec![1.0; 3000], targets: &[0, 999] };
        let (mut logp, mut lse) = ([0.0; 2], [0.0; 2]);
        forward(&mut logp, &mut lse, None, inputs, shape);
        assert_close(&logp, &[-(1000.0_f64.ln()); 2], 1e-7);
        let mut got = [Statistics::default(); 2];
        forward_with_statistics(&mut logp, &mut lse, &mut got, None, inputs, shape);
        assert_close(&got.map(|row| row.entropy), &[1000.0_f64.ln(); 2], 1e-6);
    }

    #[test]
    #[should_panic(expected = "target 2 is outside the vocabulary of 2")]
    fn a_target_outside_the_vocabulary_is_refused() {
        let inputs = Inputs { hidden: &[0.0], head: &[0.0; 2], targets: &[2] };
        forward(&mut [0.0], &mut [0.0], None, inputs, SHAPES[0]);
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let shape = plain(600, 33, 700);
        let operands = Operands::new(shape);
        assert_same_on_any_number_of_threads(|| {
            forward_and_backward(&operands, &mut Vec::new(), shape).concat()
        });
    }
}
