//! Generation on a device: transformers' greedy continuations, and the CPU's samples.

use trainer::device::{Device, Precision};
use trainer::generate::{Draw, SampleRequest, completions};
use trainer::random::Purpose;

use crate::device::session;
use crate::families::{CASES, case};

fn request(prompts: &[Vec<u32>], max_tokens: usize, draw: Draw) -> SampleRequest<'_> {
    let purpose = Purpose::Generation;
    SampleRequest { prompts, first_prompt: 0, n_samples: 2, max_tokens, seed: 3, purpose, draw }
}

/// Sixteen tokens: sliding windows of five and six have left the prompt behind.
#[test]
fn greedy_continuations_of_every_family_agree_with_transformers() {
    let Some(session) = session("greedy continuations") else { return };
    let device = session.device(Precision::F32);
    for case in CASES.map(case) {
        let golden = case.golden();
        let tokens = |name: &str| -> Vec<u32> {
            serde_json::from_value(golden[name].clone()).expect("tokens")
        };
        let (prompts, mut expected) = ([tokens("greedy_prompt")], tokens("greedy"));
        let request = request(&prompts, expected.len(), Draw::Likeliest);
        let ends = &case.model.decoder.config().end_tokens;
        if let Some(end) = expected.iter().position(|token| ends.contains(token)) {
            expected.truncate(end + 1);
        }
        let got = completions(&device, &case.model, &request).expect("completions");
        assert_eq!(got, [&expected[..]; 2], "{}", case.name);
    }
}

#[test]
fn the_same_seed_draws_what_it_draws_on_the_cpu() {
    let Some(session) = session("samples") else { return };
    let device = session.device(Precision::F32);
    for case in ["gpt2_erf", "gemma2"].map(case) {
        let prompts = [vec![1, 2, 3], vec![4], vec![5, 6, 7, 8, 9]];
        for temperature in [1.0, 0.7] {
            let request = request(&prompts, 6, Draw::Temperature(temperature));
            let expected = completions(&Device::Cpu, &case.model, &request).expect("on the CPU");
            let got = completions(&device, &case.model, &request).expect("completions");
            assert_eq!(got, expected, "{}", case.name);
            assert!(expected.iter().any(|completion| completion != &expected[0]));
        }
    }
}
