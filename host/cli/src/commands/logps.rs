//! `lossbox logps --model DIR --data FILE`: what a model says of preference data, row by row.

use std::io::Write;

use anyhow::{Context as _, Result};
use serde::Serialize;
use trainer::data::{BadRows, Length};
use trainer::folder::ModelFolder;
use trainer::score::{RowLogps, score};

use crate::args::Logps;
use crate::settings::Settings;
use crate::{Outcome, device, screen};

/// A row as it is printed: sums in nats, and how many tokens they are over.
#[derive(Serialize)]
struct Line {
    row: usize,
    chosen_logps: f64,
    rejected_logps: f64,
    chosen_tokens: usize,
    rejected_tokens: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    chosen_token_logps: Option<Vec<f32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected_token_logps: Option<Vec<f32>>,
}

impl Line {
    fn new(logps: RowLogps, per_token: bool) -> Self {
        let sums = logps.sums();
        Self {
            row: logps.row,
            chosen_logps: sums.chosen,
            rejected_logps: sums.rejected,
            chosen_tokens: logps.chosen.len(),
            rejected_tokens: logps.rejected.len(),
            chosen_token_logps: per_token.then_some(logps.chosen),
            rejected_token_logps: per_token.then_some(logps.rejected),
        }
    }
}

pub(crate) fn run(args: &Logps, settings: &Settings) -> Result<Outcome> {
    let device = device::open(args.on.device, args.on.precision, settings)?;
    let folder = ModelFolder::open_with_adapter(&args.model, args.adapter.as_deref())?;
    let length = Length { max_tokens: args.max_length, ..Length::default() };
    let bad_rows = match args.skip_bad_rows {
        true => BadRows::Skip,
        false => BadRows::Stop,
    };
    let data = folder.data(&args.data, length, bad_rows)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let tally = score(&device, &folder.model, &data, |logps| {
        let line = Line::new(logps, args.per_token);
        let text = match args.json {
            true => serde_json::to_string(&line)?,
            false => format!(
                "row {:>6}  chosen {:>12.6} over {:>5} tokens  rejected {:>12.6} over {:>5} tokens",
                line.row,
                line.chosen_logps,
                line.chosen_tokens,
                line.rejected_logps,
                line.rejected_tokens
            ),
        };
        writeln!(out, "{text}").context(screen::NO_STDOUT)
    })?;
    out.flush().context(screen::NO_STDOUT)?;
    screen::note(&screen::rows(&tally));
    Ok(Outcome::Done)
}
