//! A CUDA device, measured: that it computes what the CPU does, how fast each operation is, and whole training steps.

use std::sync::Arc;
use std::time::Instant;

use kernels::speed::{self, Peak, Sizes, Timing};
use serde::Serialize;
use serde_json::json;

use super::{StepSize, sigmoid_loss};
use crate::arithmetic::useful_flop;
use crate::device::{Device, Precision};
use crate::fault::{Fault, TrainFailure};
use crate::model::{Decoder, DecoderConfig, Model};
use crate::optimizer::OptimizerSettings;
use crate::pairs::ReferencedPair;
use crate::random::{Purpose, Uniforms};
use crate::stats::median;
use crate::step::{REWARD_BETA, Trainer};

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct CudaReport {
    /// The card's name.
    pub device: String,
    /// Of small models, against the CPU.
    pub parity: Vec<Parity>,
    /// GB/s of a copy, read and written.
    pub peak_gb_per_s: f64,
    /// TFLOP/s of a large product in bf16.
    pub peak_tflop_per_s: f64,
    /// Every operation at the sizes of GPT-2 124M with 8,192 tokens.
    pub operations: Vec<Operation>,
    /// Whole training steps.
    pub steps: Vec<CudaStep>,
    /// What cuBLASLt did not do with a product's result on its way to memory, so that kernels did it.
    pub refused_epilogues: Vec<RefusedEpilogue>,
    /// Why steps were launched kernel by kernel that were to be graphs, if they were.
    pub refused_capture: Option<String>,
}

/// A product whose result kernels finished.
#[derive(Debug, Clone, Serialize)]
pub struct RefusedEpilogue {
    /// cuBLASLt's name for what was refused.
    pub epilogue: &'static str,
    /// Sizes of \[m, k\]·\[k, n\], in columns.
    pub m: usize,
    /// The same.
    pub n: usize,
    /// The same.
    pub k: usize,
    /// The stored number of the operands.
    pub real: &'static str,
    /// Why it was not done.
    pub reason: &'static str,
}

impl From<kernels::cuda::Refused> for RefusedEpilogue {
    fn from(refused: kernels::cuda::Refused) -> Self {
        let kernels::cuda::Refused { epilogue, m, n, k, real, is_misaligned } = refused;
        let reason = match is_misaligned {
            true => "its operand does not begin at 16 bytes",
            false => "cuBLASLt has no algorithm",
        };
        Self { epilogue, m, n, k, real, reason }
    }
}

/// How far a small model is from the CPU's.
#[derive(Debug, Clone, Serialize)]
pub struct Parity {
    /// The architecture.
    pub model: &'static str,
    /// What the device stored.
    pub precision: Precision,
    /// The largest difference of a completion's log-prob, relative to it.
    pub logps: f64,
    /// The distance of the gradients, relative to their length.
    pub gradients: f64,
    /// Whether both are within what the stored number allows.
    pub good: bool,
}

/// One operation's speed.
#[derive(Debug, Clone, Serialize)]
pub struct Operation {
    /// Its name.
    pub operation: &'static str,
    /// Mean time.
    pub us: f64,
    /// Bytes that it must move, over its time.
    pub gb_per_s: f64,
    /// Operations that it must do, over its time.
    pub tflop_per_s: f64,
    /// The time that the card's peaks would take, over its time.
    pub share_of_peak: f64,
}

/// One size's training step.
#[derive(Debug, Clone, Serialize)]
pub struct CudaStep {
    /// The model.
    pub model: &'static str,
    /// Tokens of a step, prompts counted with each completion.
    pub tokens: usize,
    /// Absent where the step could not be made.
    #[serde(flatten)]
    pub figures: Option<StepFigures>,
    /// Why it could not be made.
    pub fault: Option<String>,
}

/// A training step's figures.
#[derive(Debug, Clone, Serialize)]
pub struct StepFigures {
    /// Median time of a step.
    pub median_ms: f64,
    /// Tokens a second.
    pub tokens_per_s: f64,
    /// Model FLOPs utilisation: useful arithmetic over the step's time and the measured peak.
    pub mfu: f64,
    /// Memory of the device that the step took, with what captured work has of its own.
    pub memory_mb: f64,
    /// Mean loss of the last step: the work was done.
    pub loss: f64,
}

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Everything, at the sizes of real models.
    Full,
    /// Everything, so small that an emulated card can do it. The figures mean nothing.
    Tiny,
}

