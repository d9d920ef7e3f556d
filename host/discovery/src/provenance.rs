//! The winner as source that a person would keep: the proposal's own text under a head that says where it comes from.
//!
//! The head is made of plain comments, so the file is the same candidate as the proposal.

use std::path::{Path, PathBuf};

use trainer::Fitness;

use crate::candidate::{Candidate, CandidateId, Outcome};
use crate::report::Winner;
use crate::{Fault, baselines, files};

/// The subfolder of the plugins folder that winners are written to.
pub(crate) const GENERATED: &str = "generated";

/// What a winner's head tells of its run.
pub(crate) struct Origin<'a> {
    pub(crate) run_dir: &'a Path,
    pub(crate) seed: u64,
    pub(crate) proposer: &'a str,
}

/// Writes the best proposal to `generated/` in the plugins folder. `None` if no proposal was scored.
pub(crate) fn write_winner(
    settled: &[(&Candidate, &Outcome)],
    origin: &Origin<'_>,
    plugins_dir: &Path,
) -> Result<Option<Winner>, Fault> {
    let scored: Vec<_> = settled
        .iter()
        .filter_map(|(candidate, outcome)| Some((*candidate, outcome.fitness()?)))
        .collect();
    let (baselines, proposals): (Vec<_>, Vec<_>) =
        scored.into_iter().partition(|(candidate, _)| candidate.origin == baselines::ORIGIN);
    let Some((winner, fitness)) = best(&proposals) else {
        return Ok(None);
    };
    let beaten_by = best(&baselines).filter(|(_, best)| best.mean > fitness.mean);
    let mut lines = head(winner, fitness, origin, settled);
    lines.push(match (beaten_by, best(&baselines)) {
        (Some((baseline, best)), _) => {
            format!("The baseline {} scored higher: {}.", baseline.name, measured(best))
        }
        (None, Some((baseline, best))) => {
            format!("The best baseline is {}: {}.", baseline.name, measured(best))
        }
        (None, None) => "No baseline was scored.".to_owned(),
    });
    let head: String = lines.iter().map(|line| format!("// {line}\n")).collect();
    let text = format!("{head}\n{}\n", winner.source.trim_end());
    let path = free_path(&plugins_dir.join(GENERATED), winner, &text);
    files::write(&path, &text)?;
    Ok(Some(Winner {
        name: winner.name.clone(),
        path,
        beaten_by: beaten_by.map(|(baseline, _)| baseline.name.clone()),
    }))
}

fn best<'a>(scored: &[(&'a Candidate, &'a Fitness)]) -> Option<(&'a Candidate, &'a Fitness)> {
    let by_fitness = scored.iter().max_by(|(left_of, left), (right_of, right)| {
        let by_mean = left.mean.total_cmp(&right.mean);
        by_mean.then_with(|| right_of.id.cmp(&left_of.id))
    });
    by_fitness.copied()
}

fn head(
    winner: &Candidate,
    fitness: &Fitness,
    origin: &Origin<'_>,
    settled: &[(&Candidate, &Outcome)],
) -> Vec<String> {
    let run = origin.run_dir.file_name().unwrap_or_default().to_string_lossy();
    let mut lines = vec![
        format!("Discovered by lossbox {}.", env!("CARGO_PKG_VERSION")),
        format!(
            "Run {run}, seed {}, proposer {}, candidate {}.",
            origin.seed, origin.proposer, winner.id
        ),
        format!("Fitness {}.", measured(fitness)),
    ];
    if !winner.parents.is_empty() {
        let names: Vec<String> = winner.parents.iter().map(|id| named(id, settled)).collect();
        lines.insert(2, format!("Parents: {}.", names.join(", ")));
    }
    lines
}

fn named(id: &CandidateId, settled: &[(&Candidate, &Outcome)]) -> String {
    let found = settled.iter().find(|(candidate, _)| candidate.id == *id);
    found.map_or_else(|| id.to_string(), |(candidate, _)| format!("{} ({id})", candidate.name))
}

