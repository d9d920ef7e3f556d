//! Every family of models, held against transformers in double precision: forward, gradients, and sampling with a cache.
//!
//! `tests/golden/families` has small models with every variation that a family brings: biases, scaled rotations,
//! sliding windows, norms of queries and keys, output norms, caps, a padding token that occurs. Tolerances are about three times what transformers
//! itself in single precision is off by.

use crate::families::{CASES, Case, case};
use crate::helpers::greedy;
use crate::support::{golden, tensor_f64, worst_difference};
use kernels::Write;
use trainer::batch::Packed;
use trainer::model::{Activations, Keep, Model, ModelDirectory};
use trainer::pairs::PreferencePair;

impl Case {
    fn batch(&self) -> Packed {
        let mut batch = Packed::default();
        for PreferencePair { prompt, chosen, rejected, .. } in &self.pairs {
            batch.push(prompt, &[chosen, rejected]);
        }
        batch
    }

    /// What was in the buffer before does not matter: not a number is left of it.
    fn gradients(&self, keep: Keep) -> Vec<f32> {
        let mut gradients = vec![f32::NAN; self.model.weights.len()];
        self.write_gradients(&mut gradients, keep, Write::Overwrite);
        gradients
    }

    fn write_gradients(&self, gradients: &mut [f32], keep: Keep, write: Write) {
        let (batch, mut a) = (self.batch(), Activations::new(keep));
        let Model { decoder, weights } = &self.model;
        decoder.forward(weights, &batch, &mut a);
        let mut dlogps = vec![0.0; batch.targets.len()];
        for (tokens, weight) in batch.completions.iter().zip(&self.weights) {
            dlogps[tokens.clone()].fill(*weight);
        }
        decoder.backward(gradients, weights, &batch, &mut a, &dlogps, write);
    }
}

#[test]
fn token_log_probs_agree_with_transformers() {
    for case in CASES.map(case) {
        let (batch, golden) = (case.batch(), case.golden());
        for keep in [Keep::All, Keep::Streams, Keep::Nothing] {
            let mut activations = Activations::new(keep);
            case.model.decoder.forward(&case.model.weights, &batch, &mut activations);
            let expected: Vec<Vec<f64>> =
                serde_json::from_value(golden["token_logps"].clone()).expect("log-probs");
            let worst = worst_difference(activations.token_logps(), &expected.concat());
            assert!(worst < 1e-5, "{}: log-probs off by {worst:e}", case.name);
        }
    }
}

/// Relative to the tensor's largest gradient. GPT-2's key bias has none, because the softmax cancels it.
#[test]
fn gradients_of_every_parameter_agree_with_transformers() {
    for case in CASES.map(case) {
        let gradients = case.gradients(Keep::All);
        for tensor in &case.model.decoder.layout().tensors {
            let file = format!("families/{}/golden.safetensors", case.name);
            let mut expected = tensor_f64(&file, &tensor.name);
            let mut got = tensor.in_file_order(&gradients).into_owned();
            if tensor.name.ends_with("c_attn.bias") {
                let third = got.len() / 3;
                got.drain(third..2 * third);
                expected.drain(third..2 * third);
            }
            let scale = expected.iter().fold(0.0f64, |scale, value| scale.max(value.abs()));
            let relative = worst_difference(&got, &expected) / scale;
            assert!(relative < 1e-5, "{}: {} off by {relative:e}", case.name, tensor.name);
        }
    }
}

/// Twice the same, but for the order in which repeated tokens and parts of a sum are added up.
#[test]
fn a_second_pass_adds_its_gradients_to_those_of_the_first() {
    for case in CASES.map(case) {
        let once = case.gradients(Keep::All);
        let mut twice = once.clone();
        case.write_gradients(&mut twice, Keep::All, Write::Accumulate);
        let doubled: Vec<f64> = once.iter().map(|gradient| 2.0 * f64::from(*gradient)).collect();
        let scale = doubled.iter().fold(0.0f64, |scale, value| scale.max(value.abs()));
        let relative = worst_difference(&twice, &doubled) / scale;
        assert!(relative < 1e-6, "{}: off by {relative:e}", case.name);
    }
}

#[test]
fn recomputed_activations_give_the_same_bytes() {
    for case in CASES.map(case) {
        assert_eq!(case.gradients(Keep::All), case.gradients(Keep::Streams), "{}", case.name);
    }
}

/// Sixteen tokens: sliding windows of five and six have left the prompt behind.
#[test]
fn a_greedy_continuation_agrees_with_transformers() {
    for case in CASES.map(case) {
        let golden = case.golden();
        let tokens = |name: &str| -> Vec<u32> {
            serde_json::from_value(golden[name].clone()).expect("tokens")
        };
        let (prompt, expected) = (tokens("greedy_prompt"), tokens("greedy"));
        let got = greedy(&case.model, &prompt, expected.len());
        assert_eq!(got, expected, "{}", case.name);
    }
}

#[test]
fn a_model_that_is_saved_and_loaded_again_is_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["gpt2_erf", "gemma3"] {
        let from = ModelDirectory::open(&golden(&format!("families/{name}"))).expect(name);
        let model = Model::load(&from).expect(name);
        let to = folder.path().join(name);
        from.save_with(model.decoder.layout(), &model.weights, &to).expect("saved");
        let again = Model::load(&ModelDirectory::open(&to).expect("saved")).expect("loaded");
        assert_eq!(again.weights, model.weights, "{name}");
        assert_eq!(again.decoder.config(), model.decoder.config(), "{name}");
    }
}
