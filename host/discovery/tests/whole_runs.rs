//! Whole runs with the real sandbox and the real trainer, on a task small enough for seconds.
//!
//! The program that runs the tests is also what the sandbox starts as its children, so it has a `main` of its own.
//! With a number as its argument it tells what share of so many fresh draws the gates accept.

use std::path::Path;

use discovery::{Config, Event, Fault, LlmSettings, ProposerChoice, Report, SearchSettings, run};
use trainer::SentimentSettings;

fn main() {
    sandbox::child::run_if_child();
    let folder = tempfile::tempdir().expect("a folder");
    let argument = std::env::args().nth(1).and_then(|argument| argument.parse().ok());
    if let Some(n) = argument {
        return acceptance(folder.path(), n);
    }
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let report = a_search_ends_with_a_leaderboard_and_a_winner(folder.path());
    another_number_of_workers_gives_the_same_leaderboard(folder.path(), &report);
    a_finished_run_is_reported_again_and_others_are_refused(folder.path(), &report);
    recorded_replies_meet_the_real_gates(folder.path());
    a_place_that_cannot_be_written_is_told_before_the_work(folder.path());
    println!("whole runs: ok");
}

fn config(folder: &Path, name: &str) -> Config {
    let mut task = SentimentSettings::default();
    task.pairs.n_prompts = 12;
    task.training.n_steps = 3;
    task.training.pairs_per_step = 4;
    task.evaluation.steps = vec![1, 3];
    task.evaluation.n_prompts = 4;
    task.evaluation.n_samples = 1;
    task.evaluation.max_tokens = 12;
    task.evaluation.n_resamples = 20;
    Config {
        run_dir: folder.join("runs").join(name),
        resume: false,
        plugins_dir: folder.join("plugins"),
        cache_dir: folder.join("cache"),
        child_program: std::env::current_exe().expect("this program"),
        missing_layers: sandbox::MissingLayers::Refuse,
        workers: 2,
        search: SearchSettings {
            proposer: Some(ProposerChoice::Evolve),
            candidates: 4,
            proposals_max: 20,
            training_seeds: 2,
            baselines: ["dpo", "kto_pair"].map(str::to_owned).to_vec(),
            ..SearchSettings::default()
        },
        task,
        llm: LlmSettings::default(),
    }
}

fn a_search_ends_with_a_leaderboard_and_a_winner(folder: &Path) -> Report {
    let mut first = None;
    let mut observer = |event: Event<'_>| {
        first.get_or_insert_with(|| format!("{event:?}"));
    };
    let mut config = config(folder, "first");
    config.search.proposer = None;
    let report = run(&config, &mut observer).expect("a report");
    let first = first.expect("events");
    assert!(first.starts_with("Proposer { choice: Evolve, reason: \"no key"), "{first}");
    assert_eq!(report.leaderboard.len(), 6, "{report:?}");
    assert_eq!((report.candidates.asked, report.candidates.scored), (4, 4));
    assert!(report.leaderboard.is_sorted_by(|left, right| left.fitness >= right.fitness));
    assert!(report.leaderboard.iter().all(|row| row.low <= row.fitness && row.fitness <= row.high));
    let winner = report.winner.as_ref().expect("a proposal was scored");
    let text = std::fs::read_to_string(&winner.path).expect("written");
    assert!(winner.path.starts_with(folder.join("plugins/generated")));
    assert!(text.starts_with("// Discovered by lossbox") && text.contains("_loss! {"), "{text}");
    report
}

fn another_number_of_workers_gives_the_same_leaderboard(folder: &Path, report: &Report) {
    let again = Config { workers: 1, ..config(folder, "again") };
    let again = run(&again, &mut |_: Event<'_>| {}).expect("a report");
    assert_eq!((&again.leaderboard, &again.rejected), (&report.leaderboard, &report.rejected));
}

fn a_finished_run_is_reported_again_and_others_are_refused(folder: &Path, report: &Report) {
    let first = config(folder, "first");
    let refused = run(&first, &mut |_: Event<'_>| {}).expect_err("it is there");
    assert!(matches!(refused, Fault::RunExists(_)), "{refused}");
    let mut resumed = Config { resume: true, ..first };
    let again = run(&resumed, &mut |_: Event<'_>| {}).expect("a report");
    assert_eq!(again.leaderboard, report.leaderboard);
    resumed.search.seed = 9;
    let refused = run(&resumed, &mut |_: Event<'_>| {}).expect_err("another seed").to_string();
    assert!(refused.contains("seed: the run has 0, now it is 9"), "{refused}");
}

fn recorded_replies_meet_the_real_gates(folder: &Path) {
    let dpo = discovery::baselines::named("dpo").expect("known").source;
    let line = |name: &str, code: &str| {
        format!(
            "{{\"thought\": \"\", \"name\": \"{name}\", \"code\": {}}}\n",
            serde_json::to_string(code).expect("JSON")
        )
    };
    let replies = [
        line("same", dpo),
        line("renamed", &dpo.replace("name: \"dpo\"", "name: \"mine\"")),
        line("leaks", "const TEXT: &str = include_str!(\"/etc/passwd\");"),
        line("ill_typed", &dpo.replace("hp.beta * ", "\"beta\" * ")),
        line("backwards", &dpo.replace("-(hp.beta", "(hp.beta")),
    ];
    let file = folder.join("replies.jsonl");
    std::fs::write(&file, replies.concat()).expect("written");
    let mut config = config(folder, "replay");
    config.search.proposer = Some(ProposerChoice::Replay(file));
    let report = run(&config, &mut |_: Event<'_>| {}).expect("a report");
    let stages: Vec<String> =
        report.rejected.iter().map(|row| format!("{} {}", row.name, row.stage)).collect();
    assert_eq!(stages, ["same source", "renamed source", "leaks source", "ill_typed compile"]);
    for row in &report.rejected[..2] {
        assert_eq!(row.rule, "source/duplicate");
        assert!(row.message.contains("same source as dpo"), "{}", row.message);
    }
    assert!(report.leaderboard.iter().any(|row| row.name == "backwards" && row.origin == "replay"));
}

fn a_place_that_cannot_be_written_is_told_before_the_work(folder: &Path) {
    let mut config = config(folder, "unwritable");
    config.plugins_dir = folder.join("a file");
    std::fs::write(&config.plugins_dir, "").expect("written");
    let mut n_events = 0;
    let fault = run(&config, &mut |_: Event<'_>| n_events += 1).expect_err("no folder");
    assert!(fault.to_string().contains("cannot write in"), "{fault}");
    assert_eq!((n_events, config.run_dir.exists()), (0, false));
}

fn acceptance(folder: &Path, n: usize) {
    let mut config = config(folder, "acceptance");
    config.task.training.n_steps = 1;
    config.task.evaluation.steps = vec![1];
    config.search = SearchSettings {
        proposer: Some(ProposerChoice::Random),
        candidates: n,
        proposals_max: 5 * n,
        training_seeds: 1,
        baselines: Vec::new(),
        ..SearchSettings::default()
    };
    let report = run(&config, &mut |_: Event<'_>| {}).expect("a report");
    println!(
        "{} of {} accepted",
        report.leaderboard.len(),
        report.leaderboard.len() + report.rejected.len()
    );
    for row in &report.rejected {
        println!("{} {} {}", row.name, row.rule, row.message);
    }
}