fn measured(fitness: &Fitness) -> String {
    let Fitness { mean, low, high, n, .. } = fitness;
    let seeds = if *n == 1 { "seed" } else { "seeds" };
    format!("{mean:.3}, 95 % interval {low:.3} to {high:.3} over {n} {seeds}")
}

/// `NAME.rs`, unless another discovery has that name; then its identity is added.
fn free_path(folder: &Path, winner: &Candidate, text: &str) -> PathBuf {
    let plain = folder.join(format!("{}.rs", winner.name));
    match std::fs::read_to_string(&plain) {
        Ok(there) if there != text && CandidateId::of(&there) != winner.id => {
            folder.join(format!("{}_{}.rs", winner.name, &winner.id.as_str()[..8]))
        }
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, origin: &str, parents: &[&str]) -> Candidate {
        Candidate {
            id: CandidateId::of(name),
            name: name.to_owned(),
            origin: origin.to_owned(),
            thought: String::new(),
            source: format!("{name}\n"),
            parents: parents.iter().map(|name| CandidateId::of(name)).collect(),
            genotype: None,
        }
    }

    fn scored(mean: f64) -> Outcome {
        Outcome::Scored(Fitness {
            mean,
            low: mean - 0.25,
            high: mean + 0.25,
            n: 3,
            reward: 0.0,
            kl: 0.0,
        })
    }

    fn write(outcomes: [f64; 3]) -> (String, Winner) {
        let folder = tempfile::tempdir().expect("a folder");
        let candidates = [
            candidate("dpo", "baseline", &[]),
            candidate("child", "evolve", &["dpo"]),
            candidate("other", "evolve", &[]),
        ];
        let outcomes = outcomes.map(scored);
        let settled: Vec<_> = candidates.iter().zip(&outcomes).collect();
        let origin =
            Origin { run_dir: Path::new("/somewhere/runs/7"), seed: 3, proposer: "evolve" };
        let winner =
            write_winner(&settled, &origin, folder.path()).expect("written").expect("a winner");
        (std::fs::read_to_string(&winner.path).expect("there"), winner)
    }

    #[test]
    fn the_best_proposal_is_written_with_its_story() {
        let (text, winner) = write([0.25, 0.5, 0.375]);
        assert!(winner.path.ends_with("generated/child.rs"));
        assert_eq!(winner.beaten_by, None);
        assert_eq!(CandidateId::of(&text), CandidateId::of("child"));
        for expected in [
            "// Run 7, seed 3, proposer evolve, candidate ",
            &format!("// Parents: dpo ({}).", CandidateId::of("dpo")),
            "// Fitness 0.500, 95 % interval 0.250 to 0.750 over 3 seeds.",
            "// The best baseline is dpo: 0.250",
        ] {
            assert!(text.contains(expected), "{text}");
        }
        assert!(!text.contains("/somewhere"));
    }

    #[test]
    fn a_baseline_that_leads_is_named() {
        let (text, winner) = write([0.75, 0.25, 0.5]);
        assert_eq!((winner.name.as_str(), winner.beaten_by.as_deref()), ("other", Some("dpo")));
        assert!(text.contains("// The baseline dpo scored higher: 0.750"), "{text}");
    }

    #[test]
    fn another_discovery_of_the_same_name_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("child.rs"), "fn another() {}\n").expect("written");
        let winner = candidate("child", "evolve", &[]);
        let path = free_path(folder.path(), &winner, "child\n");
        assert_eq!(path, folder.path().join(format!("child_{}.rs", &winner.id.as_str()[..8])));
        std::fs::write(folder.path().join("child.rs"), "// An older head.\n\nchild\n")
            .expect("written");
        assert_eq!(free_path(folder.path(), &winner, "child\n"), folder.path().join("child.rs"));
    }
}
