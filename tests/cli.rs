//! The command line as a user meets it: exit codes, JSON, messages that name the remedy.

#![allow(clippy::unwrap_used, reason = "a test that cannot run has failed")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// `lossbox …` in an empty folder, with a cache that the tests share.
struct Lossbox {
    folder: TempDir,
}

impl Lossbox {
    fn new() -> Self {
        Lossbox { folder: tempfile::tempdir().unwrap() }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_lossbox-under-test"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("LOSSBOX_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"))
            .env("XDG_STATE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("state"))
            .env_remove("OPENAI_API_KEY")
            .output()
            .unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }
}

fn json_of(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|error| {
        panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr))
    })
}

fn one_pair() -> String {
    json!({
        "policy_chosen_logps": [-10.0], "policy_rejected_logps": [-12.0],
        "reference_chosen_logps": [-11.0], "reference_rejected_logps": [-11.0],
        "chosen_tokens": [5], "rejected_tokens": [6],
    })
    .to_string()
}

#[test]
fn call_agrees_with_the_closed_form_of_dpo() {
    let lossbox = Lossbox::new();
    lossbox.write("pairs.json", &one_pair());
    let output =
        lossbox.run(&["call", "dpo", "--pairs", "pairs.json", "--set", "beta=0.5", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let answer = json_of(&output);
    // ρ = (−10 + 11) − (−12 + 11) = 2, x = 1: loss ln(1 + e⁻¹), gradient ∓β σ(−1).
    let close = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-14;
    assert!(close(&answer["losses"][0], (-1.0_f64).exp().ln_1p()), "{answer}");
    let gradient = 0.5 / (1.0 + 1.0_f64.exp());
    assert!(close(&answer["policy_chosen"][0], -gradient), "{answer}");
    assert!(close(&answer["policy_rejected"][0], gradient), "{answer}");
    assert!(answer["fuel"].as_u64().unwrap() > 0);
}

#[test]
fn audit_accepts_a_built_in_loss_from_any_folder() {
    let output = Lossbox::new().run(&["audit", "discopop", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let verdict = json_of(&output);
    assert_eq!(verdict["verdict"], "accepted");
    assert_eq!(verdict["scope"], "pair");
    let warnings = verdict["warnings"].to_string();
    assert!(warnings.contains("wrong way"), "DiscoPOP pushes the wrong way at 0: {warnings}");
}

#[test]
fn audit_rejects_a_file_reader_with_its_place_and_exit_code_1() {
    let lossbox = Lossbox::new();
    lossbox.write("thief.rs", "const STOLEN: &str = include_str!(\"/etc/hostname\");\n");
    let output = lossbox.run(&["audit", "thief.rs", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let verdict = json_of(&output);
    assert_eq!(verdict["verdict"], "rejected");
    assert_eq!(verdict["stage"], "source");
    assert_eq!(verdict["rule"], "source/no-include");
    assert!(!verdict["hint"].as_str().unwrap().is_empty());
    // Whatever was asked for, the verdict is the same JSON.
    for command in [&["build", "thief.rs"][..], &["train", "--loss", "./thief.rs"]] {
        let output = lossbox.run(&[command, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert_eq!(json_of(&output), verdict, "{command:?}");
    }
}

#[test]
fn a_new_plugin_passes_its_own_audit() {
    let lossbox = Lossbox::new();
    assert_eq!(lossbox.run(&["new", "my_loss"]).status.code(), Some(0));
    let again = lossbox.run(&["new", "my_loss"]);
    assert_eq!(again.status.code(), Some(2), "an existing plugin is not overwritten");
    let output = lossbox.run(&["audit", "my_loss", "--json"]);
    assert_eq!(
        json_of(&output)["verdict"],
        "accepted",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn mistakes_on_the_command_line_name_the_remedy_and_exit_with_2() {
    let lossbox = Lossbox::new();
    lossbox.write("pairs.json", &one_pair());
    lossbox.write("train.toml", "loss = 'dpo'\nbatch_pairs = 4\n");
    lossbox.write("short.json", "{\"policy_chosen_logps\": [1.0]}");
    for (arguments, expected) in [
        (vec!["audit", "no_such_loss"], "the built-in losses are dpo"),
        (vec!["audit", "./missing.rs"], "there is no ./missing.rs"),
        (vec!["call", "dpo", "--pairs", "missing.json"], "cannot read missing.json"),
        (vec!["call", "dpo", "--pairs", "short.json"], "is not a pairs file"),
        (
            vec!["call", "dpo", "--pairs", "pairs.json", "--set", "gamma=1"],
            "no hyperparameter called gamma",
        ),
        (vec!["call", "dpo", "--pairs", "pairs.json", "--set", "beta=1e9"], "out of range"),
        (
            vec!["call", "dpo", "--pairs", "pairs.json", "--set", "beta=1", "--set", "beta=2"],
            "beta is set twice",
        ),
        (vec!["audit", "pairs.json"], "write ./pairs.json"),
        (vec!["new", "dpo"], "take another name"),
        (vec!["new", "../escape"], "cannot be a plugin's name"),
        (vec!["train", "--loss", "dpo", "--lr", "1e-5"], "--model DIR"),
        (vec!["train", "--loss", "dpo", "--model", ".", "--steps", "1"], "--data FILE"),
        (vec!["train", "--config", "train.toml"], "batch_pairs"),
        (vec!["logps", "--model", "missing", "--data", "pairs.json"], "hf download missing"),
        (vec!["rules", "no/such-rule"], "`lossbox rules` prints them all"),
    ] {
        let output = lossbox.run(&arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
}

#[test]
fn rules_are_listed_and_each_has_a_page() {
    let lossbox = Lossbox::new();
    let list = lossbox.run(&["rules"]);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.contains("source/no-include") && list.contains("probe/gradient"));
    let page = lossbox.run(&["rules", "source/no-include"]);
    assert!(String::from_utf8_lossy(&page.stdout).contains("Why:"));
}

#[test]
fn bench_measures_a_plugin_and_its_native_twin() {
    let lossbox = Lossbox::new();
    let bench = |plugin: &str| {
        let output =
            lossbox.run(&["bench", "plugin", plugin, "--pairs", "64", "--calls", "3", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        json_of(&output)
    };
    let found = bench("dpo");
    assert_eq!(found["pairs"], 64);
    for figure in [
        "wasm_ns_per_pair",
        "native_ns_per_pair",
        "call_us",
        "call_overhead_us",
        "call_one_pair_us",
        "call_one_pair_overhead_us",
        "instantiate_us",
        "compile_ms",
        "ready_ms",
    ] {
        let median = found[figure].as_f64().unwrap_or_default();
        let spread = &found["spread"][figure];
        let (low, high) = (spread["low"].as_f64(), spread["high"].as_f64());
        assert!(median > 0.0 && low <= Some(median) && Some(median) <= high, "{figure}: {found}");
        assert!(spread["n"].as_u64() >= Some(3), "{figure}: {found}");
    }
    let of = |figure: &str| found[figure].as_f64().unwrap_or_default();
    assert!(of("ready_ms") >= of("compile_ms") && of("call_us") >= of("call_overhead_us"));

    // A loss that the program does not carry has no native twin, even under a published name.
    lossbox.run(&["new", "my_loss"]);
    std::fs::rename(
        lossbox.folder.path().join("plugins/my_loss.rs"),
        lossbox.folder.path().join("plugins/dpo.rs"),
    )
    .unwrap();
    let found = bench("dpo");
    assert!(found["native_ns_per_pair"].is_null() && found["wasm_over_native"].is_null());
    assert!(found["wasm_ns_per_pair"].as_f64() > Some(0.0));
}

/// A small GPT-2 with random weights and no tokenizer.
fn small_model() -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let model = tests.join("../host/trainer/tests/golden/gpt2");
    model.to_str().unwrap().to_owned()
}

const TOKEN_PAIRS: &str = r#"{"prompt_ids": [1, 2, 3], "chosen_ids": [4, 5], "rejected_ids": [6]}
{"prompt_ids": [7], "chosen_ids": [8, 9, 10], "rejected_ids": [11, 12]}
"#;

#[test]
fn training_a_model_of_ones_own_makes_the_chosen_likelier_and_overwrites_nothing() {
    let lossbox = Lossbox::new();
    lossbox.write("pairs.jsonl", TOKEN_PAIRS);
    lossbox.write("train.toml", "lr = 1e-3\nbatch-pairs = 2\nschedule = 'constant'\n");
    let model = small_model();
    let margin_under = |model: &str| -> f64 {
        let output = lossbox.run(&["logps", "--model", model, "--data", "pairs.jsonl", "--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), 2, "{}", String::from_utf8_lossy(&output.stderr));
        let row: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!((&row["chosen_tokens"], &row["rejected_tokens"]), (&json!(2), &json!(1)));
        row["chosen_logps"].as_f64().unwrap() - row["rejected_logps"].as_f64().unwrap()
    };
    let train = [
        "train",
        "--loss",
        "dpo:beta=0.2",
        "--model",
        &model,
        "--data",
        "pairs.jsonl",
        "--config",
        "train.toml",
        "--steps",
        "5",
        "--run",
        "run",
        "--save",
        "tuned",
        "--json",
    ];
    let output = lossbox.run(&train);
    let report = json_of(&output);
    assert_eq!((&report["steps"], &report["place"]), (&json!(5), &json!("tuned")));
    assert_eq!(report["last"]["learning_rate"], 1e-3);
    assert!(margin_under("tuned") > margin_under(&model) + 0.1);
    let again = lossbox.run(&train);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("tuned exists already"));
}

#[test]
fn a_loss_that_looks_at_whole_batches_is_not_fed_parts_of_them() {
    let lossbox = Lossbox::new();
    lossbox.write("pairs.jsonl", TOKEN_PAIRS);
    let output = lossbox.run(&[
        "train",
        "--loss",
        "kto_pair",
        "--model",
        &small_model(),
        "--data",
        "pairs.jsonl",
        "--steps",
        "1",
        "--batch-pairs",
        "2",
        "--pass-pairs",
        "1",
        "--run",
        "run",
    ]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("looks at whole batches") && stderr.contains("--recompute"),
        "{stderr}"
    );
}