/// Measures a card.
///
/// # Errors
///
/// What the device lacks, or what failed on it. A step for which there is no room is part of the report.
pub fn measure(
    device: &Arc<kernels::cuda::Device>,
    extent: Extent,
) -> Result<CudaReport, TrainFailure> {
    let (sizes, runs) = match extent {
        Extent::Full => (Sizes::GPT2, 20),
        Extent::Tiny => (Sizes::TINY, 1),
    };
    let parity = parity(device)?;
    let peak = speed::peak(device, &sizes, runs).map_err(Fault::from)?;
    let timings = speed::time_all(device, &sizes, runs).map_err(Fault::from)?;
    let steps = models(extent).into_iter().map(|model| step(device, model, peak)).collect();
    Ok(CudaReport {
        device: device.name().map_err(Fault::from)?,
        parity,
        peak_gb_per_s: peak.bytes_per_s * 1e-9,
        peak_tflop_per_s: peak.flop_per_s * 1e-12,
        operations: timings.iter().map(|timing| operation(timing, peak)).collect(),
        steps,
        refused_epilogues: device.refused_epilogues().into_iter().map(Into::into).collect(),
        refused_capture: device.refused_capture().map(str::to_owned),
    })
}

fn operation(timing: &Timing, peak: Peak) -> Operation {
    Operation {
        operation: timing.operation,
        us: 1e6 * timing.seconds,
        gb_per_s: 1e-9 * timing.bytes / timing.seconds,
        tflop_per_s: 1e-12 * timing.flop / timing.seconds,
        share_of_peak: timing.share(peak),
    }
}

/// A model by its configuration, and the pairs of its steps.
struct Sized {
    name: &'static str,
    config: serde_json::Value,
    /// Of a sequence, half of them prompt.
    tokens: usize,
    pairs: usize,
    steps: usize,
}

fn gpt2(name: &'static str, layers: usize, width: usize, heads: usize, pairs: usize) -> Sized {
    let config = json!({
        "model_type": "gpt2", "n_layer": layers, "n_embd": width, "n_head": heads, "vocab_size": 50_257,
        "n_positions": 1024,
    });
    Sized { name, config, tokens: 1024, pairs, steps: 10 }
}

fn models(extent: Extent) -> Vec<Sized> {
    if extent == Extent::Tiny {
        let [gpt2, llama, ..] = small();
        return [gpt2, llama].map(|model| Sized { tokens: 8, pairs: 2, ..model }).into();
    }
    let llama = json!({
        "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128_256, "rope_theta": 500_000.0,
        "max_position_embeddings": 4096, "tie_word_embeddings": true, "rms_norm_eps": 1e-5,
    });
    vec![
        gpt2("GPT-2 124M", 12, 768, 12, 4),
        gpt2("GPT-2 350M", 24, 1024, 16, 4),
        gpt2("GPT-2 774M", 36, 1280, 20, 4),
        Sized { name: "Llama 1B", config: llama, tokens: 1024, pairs: 4, steps: 10 },
    ]
}

/// Two with heads of any size, and two with those that tensor cores have kernels for, where a completion sees more keys than go
/// into one tile.
fn small() -> [Sized; 4] {
    let gpt2 = |layers: usize, width: usize, context: usize| {
        json!({
            "model_type": "gpt2", "n_layer": layers, "n_embd": width, "n_head": 2, "vocab_size": 50,
            "n_positions": context,
        })
    };
    let llama = |layers: usize, width: usize, context: usize| {
        json!({
            "model_type": "llama", "hidden_size": width, "intermediate_size": 24, "num_hidden_layers": layers,
            "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 50,
            "max_position_embeddings": context,
        })
    };
    [
        ("small GPT-2", gpt2(2, 16, 16), 12, 3),
        ("small Llama", llama(2, 16, 16), 12, 3),
        ("GPT-2 with heads of 64", gpt2(1, 128, 80), 80, 2),
        ("Llama with heads of 128", llama(1, 256, 80), 80, 2),
    ]
    .map(|(name, config, tokens, pairs)| Sized { name, config, tokens, pairs, steps: 2 })
}

fn decoder(config: &serde_json::Value) -> Result<Decoder, Fault> {
    Ok(Decoder::new(DecoderConfig::parse(config.to_string().as_bytes())?))
}

/// Normal numbers with GPT-2's deviation, of which a stretch is repeated.
fn random_model(config: &serde_json::Value) -> Result<Model, Fault> {
    const STRETCH: usize = 65_521;
    let decoder = decoder(config)?;
    let mut uniforms = Uniforms::new(0, Purpose::Initialisation, 0, 0);
    let numbers: Vec<f32> = (0..STRETCH).map(|_| (0.02 * uniforms.normal()) as f32).collect();
    let mut numbers = numbers.iter().cycle();
    let weights = super::weights_of(&decoder, |_, values| {
        values.iter_mut().zip(&mut numbers).for_each(|(value, number)| *value = *number);
    });
    Ok(Model { decoder: decoder.into(), weights })
}

fn random_pairs(n_pairs: usize, tokens: usize, vocabulary: usize) -> Vec<ReferencedPair> {
    let size = StepSize { n_layers: 0, width: 0, n_heads: 0, vocabulary, tokens, pairs: n_pairs };
    super::random_pairs(size)
}

