//! Whole runs of the program, as a script meets them: exit codes, the last line of stdout, and what a kill leaves behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot run has failed")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// A loss that no built-in loss is, and a text that the first gate turns away.
const GOOD: &str = r#"use guest_sdk::prelude::*;

pair_loss! {
    name: "tested_square",
    summary: "squared distance of the scaled log-ratio margin from one",
    hyperparameters: { beta: 0.2 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let distance = hp.beta * pair.logratio_margin() - 1.0;
    distance * distance
}
"#;
const BAD: &str = "const STOLEN: &str = include_str!(\"/etc/hostname\");\n";

/// `lossbox …` in this folder, with a cache that the tests share.
fn lossbox(folder: &Path, arguments: &[&str]) -> Command {
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_lossbox-under-test"));
    command
        .args(arguments)
        .current_dir(folder)
        .env("LOSSBOX_CACHE", shared.join("cache"))
        .env("XDG_STATE_HOME", shared.join("state"))
        .env_remove("OPENAI_API_KEY")
        .stdin(Stdio::null());
    command
}

/// One baseline, one bad proposal and a good one; `rest` names the run.
fn discover(folder: &Path, rest: &[&str]) -> Command {
    let mut command = lossbox(folder, &["discover", "--proposer", "replay:replies.jsonl"]);
    command.args(["--baselines", "dpo", "--seeds", "1", "--candidates", "1"]);
    command.args(["--json"]).args(rest);
    command
}

fn write_replies(folder: &Path) {
    let reply = |name: &str, code: &str| json!({ "thought": "a test", "name": name, "code": code });
    let replies = [reply("thief", BAD), reply("tested_square", GOOD)];
    let lines = replies.map(|reply| format!("{reply}\n"));
    fs::write(folder.join("replies.jsonl"), lines.concat()).unwrap();
}

fn talk(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn last_line(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {text}{}", talk(output)))
}

/// Starts the command, kills it without warning at the first line of talk that contains `place`, and waits for its end.
fn kill_at(mut command: Command, place: &str) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut talk = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    loop {
        let Some(line) = talk.next() else {
            panic!("the run ended before it said {place:?}: {said}");
        };
        let line = line.unwrap();
        if line.contains(place) {
            break;
        }
        said.push_str(&line);
        said.push('\n');
    }
    child.kill().unwrap();
    let mut report = String::new();
    child.stdout.take().unwrap().read_to_string(&mut report).unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success() && report.is_empty(), "it was killed: {report}");
}

#[test]
fn a_run_prints_its_report_and_one_that_is_killed_and_resumed_prints_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_replies(folder);

    let output = discover(folder, &["--run", "whole"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", talk(&output));
    let whole = last_line(&output);
    assert!(whole["run"].is_string() && whole["seconds"].as_f64() > Some(0.0));
    let board = whole["leaderboard"].as_array().unwrap();
    let mut names: Vec<&str> = board.iter().filter_map(|row| row["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["dpo", "tested_square"], "{whole}");
    for row in board {
        for figure in ["fitness", "low", "high", "reward", "kl"] {
            assert!(row[figure].is_number(), "{figure}: {row}");
        }
        assert!(row["id"].is_string() && row["origin"].is_string(), "{row}");
    }
    let rejected = whole["rejected"].as_array().unwrap();
    assert_eq!(rejected.len(), 1, "{whole}");
    assert_eq!(rejected[0]["stage"], "source");
    assert_eq!(rejected[0]["rule"], "source/no-include");
    let winner = fs::read_to_string(folder.join("plugins/generated/tested_square.rs")).unwrap();
    assert!(winner.contains("let distance = hp.beta"), "{winner}");

    kill_at(discover(folder, &["--run", "killed"]), "1 baseline");
    let resume = ["--run", "killed", "--resume"];
    kill_at(discover(folder, &resume), "scored");
    let output = discover(folder, &resume).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", talk(&output));
    let resumed = last_line(&output);
    for part in ["leaderboard", "rejected"] {
        assert_eq!(resumed[part], whole[part], "{part}: {}", talk(&output));
    }
}

#[test]
fn doctor_reports_in_json_and_exits_with_2_where_something_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let output = lossbox(folder.path(), &["doctor", "--json"]).output().unwrap();
    let findings = last_line(&output);
    let findings = findings.as_array().unwrap();
    let missing = |it: &&Value| it["status"] == "missing";
    let expected = if findings.iter().any(|it| missing(&it)) { 2 } else { 0 };
    assert_eq!(output.status.code(), Some(expected), "{findings:?}");

    let mut without_rustc = lossbox(folder.path(), &["doctor", "--json"]);
    without_rustc.env("PATH", folder.path()).env_remove("RUSTC");
    let output = without_rustc.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", talk(&output));
    let findings = last_line(&output);
    let compiler = findings.as_array().unwrap().iter().find(missing).unwrap();
    assert_eq!(compiler["what"], "compiler");
    let (detail, remedy) = (compiler["detail"].to_string(), compiler["remedy"].to_string());
    assert!(!detail.contains("hint") && remedy.contains("rustup"), "{compiler}");
}

#[test]
fn build_writes_a_component_that_others_can_read_and_says_why_it_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let built = lossbox(folder.path(), &["build", "dpo", "--json"]).output().unwrap();
    assert_eq!(built.status.code(), Some(0), "{}", talk(&built));
    assert_eq!(last_line(&built)["verdict"], "accepted");
    let path = folder.path().join("dpo.wasm");
    assert!(fs::read(&path).unwrap().starts_with(b"\0asm"));
    // The umask has a say, so it is held against that of a file like any other.
    let plain = folder.path().join("plain");
    fs::write(&plain, "").unwrap();
    let permissions = |path: &Path| fs::metadata(path).unwrap().permissions();
    assert_eq!(permissions(&path), permissions(&plain));

    fs::write(folder.path().join("thief.rs"), BAD).unwrap();
    fs::write(folder.path().join("pairs.json"), PAIR).unwrap();
    for arguments in [
        &["build", "thief.rs", "--json"][..],
        &["call", "thief.rs", "--pairs", "pairs.json", "--json"],
    ] {
        let output = lossbox(folder.path(), arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", talk(&output));
        let verdict = last_line(&output);
        assert_eq!(verdict["verdict"], "rejected");
        assert_eq!(verdict["rule"], "source/no-include");
    }
}

const PAIR: &str = r#"{"policy_chosen_logps": [-10], "policy_rejected_logps": [-12],
    "reference_chosen_logps": [-11], "reference_rejected_logps": [-11], "chosen_tokens": [5], "rejected_tokens": [6]}"#;

#[test]
#[cfg(target_os = "linux")]
fn a_stdout_that_takes_nothing_is_a_fault_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["rules"][..], &["audit", "dpo"], &["doctor"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output =
            lossbox(folder.path(), arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", talk(&output));
        assert!(talk(&output).contains("cannot write to stdout"), "{}", talk(&output));

        let mut child = lossbox(folder.path(), arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 2)), "{}", talk(&output));
        assert!(!talk(&output).contains("panicked"), "{}", talk(&output));
    }
}
