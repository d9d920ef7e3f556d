//! The gated activation of Llama's feed-forward layer (Shazeer 2020, arXiv:2002.05202).
//!
//! With σ the logistic function and silu(g) = g·σ(g), y = silu(gate)·up; dup = dy·silu(gate) and
//! dgate = dy·up·σ(g)·(1 + g·(1 − σ(g))).

mod cpu;

/// y = silu(gate)·up, element by element; all of one length.
pub fn forward(y: &mut [f32], gate: &[f32], up: &[f32]) {
    check(y, gate, up);
    cpu::forward(y, gate, up);
}

/// dgate and dup are overwritten; all of one length.
pub fn backward(dgate: &mut [f32], dup: &mut [f32], dy: &[f32], gate: &[f32], up: &[f32]) {
    check(dgate, gate, up);
    check(dup, dy, up);
    cpu::backward(dgate, dup, dy, gate, up);
}

fn check(y: &[f32], gate: &[f32], up: &[f32]) {
    assert_eq!(y.len(), gate.len(), "gate and output differ in length");
    assert_eq!(y.len(), up.len(), "up and output differ in length");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn silu(g: f64) -> f64 {
        g / (1.0 + (-g).exp())
    }

    fn operands(n: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        (random(n, 1).iter().map(|g| 12.0 * g).collect(), random(n, 2), random(n, 3))
    }

    #[test]
    fn forward_and_backward_agree_with_formula_and_differences() {
        for n in [1, 15, 16, 33, 20_001] {
            let (gate, up, dy) = operands(n);
            let (mut y, mut dgate, mut dup) =
                (vec![f32::NAN; n], vec![f32::NAN; n], vec![f32::NAN; n]);
            forward(&mut y, &gate, &up);
            backward(&mut dgate, &mut dup, &dy, &gate, &up);

            let (gate, up, dy) = (to_f64(&gate), to_f64(&up), to_f64(&dy));
            let each = |f: &dyn Fn(usize) -> f64| -> Vec<f64> { (0..n).map(f).collect() };
            let slope = |g: f64| (silu(g + 1e-5) - silu(g - 1e-5)) / 2e-5;
            assert_close(&y, &each(&|i| silu(gate[i]) * up[i]), 5e-7);
            assert_close(&dup, &each(&|i| dy[i] * silu(gate[i])), 5e-7);
            assert_close(&dgate, &each(&|i| dy[i] * up[i] * slope(gate[i])), 1e-6);
        }
    }

    #[test]
    fn far_gates_are_off_or_open() {
        let mut y = [f32::NAN; 4];
        forward(&mut y, &[-1e4, -200.0, 200.0, 1e4], &[1.0; 4]);
        assert!(y[0].abs() < 1e-30 && y[1].abs() < 1e-30, "{y:?}");
        assert_eq!(y[2..], [200.0, 1e4]);
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let (gate, up, dy) = operands(100_003);
        assert_same_on_any_number_of_threads(|| {
            let [mut y, mut dgate, mut dup] = [(); 3].map(|()| vec![0.0; gate.len()]);
            forward(&mut y, &gate, &up);
            backward(&mut dgate, &mut dup, &dy, &gate, &up);
            [y, dgate, dup].concat()
        });
    }
}
