//! `lossbox generate --model DIR --prompt TEXT`: completions that a model samples, or its likeliest one.

use anyhow::{Result, bail, ensure};
use serde_json::json;
use trainer::folder::ModelFolder;
use trainer::generate::{Draw, SampleRequest, completions};
use trainer::random::Purpose;

use crate::args::Generate;
use crate::settings::Settings;
use crate::{Outcome, device, screen};

/// Completions of one call: all of them are in memory at a time.
const SAMPLES_MAX: usize = 10_000;

pub(crate) fn run(args: &Generate, settings: &Settings) -> Result<Outcome> {
    let draw = draw(args)?;
    ensure!(
        (1..=SAMPLES_MAX).contains(&args.n),
        "--n: expected 1 to {SAMPLES_MAX}, got {}\nhint: ask again with another --seed for more",
        args.n
    );
    ensure!(args.max_tokens > 0, "--max-tokens 0 generates nothing\nhint: at least 1");
    let device = device::open(args.on.device, args.on.precision, settings)?;
    let folder = ModelFolder::open_with_adapter(&args.model, args.adapter.as_deref())?;
    let tokenizer = folder.tokenizer()?;
    let prompt = tokenizer.encode_with_special_tokens(&args.prompt)?;
    ensure!(!prompt.is_empty(), "the prompt has no token\nhint: give --prompt some text");
    let config = folder.model.decoder.config();
    let (context, vocabulary) = (config.context, config.vocabulary);
    if let Some(token) = prompt.iter().find(|token| **token as usize >= vocabulary) {
        bail!(
            "the prompt has token {token}, but the model's vocabulary is {vocabulary}\nhint: use the tokenizer that the \
             model was trained with"
        );
    }
    ensure!(
        prompt.len().saturating_add(args.max_tokens) <= context,
        "{} tokens of prompt and {} more exceed the model's context of {context}\nhint: lower --max-tokens",
        prompt.len(),
        args.max_tokens
    );
    let request = SampleRequest {
        prompts: &[prompt],
        first_prompt: 0,
        n_samples: args.n,
        max_tokens: args.max_tokens,
        seed: args.seed,
        purpose: Purpose::Generation,
        draw,
    };
    let sampled = completions(&device, &folder.model, &request)?;
    for (sample, tokens) in sampled.iter().enumerate() {
        let text = tokenizer.decode(tokens)?;
        match args.json {
            true => screen::json(&json!({ "sample": sample, "text": text, "token_ids": tokens }))?,
            false => screen::data(&format!("{text}\n"))?,
        }
    }
    Ok(Outcome::Done)
}

fn draw(args: &Generate) -> Result<Draw> {
    match args.temperature {
        _ if args.greedy => Ok(Draw::Likeliest),
        0.0 => Ok(Draw::Likeliest),
        temperature if temperature > 0.0 && temperature.is_finite() => {
            Ok(Draw::Temperature(temperature))
        }
        temperature => {
            bail!("--temperature {temperature}\nhint: 0 for the likeliest token, or more")
        }
    }
}
