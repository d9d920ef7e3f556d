//! The gated activation of a feed-forward layer (Shazeer 2020, arXiv:2002.05202): SwiGLU with SiLU, GEGLU with GELU.
//!
//! With f an activation, y = f(gate)·up; dup = dy·f(gate) and dgate = dy·up·f′(gate).

mod cpu;
pub mod cuda;

use crate::activation::Activation;
use tracing::trace_span;

/// y = f(gate)·up, element by element; all of one length.
pub fn forward(y: &mut [f32], gate: &[f32], up: &[f32], activation: Activation) {
    let _span = trace_span!("gated forward").entered();
    check(y, gate, up);
    cpu::forward(y, gate, up, activation);
}

/// dgate and dup are overwritten; all of one length.
pub fn backward(
    dgate: &mut [f32],
    dup: &mut [f32],
    dy: &[f32],
    gate: &[f32],
    up: &[f32],
    activation: Activation,
) {
    let _span = trace_span!("gated backward").entered();
    check(dgate, gate, up);
    check(dup, dy, up);
    cpu::backward(dgate, dup, dy, gate, up, activation);
}

fn check(y: &[f32], gate: &[f32], up: &[f32]) {
    assert_eq!(y.len(), gate.len(), "gate and output differ in length");
    assert_eq!(y.len(), up.len(), "up and output differ in length");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::reference::{ALL, slope, value};
    use crate::testing::*;

    fn operands(n: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        (random(n, 1).iter().map(|g| 12.0 * g).collect(), random(n, 2), random(n, 3))
    }

    #[test]
    fn forward_and_backward_agree_with_the_formulas() {
        for (activation, n) in ALL.into_iter().flat_map(|a| [1, 15, 16, 33, 20_001].map(|n| (a, n)))
        {
            let (gate, up, dy) = operands(n);
            let [mut y, mut dgate, mut dup] = [(); 3].map(|()| vec![f32::NAN; n]);
            forward(&mut y, &gate, &up, activation);
            backward(&mut dgate, &mut dup, &dy, &gate, &up, activation);

            let (gate, up, dy) = (to_f64(&gate), to_f64(&up), to_f64(&dy));
            let each = |f: &dyn Fn(usize) -> f64| -> Vec<f64> { (0..n).map(f).collect() };
            assert_close(&y, &each(&|i| value(activation, gate[i]) * up[i]), 5e-7);
            assert_close(&dup, &each(&|i| dy[i] * value(activation, gate[i])), 5e-7);
            assert_close(&dgate, &each(&|i| dy[i] * up[i] * slope(activation, gate[i])), 1e-6);
        }
    }

    #[test]
    fn far_gates_are_off_or_open() {
        for activation in ALL {
            let mut y = [f32::NAN; 4];
            forward(&mut y, &[-1e4, -200.0, 200.0, 1e4], &[1.0; 4], activation);
            assert!(y[0].abs() < 1e-30 && y[1].abs() < 1e-30, "{activation:?} {y:?}");
            assert_eq!(y[2..], [200.0, 1e4], "{activation:?}");
        }
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let (gate, up, dy) = operands(100_003);
        for activation in ALL {
            assert_same_on_any_number_of_threads(|| {
                let [mut y, mut dgate, mut dup] = [(); 3].map(|()| vec![0.0; gate.len()]);
                forward(&mut y, &gate, &up, activation);
                backward(&mut dgate, &mut dup, &dy, &gate, &up, activation);
                [y, dgate, dup].concat()
            });
        }
    }
}
