//! A model's log-probs of a file of token ids, and what it says when asked to go on.

use std::path::PathBuf;

use crate::helpers::greedy;
use crate::support::{golden, json, policy};
use trainer::Fault;
use trainer::data::{BadRows, Length};
use trainer::device::Device;
use trainer::folder::ModelFolder;
use trainer::generate::{Draw, SampleRequest, completions};
use trainer::model::{Model, ModelDirectory};
use trainer::pairs::PreferencePair;
use trainer::random::Purpose;
use trainer::score::{RowLogps, score};

fn family_pairs(family: &str) -> Vec<PreferencePair> {
    let golden = json(&format!("families/{family}/golden.json"));
    serde_json::from_value(golden["pairs"].clone()).expect("pairs")
}

fn file_of(pairs: &[PreferencePair], folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("pairs.jsonl");
    std::fs::write(&path, crate::helpers::jsonl(pairs)).expect("written");
    path
}

/// The rows that a model gives, against golden log-probs of the same pairs: chosen and rejected in turn.
#[track_caller]
fn check_scored(folder: &ModelFolder, family: &str, golden: &str) {
    let temporary = tempfile::tempdir().expect("a folder");
    let path = file_of(&family_pairs(family), &temporary);
    let data = folder.data(&path, Length::default(), BadRows::Stop).expect("the file");
    let mut rows: Vec<RowLogps> = Vec::new();
    let tally = score(&Device::Cpu, &folder.model, &data, |row| {
        rows.push(row);
        Ok::<_, Fault>(())
    });
    assert_eq!(tally.expect("scored").pairs as usize, rows.len());
    let expected: Vec<Vec<f64>> =
        serde_json::from_value(json(golden)["token_logps"].clone()).expect("log-probs");
    let got = rows.iter().flat_map(|row| [&row.chosen, &row.rejected]);
    assert_eq!(2 * rows.len(), expected.len());
    for (got, expected) in got.zip(&expected) {
        let worst = crate::support::worst_difference(got, expected);
        assert!(worst < 1e-5, "{family}: off by {worst:e}");
    }
    let sum = rows[0].chosen.iter().map(|l| f64::from(*l)).sum::<f64>();
    assert_eq!(rows[0].sums().chosen, sum);
}

#[test]
fn every_row_of_a_file_has_the_log_probs_that_transformers_computes() {
    for family in ["gpt2_erf", "qwen3", "gemma3"] {
        let place = format!("families/{family}");
        let folder = ModelFolder::open(&golden(&place)).expect(family);
        check_scored(&folder, family, &format!("{place}/golden.json"));
    }
}

/// `tests/peers/make_adapter_goldens.py`: adapters that peft saved, and log-probs of the weights that it merged.
#[test]
fn log_probs_with_an_adapter_are_those_of_the_merged_weights() {
    for family in ["gpt2_erf", "llama_biased"] {
        let (model, adapter) =
            (golden(&format!("families/{family}")), golden(&format!("adapters/{family}")));
        let folder = ModelFolder::open_with_adapter(&model, Some(&adapter)).expect(family);
        check_scored(&folder, family, &format!("adapters/{family}/golden.json"));
    }
}

#[test]
fn an_adapter_that_is_not_understood_is_refused_by_its_field() {
    let temporary = tempfile::tempdir().expect("a folder");
    let config = json("adapters/llama_biased/adapter_config.json");
    let weights = golden("adapters/llama_biased/adapter_model.safetensors");
    std::fs::copy(weights, temporary.path().join("adapter_model.safetensors")).expect("copied");
    let model = golden("families/llama_biased");
    for (name, value, reason) in [
        ("use_dora", true.into(), "use_dora is true"),
        ("init_lora_weights", "pissa".into(), "init_lora_weights is \"pissa\""),
        ("rank_pattern", serde_json::json!({"q_proj": 4}), "rank_pattern is"),
        ("peft_type", "IA3".into(), "peft_type is not LORA"),
        ("something_new", 1.into(), "something_new is 1"),
        ("target_modules", serde_json::json!(["c_attn"]), "no projection of this model"),
        ("target_modules", serde_json::json!(["q_proj"]), "belongs to no projection"),
        ("r", 1.into(), "expected the shape"),
    ] {
        let mut config = config.clone();
        config[name] = value;
        let text = config.to_string();
        std::fs::write(temporary.path().join("adapter_config.json"), text).expect("written");
        let refused = ModelFolder::open_with_adapter(&model, Some(temporary.path()));
        let message = refused.expect_err(name).to_string();
        assert!(message.contains(reason) && message.contains("hint: "), "{message}");
    }
}

