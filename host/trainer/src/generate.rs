//! Many completions sampled at the same time, one token each per pass.
//!
//! By inverting the cumulative distribution at a uniform number that depends on (seed, purpose,
//! prompt, sample, position) alone: a completion does not depend on what else is sampled beside it, and two
//! models that are asked the same meet the same numbers. An end token closes a completion and belongs to it.
//! Not here: what completions are worth (`task`).

use crate::device::Device;
pub use crate::engine::Draw;
use crate::engine::{self, HostSequences, Sequences};
use crate::fault::Fault;
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
///
/// # Errors
///
/// Those of the device; the CPU has none.
pub fn completions(
    device: &Device,
    model: &Model,
    request: &SampleRequest,
) -> Result<Vec<Vec<u32>>, Fault> {
    let mut sequences = engine::sequences(device, model)?;
    let mut completions = Vec::new();
    for (block, prompts) in request.prompts.chunks(BLOCK_PROMPTS).enumerate() {
        let first_prompt = request.first_prompt + block * BLOCK_PROMPTS;
        let request = SampleRequest { prompts, first_prompt, ..*request };
        let end_tokens = &model.decoder.config().end_tokens;
        let grown = grow(&mut *sequences, &request, end_tokens, &mut |_, _, _| ())?;
        completions.extend(grown);
    }
    Ok(completions)
}

/// Completions of all prompts of the request in one go, on the CPU; `visit` sees every state before its token is drawn.
pub fn sample_together(
    continuation: &mut Continuation,
    decoder: &Decoder,
    weights: &[f32],
    request: &SampleRequest,
    mut visit: impl FnMut(State),
) -> Vec<Vec<u32>> {
    let mut sequences = HostSequences::new(continuation, decoder, weights);
    let mut with_logits =
        |sequences: &HostSequences, drawn_before: Option<&[u32]>, open: &[bool]| {
            visit(State { drawn_before, logits: sequences.logits(), open });
        };
    let grown = grow(&mut sequences, request, &decoder.config().end_tokens, &mut with_logits);
    grown.expect("the CPU needs nothing that could be missing")
}

/// Sees the sequences, the tokens drawn in the state before, and which sequences are open.
type Visit<'a, S> = dyn FnMut(&S, Option<&[u32]>, &[bool]) + 'a;

/// Lets sequences grow until all are closed or full. `visit` sees them before each draw.
fn grow<S: Sequences + ?Sized>(
    sequences: &mut S,
    request: &SampleRequest,
    end_tokens: &[u32],
    visit: &mut Visit<S>,
) -> Result<Vec<Vec<u32>>, Fault> {
    let mut streams = uniform_streams(request);
    let n_sequences = streams.len();
    let mut completions = vec![Vec::with_capacity(request.max_tokens); n_sequences];
    let mut uniforms = vec![0.0; n_sequences];
    let (mut drawn, mut open) = (vec![0; n_sequences], vec![true; n_sequences]);

    sequences.begin(request.prompts, request.n_samples, request.max_tokens)?;
    for position in 0..request.max_tokens {
        visit(sequences, (position > 0).then_some(&drawn[..]), &open);
        uniforms
            .iter_mut()
            .zip(&mut streams)
            .for_each(|(uniform, stream)| *uniform = stream.next());
        sequences.draw(&mut drawn, request.draw, &uniforms)?;
        for ((completion, open), token) in completions.iter_mut().zip(&mut open).zip(&drawn) {
            if *open {
                completion.push(*token);
                *open = !end_tokens.contains(token);
            }
        }
        if position + 1 == request.max_tokens || !open.contains(&true) {
            break;
        }
        sequences.advance(&drawn)?;
    }
    Ok(completions)
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
