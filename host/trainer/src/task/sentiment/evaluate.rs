//! How good a policy is, and how far from its base.
//!
//! Completions of held-out prompts are sampled from the policy with uniform numbers that depend on the seed,
//! prompt, sample and position alone, so every candidate meets the same luck. The reward is the scorer's. The
//! divergence needs no second sample: at every state that the sampler visits, KL(policy‖base) over the next token
//! is exact, and its sum along a completion has the mean KL(policy‖base) over completions by the chain rule (the
//! Rao–Blackwell form of the log-ratio: same mean, less noise, never negative). For that the base
//! follows in lockstep on the policy's tokens. Not here: what the numbers add up to (`task::fitness`).

use kernels::kl;

use super::Sentiment;
use crate::fault::Fault;
use crate::generate::{Draw, SampleRequest, sample_together};
use crate::model::Continuation;
use crate::random::Purpose;
use crate::stats::mean;

/// Held-out prompts whose completions are sampled at a time.
const BLOCK_PROMPTS: usize = 64;

/// What was measured, per held-out prompt: means over its samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Evaluation {
    /// Mean reward of each prompt.
    pub rewards: Vec<f64>,
    /// Mean KL(policy‖base) of each prompt, nats per completion.
    pub kls: Vec<f64>,
}

/// Buffers that stay from one evaluation to the next.
#[derive(Debug, Default)]
pub(super) struct Evaluator {
    policy: Continuation,
    base: Continuation,
    kl: Vec<f32>,
}

impl Evaluator {
    /// Judges a policy of the task's architecture.
    pub(super) fn evaluate(
        &mut self,
        task: &Sentiment,
        weights: &[f32],
        seed: u64,
    ) -> Result<Evaluation, Fault> {
        let mut evaluation = Evaluation::default();
        for (block, prompts) in task.heldout.chunks(BLOCK_PROMPTS).enumerate() {
            let request = request(task, seed, block, prompts);
            let (completions, kls) = self.sample_with_kl(task, weights, &request);
            evaluation.add(task, &completions, &kls)?;
        }
        Ok(evaluation)
    }

    /// Completions, and the divergence along each.
    fn sample_with_kl(
        &mut self,
        task: &Sentiment,
        weights: &[f32],
        request: &SampleRequest,
    ) -> (Vec<Vec<u32>>, Vec<f64>) {
        let Self { policy, base, kl } = self;
        let decoder = &*task.base.decoder;
        let SampleRequest { prompts, n_samples, max_tokens, .. } = *request;
        let mut sums = vec![0.0; prompts.len() * n_samples];
        kl.resize(sums.len(), 0.0);
        base.begin(decoder, &task.base.weights, prompts, n_samples, max_tokens);
        let completions = sample_together(policy, decoder, weights, request, |state| {
            if let Some(drawn) = state.drawn_before {
                base.advance(decoder, &task.base.weights, drawn);
            }
            kl::divergence(kl, state.logits, base.logits(), decoder.config().vocabulary);
            let visited = sums.iter_mut().zip(&*kl).zip(state.open).filter(|(_, open)| **open);
            visited.for_each(|((sum, kl), _)| *sum += f64::from(*kl));
        });
        (completions, sums)
    }

    /// Judges the base itself, which diverges nowhere.
    pub(super) fn evaluate_base(
        &mut self,
        task: &Sentiment,
        seed: u64,
    ) -> Result<Evaluation, Fault> {
        let mut evaluation = Evaluation::default();
        for (block, prompts) in task.heldout.chunks(BLOCK_PROMPTS).enumerate() {
            let request = request(task, seed, block, prompts);
            let completions = sample_together(
                &mut self.policy,
                &task.base.decoder,
                &task.base.weights,
                &request,
                |_| (),
            );
            evaluation.add(task, &completions, &vec![0.0; completions.len()])?;
        }
        Ok(evaluation)
    }
}

fn request<'a>(
    task: &Sentiment,
    seed: u64,
    block: usize,
    prompts: &'a [Vec<u32>],
) -> SampleRequest<'a> {
    SampleRequest {
        prompts,
        first_prompt: block * BLOCK_PROMPTS,
        n_samples: task.settings.evaluation.n_samples,
        max_tokens: task.settings.evaluation.max_tokens,
        seed,
        purpose: Purpose::EvaluationCompletions,
        draw: Draw::Temperature(1.0),
    }
}

impl Evaluation {
    fn add(
        &mut self,
        task: &Sentiment,
        completions: &[Vec<u32>],
        kls: &[f64],
    ) -> Result<(), Fault> {
        let score =
            |completion: &Vec<u32>| Ok(task.scorer.score(&task.tokenizer.decode(completion)?));
        let scores = completions.iter().map(score).collect::<Result<Vec<f64>, Fault>>()?;
        let n_samples = task.settings.evaluation.n_samples;
        self.rewards.extend(scores.chunks(n_samples).map(mean));
        self.kls.extend(kls.chunks(n_samples).map(mean));
        Ok(())
    }
}
