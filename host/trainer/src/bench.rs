//! One training step of fixed work, timed: GPT-2's architecture, random weights, the sigmoid loss, AdamW.
//!
//! Useful arithmetic (`arithmetic`) is what the maths needs, whatever is executed.

pub mod cuda;

use std::time::Instant;

use kernels::{Write, matmul};
use serde::Serialize;
use tracing::subscriber::{self, NoSubscriber};

use crate::arithmetic::useful_flop;
use crate::fault::{Fault, TrainFailure};
use crate::loss::{LossFailure, LossGradients, PairBatch};
use crate::model::{Decoder, DecoderConfig, Keep, Model};
use crate::optimizer::OptimizerSettings;
use crate::pairs::{PairLogps, PreferencePair, ReferencedPair};
use crate::random::{Purpose, Uniforms};
use crate::stats::median;
use crate::step::Trainer;

/// The size of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepSize {
    /// Blocks.
    pub n_layers: usize,
    /// Width of the stream.
    pub width: usize,
    /// Heads.
    pub n_heads: usize,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// Tokens of a sequence, half of them prompt.
    pub tokens: usize,
    /// Pairs of a step.
    pub pairs: usize,
}

impl StepSize {
    /// The sizes that are compared with PyTorch, by name.
    pub fn named(name: &str) -> Option<Self> {
        let size = |n_layers, width, n_heads, vocabulary, tokens, pairs| {
            Some(Self { n_layers, width, n_heads, vocabulary, tokens, pairs })
        };
        match name {
            "i" => size(4, 128, 4, 2048, 64, 16),
            "ii" => size(6, 384, 6, 4096, 128, 8),
            "iii" => size(12, 768, 12, 50_257, 128, 2),
            _ => None,
        }
    }

    /// Useful floating-point operations of forward and backward.
    ///
    /// # Errors
    ///
    /// Sizes that no model can have.
    pub fn flop(&self) -> Result<f64, Fault> {
        let decoder = self.decoder()?;
        Ok(random_pairs(*self).iter().map(|pair| useful_flop(&decoder, &pair.pair)).sum())
    }

    fn decoder(&self) -> Result<Decoder, Fault> {
        let config = serde_json::json!({
            "model_type": "gpt2", "n_layer": self.n_layers, "n_embd": self.width, "n_head": self.n_heads,
            "vocab_size": self.vocabulary, "n_positions": self.tokens,
        });
        Ok(Decoder::new(DecoderConfig::parse(config.to_string().as_bytes())?))
    }
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct StepReport {
    /// Median time of a step, in milliseconds.
    pub median_ms: f64,
    /// Shortest time of a step.
    pub min_ms: f64,
    /// Tokens of all sequences, prompts counted with each, per second.
    pub tokens_per_s: f64,
    /// Most memory that the process has used; absent where the system does not say.
    pub peak_rss_mb: Option<f64>,
    /// Useful arithmetic over the time of forward and backward.
    pub gflop_per_s: f64,
    /// Median time of norm and update.
    pub optimizer_ms: f64,
    /// Median time of the forward pass.
    pub forward_ms: f64,
    /// Median time of the backward pass.
    pub backward_ms: f64,
    /// The fastest of several products of 1024³, in the same run.
    pub gemm_peak_gflop_per_s: f64,
    /// `gflop_per_s` over `gemm_peak_gflop_per_s`.
    pub share_of_peak: f64,
    /// Mean loss of the last step: the work was done.
    pub loss: f64,
    /// Steps that were timed.
    pub steps: usize,
}

/// Times `n_steps` steps after one that is not counted, on a pool of `n_threads`.
pub fn time_steps(
    size: StepSize,
    n_threads: usize,
    n_steps: usize,
) -> Result<StepReport, TrainFailure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().map_err(|error| {
        Fault::settings(format!("{n_threads} threads cannot be started: {error}"), "ask for fewer")
    })?;
    pool.install(|| time_on_this_pool(size, n_steps))
}

fn time_on_this_pool(size: StepSize, n_steps: usize) -> Result<StepReport, TrainFailure> {
    let decoder = size.decoder()?;
    let weights = random_weights(&decoder);
    let pairs = random_pairs(size);
    let batch: Vec<&ReferencedPair> = pairs.iter().collect();
    let model = Model { decoder: decoder.into(), weights };
    let settings =
        OptimizerSettings { learning_rate: 1e-5, gradient_norm_max: None, ..Default::default() };
    let mut trainer = Trainer::new(model, settings, n_steps + 1).with_passes(size.pairs, Keep::All);
    // The step that is not counted is in no profile either.
    let mut loss = subscriber::with_default(NoSubscriber::new(), || {
        trainer.step(&batch, &mut sigmoid_loss).map(|metrics| metrics.pairs.loss)
    })?;
    let (mut whole, mut forward, mut backward, mut optimizer) = (vec![], vec![], vec![], vec![]);
    for _ in 0..n_steps {
        let started = Instant::now();
        loss = trainer.step(&batch, &mut sigmoid_loss)?.pairs.loss;
        whole.push(ms(started.elapsed()));
        let timings = trainer.timings();
        forward.push(ms(timings.forward));
        backward.push(ms(timings.backward));
        optimizer.push(ms(timings.optimizer));
    }
    let peak_rss_mb = peak_rss_mb();
    drop(trainer);
    let both: Vec<f64> = forward.iter().zip(&backward).map(|(f, b)| f + b).collect();
    let gflop_per_s = size.flop()? / median(both) * 1e-6;
    let gemm_peak_gflop_per_s = gemm_peak();
    let min_ms = whole.iter().copied().fold(f64::INFINITY, f64::min);
    let median_ms = median(whole);
    Ok(StepReport {
        median_ms,
        min_ms,
        tokens_per_s: (2 * size.pairs * size.tokens) as f64 / median_ms * 1e3,
        peak_rss_mb,
        gflop_per_s,
        optimizer_ms: median(optimizer),
        forward_ms: median(forward),
        backward_ms: median(backward),
        gemm_peak_gflop_per_s,
        share_of_peak: gflop_per_s / gemm_peak_gflop_per_s,
        loss,
        steps: n_steps,
    })
}

