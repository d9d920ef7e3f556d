//! A small model of every family with every variation that it brings, and what transformers computed of it.

use trainer::model::{Model, ModelDirectory};
use trainer::pairs::PreferencePair;

use crate::support::{golden, json};

pub(crate) const CASES: [&str; 14] = [
    "gpt2_erf",
    "llama_biased",
    "llama_linear",
    "llama_llama3",
    "llama_yarn",
    "llama_dynamic",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3",
    "llama_padded",
    "gemma_padded",
];

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) model: Model,
    pub(crate) pairs: Vec<PreferencePair>,
    /// d(sum)/d(completion's log-prob)
    pub(crate) weights: Vec<f32>,
}

pub(crate) fn case(name: &'static str) -> Case {
    let folder = golden(&format!("families/{name}"));
    let directory = ModelDirectory::open(&folder).expect(name);
    let golden = json(&format!("families/{name}/golden.json"));
    Case {
        name,
        model: Model::load(&directory).expect(name),
        pairs: serde_json::from_value(golden["pairs"].clone()).expect("pairs"),
        weights: serde_json::from_value(golden["weights"].clone()).expect("weights"),
    }
}

impl Case {
    pub(crate) fn golden(&self) -> serde_json::Value {
        json(&format!("families/{}/golden.json", self.name))
    }
}
