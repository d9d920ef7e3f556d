//! Training runs that end before their last step: by Ctrl-C, by being killed, by a loss that fails. What is left must
//! be enough to go on as if nothing had happened.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot run has failed")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Long enough for any machine; nothing is measured.
const PATIENCE: Duration = Duration::from_secs(300);

/// Enough that a signal arrives long before the last step.
const STEPS: usize = 3000;

/// An empty folder with preference data.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rows: String = (0..24)
            .map(|row| {
                format!(
                    "{{\"prompt_ids\": [{}, 2, 3], \"chosen_ids\": [4, {}], \"rejected_ids\": [{}]}}\n",
                    row + 1,
                    row + 5,
                    row + 7
                )
            })
            .collect();
        std::fs::write(folder.path().join("pairs.jsonl"), rows).unwrap();
        Place { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn lossbox(&self) -> Command {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_lossbox-under-test"));
        command
            .current_dir(self.folder.path())
            .env("LOSSBOX_CACHE", scratch.join("cache"))
            .env("XDG_STATE_HOME", scratch.join("state"));
        command
    }

    /// `lossbox train` with a loss on the small model.
    fn train(&self, loss: &str, run: &str, more: &[&str]) -> Command {
        let mut command = self.lossbox();
        command
            .args(["train", "--loss", loss, "--data", "pairs.jsonl", "--run", run])
            .args(["--batch-pairs", "2", "--model"])
            .arg(small_model())
            .args(more);
        command
    }

    fn run(&self, command: &mut Command) -> Output {
        command.output().unwrap()
    }

    /// Both must be byte for byte what the undisturbed run wrote.
    fn check_same(&self, run: &str) {
        for file in ["model/model.safetensors", "metrics.jsonl"] {
            let [whole, other] = ["whole", run].map(|run| self.read(&format!("{run}/{file}")));
            assert!(whole == other, "{run}: {file} differs from that of the undisturbed run");
        }
    }
}

/// A small GPT-2 with random weights and no tokenizer.
fn small_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/trainer/tests/golden/gpt2")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn check_exit(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
}

/// A program that is ended with the test, whatever happens.
struct Running(Option<Child>);

