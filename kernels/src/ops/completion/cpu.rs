//! Sums of completions on the CPU: tokens in their order.

pub(super) fn forward(sums: &mut [f64], logps: &[f32], starts: &[u32]) {
    for (sum, ends) in sums.iter_mut().zip(starts.windows(2)) {
        let tokens = &logps[ends[0] as usize..ends[1] as usize];
        *sum = tokens.iter().map(|&logp| f64::from(logp)).sum();
    }
}

pub(super) fn backward(dlogps: &mut [f32], derivatives: &[f32], starts: &[u32]) {
    for (derivative, ends) in derivatives.iter().zip(starts.windows(2)) {
        dlogps[ends[0] as usize..ends[1] as usize].fill(*derivative);
    }
}
