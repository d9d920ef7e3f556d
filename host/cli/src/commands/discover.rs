//! `lossbox discover`: a run from the command line to the leaderboard. Progress goes to stderr, data to stdout.

use anyhow::{Context, Result, bail};
use discovery::{Config, Counts, LlmSettings, ProposerChoice, Report, SearchSettings};
use trainer::SentimentSettings;

use crate::args::Discover;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::{Outcome, plugin, runs, screen};

pub(crate) fn run(args: Discover, settings: &Settings) -> Result<Outcome> {
    let config = config(args.clone(), settings)?;
    let mut progress = Progress::new();
    let mut report = discovery::run(&config, &mut progress)?;
    progress.end();
    let text = leaderboard(&report);
    if args.json {
        screen::note(text.trim_end());
        // Whoever reads it may be elsewhere.
        let run = std::path::absolute(&report.run).context("cannot tell where the run lies")?;
        report.run = run.display().to_string();
        screen::json(&report)?;
    } else {
        screen::data(&text)?;
    }
    complete(&report, config.search.proposals_max)
}

/// The leaderboard is printed by now, whatever else is missing.
fn complete(report: &Report, proposals_max: usize) -> Result<Outcome> {
    if !report.unwritten.is_empty() {
        bail!(
            "the run is done, but not everything could be written: {}\nhint: make room or access, then write it with --resume",
            report.unwritten.join("; ")
        );
    }
    let Counts { asked, scored } = report.candidates;
    if scored == 0 && asked > 0 {
        bail!(
            "no candidate was scored, {asked} were asked for (a run makes at most {proposals_max} proposals)\nhint: the leaderboard holds baselines alone; the rejections above say why"
        );
    }
    Ok(Outcome::Done)
}

fn config(args: Discover, settings: &Settings) -> Result<Config> {
    let mut llm = LlmSettings::from_environment();
    if let Some(model) = args.llm {
        llm.model = model;
    }
    let defaults = SearchSettings::default();
    Ok(Config {
        run_dir: match args.run {
            Some(folder) => folder,
            None => runs::folder("", args.resume)?,
        },
        resume: args.resume,
        plugins_dir: args.plugins,
        cache_dir: settings.cache.clone(),
        child_program: std::env::current_exe().context("cannot find this program's own file")?,
        missing_layers: settings.missing_layers,
        workers: args.workers,
        search: SearchSettings {
            proposer: args.proposer.as_deref().map(str::parse::<ProposerChoice>).transpose()?,
            seed: args.seed,
            candidates: args.candidates,
            proposals_max: SearchSettings::proposals_for(args.candidates),
            training_seeds: args.seeds,
            baselines: args.baselines.unwrap_or(defaults.baselines),
            lag: defaults.lag,
        },
        task: SentimentSettings::default(),
        llm,
    })
}

/// The leaderboard and the rejected as text.
fn leaderboard(report: &Report) -> String {
    let header = ["loss", "origin", "made from", "fitness", "95 % interval", "reward", "KL (nats)"];
    let rows: Vec<Vec<String>> = report
        .leaderboard
        .iter()
        .map(|row| {
            vec![
                format!("{}@{}", row.name, plugin::shown(&row.id)),
                row.origin.clone(),
                row.parents.join(", "),
                format!("{:+.3}", row.fitness),
                format!("{:+.3} to {:+.3}", row.low, row.high),
                format!("{:+.2}", row.reward),
                format!("{:.1}", row.kl),
            ]
        })
        .collect();
    let mut text = format!("\n{}", screen::table(&header, &rows));
    text.push_str(note_on_intervals(report.n_seeds));
    if let Some(best) = report.leaderboard.iter().find(|row| row.origin != "baseline") {
        text.push_str(&format!(
            "the best proposal, {}, in its author's words: {}\n",
            best.name,
            first_line(&best.hypothesis)
        ));
    }
    for row in &report.rejected {
        text.push_str(&format!(
            "rejected {}@{} by {}: {}\n",
            row.name,
            plugin::shown(&row.id),
            row.rule,
            first_line(&row.message)
        ));
    }
    text.push_str("\nwhat follows @ is the candidate's identity, a hash of its program text\n");
    text.push_str(&format!("{:.0} seconds; everything is in {}\n", report.seconds, report.run));
    text
}

/// What the interval is about: luck of the evaluation with one seed, luck of the training with more.
fn note_on_intervals(n_seeds: usize) -> &'static str {
    match n_seeds {
        1 => {
            "intervals: bootstrap over the prompts of one training; how much another seed would change is not in them\n"
        }
        _ => "intervals: Student's t over the trainings' seeds\n",
    }
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Counts, Outcome, Report, complete};

    #[test]
    fn a_run_that_scored_nothing_or_wrote_not_everything_is_a_fault() {
        let with = |asked, scored, unwritten: &[&str]| {
            let report = Report {
                run: String::new(),
                leaderboard: Vec::new(),
                rejected: Vec::new(),
                candidates: Counts { asked, scored },
                n_seeds: 1,
                seconds: 0.0,
                winner: None,
                unwritten: unwritten.iter().map(ToString::to_string).collect(),
            };
            complete(&report, 5 * asked).map_err(|error| error.to_string())
        };
        assert_eq!(with(0, 0, &[]), Ok(Outcome::Done));
        assert_eq!(with(3, 1, &[]), Ok(Outcome::Done));
        let error = with(3, 0, &[]).expect_err("none");
        assert!(error.contains("at most 15 proposals"), "{error}");
        let error = with(3, 3, &["cannot write x"]).expect_err("unwritten");
        assert!(error.contains("cannot write x"), "{error}");
    }
}
