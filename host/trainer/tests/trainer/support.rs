//! The reference models, their batch of four pairs and their golden tensors, as PyTorch wrote them.
//!
//! A GPT-2 and a Llama of two layers of width 32. Everything named `f64` was computed in double
//! precision; see `tests/golden/README.md` for where the numbers come from.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde_json::Value;
use trainer::device::Device;
use trainer::loss::{LossFailure, LossGradients, PairBatch};
use trainer::model::{Model, ModelDirectory};
use trainer::pairs::{PreferencePair, ReferencedPair};
use trainer::score::reference_logps;

pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

pub(crate) fn json(name: &str) -> Value {
    let text = std::fs::read(golden(name)).expect("a golden file");
    serde_json::from_slice(&text).expect("JSON")
}

/// One tensor of a golden file, which must hold `f64`.
pub(crate) fn tensor_f64(file: &str, tensor: &str) -> Vec<f64> {
    let bytes = std::fs::read(golden(file)).expect("a golden file");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let view = file.tensor(tensor).expect("the tensor");
    assert_eq!(view.dtype(), safetensors::Dtype::F64);
    let (numbers, _) = view.data().as_chunks();
    numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

pub(crate) fn policy(family: &str) -> Model {
    let directory = ModelDirectory::open(&golden(family)).expect("the reference model");
    Model::load(&directory).expect("the reference model")
}

/// The frozen reference: the same architecture with other weights.
pub(crate) fn frozen_reference(family: &str) -> Model {
    let folder = golden(&format!("{family}/reference"));
    Model::load(&ModelDirectory::open(&folder).expect("the frozen reference"))
        .expect("the frozen reference")
}

/// The four pairs. Row i of the file is chosen, row i + 4 rejected.
pub(crate) fn pairs(family: &str) -> Vec<PreferencePair> {
    let reference = json(&format!("{family}/reference.json"));
    let tokens = |row: usize, from: usize, len: usize| -> Vec<u32> {
        let ids = reference["input_ids"][row].as_array().expect("a row");
        ids[from..from + len].iter().map(|id| id.as_u64().expect("a token") as u32).collect()
    };
    let lengths = reference["pairs"].as_array().expect("pairs");
    let length = |pair: usize, name: &str| lengths[pair][name].as_u64().expect("a length") as usize;
    (0..lengths.len())
        .map(|pair| {
            let prompt = length(pair, "prompt_len");
            PreferencePair::new(
                tokens(pair, 0, prompt),
                tokens(pair, prompt, length(pair, "chosen_len")),
                tokens(pair + lengths.len(), prompt, length(pair, "rejected_len")),
            )
        })
        .collect()
}

pub(crate) fn referenced_pairs(family: &str) -> Vec<ReferencedPair> {
    reference_logps(&Device::Cpu, &frozen_reference(family), pairs(family)).expect("on the CPU")
}

/// DPO (Rafailov et al. 2023, eq. 7) with its derivative −β·σ(−β·ρ).
pub(crate) fn dpo(beta: f64) -> impl FnMut(&PairBatch) -> Result<LossGradients, LossFailure> {
    move |pairs| {
        let margins: Vec<f64> = (0..pairs.len())
            .map(|i| {
                let chosen = pairs.policy_chosen_logps[i] - pairs.reference_chosen_logps[i];
                let rejected = pairs.policy_rejected_logps[i] - pairs.reference_rejected_logps[i];
                beta * (chosen - rejected)
            })
            .collect();
        let slopes: Vec<f64> = margins.iter().map(|x| -beta / (1.0 + x.exp())).collect();
        Ok(LossGradients {
            losses: margins.iter().map(|x| (-x).exp().ln_1p()).collect(),
            policy_rejected: slopes.iter().map(|slope| -slope).collect(),
            policy_chosen: slopes,
        })
    }
}

/// The largest absolute difference.
pub(crate) fn worst_difference(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    got.iter()
        .zip(expected)
        .map(|(got, expected)| (f64::from(*got) - expected).abs())
        .fold(0.0, f64::max)
}
