//! Small models of every family against transformers in double precision, as `trainer/family_parity.rs` has the CPU.

use trainer::device::{Device, Precision};
use trainer::loss::{LossFailure, LossGradients, PairBatch};
use trainer::model::Keep;
use trainer::optimizer::OptimizerSettings;
use trainer::pairs::{PairLogps, ReferencedPair};
use trainer::step::Trainer;

use crate::device::session;
use crate::families::{CASES, Case, case};
use crate::support::{tensor_f64, worst_difference};

/// One step that moves nothing, with the derivatives that the golden gradients belong to. Gives the log-probs of all
/// completions, and the gradients.
fn pass(case: &Case, device: &Device, pairs: usize, keep: Keep) -> (Vec<f64>, Vec<f32>) {
    let settings =
        OptimizerSettings { learning_rate: 0.0, gradient_norm_max: None, ..Default::default() };
    let trainer = Trainer::on(device, case.model.clone(), settings, 1).expect("room");
    let mut trainer = trainer.with_passes(pairs, keep);
    let reference = PairLogps { chosen: 0.0, rejected: 0.0 };
    let all: Vec<ReferencedPair> =
        case.pairs.iter().map(|pair| ReferencedPair { pair: pair.clone(), reference }).collect();
    let n_pairs = all.len() as f64;
    let mut derivatives = case.weights.chunks_exact(2);
    let mut logps = Vec::new();
    let mut loss = |pairs: &PairBatch| -> Result<LossGradients, LossFailure> {
        let mut answer = LossGradients {
            losses: vec![0.0; pairs.len()],
            policy_chosen: Vec::new(),
            policy_rejected: Vec::new(),
        };
        for pair in 0..pairs.len() {
            logps.extend([pairs.policy_chosen_logps[pair], pairs.policy_rejected_logps[pair]]);
            let of_pair = derivatives.next().expect("as many as completions");
            answer.policy_chosen.push(f64::from(of_pair[0]) * n_pairs);
            answer.policy_rejected.push(f64::from(of_pair[1]) * n_pairs);
        }
        Ok(answer)
    };
    let refs: Vec<&ReferencedPair> = all.iter().collect();
    trainer.step(&refs, &mut loss).expect("a step");
    let gradients = trainer.gradients().expect("from the device").into_owned();
    (logps, gradients)
}

fn expected_logps(case: &Case) -> Vec<f64> {
    let tokens: Vec<Vec<f64>> =
        serde_json::from_value(case.golden()["token_logps"].clone()).expect("log-probs");
    tokens.iter().map(|tokens| tokens.iter().sum()).collect()
}

/// The largest difference of any gradient, relative to its tensor's largest.
fn worst_gradient(case: &Case, gradients: &[f32]) -> (f64, String) {
    let file = format!("families/{}/golden.safetensors", case.name);
    let relative = case.model.decoder.layout().tensors.iter().map(|tensor| {
        let mut expected = tensor_f64(&file, &tensor.name);
        let mut got = tensor.in_file_order(gradients).into_owned();
        // GPT-2's key bias has none, because the softmax cancels it.
        if tensor.name.ends_with("c_attn.bias") {
            let third = got.len() / 3;
            got.drain(third..2 * third);
            expected.drain(third..2 * third);
        }
        let scale = expected.iter().fold(0.0f64, |scale, value| scale.max(value.abs()));
        (worst_difference(&got, &expected) / scale, tensor.name.clone())
    });
    relative.max_by(|left, right| left.0.total_cmp(&right.0)).expect("tensors")
}

#[test]
fn log_probs_and_gradients_of_every_family_agree_with_transformers() {
    let Some(session) = session("every family") else { return };
    let device = session.observed(Precision::F32);
    for case in CASES.map(case) {
        let (logps, gradients) = pass(&case, &device, usize::MAX, Keep::All);
        let expected = expected_logps(&case);
        for (got, expected) in logps.iter().zip(&expected) {
            let off = (got - expected).abs();
            assert!(off < 1e-5 * expected.abs(), "{}: {got} and not {expected}", case.name);
        }
        let (worst, tensor) = worst_gradient(&case, &gradients);
        assert!(worst < 1e-5, "{}: {tensor} off by {worst:e}", case.name);
    }
}

/// The distance of all gradients from the golden ones, relative to their length.
fn distance(case: &Case, gradients: &[f32]) -> f64 {
    let file = format!("families/{}/golden.safetensors", case.name);
    let (mut off, mut length) = (0.0, 0.0);
    for tensor in &case.model.decoder.layout().tensors {
        let got = tensor.in_file_order(gradients);
        for (got, expected) in got.iter().zip(tensor_f64(&file, &tensor.name)) {
            off += (f64::from(*got) - expected).powi(2);
            length += expected.powi(2);
        }
    }
    (off / length).sqrt()
}

/// The same distance of transformers' own gradients with weights and activations in bf16: PyTorch 2.15 on a CPU, eager attention.
/// Which way numbers are rounded is chance on both sides, so ours may be off by up to twice as much.
const OF_TRANSFORMERS_IN_BF16: [(&str, f64); 14] = [
    ("gpt2_erf", 1.98e-02),
    ("llama_biased", 4.50e-02),
    ("llama_linear", 2.76e-02),
    ("llama_llama3", 5.91e-02),
    ("llama_yarn", 5.16e-02),
    ("llama_dynamic", 2.78e-02),
    ("mistral", 2.75e-02),
    ("qwen2", 7.57e-02),
    ("qwen3", 3.48e-02),
    ("gemma", 3.25e-02),
    ("gemma2", 1.93e-02),
    ("gemma3", 4.21e-02),
    ("llama_padded", 4.57e-02),
    ("gemma_padded", 2.13e-02),
];

#[test]
fn bf16_comes_as_close_as_its_eight_bits_allow() {
    let Some(session) = session("every family in bf16") else { return };
    let device = session.observed(Precision::Bf16);
    for case in CASES.map(case) {
        let (logps, gradients) = pass(&case, &device, usize::MAX, Keep::All);
        for (got, expected) in logps.iter().zip(&expected_logps(&case)) {
            let off = (got - expected).abs() / expected.abs();
            assert!(off < 1e-2, "{}: {got} and not {expected}", case.name);
        }
        let distance = distance(&case, &gradients);
        let known = OF_TRANSFORMERS_IN_BF16.iter().find(|(name, _)| *name == case.name);
        let (_, of_transformers) = known.expect("every case is there");
        assert!(
            distance < 2.0 * of_transformers,
            "{}: gradients off by {distance:e}, those of transformers in bf16 by {of_transformers:e}",
            case.name
        );
    }
}

#[test]
fn recomputed_activations_and_smaller_passes_give_the_same_gradients() {
    let Some(session) = session("recomputed activations") else { return };
    let device = session.device(Precision::F32);
    for case in ["gpt2_erf", "qwen3", "gemma3"].map(case) {
        let (logps, whole) = pass(&case, &device, usize::MAX, Keep::All);
        let (again, recomputed) = pass(&case, &device, usize::MAX, Keep::Streams);
        assert_eq!((&again, &recomputed), (&logps, &whole), "{}", case.name);
        let (of_parts, parts) = pass(&case, &device, 1, Keep::All);
        assert_eq!(of_parts, logps, "{}", case.name);
        let (worst, tensor) = worst_gradient(&case, &parts);
        assert!(worst < 1e-5, "{}: {tensor} off by {worst:e} in parts", case.name);
    }
}
