//! Layer normalisation as plain loops in `f64`.

/// x̂ and rstd of a row.
fn normalise(x: &[f64], epsilon: f64) -> (Vec<f64>, f64) {
    let width = x.len() as f64;
    let mean = x.iter().sum::<f64>() / width;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width;
    let rstd = (variance + epsilon).sqrt().recip();
    (x.iter().map(|x| (x - mean) * rstd).collect(), rstd)
}

pub(super) fn forward(x: &[f64], weight: &[f64], bias: &[f64], epsilon: f64) -> Vec<f64> {
    let row = |x: &[f64]| -> Vec<f64> {
        let (normal, _) = normalise(x, epsilon);
        normal.iter().zip(weight).zip(bias).map(|((x, w), b)| x * w + b).collect()
    };
    x.chunks_exact(weight.len()).flat_map(row).collect()
}

/// dx, dweight and dbias.
pub(super) fn backward(dy: &[f64], x: &[f64], weight: &[f64], epsilon: f64) -> [Vec<f64>; 3] {
    let width = weight.len();
    let (mut dx, mut dweight, mut dbias) = (Vec::new(), vec![0.0; width], vec![0.0; width]);
    for (dy, x) in dy.chunks_exact(width).zip(x.chunks_exact(width)) {
        let (normal, rstd) = normalise(x, epsilon);
        let g: Vec<f64> = dy.iter().zip(weight).map(|(dy, w)| dy * w).collect();
        let mean_g = g.iter().sum::<f64>() / width as f64;
        let mean_gx = g.iter().zip(&normal).map(|(g, x)| g * x).sum::<f64>() / width as f64;
        for i in 0..width {
            dx.push(rstd * (g[i] - mean_g - normal[i] * mean_gx));
            dweight[i] += dy[i] * normal[i];
            dbias[i] += dy[i];
        }
    }
    [dx, dweight, dbias]
}
