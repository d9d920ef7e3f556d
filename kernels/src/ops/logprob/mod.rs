//! The log-probability of given tokens: output projection, log-softmax and gather in one operation.
//!
//! With logits l\[r, v\] = hidden\[r\]·head\[v\], logp\[r\] = l\[r, targets\[r\]\] − ln Σᵥ exp l\[r, v\]. Backward takes
//! dlogp, recomputes the logits and forms dl\[r, v\] = dlogp\[r\]·(1\[v = targets\[r\]\] − softmax(l\[r\])ᵥ), then
//! dhidden = dl·head and dhead += dlᵀ·hidden. Logits exist for a chunk of rows only, within [`LOGITS_BYTES_MAX`]
//! whatever the number of rows. No sum over tokens, no loss.

mod cpu;

/// Memory for logits at any one time, unless a single row needs more.
pub const LOGITS_BYTES_MAX: usize = 64 << 20;

/// The sizes of the output projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Hidden rows, one per target.
    pub rows: usize,
    /// Width of a hidden row.
    pub width: usize,
    /// Rows of the head.
    pub vocabulary: usize,
}

impl Shape {
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
pub fn forward(logp: &mut [f32], lse: &mut [f32], inputs: Inputs, shape: Shape) {
    shape.check(logp, lse, inputs.hidden, inputs.head, inputs.targets);
    cpu::forward(logp, lse, inputs, shape);
}

/// dhidden \[rows, width\] is overwritten, dhead \[vocabulary, width\] grows. dlogp and lse \[rows\].
pub fn backward(
    dhidden: &mut [f32],
    dhead: &mut [f32],
    dlogp: &[f32],
    lse: &[f32],
    inputs: Inputs,
    shape: Shape,
) {
    shape.check(dlogp, lse, inputs.hidden, inputs.head, inputs.targets);
    assert_eq!(dhidden.len(), inputs.hidden.len(), "dhidden and hidden differ in size");
    assert_eq!(dhead.len(), inputs.head.len(), "dhead and head differ in size");
    cpu::backward(dhidden, dhead, dlogp, lse, inputs, shape);
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    const SHAPES: [Shape; 4] = [
        Shape { rows: 1, width: 1, vocabulary: 2 },
        Shape { rows: 7, width: 5, vocabulary: 33 },
        Shape { rows: 300, width: 31, vocabulary: 517 },
        Shape { rows: 520, width: 16, vocabulary: 67 },
    ];

    struct Operands {
        hidden: Vec<f32>,
        head: Vec<f32>,
        targets: Vec<u32>,
        dlogp: Vec<f32>,
    }

    impl Operands {
        fn new(shape: Shape) -> Self {
            let Shape { rows, width, vocabulary } = shape;
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
    fn forward_and_backward(operands: &Operands, shape: Shape) -> [Vec<f32>; 4] {
        let [mut logp, mut lse] = [vec![f32::NAN; shape.rows], vec![f32::NAN; shape.rows]];
        forward(&mut logp, &mut lse, operands.inputs(), shape);
        let (mut dhidden, mut dhead) =
            (vec![f32::NAN; operands.hidden.len()], vec![0.0; operands.head.len()]);
        backward(&mut dhidden, &mut dhead, &operands.dlogp, &lse, operands.inputs(), shape);
        [logp, lse, dhidden, dhead]
    }

    #[test]
    fn forward_and_backward_agree_with_the_reference() {
        for shape in SHAPES {
            let operands = Operands::new(shape);
            let [logp, lse, dhidden, dhead] = forward_and_backward(&operands, shape);
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
    fn the_gradient_of_the_head_accumulates() {
        let shape = SHAPES[1];
        let operands = Operands::new(shape);
        let [_, lse, mut dhidden, once] = forward_and_backward(&operands, shape);
        let mut twice = once.clone();
        backward(&mut dhidden, &mut twice, &operands.dlogp, &lse, operands.inputs(), shape);
        let doubled: Vec<f64> = once.iter().map(|&dhead| 2.0 * f64::from(dhead)).collect();
        assert_close(&twice, &doubled, 1e-6);
    }

    #[test]
    fn reference_gradients_are_central_differences() {
        let shape = Shape { rows: 3, width: 4, vocabulary: 6 };
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
        let shape = Shape { rows: 2, width: 3, vocabulary: 1000 };
        let inputs = Inputs { hidden: &[0.0; 6], head: &vec![1.0; 3000], targets: &[0, 999] };
        let (mut logp, mut lse) = ([0.0; 2], [0.0; 2]);
        forward(&mut logp, &mut lse, inputs, shape);
        assert_close(&logp, &[-(1000.0_f64.ln()); 2], 1e-7);
    }

    #[test]
    #[should_panic(expected = "target 2 is outside the vocabulary of 2")]
    fn a_target_outside_the_vocabulary_is_refused() {
        let inputs = Inputs { hidden: &[0.0], head: &[0.0; 2], targets: &[2] };
        forward(&mut [0.0], &mut [0.0], inputs, SHAPES[0]);
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let shape = Shape { rows: 600, width: 33, vocabulary: 700 };
        let operands = Operands::new(shape);
        assert_same_on_any_number_of_threads(|| forward_and_backward(&operands, shape).concat());
    }
}