/// Normal numbers with GPT-2's deviation of 0.02; norms are 1, biases 0.
fn random_weights(decoder: &Decoder) -> Vec<f32> {
    weights_of(decoder, |index, values| {
        let mut uniforms = Uniforms::new(0, Purpose::Initialisation, index as u64, 0);
        values.fill_with(|| (0.02 * uniforms.normal()) as f32);
    })
}

/// Weights whose matrices are filled by number; norms are 1, biases 0.
fn weights_of(decoder: &Decoder, mut fill: impl FnMut(usize, &mut [f32])) -> Vec<f32> {
    let mut weights = vec![0.0; decoder.layout().len()];
    for (index, tensor) in decoder.layout().tensors.iter().enumerate() {
        let values = tensor.slot.of_mut(&mut weights);
        match (tensor.is_matrix(), tensor.name.ends_with("weight")) {
            (true, _) => fill(index, values),
            (false, true) => values.fill(1.0),
            (false, false) => {}
        }
    }
    weights
}

fn random_pairs(size: StepSize) -> Vec<ReferencedPair> {
    let (prompt, completion) = (size.tokens / 2, size.tokens - size.tokens / 2);
    let expected = -(completion as f64) * (size.vocabulary as f64).ln();
    (0..size.pairs)
        .map(|pair| {
            let mut uniforms = Uniforms::new(0, Purpose::Generation, pair as u64, 0);
            let mut draw = |n: usize| -> Vec<u32> {
                (0..n).map(|_| uniforms.index_below(size.vocabulary) as u32).collect()
            };
            ReferencedPair {
                pair: PreferencePair::new(draw(prompt), draw(completion), draw(completion)),
                reference: PairLogps { chosen: expected, rejected: expected },
            }
        })
        .collect()
}

/// DPO's loss with β = 0.1 (Rafailov et al. 2023, arXiv:2305.18290, eq. 7).
fn sigmoid_loss(pairs: &PairBatch) -> Result<LossGradients, LossFailure> {
    const BETA: f64 = 0.1;
    let margin = |i: usize| {
        let chosen = pairs.policy_chosen_logps[i] - pairs.reference_chosen_logps[i];
        BETA * (chosen - pairs.policy_rejected_logps[i] + pairs.reference_rejected_logps[i])
    };
    let margins: Vec<f64> = (0..pairs.len()).map(margin).collect();
    let slopes: Vec<f64> = margins.iter().map(|x| -BETA / (1.0 + x.exp())).collect();
    Ok(LossGradients {
        losses: margins.iter().map(|x| (-x).exp().ln_1p()).collect(),
        policy_rejected: slopes.iter().map(|slope| -slope).collect(),
        policy_chosen: slopes,
    })
}

/// GFLOP/s of the fastest of several products of two 1024 × 1024 matrices. They are in no profile.
pub fn gemm_peak() -> f64 {
    subscriber::with_default(NoSubscriber::new(), fastest_product)
}

fn fastest_product() -> f64 {
    const SIDE: usize = 1024;
    let (x, w, mut y) = (vec![0.5; SIDE * SIDE], vec![0.25; SIDE * SIDE], vec![0.0; SIDE * SIDE]);
    let shape = matmul::Shape { rows: SIDE, inputs: SIDE, outputs: SIDE };
    let seconds = (0..20).map(|_| {
        let started = Instant::now();
        matmul::forward(&mut y, &x, &w, shape, Write::Overwrite);
        started.elapsed().as_secs_f64()
    });
    2.0 * (SIDE as f64).powi(3) / seconds.fold(f64::INFINITY, f64::min) * 1e-9
}

/// The most memory that this process has had, as Linux counts it.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kb| kb / 1024.0)
}

fn ms(duration: std::time::Duration) -> f64 {
    1e3 * duration.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10, 110 and 260 GFLOP.
    #[test]
    fn useful_arithmetic_is_what_the_shapes_say() {
        let gflop = |name: &str| {
            StepSize::named(name).and_then(|size| size.flop().ok()).expect(name) * 1e-9
        };
        assert!((8.5..10.0).contains(&gflop("i")), "{}", gflop("i"));
        assert!((105.0..115.0).contains(&gflop("ii")), "{}", gflop("ii"));
        assert!((250.0..270.0).contains(&gflop("iii")), "{}", gflop("iii"));
    }

    /// Random weights say nothing: every token has about the same probability.
    #[test]
    fn a_small_step_does_its_work() {
        let size =
            StepSize { n_layers: 1, width: 16, n_heads: 2, vocabulary: 50, tokens: 8, pairs: 2 };
        let report = time_steps(size, 1, 3).expect("three steps");
        assert!(report.steps == 3 && report.min_ms <= report.median_ms);
        assert!((report.loss - std::f64::consts::LN_2).abs() < 0.2, "{}", report.loss);
    }
}
