//! Preference pairs: completions of the base model, ordered by the scorer, with the base's own log-probs.
//!
//! Of each prompt's completions the best is paired with the worst, the second with the second-worst and so on,
//! as long as the scores differ clearly. Sampling, scoring and the reference's log-probs are the same for every
//! candidate, so they are done once; `cache` keeps them. Not here: the order of training (`train`).

use super::scorer::Scorer;
use super::settings::PairSettings;
use crate::device::Device;
use crate::fault::Fault;
use crate::generate::{Draw, SampleRequest, completions};
use crate::model::Model;
use crate::pairs::{PreferencePair, ReferencedPair};
use crate::random::Purpose;
use crate::score::reference_logps;
use crate::tokenizer::Tokenizer;

/// Prompts sampled between two reports of progress.
const PROMPTS_PER_REPORT: usize = 48;

/// Samples, scores, pairs, and adds the reference's log-probs. `on_prompts` hears how many prompts are done.
pub(super) fn make(
    base: &Model,
    tokenizer: &Tokenizer,
    scorer: &Scorer,
    prompts: &[Vec<u32>],
    settings: &PairSettings,
    on_prompts: &mut dyn FnMut(usize),
) -> Result<Vec<ReferencedPair>, Fault> {
    let mut pairs = Vec::new();
    for (block, prompts) in prompts.chunks(PROMPTS_PER_REPORT).enumerate() {
        let first_prompt = block * PROMPTS_PER_REPORT;
        let request = SampleRequest {
            prompts,
            first_prompt,
            n_samples: settings.n_samples,
            max_tokens: settings.max_tokens,
            seed: settings.seed,
            purpose: Purpose::PairCompletions,
            draw: Draw::Temperature(1.0),
        };
        let completions = completions(&Device::Cpu, base, &request)?;
        for (prompt, completions) in prompts.iter().zip(completions.chunks(settings.n_samples)) {
            let scored = completions.iter().map(|completion| {
                Ok((scorer.score(&tokenizer.decode(completion)?), completion.clone()))
            });
            pairs.extend(ordered(prompt, scored.collect::<Result<_, Fault>>()?, settings));
        }
        on_prompts(first_prompt + prompts.len());
    }
    reference_logps(&Device::Cpu, base, pairs)
}

/// Best against worst, second against second-worst, …, where the scores differ clearly.
fn ordered(
    prompt: &[u32],
    mut scored: Vec<(f64, Vec<u32>)>,
    settings: &PairSettings,
) -> Vec<PreferencePair> {
    scored.sort_by(|left, right| right.0.total_cmp(&left.0));
    let half = scored.len() / 2;
    let best_first = scored.iter();
    let worst_first = scored.iter().rev();
    best_first
        .zip(worst_first)
        .take(settings.n_pairs_per_prompt.min(half))
        .filter(|((better, _), (worse, _))| better - worse > settings.score_gap_min)
        .map(|((_, chosen), (_, rejected))| {
            PreferencePair::new(prompt.to_vec(), chosen.clone(), rejected.clone())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::sentiment::SentimentSettings;

    #[test]
    fn only_clear_pairs_are_kept_best_against_worst() {
        let settings = PairSettings {
            n_pairs_per_prompt: 3,
            score_gap_min: 0.5,
            ..SentimentSettings::default().pairs
        };
        let scored = [0.3, 2.0, -1.0, 0.6, 0.2, 1.0]
            .iter()
            .zip(10..)
            .map(|(score, token)| (*score, vec![token]));
        let pairs = ordered(&[0], scored.collect(), &settings);
        let tokens: Vec<(u32, u32)> =
            pairs.iter().map(|pair| (pair.chosen[0], pair.rejected[0])).collect();
        // 2.0 against −1.0, 1.0 against 0.2; 0.6 against 0.3 is not clear
        assert_eq!(tokens, [(11, 12), (15, 14)]);
    }
}
