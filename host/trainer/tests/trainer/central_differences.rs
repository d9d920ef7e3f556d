//! The gradient of every parameter of a model of each family, held against central differences in `f64`.
//!
//! f is the weighted sum of a pair's completion log-probs under `plain_decoder`, which is first held against transformers. With a
//! step of h a central difference is off by h²·f‴/6 and by rounding, about 1e-13/h for an f of order 50: with h = 2e-5, f‴ up
//! to 1,000 times the gradient costs 7e-8 of it and rounding 5e-9. The hand-written backward pass computes in `f32` and is
//! off by 5e-6 of a tensor's largest gradient in the worst family, which the test prints; the bound is twice that, and the
//! one that gradients are held to against transformers (`family_parity`).

use kernels::Write;
use rayon::prelude::*;
use trainer::batch::Packed;
use trainer::model::{Activations, Model};
use trainer::pairs::PreferencePair;

use crate::families::{CASES, Case, case};
use crate::plain_decoder::PlainDecoder;
use crate::support::worst_difference;

/// One of each family.
const FAMILIES: [&str; 8] =
    ["gpt2_erf", "llama_biased", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3"];

const STEP: f64 = 2e-5;

fn plain<'a>(model: &'a Model, weights: &'a [f64]) -> PlainDecoder<'a> {
    let (config, layout) = (model.decoder.config(), model.decoder.layout());
    PlainDecoder { config, layout, weights }
}

fn to_f64(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// The scales and epsilons of a configuration are `f32`, which costs 3e-8 of them.
#[test]
fn the_plain_decoder_agrees_with_transformers() {
    for case in CASES.map(case) {
        let weights = to_f64(&case.model.weights);
        let plain = plain(&case.model, &weights);
        let golden: Vec<Vec<f64>> =
            serde_json::from_value(case.golden()["token_logps"].clone()).expect("log-probs");
        let completions = case
            .pairs
            .iter()
            .flat_map(|pair| [(&pair.prompt, &pair.chosen), (&pair.prompt, &pair.rejected)]);
        for ((prompt, completion), golden) in completions.zip(golden) {
            let got = plain.token_logps(prompt, completion);
            assert_eq!(got.len(), golden.len(), "{}", case.name);
            for (got, golden) in got.iter().zip(golden) {
                let off = (got - golden).abs();
                assert!(off < 1e-6, "{}: off by {off:e}", case.name);
            }
        }
    }
}

/// d f/d(weights) of the first pair by the backward pass.
fn by_backward(case: &Case) -> Vec<f32> {
    let PreferencePair { prompt, chosen, rejected, .. } = &case.pairs[0];
    let (mut batch, mut a) = (Packed::default(), Activations::default());
    batch.push(prompt, &[chosen, rejected]);
    let Model { decoder, weights } = &case.model;
    decoder.forward(weights, &batch, &mut a);
    let mut dlogps = vec![0.0; batch.targets.len()];
    for (tokens, weight) in batch.completions.iter().zip(&case.weights) {
        dlogps[tokens.clone()].fill(*weight);
    }
    let mut gradients = vec![f32::NAN; weights.len()];
    decoder.backward(&mut gradients, weights, &batch, &mut a, &dlogps, Write::Overwrite);
    gradients
}

fn by_differences(case: &Case) -> Vec<f64> {
    let weights = to_f64(&case.model.weights);
    let PreferencePair { prompt, chosen, rejected, .. } = &case.pairs[0];
    let value = |weights: &[f64]| -> f64 {
        let plain = plain(&case.model, weights);
        let sum = |completion: &[u32]| plain.token_logps(prompt, completion).iter().sum::<f64>();
        f64::from(case.weights[0]) * sum(chosen) + f64::from(case.weights[1]) * sum(rejected)
    };
    let difference = |moved: &mut Vec<f64>, i: usize| {
        let former = moved[i];
        moved[i] = former + STEP;
        let above = value(moved);
        moved[i] = former - STEP;
        let below = value(moved);
        moved[i] = former;
        (above - below) / (2.0 * STEP)
    };
    (0..weights.len()).into_par_iter().map_init(|| weights.clone(), difference).collect()
}

#[test]
fn gradients_of_every_parameter_are_central_differences() {
    for case in FAMILIES.map(case) {
        let (got, expected) = (by_backward(&case), by_differences(&case));
        let mut worst = 0.0f64;
        for tensor in &case.model.decoder.layout().tensors {
            let (got, expected) = (tensor.slot.of(&got), &expected[tensor.slot.range()]);
            let scale = expected.iter().fold(0.0f64, |scale, value| scale.max(value.abs()));
            assert!(scale > 1e-3, "{}: {} has no gradient", case.name, tensor.name);
            let relative = worst_difference(got, expected) / scale;
            assert!(relative < 1e-5, "{}: {} off by {relative:e}", case.name, tensor.name);
            worst = worst.max(relative);
        }
        println!("{}: {} parameters, off by {worst:e} at most", case.name, got.len());
    }
}
