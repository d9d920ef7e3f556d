//! From the log-probs of tokens to those of completions, and back.
//!
//! A completion's log-prob is the sum of its tokens', in `f64`. Backward gives every token of a completion the completion's
//! derivative. Completions lie one behind the other and cover all tokens: completion c is tokens starts\[c\] to
//! starts\[c + 1\]. Not here: what a loss makes of the sums.

mod cpu;
pub mod cuda;

/// sums\[c\] = Σ logps\[starts\[c\]..starts\[c + 1\]\]. Shapes: sums \[completions\], logps \[tokens\], starts \[completions + 1\].
pub fn forward(sums: &mut [f64], logps: &[f32], starts: &[u32]) {
    check(sums.len(), logps.len(), starts);
    cpu::forward(sums, logps, starts);
}

/// dlogps\[t\] = derivatives\[c\] for every token t of completion c. Shapes as in [`forward`].
pub fn backward(dlogps: &mut [f32], derivatives: &[f32], starts: &[u32]) {
    check(derivatives.len(), dlogps.len(), starts);
    cpu::backward(dlogps, derivatives, starts);
}

fn check(completions: usize, tokens: usize, starts: &[u32]) {
    assert_eq!(starts.len(), completions + 1, "starts are not [{completions} completions + 1]");
    assert!(starts.is_sorted(), "completions do not lie one behind the other");
    let ends = (starts[0] as usize, starts[completions] as usize);
    assert_eq!(ends, (0, tokens), "completions do not cover all {tokens} tokens");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_add_up_and_derivatives_spread() {
        let starts = [0, 2, 2, 5];
        let mut sums = [f64::NAN; 3];
        forward(&mut sums, &[1.0, 2.0, -3.0, 0.5, 0.25], &starts);
        assert_eq!(sums, [3.0, 0.0, -2.25]);
        let mut dlogps = [f32::NAN; 5];
        backward(&mut dlogps, &[1.5, 9.0, -2.0], &starts);
        assert_eq!(dlogps, [1.5, 1.5, -2.0, -2.0, -2.0]);
    }

    #[test]
    #[should_panic(expected = "do not cover all 5 tokens")]
    fn every_token_belongs_to_a_completion() {
        forward(&mut [0.0], &[0.0; 5], &[0, 4]);
    }
}
