//! `--device cuda` through the program, on an emulated card: stand-ins for the driver and cuBLASLt lie where the linker looks.
//!
//! Needs NVRTC's library; what is missing is named on standard error. What passes here is emulated and compiled, not run on
//! hardware.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot run has failed")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cuda_emulator::{LIBRARIES, library_path};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with preference data, and the stand-ins under the names that are asked for.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let row = |i: usize| {
            format!(
                "{{\"prompt_ids\": [{}, 2, 3], \"chosen_ids\": [4, {}], \"rejected_ids\": [{}]}}\n",
                i + 1,
                i + 5,
                i + 7
            )
        };
        let rows: String = (0..6).map(row).collect();
        std::fs::write(folder.path().join("pairs.jsonl"), rows).unwrap();
        let libraries = folder.path().join("libraries");
        std::fs::create_dir(&libraries).unwrap();
        for (file, name) in LIBRARIES {
            std::fs::copy(library_path(file).unwrap(), libraries.join(name)).unwrap();
        }
        Place { folder }
    }

    fn lossbox(&self, arguments: &[&str]) -> Command {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_lossbox-under-test"));
        command
            .current_dir(self.folder.path())
            .env("LOSSBOX_CACHE", scratch.join("cache"))
            .env("XDG_STATE_HOME", scratch.join("state"))
            .args(arguments);
        command
    }

    /// The same, with the card.
    fn with_card(&self, arguments: &[&str]) -> Output {
        let libraries = self.folder.path().join("libraries");
        let others = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let all = std::iter::once(libraries).chain(std::env::split_paths(&others));
        let path = std::env::join_paths(all).unwrap();
        self.lossbox(arguments).env("LD_LIBRARY_PATH", path).output().unwrap()
    }

    fn without_card(&self, arguments: &[&str]) -> Output {
        self.lossbox(arguments).output().unwrap()
    }
}

fn small_model() -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let model = root.join("../host/trainer/tests/golden/llama");
    model.to_str().unwrap().to_owned()
}

/// What was printed as JSON, line by line; none where NVRTC is not here, which is said.
#[track_caller]
fn printed(what: &str, output: &Output) -> Option<Vec<Value>> {
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("NVRTC is missing") {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: {}", errors.trim());
        return None;
    }
    assert!(output.status.success(), "{what}: {errors}");
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    Some(lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[track_caller]
fn assert_close(got: &Value, expected: &Value, what: &str) {
    let (got, expected) = (got.as_f64().unwrap(), expected.as_f64().unwrap());
    assert!((got - expected).abs() <= 1e-5 * expected.abs(), "{what}: {got} and not {expected}");
}

#[test]
fn training_on_a_card_says_what_it_says_on_the_cpu() {
    let place = Place::new();
    let model = small_model();
    let train = |device: &[&'static str], run: &'static str| {
        let common = ["train", "--loss", "dpo", "--data", "pairs.jsonl", "--model", &model];
        let more = ["--steps", "3", "--batch-pairs", "2", "--lr", "1e-3", "--json", "--run", run];
        let all: Vec<String> =
            common.iter().chain(&more).chain(device).map(|word| (*word).to_owned()).collect();
        all
    };
    let on_card = train(&["--device", "cuda", "--precision", "f32"], "on-card");
    let words: Vec<&str> = on_card.iter().map(String::as_str).collect();
    let Some(got) = printed("training", &place.with_card(&words)) else {
        return;
    };
    let on_cpu = train(&[], "on-cpu");
    let words: Vec<&str> = on_cpu.iter().map(String::as_str).collect();
    let expected = printed("training", &place.without_card(&words)).unwrap();
    for name in ["loss", "grad_norm", "logps/chosen", "entropy"] {
        assert_close(&got[0]["last"][name], &expected[0]["last"][name], name);
    }
    assert!(place.folder.path().join("on-card/model/model.safetensors").exists());
}

#[test]
fn log_probs_on_a_card_are_those_of_the_cpu() {
    let place = Place::new();
    let model = small_model();
    let common = ["logps", "--data", "pairs.jsonl", "--json", "--model", &model];
    let card = [&common[..], &["--device", "cuda", "--precision", "f32"]].concat();
    let Some(got) = printed("log-probs", &place.with_card(&card)) else {
        return;
    };
    let expected = printed("log-probs", &place.without_card(&common)).unwrap();
    assert_eq!((got.len(), expected.len()), (6, 6));
    for (got, expected) in got.iter().zip(&expected) {
        assert_close(&got["chosen_logps"], &expected["chosen_logps"], "chosen");
        assert_close(&got["rejected_logps"], &expected["rejected_logps"], "rejected");
    }
}

#[test]
fn a_card_is_measured_part_by_part() {
    let place = Place::new();
    let output = place.with_card(&["bench", "cuda", "--tiny", "--json"]);
    let Some(report) = printed("bench cuda", &output) else {
        return;
    };
    let report = &report[0];
    let parity = report["parity"].as_array().unwrap();
    assert_eq!(parity.len(), 8);
    assert!(parity.iter().all(|parity| parity["good"] == true), "{parity:?}");
    let operations = report["operations"].as_array().unwrap();
    let positive = |operation: &Value| operation["us"].as_f64().unwrap() > 0.0;
    assert!(operations.len() > 20 && operations.iter().all(positive), "{operations:?}");
    assert_eq!(report["refused_epilogues"].as_array().unwrap().len(), 0);
    assert!(report["refused_capture"].is_null(), "{report}");
    for step in report["steps"].as_array().unwrap() {
        let loss = step["loss"].as_f64().unwrap_or_else(|| panic!("{step}"));
        assert!((loss - std::f64::consts::LN_2).abs() < 0.2, "{step}");
    }
}

#[test]
fn a_card_that_is_not_there_is_named_with_the_remedy() {
    let place = Place::new();
    let model = small_model();
    let common = ["logps", "--data", "pairs.jsonl", "--model", &model];
    let refused = place.without_card(&[&common[..], &["--precision", "f32"]].concat());
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && errors.contains("add --device cuda"), "{errors}");
    let refused = place.without_card(&[&common[..], &["--device", "gpu"]].concat());
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && errors.contains("cuda:N"), "{errors}");
    if Path::new("/dev/nvidia0").exists() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no driver: this machine has one");
        return;
    }
    let refused = place.without_card(&[&common[..], &["--device", "cuda"]].concat());
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(errors.contains("no CUDA driver") && errors.contains("hint:"), "{errors}");
    assert!(!refused.status.success() && refused.stdout.is_empty());
}

/// The linker itself says what it is asked for.
#[test]
#[cfg(target_env = "gnu")]
fn who_asks_for_no_gpu_touches_no_library_of_cuda() {
    let place = Place::new();
    let model = small_model();
    let names = |arguments: &[&str]| {
        let output = place.lossbox(arguments).env("LD_DEBUG", "libs").output();
        let said = String::from_utf8_lossy(&output.unwrap().stderr).into_owned();
        ["libcuda", "libnvrtc", "libcublas"]
            .map(|name| said.contains(&format!("find library={name}")))
    };
    let files = ["--data", "pairs.jsonl", "--model", &model];
    let train = ["train", "--loss", "dpo", "--steps", "1", "--run", "run"];
    assert_eq!(names(&[&["logps"], &files[..]].concat()), [false; 3]);
    assert_eq!(names(&[&train[..], &files].concat()), [false; 3]);
    assert!(names(&[&["logps", "--device", "cuda"], &files[..]].concat())[0]);
}
