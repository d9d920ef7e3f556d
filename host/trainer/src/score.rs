//! What a model says of preference data: the log-prob of every completion token.
//!
//! Rows are computed in blocks and come out one by one in file order, so a file of any length is scored in the
//! same memory. Not here: what a loss makes of log-probs (`loss`).

use serde::Serialize;

use crate::batch::Packed;
use crate::data::{Outcome, PreferenceFile, Tally};
use crate::device::Device;
use crate::engine::{self, Frozen};
use crate::fault::Fault;
use crate::model::{DecoderConfig, Model};
use crate::pairs::{PairLogps, PreferencePair, ReferencedPair, pack, sum};

/// The log-probs of a row's two completions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowLogps {
    /// The row, counted from 0 without blank lines.
    pub row: usize,
    /// Of the chosen completion, token by token, in nats.
    pub chosen: Vec<f32>,
    /// Of the rejected completion.
    pub rejected: Vec<f32>,
}

impl RowLogps {
    /// The sums over the two completions.
    pub fn sums(&self) -> PairLogps {
        PairLogps { chosen: sum(&self.chosen), rejected: sum(&self.rejected) }
    }
}

/// Rows that are computed at a time, at most.
const BLOCK_PAIRS: usize = 32;
/// Rows of a batch from which on no further pair is added to it.
const BLOCK_ROWS: usize = 4096;

/// Scores every row of a file once, and says what became of the rows.
///
/// # Errors
///
/// A row that cannot be used, unless the file skips such rows; a model whose log-probs are no numbers; what `take`
/// returns.
pub fn score<E: From<Fault>>(
    device: &Device,
    model: &Model,
    file: &PreferenceFile,
    mut take: impl FnMut(RowLogps) -> Result<(), E>,
) -> Result<Tally, E> {
    let mut take = |logps: RowLogps| -> Result<(), E> {
        check_finite(model, "model", || file.place(logps.row), logps.sums())?;
        take(logps)
    };
    let (mut tally, mut scorer) = (Tally::default(), Scorer::new(device, model)?);
    for row in 0..file.n_rows() {
        let outcome = file.row(row)?;
        tally.count(&outcome);
        let Outcome::Pair(encoded) = outcome else { continue };
        check_fits(model.decoder.config(), "model", || file.place(row), &encoded.pair)?;
        if scorer.add(row, &encoded.pair) {
            scorer.scored()?.into_iter().try_for_each(&mut take)?;
        }
    }
    scorer.scored()?.into_iter().try_for_each(take)?;
    Ok(tally)
}

/// Each pair with its log-probs under the reference.
///
/// # Errors
///
/// Those of the device; the CPU has none.
pub fn reference_logps(
    device: &Device,
    reference: &Model,
    pairs: Vec<PreferencePair>,
) -> Result<Vec<ReferencedPair>, Fault> {
    let mut scorer = Scorer::new(device, reference)?;
    let mut scored = Vec::with_capacity(pairs.len());
    for (row, pair) in pairs.iter().enumerate() {
        if scorer.add(row, pair) {
            scored.extend(scorer.scored()?);
        }
    }
    scored.extend(scorer.scored()?);
    let with_reference =
        |(pair, logps): (_, RowLogps)| ReferencedPair { pair, reference: logps.sums() };
    Ok(pairs.into_iter().zip(scored).map(with_reference).collect())
}

/// Collects rows and computes them together.
#[derive(Debug)]
pub(crate) struct Scorer<'a> {
    model: Box<dyn Frozen + 'a>,
    rows: Vec<usize>,
    batch: Packed,
}

impl<'a> Scorer<'a> {
    pub(crate) fn new(device: &Device, model: &'a Model) -> Result<Self, Fault> {
        let model = engine::freeze(device, model)?;
        Ok(Self { model, rows: Vec::new(), batch: Packed::default() })
    }

    /// Adds a row, and says whether it is time to compute.
    pub(crate) fn add(&mut self, row: usize, pair: &PreferencePair) -> bool {
        self.rows.push(row);
        pack(&mut self.batch, pair);
        self.rows.len() >= BLOCK_PAIRS || self.batch.rows() >= BLOCK_ROWS
    }

    /// The log-probs of all rows that were added since the last call.
    pub(crate) fn scored(&mut self) -> Result<Vec<RowLogps>, Fault> {
        if self.rows.is_empty() {
            return Ok(Vec::new());
        }
        let Self { model, rows, batch } = self;
        let logps = model.token_logps(batch)?;
        let of = |tokens: &std::ops::Range<usize>| logps[tokens.clone()].to_vec();
        let pairs = batch.completions.chunks_exact(2);
        let scored = rows.iter().zip(pairs).map(|(&row, pair)| RowLogps {
            row,
            chosen: of(&pair[0]),
            rejected: of(&pair[1]),
        });
        let scored = scored.collect();
        rows.clear();
        batch.clear();
        Ok(scored)
    }
}

/// Refuses tokens that the model, or whatever it is here, cannot read.
pub(crate) fn check_fits(
    config: &DecoderConfig,
    whose: &str,
    place: impl Fn() -> String,
    pair: &PreferencePair,
) -> Result<(), Fault> {
    let DecoderConfig { context, vocabulary, .. } = config;
    let n_tokens = pair.longest_tokens();
    if n_tokens > *context {
        return Err(Fault::settings(
            format!("{}: {n_tokens} tokens, but the {whose}'s context is {context}", place()),
            format!("limit the length of sequences: --max-length {context}"),
        ));
    }
    match pair.highest_token() {
        token if token as usize >= *vocabulary => Err(Fault::settings(
            format!("{}: token {token}, but the {whose}'s vocabulary is {vocabulary}", place()),
            "take a reference with the tokenizer of the model that is trained",
        )),
        _ => Ok(()),
    }
}

/// Refuses log-probs that no loss can use, which are the model's fault.
pub(crate) fn check_finite(
    model: &Model,
    whose: &str,
    place: impl Fn() -> String,
    sums: PairLogps,
) -> Result<(), Fault> {
    let PairLogps { chosen, rejected } = sums;
    if chosen.is_finite() && rejected.is_finite() {
        return Ok(());
    }
    let what = format!("{}: the {whose}'s log-probs are {chosen} and {rejected}", place());
    Err(model.decoder.layout().unusable(&what, &model.weights))
}
