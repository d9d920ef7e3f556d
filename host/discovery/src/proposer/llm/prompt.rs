//! What the model is told: the texts of `templates/prompts` with the manual, the rules and the history filled in.
//!
//! Scores come with their intervals, rejections in full and in the words that a person sees. The leaders' and the
//! latest candidates' sources are quoted; older ones are rows of a table, so that a question stays of bounded length.

use std::fmt::Write as _;

use sandbox::{Rejection, Sandbox, Stage};
use sha2::{Digest, Sha256};
use trainer::{Fitness, SentimentSettings};

use super::super::History;
use crate::candidate::{Candidate, Outcome, hex};

const SYSTEM: &str = include_str!("../../../../../templates/prompts/system.md");
const NEXT: &str = include_str!("../../../../../templates/prompts/next.md");

/// Leaders whose source is quoted.
const LEADERS: usize = 4;
/// Rejected proposals that are quoted, the latest first.
const REJECTIONS: usize = 8;

/// Identity of everything that is said beside the history.
pub(crate) fn digest(task: &SentimentSettings) -> String {
    let mut digest = Sha256::new();
    digest.update(system(task));
    digest.update(NEXT);
    hex(&digest.finalize()[..8])
}

/// What holds for every proposal.
pub(super) fn system(task: &SentimentSettings) -> String {
    let training = &task.training;
    let clipped = match training.optimizer.gradient_norm_max {
        Some(maximum) => format!("with gradients clipped at norm {maximum}"),
        None => "without clipping gradients".to_owned(),
    };
    SYSTEM
        .replace("{{steps}}", &training.n_steps.to_string())
        .replace("{{pairs}}", &training.pairs_per_step.to_string())
        .replace("{{clipped}}", &clipped)
        .replace("{{tokens}}", &task.pairs.max_tokens.to_string())
        .replace("{{budget}}", &task.evaluation.kl_budget.to_string())
        .replace("{{rules}}", &rules())
        .replace("{{manual}}", Sandbox::sdk_manual())
}

/// The question for proposal `n`.
pub(super) fn next(n: usize, history: &History) -> String {
    NEXT.replace("{{proposal}}", &(n + 1).to_string())
        .replace("{{history}}", &told(history))
        .replace("{{pending}}", &pending(&history.pending))
}

/// The rules that a one-file loss can break.
fn rules() -> String {
    let rules = sandbox::rules::all();
    let of_a_source = rules.iter().filter(|rule| rule.stage != Stage::Component);
    of_a_source.fold(String::new(), |mut text, rule| {
        let _ = writeln!(text, "- {}: no {}. Instead: {}.", rule.name, rule.what, rule.hint);
        text
    })
}

fn told(history: &History) -> String {
    let mut scored: Vec<(&Candidate, &Fitness)> = history
        .judged
        .iter()
        .filter_map(|(candidate, outcome)| Some((candidate, outcome.fitness()?)))
        .collect();
    scored.sort_by(|(_, left), (_, right)| right.mean.total_cmp(&left.mean));
    let mut text = table(&scored);
    for (candidate, fitness) in scored.iter().take(LEADERS) {
        text.push_str(&quoted(candidate, fitness));
    }
    let rejected = history.judged.iter().rev().filter_map(|(candidate, outcome)| match outcome {
        Outcome::Rejected(rejection) => Some((candidate, rejection)),
        Outcome::Scored(_) => None,
    });
    for (candidate, rejection) in rejected.take(REJECTIONS) {
        text.push_str(&turned_away(candidate, rejection));
    }
    text
}

fn table(scored: &[(&Candidate, &Fitness)]) -> String {
    if scored.is_empty() {
        return "Nothing has been scored yet.\n".to_owned();
    }
    let mut text = String::from(
        "| loss | fitness | 95 % interval | final reward | final KL | idea |\n|---|---|---|---|---|---|\n",
    );
    for (candidate, fitness) in scored {
        let Fitness { mean, low, high, reward, kl, .. } = fitness;
        let idea = candidate.thought.replace(['\n', '|'], " ");
        let name = &candidate.name;
        let _ = writeln!(
            text,
            "| {name} | {mean:.3} | {low:.3} to {high:.3} | {reward:.2} | {kl:.1} | {idea} |"
        );
    }
    text
}

fn quoted(candidate: &Candidate, fitness: &Fitness) -> String {
    let Candidate { name, source, .. } = candidate;
    let source = source.trim_end();
    format!("\n## {name}, fitness {:.3}\n\n```rust\n{source}\n```\n", fitness.mean)
}

fn turned_away(candidate: &Candidate, rejection: &Rejection) -> String {
    let Candidate { name, source, .. } = candidate;
    let Rejection { stage, rule, message, hint, span } = rejection;
    let place = span
        .map_or_else(String::new, |span| format!(" at line {}, column {}", span.line, span.column));
    let mut text =
        format!("\n## {name}, rejected\n\nRejected at {stage} by {rule}{place}: {message}\n");
    if !hint.is_empty() {
        let _ = writeln!(text, "Hint: {hint}");
    }
    if !source.is_empty() {
        let _ = write!(text, "\n```rust\n{}\n```\n", source.trim_end());
    }
    text
}

fn pending(pending: &[Candidate]) -> String {
    if pending.is_empty() {
        return String::new();
    }
    let mut text = String::from("What became of these is not yet known; do not repeat them:\n\n");
    for Candidate { name, thought, .. } in pending {
        let _ = writeln!(text, "- {name}: {}", thought.replace('\n', " "));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baselines;

    #[test]
    fn the_system_prompt_quotes_manual_and_rules_and_leaves_no_gap() {
        let mut task = SentimentSettings::default();
        task.training.pairs_per_step = 77;
        let system = system(&task);
        assert!(system.contains("batches of 77 pairs") && system.contains("at norm 1."));
        assert!(!system.contains("{{"), "an unfilled placeholder");
        assert!(system.contains("pair_loss!") && system.contains("probe/gradient"));
    }

    #[test]
    fn history_is_told_with_intervals_and_rejections_in_full() {
        let scored = Fitness { mean: 0.5, low: 0.25, high: 0.75, n: 3, reward: 1.5, kl: 6.2 };
        let rejection = Rejection::new(
            Stage::Probe,
            "probe/finite",
            "the loss is NaN at −1000",
            "use softplus",
        );
        let candidate = |name| baselines::candidate(baselines::named(name).expect("known"));
        let history = History {
            judged: vec![
                (candidate("dpo"), Outcome::Scored(scored)),
                (candidate("cell"), Outcome::Rejected(rejection)),
            ],
            pending: vec![candidate("slic")],
        };
        let text = next(4, &history);
        for expected in [
            "This is proposal 5.",
            "| dpo | 0.500 | 0.250 to 0.750 | 1.50 | 6.2 |",
            "name: \"dpo\"",
            "Rejected at probe by probe/finite: the loss is NaN at −1000\nHint: use softplus",
            "- slic: ",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        assert!(!text.contains("{{"));
    }
}
