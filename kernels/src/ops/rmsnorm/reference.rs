//! Root-mean-square normalisation as plain loops in `f64`.

pub(super) fn forward(x: &[f64], weight: &[f64], epsilon: f64) -> Vec<f64> {
    let width = weight.len();
    let row = |x: &[f64]| -> Vec<f64> {
        let rstd = (x.iter().map(|x| x * x).sum::<f64>() / width as f64 + epsilon).sqrt().recip();
        x.iter().zip(weight).map(|(x, w)| x * rstd * w).collect()
    };
    x.chunks_exact(width).flat_map(row).collect()
}

/// dx and dweight.
pub(super) fn backward(
    dy: &[f64],
    x: &[f64],
    weight: &[f64],
    epsilon: f64,
) -> (Vec<f64>, Vec<f64>) {
    let width = weight.len();
    let (mut dx, mut dweight) = (vec![0.0; x.len()], vec![0.0; width]);
    for r in 0..x.len() / width {
        let (x, dy) = (&x[r * width..][..width], &dy[r * width..][..width]);
        let rstd = (x.iter().map(|x| x * x).sum::<f64>() / width as f64 + epsilon).sqrt().recip();
        let mean = (0..width).map(|i| dy[i] * weight[i] * x[i]).sum::<f64>() / width as f64;
        for i in 0..width {
            dx[r * width + i] = rstd * (dy[i] * weight[i] - x[i] * rstd * rstd * mean);
            dweight[i] += dy[i] * x[i] * rstd;
        }
    }
    (dx, dweight)
}