fn parity(device: &Arc<kernels::cuda::Device>) -> Result<Vec<Parity>, TrainFailure> {
    let mut found = Vec::new();
    for model in small() {
        let (logps, gradients) = pass(&Device::Cpu, &model)?;
        for (precision, of_logps, of_gradients) in
            [(Precision::F32, 1e-5, 1e-5), (Precision::Bf16, 1e-2, 5e-2)]
        {
            let on = Device::Cuda { device: device.clone(), precision };
            let (logps_there, gradients_there) = pass(&on, &model)?;
            let off = logps_there.iter().zip(&logps).map(|(a, b)| ((a - b) / b).abs());
            // Written so that NaN is not good.
            let logps = off.fold(0.0, |worst: f64, off| if off <= worst { worst } else { off });
            let gradients = distance(&gradients_there, &gradients);
            let good = logps < of_logps && gradients < of_gradients;
            found.push(Parity { model: model.name, precision, logps, gradients, good });
        }
    }
    Ok(found)
}

/// Log-probs of pairs, and the gradients of the sigmoid loss of them, in the third of three steps that change nothing: where
/// steps become graphs it is one.
fn pass(device: &Device, size: &Sized) -> Result<(Vec<f64>, Vec<f32>), TrainFailure> {
    const STEPS: usize = 3;
    let model = random_model(&size.config)?;
    let pairs = random_pairs(size.pairs, size.tokens, model.decoder.config().vocabulary);
    let pairs: Vec<&ReferencedPair> = pairs.iter().collect();
    let settings =
        OptimizerSettings { learning_rate: 0.0, gradient_norm_max: None, ..Default::default() };
    let mut trainer = Trainer::on(device, model, settings, STEPS)?;
    let mut logps = Vec::new();
    let mut loss = |pairs: &crate::PairBatch| {
        logps.clear();
        logps.extend(pairs.policy_chosen_logps.iter().chain(&pairs.policy_rejected_logps));
        sigmoid_loss(pairs)
    };
    for _ in 0..STEPS {
        trainer.step(&pairs, &mut loss)?;
    }
    let gradients = trainer.gradients()?.into_owned();
    Ok((logps, gradients))
}

fn distance(got: &[f32], expected: &[f32]) -> f64 {
    let square = |value: f32| f64::from(value).powi(2);
    let off: f64 = got.iter().zip(expected).map(|(got, expected)| square(got - expected)).sum();
    (off / expected.iter().copied().map(square).sum::<f64>()).sqrt()
}

fn step(device: &Arc<kernels::cuda::Device>, model: Sized, peak: Peak) -> CudaStep {
    let tokens = 2 * model.pairs * model.tokens;
    let name = model.name;
    let (figures, fault) = match time_steps(device, &model, peak) {
        Ok(figures) => (Some(figures), None),
        Err(TrainFailure::Fault(fault)) => (None, Some(fault.to_string())),
        Err(TrainFailure::Rejected(rejected)) => (None, Some(rejected.message)),
    };
    CudaStep { model: name, tokens, figures, fault }
}

fn time_steps(
    device: &Arc<kernels::cuda::Device>,
    size: &Sized,
    peak: Peak,
) -> Result<StepFigures, TrainFailure> {
    let model = random_model(&size.config)?;
    let pairs = random_pairs(size.pairs, size.tokens, model.decoder.config().vocabulary);
    let flop: f64 = pairs.iter().map(|pair| useful_flop(&model.decoder, &pair.pair)).sum();
    let batch: Vec<&ReferencedPair> = pairs.iter().collect();
    let settings = OptimizerSettings { learning_rate: 1e-5, ..Default::default() };
    let free = || device.memory().map(|(free, _)| free).map_err(Fault::from);
    let before = free()?;
    let on = Device::Cuda { device: device.clone(), precision: Precision::Bf16 };
    let trainer = Trainer::on(&on, model, settings, size.steps + 2)?;
    // As `lossbox train` has it.
    let mut trainer = trainer.with_token_metrics(REWARD_BETA);
    // The first takes memory and plans products, the second captures them, with memory of its own. Neither's time counts.
    trainer.step(&batch, &mut sigmoid_loss)?;
    let mut loss = trainer.step(&batch, &mut sigmoid_loss)?.pairs.loss;
    let memory_mb = before.saturating_sub(free()?) as f64 / f64::from(1 << 20);
    let mut times = Vec::new();
    for _ in 0..size.steps {
        let started = Instant::now();
        // It ends with the gradient's norm on the host, and the update behind that.
        loss = trainer.step(&batch, &mut sigmoid_loss)?.pairs.loss;
        device.synchronize().map_err(Fault::from)?;
        times.push(started.elapsed().as_secs_f64());
    }
    let seconds = median(times);
    Ok(StepFigures {
        median_ms: 1e3 * seconds,
        tokens_per_s: (2 * size.pairs * size.tokens) as f64 / seconds,
        mfu: flop / seconds / peak.flop_per_s,
        memory_mb,
        loss,
    })
}
