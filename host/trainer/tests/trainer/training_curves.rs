//! Whole trainings held against PyTorch in double precision, loss by loss: ten steps of two models, and 200 of one.
//!
//! Beside each golden loss stands how far PyTorch in single precision is off up to that step, in the worst of four runs that
//! differ in nothing but the order of their sums. Training carries rounding on and Adam enlarges it, for whoever rounds; three
//! times that distance is the bound, and 1e-6 at the least, which is what the rounding of one step's log-probs comes to: 4e-5
//! in a sum (see `reference_parity`), times β = 0.1, of either sign over four pairs and more.

use serde_json::Value;
use trainer::TrainFailure;
use trainer::device::Device;
use trainer::optimizer::{Decay, OptimizerSettings};
use trainer::pairs::{PreferencePair, ReferencedPair};
use trainer::score::reference_logps;
use trainer::step::Trainer;

use crate::support::{dpo, golden, json, policy, referenced_pairs};

struct Golden {
    losses: Vec<f64>,
    float32_off: Vec<f64>,
    settings: OptimizerSettings,
}

fn training(name: &str) -> Golden {
    let golden = json(&format!("training/{name}.json"));
    let numbers = |field: &str| -> Vec<f64> {
        serde_json::from_value(golden[field].clone()).expect("numbers")
    };
    let number = |field: &str| golden[field].as_f64().expect("a number");
    Golden {
        losses: numbers("losses"),
        float32_off: numbers("float32_off"),
        settings: OptimizerSettings {
            learning_rate: number("learning_rate"),
            weight_decay: number("weight_decay"),
            decay: Decay::Matrices,
            gradient_norm_max: golden["max_norm"].as_f64(),
            ..OptimizerSettings::default()
        },
    }
}

/// The loss before each step; batches come round again.
fn losses(family: &str, batches: &[&[ReferencedPair]], golden: &Golden) -> Vec<f64> {
    let n_steps = golden.losses.len();
    let mut trainer = Trainer::new(policy(family), golden.settings.clone(), n_steps);
    let step = |batch: &&[ReferencedPair]| {
        let batch: Vec<&ReferencedPair> = batch.iter().collect();
        trainer.step(&batch, &mut dpo(0.1)).expect("a step").pairs.loss
    };
    batches.iter().cycle().take(n_steps).map(step).collect()
}

#[track_caller]
fn check(name: &str, losses: &[f64], golden: &Golden) {
    assert_eq!(losses.len(), golden.losses.len());
    let mut worst = 0.0f64;
    for (step, (got, expected)) in losses.iter().zip(&golden.losses).enumerate() {
        let (off, bound) = ((got - expected).abs(), (3.0 * golden.float32_off[step]).max(1e-6));
        assert!(off < bound, "{name}, step {step}: {got} is off by {off:e}, bound {bound:e}");
        worst = worst.max(off);
    }
    println!("{name}: losses off by {worst:e} at most");
}

fn ten_losses(family: &str) -> Vec<f64> {
    losses(family, &[&referenced_pairs(family)], &training(family))
}

#[test]
fn ten_losses_agree_with_pytorch() {
    for family in ["gpt2", "llama"] {
        check(family, &ten_losses(family), &training(family));
    }
}

/// On the instruction set on which they were written down, the same ten losses to the last bit, on one thread and on two.
/// Whatever changes the arithmetic changes these bits: then they are to be written down anew, knowingly.
#[test]
fn ten_losses_are_the_same_bits_on_any_number_of_threads() {
    let runs = [1, 2].map(|n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a pool");
        let bits = |family| -> Vec<String> {
            let losses = pool.install(|| ten_losses(family));
            losses.iter().map(|loss| format!("{:016x}", loss.to_bits())).collect()
        };
        serde_json::json!({ "gpt2": bits("gpt2"), "llama": bits("llama") })
    });
    assert_eq!(runs[0], runs[1]);
    match has_avx512() {
        true => assert_eq!(runs[0], json("training/bits_linux_avx512.json")),
        false => println!(
            "skipped: no bits were written down for this machine, which is not Linux on AVX-512"
        ),
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn has_avx512() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
fn has_avx512() -> bool {
    false
}

/// A rate that is no number in `f32`, and a decay that takes weights out of range.
#[test]
fn an_update_that_would_leave_no_numbers_leaves_the_state_as_it_was() {
    let ordinary = training("llama").settings;
    let endless = OptimizerSettings { learning_rate: 1e300, ..ordinary.clone() };
    let decaying = OptimizerSettings { learning_rate: 1e3, weight_decay: 1e60, ..ordinary };
    for settings in [endless, decaying] {
        let pairs = referenced_pairs("llama");
        let batch: Vec<&ReferencedPair> = pairs.iter().collect();
        let mut trainer = Trainer::new(policy("llama"), settings, 9);
        let failure = trainer.step(&batch, &mut dpo(0.1)).expect_err("an update of no numbers");
        assert!(matches!(failure, TrainFailure::Rejected(_)), "{failure:?}");
        assert_eq!(trainer.n_steps_done(), 0);
        assert_eq!(trainer.weights().expect("on the CPU"), policy("llama").weights);
        let trained = trainer.trained().expect("on the CPU");
        assert!(trained.first.iter().chain(&*trained.second).all(|moment| *moment == 0.0));
    }
}

#[test]
fn two_hundred_losses_follow_those_of_pytorch() {
    let text = std::fs::read_to_string(golden("training/pairs.jsonl")).expect("pairs");
    let pair = |line: &str| -> PreferencePair {
        let row: Value = serde_json::from_str(line).expect("a row");
        let [prompt, chosen, rejected] = ["prompt_ids", "chosen_ids", "rejected_ids"]
            .map(|field| serde_json::from_value(row[field].clone()).expect("token ids"));
        PreferencePair::new(prompt, chosen, rejected)
    };
    let pairs = reference_logps(&Device::Cpu, &policy("llama"), text.lines().map(pair).collect())
        .expect("on the CPU");
    let (batches, golden): (Vec<_>, _) = (pairs.chunks(8).collect(), training("curve"));
    let losses = losses("llama", &batches, &golden);
    // It learns: the mean over the last round of batches is below half of where it began.
    let last = golden.losses[195..].iter().sum::<f64>() / 5.0;
    assert!(golden.losses.len() == 200 && last < 0.5 * golden.losses[0], "{last}");
    check("curve", &losses, &golden);
}
