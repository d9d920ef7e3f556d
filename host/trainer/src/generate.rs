//! Many completions sampled at the same time, one token each per pass.
//!
//! By inverting the cumulative distribution at a uniform number that depends on (seed, purpose,
//! prompt, sample, position) alone: a completion does not depend on what else is sampled beside it, and two
//! models that are asked the same meet the same numbers. An end token closes a completion and belongs to it.
//! Not here: what completions are worth (`task`).

use kernels::sample;

use crate::model::{Continuation, Decoder, Model};
use crate::random::{Purpose, Uniforms};

/// What to sample.
#[derive(Debug, Clone, Copy)]
pub struct SampleRequest<'a> {
    /// The prompts, at least one token each.
    pub prompts: &'a [Vec<u32>],
    /// The number of the first prompt, when `prompts` is a part of more.
    pub first_prompt: usize,
    /// Completions of each prompt.
    pub n_samples: usize,
    /// Most tokens of a completion, at least 1.
    pub max_tokens: usize,
    /// The seed of the uniform numbers.
    pub seed: u64,
    /// What they are drawn for.
    pub purpose: Purpose,
    /// How a token follows from its logits.
    pub draw: Draw,
}

/// How a token follows from its logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Draw {
    /// By its probability after the logits are divided by this number, more than 0.
    Temperature(f64),
    /// The likeliest; of equals, the one that comes first.
    Likeliest,
}

/// A state that the sampler visits: every sequence before its next token is drawn.
#[derive(Debug)]
pub struct State<'a> {
    /// The tokens drawn in the state before, one per sequence; none in the first.
    pub drawn_before: Option<&'a [u32]>,
    /// Logits of the next token, \[sequences, vocabulary\].
    pub logits: &'a [f32],
    /// Whether each sequence is still open. The rows of closed ones mean nothing.
    pub open: &'a [bool],
}

/// Prompts whose completions are sampled at a time.
const BLOCK_PROMPTS: usize = 48;

/// Completions of each prompt, all samples of the first prompt first.
pub fn completions(model: &Model, request: &SampleRequest) -> Vec<Vec<u32>> {
    let mut continuation = Continuation::default();
    let blocks = request.prompts.chunks(BLOCK_PROMPTS).enumerate();
    blocks
        .flat_map(|(block, prompts)| {
            let first_prompt = request.first_prompt + block * BLOCK_PROMPTS;
            let request = SampleRequest { prompts, first_prompt, ..*request };
            sample_together(&mut continuation, &model.decoder, &model.weights, &request, |_| ())
        })
        .collect()
}

/// Completions of all prompts of the request in one go; `visit` sees every state before its token is drawn.
pub fn sample_together(
    continuation: &mut Continuation,
    decoder: &Decoder,
    weights: &[f32],
    request: &SampleRequest,
    mut visit: impl FnMut(State),
) -> Vec<Vec<u32>> {
    let end_tokens = &decoder.config().end_tokens;
    let mut streams = uniform_streams(request);
    let n_sequences = streams.len();
    let mut completions = vec![Vec::with_capacity(request.max_tokens); n_sequences];
    let (mut uniforms, mut logps) = (vec![0.0; n_sequences], vec![0.0; n_sequences]);
    let (mut drawn, mut open) = (vec![0; n_sequences], vec![true; n_sequences]);
    let mut scaled = Vec::new();

    continuation.begin(decoder, weights, request.prompts, request.n_samples, request.max_tokens);
    for position in 0..request.max_tokens {
        let drawn_before = (position > 0).then_some(&drawn[..]);
        visit(State { drawn_before, logits: continuation.logits(), open: &open });
        uniforms
            .iter_mut()
            .zip(&mut streams)
            .for_each(|(uniform, stream)| *uniform = stream.next());
        let vocabulary = decoder.config().vocabulary;
        let logits = continuation.logits();
        match request.draw {
            Draw::Likeliest => {
                let rows = drawn.iter_mut().zip(logits.chunks_exact(vocabulary));
                rows.for_each(|(token, logits)| *token = likeliest(logits));
            }
            Draw::Temperature(temperature) => {
                let logits = divided(logits, temperature, &mut scaled);
                sample::categorical(&mut drawn, &mut logps, logits, &uniforms, vocabulary);
            }
        }
        for ((completion, open), token) in completions.iter_mut().zip(&mut open).zip(&drawn) {
            if *open {
                completion.push(*token);
                *open = !end_tokens.contains(token);
            }
        }
        if position + 1 == request.max_tokens || !open.contains(&true) {
            break;
        }
        continuation.advance(decoder, weights, &drawn);
    }
    completions
}

/// The first of the largest.
fn likeliest(logits: &[f32]) -> u32 {
    let larger = |best: (usize, f32), (token, &logit): (usize, &f32)| match logit > best.1 {
        true => (token, logit),
        false => best,
    };
    logits.iter().enumerate().fold((0, f32::NEG_INFINITY), larger).0 as u32
}

/// The logits themselves at temperature 1.
fn divided<'a>(logits: &'a [f32], temperature: f64, scaled: &'a mut Vec<f32>) -> &'a [f32] {
    if temperature == 1.0 {
        return logits;
    }
    scaled.clear();
    scaled.extend(logits.iter().map(|logit| (f64::from(*logit) / temperature) as f32));
    scaled
}

fn uniform_streams(request: &SampleRequest) -> Vec<Uniforms> {
    let prompts = request.first_prompt..request.first_prompt + request.prompts.len();
    let names =
        prompts.flat_map(|prompt| (0..request.n_samples).map(move |sample| (prompt, sample)));
    names
        .map(|(prompt, sample)| {
            Uniforms::new(request.seed, request.purpose, prompt as u64, sample as u64)
        })
        .collect()
}