#[test]
fn a_row_beyond_the_context_is_refused_with_the_remedy() {
    let temporary = tempfile::tempdir().expect("a folder");
    let short = PreferencePair::new(vec![1], vec![2], vec![3]);
    let long = PreferencePair::new(vec![1; 5000], vec![2], vec![3]);
    let path = file_of(&[short, long], &temporary);
    let folder = ModelFolder::open(&golden("gpt2")).expect("a model");
    let scored = |bad_rows| {
        let data = folder.data(&path, Length::default(), bad_rows).expect("the file");
        score(&Device::Cpu, &folder.model, &data, |_| Ok::<_, Fault>(()))
    };
    let refused = scored(BadRows::Stop).expect_err("too long").to_string();
    let said = "pairs.jsonl: line 2: chosen: 5001 tokens with its prompt exceed";
    assert!(refused.contains(said) && refused.contains("--max-length"), "{refused}");
    let tally = scored(BadRows::Skip).expect("the other row is good");
    assert_eq!((tally.pairs, tally.bad), (1, 1));
}

/// No loss has been asked yet: it is the model's fault, and the tensor is named.
#[test]
fn log_probs_that_are_no_numbers_name_the_row_and_the_tensor() {
    let temporary = tempfile::tempdir().expect("a folder");
    let pair = PreferencePair::new(vec![1], vec![2], vec![3]);
    let path = file_of(&[pair], &temporary);
    let mut folder = ModelFolder::open(&golden("llama")).expect("a model");
    let layout = folder.model.decoder.layout();
    let slot = layout.final_norm.weight;
    folder.model.weights[slot.start] = f32::NAN;
    let data = folder.data(&path, Length::default(), BadRows::Skip).expect("the file");
    let refused = score(&Device::Cpu, &folder.model, &data, |_| Ok::<_, Fault>(()));
    let refused = refused.expect_err("no numbers").to_string();
    assert!(
        refused.contains("line 1") && refused.contains("model.norm.weight holds NaN"),
        "{refused}"
    );
}

fn request<'a>(prompts: &'a [Vec<u32>], draw: Draw) -> SampleRequest<'a> {
    let purpose = Purpose::Generation;
    SampleRequest { prompts, first_prompt: 0, n_samples: 2, max_tokens: 8, seed: 3, purpose, draw }
}

/// `tests/peers/make_generation_goldens.py`: where transformers ends a completion.
#[test]
fn a_completion_ends_where_transformers_ends_it() {
    let golden_file = json("generation.json");
    let prompt: Vec<u32> = serde_json::from_value(golden_file["prompt"].clone()).expect("tokens");
    let max_tokens = golden_file["max_tokens"].as_u64().expect("a number") as usize;
    for case in golden_file["cases"].as_array().expect("cases") {
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str| folder.path().join(name);
        std::fs::copy(golden("llama/model.safetensors"), place("model.safetensors"))
            .expect("copied");
        let mut config = json("llama/config.json");
        config["eos_token_id"] = case["config_eos"].clone();
        std::fs::write(place("config.json"), config.to_string()).expect("written");
        if let Some(generation) = case["generation_config"].as_str() {
            std::fs::write(place("generation_config.json"), generation).expect("written");
        }
        let model =
            Model::load(&ModelDirectory::open(folder.path()).expect("a model")).expect("a model");
        let prompts = [prompt.clone()];
        let request =
            SampleRequest { n_samples: 1, max_tokens, ..request(&prompts, Draw::Likeliest) };
        let got = completions(&Device::Cpu, &model, &request).expect("on the CPU");
        let tokens: Vec<u32> = serde_json::from_value(case["tokens"].clone()).expect("tokens");
        assert_eq!(got, [tokens], "{case}");
    }
}

#[test]
fn the_likeliest_completion_is_the_greedy_one_and_a_low_temperature_comes_close() {
    let model = policy("llama");
    let prompts = [vec![5, 6, 7]];
    let mut expected = greedy(&model, &prompts[0], 8);
    let ends = &model.decoder.config().end_tokens;
    if let Some(end) = expected.iter().position(|token| ends.contains(token)) {
        expected.truncate(end + 1);
    }
    for draw in [Draw::Likeliest, Draw::Temperature(1e-4)] {
        let request = request(&prompts, draw);
        let got = completions(&Device::Cpu, &model, &request).expect("on the CPU");
        assert_eq!(got, [&expected[..]; 2]);
    }
    let request = request(&prompts, Draw::Temperature(1.0));
    let warm = completions(&Device::Cpu, &model, &request).expect("on the CPU");
    assert_ne!(warm[0], warm[1]);
}