impl Running {
    fn start(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Running(Some(child.unwrap()))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    /// Waits until something is there.
    fn wait_for(&mut self, what: &str, there: impl Fn() -> bool) {
        let start = Instant::now();
        while !there() {
            if self.child().try_wait().unwrap().is_some() {
                let output = self.0.take().unwrap().wait_with_output().unwrap();
                panic!("it ended before there was {what}: {}", stderr(&output));
            }
            assert!(start.elapsed() < PATIENCE, "there is no {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn interrupt(mut self) -> Output {
        assert!(self.signal());
        self.0.take().unwrap().wait_with_output().unwrap()
    }

    /// Whether the program was there to get it.
    fn signal(&mut self) -> bool {
        let kill = format!("kill -INT {}", self.child().id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        sent.unwrap().success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step-"))
        })
        .collect()
}

#[test]
fn a_run_goes_on_after_ctrl_c_and_after_a_kill_as_if_nothing_had_happened() {
    let place = Place::new();
    let steps = STEPS.to_string();
    let options = ["--steps", &steps, "--lr", "1e-4", "--warmup", "10", "--schedule", "cosine"];
    check_exit(&place.run(&mut place.train("dpo", "whole", &options)), 0);

    let interrupted = place.path("interrupted");
    let mut running = Running::start(&mut place.train("dpo", "interrupted", &options));
    running.wait_for("a step", || {
        std::fs::read(interrupted.join("metrics.jsonl")).is_ok_and(|lines| lines.contains(&b'\n'))
    });
    let output = running.interrupt();
    check_exit(&output, 0);
    let said = stderr(&output);
    assert!(said.contains("ended early") && said.contains("--resume --run interrupted"), "{said}");
    assert!(!interrupted.join("model").exists() && checkpoints(&interrupted).len() == 1);
    let resumed = [&options[..], &["--resume"]].concat();
    check_exit(&place.run(&mut place.train("dpo", "interrupted", &resumed)), 0);
    place.check_same("interrupted");

    let killed = place.path("killed");
    let saving = [&options[..], &["--save-every", "7"]].concat();
    let mut running = Running::start(&mut place.train("dpo", "killed", &saving));
    running.wait_for("a checkpoint", || !checkpoints(&killed).is_empty());
    running.child().kill().unwrap();
    drop(running);
    assert!(!killed.join("model").exists(), "it was killed too late");
    let resumed = [&saving[..], &["--resume"]].concat();
    check_exit(&place.run(&mut place.train("dpo", "killed", &resumed)), 0);
    place.check_same("killed");
}

/// The first waits for the step, which takes long here; the second does not.
#[test]
fn a_second_ctrl_c_ends_the_program_at_once() {
    let place = Place::new();
    let tokens = |from: u32| (from..from + 12).collect::<Vec<u32>>();
    let row = format!(
        "{{\"prompt_ids\": [1], \"chosen_ids\": {:?}, \"rejected_ids\": {:?}}}\n",
        tokens(2),
        tokens(20)
    );
    place.write("pairs.jsonl", &row.repeat(40_000));
    let mut command = place.lossbox();
    command
        .args(["train", "--loss", "dpo", "--data", "pairs.jsonl", "--run"])
        .args(["run", "--steps", "2", "--threads", "1", "--model"])
        .arg(small_model())
        .args(["--batch-pairs", "40000", "--pass-pairs", "64"]);
    let metrics = place.path("run/metrics.jsonl");
    let mut running = Running::start(&mut command);
    running.wait_for("the first step", || metrics.exists());
    assert!(running.signal());
    std::thread::sleep(Duration::from_millis(50));
    assert!(running.signal());
    check_exit(&running.0.take().unwrap().wait_with_output().unwrap(), 130);
}

/// DPO until a pair has been learnt a little, which no probe can know: the pair's log-probs are those of the model.
fn dpo_until_learnt(name: &str, then: &str) -> String {
    format!(
        "use guest_sdk::prelude::*;

pair_loss! {{
    name: \"{name}\",
    summary: \"fails on a pair that the policy has begun to learn\",
    hyperparameters: {{ beta: 0.1 in 0.001..=10.0 }},
}}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {{
    let margin = pair.logratio_margin();
    let real = pair.chosen_tokens == 2 && pair.rejected_tokens == 1;
    if real && pair.reference_chosen > -14.6 && pair.reference_chosen < -13.5 && margin > 0.25 && margin < 1.0 {{
        {then}
    }}
    -(hp.beta * margin).log_sigmoid()
}}
"
    )
}

#[test]
fn a_loss_that_fails_on_real_data_ends_with_a_verdict_and_a_checkpoint() {
    let place = Place::new();
    place.write(
        "trap.rs",
        &dpo_until_learnt("trap", "return margin * [1.0, 2.0][pair.chosen_tokens as usize];"),
    );
    place.write("nan.rs", &dpo_until_learnt("nan", "return margin * f64::NAN;"));
    for (name, rule) in [("trap", "run/trap"), ("nan", "train/non-finite")] {
        let options = ["--steps", "3000", "--lr", "1e-5"];
        let output = place.run(&mut place.train(&format!("./{name}.rs"), name, &options));
        let said = stderr(&output);
        check_exit(&output, 1);
        assert!(said.contains(rule) && said.contains("checkpoint: "), "{said}");
        let run = place.path(name);
        let [checkpoint] = &checkpoints(&run)[..] else { panic!("one checkpoint: {said}") };
        assert!(!run.join("model").exists());
        // It is a model that can be used, and the state before the step that failed.
        let n_lines =
            place.read(&format!("{name}/metrics.jsonl")).iter().filter(|b| **b == b'\n').count();
        assert!(checkpoint.ends_with(format!("step-{n_lines}")) && n_lines > 0, "{checkpoint:?}");
        let mut logps = place.lossbox();
        logps.args(["logps", "--data", "pairs.jsonl", "--model"]).arg(checkpoint);
        check_exit(&place.run(&mut logps), 0);
    }
}

/// A decay of 10⁶ times the weights, which a few updates take out of the range of numbers.
#[test]
fn weights_that_training_destroys_end_it_with_a_verdict_and_the_state_before() {
    let place = Place::new();
    let options =
        ["--steps", "99", "--lr", "1e3", "--weight-decay", "1e3", "--schedule", "constant"];
    let output = place.run(&mut place.train("dpo", "run", &options));
    let said = stderr(&output);
    check_exit(&output, 1);
    assert!(said.contains("train/non-finite") && said.contains("checkpoint: "), "{said}");
    let [checkpoint] = &checkpoints(&place.path("run"))[..] else {
        panic!("one checkpoint: {said}")
    };
    let n_lines = place.read("run/metrics.jsonl").iter().filter(|b| **b == b'\n').count();
    assert!(n_lines > 0 && checkpoint.ends_with(format!("step-{n_lines}")), "{checkpoint:?}");
    let failed = format!("at training step {}", n_lines + 1);
    assert!(said.contains(&failed), "{said}");
    let weights = std::fs::read(checkpoint.join("model.safetensors")).unwrap();
    assert!(numbers(&weights).iter().all(|weight| weight.is_finite()), "{said}");
    // The same step fails again, and what is there stays.
    let resumed = [&options[..], &["--resume"]].concat();
    let again = place.run(&mut place.train("dpo", "run", &resumed));
    check_exit(&again, 1);
    assert!(stderr(&again).contains(&failed), "{}", stderr(&again));
    assert!(std::fs::read(checkpoint.join("model.safetensors")).unwrap() == weights);
}

/// All numbers of a file of `f32` tensors: eight bytes say how long the header is.
fn numbers(file: &[u8]) -> Vec<f32> {
    let (length, rest) = file.split_at(8);
    let header = u64::from_le_bytes(length.try_into().unwrap()) as usize;
    let (numbers, _) = rest[header..].as_chunks::<4>();
    numbers.iter().map(|number| f32::from_le_bytes(*number)).collect()
}

#[test]
fn weights_that_are_no_numbers_end_a_run_before_its_first_step() {
    let place = Place::new();
    std::fs::create_dir(place.path("broken")).unwrap();
    std::fs::copy(small_model().join("config.json"), place.path("broken/config.json")).unwrap();
    let mut weights = std::fs::read(small_model().join("model.safetensors")).unwrap();
    let last = weights.len() - 4;
    weights[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(place.path("broken/model.safetensors"), weights).unwrap();
    let mut train = place.lossbox();
    train.args(["train", "--loss", "dpo", "--data", "pairs.jsonl", "--run", "run"]);
    train.args(["--steps", "3", "--model", "broken"]);
    let output = place.run(&mut train);
    check_exit(&output, 2);
    let said = stderr(&output);
    assert!(
        said.contains("log-probs are NaN")
            && said.contains("wte.weight holds NaN")
            && said.contains("hint: "),
        "{said}"
    );
}
