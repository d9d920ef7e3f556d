//! What a training step allocates after the first: nothing.
//!
//! Activations, gradients, logits, packed operands, lists and scratch are kept from step to step. The answer that the loss
//! returns is the loss's, and not counted. On several threads a thread's scratch may still grow while it has not met the
//! largest task. A binary of its own, because it counts with the process's allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde_json::{Value, json};
use trainer::loss::{LossFailure, LossGradients, PairBatch};
use trainer::model::{Decoder, DecoderConfig, Keep, Model};
use trainer::optimizer::OptimizerSettings;
use trainer::pairs::{PairLogps, PreferencePair, ReferencedPair};
use trainer::step::Trainer;

thread_local! {
    /// Of this thread, which makes the steps: the test's own harness allocates on another.
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
}

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which counts what it is asked for.
struct Counting;

fn count() {
    if IS_COUNTED.get() {
        ALLOCATIONS.fetch_add(1, Relaxed);
    }
}

// SAFETY: every call is passed on unchanged to the system's allocator; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(memory, layout, new_size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations_of(work: impl FnOnce()) -> usize {
    ALLOCATIONS.store(0, Relaxed);
    IS_COUNTED.set(true);
    work();
    IS_COUNTED.set(false);
    ALLOCATIONS.load(Relaxed)
}

/// A loss whose answer is not counted.
fn pushed(pairs: &PairBatch) -> Result<LossGradients, LossFailure> {
    let was_counted = IS_COUNTED.replace(false);
    let n = pairs.len();
    let answer = LossGradients {
        losses: vec![0.5; n],
        policy_chosen: vec![-0.1; n],
        policy_rejected: vec![0.1; n],
    };
    IS_COUNTED.set(was_counted);
    Ok(answer)
}

/// A model of two layers.
fn config(family: &str, width: usize) -> Value {
    match family {
        "gpt2" => json!({
            "model_type": "gpt2", "n_layer": 2, "n_embd": width, "n_head": 4, "vocab_size": 500, "n_positions": 128,
        }),
        _ => json!({
            "model_type": family, "hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 2,
            "head_dim": width / 4, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 500,
        }),
    }
}

/// Every step is the same, in two passes of two pairs.
fn trainer(family: &str, width: usize) -> (Trainer, Vec<ReferencedPair>) {
    let config = DecoderConfig::parse(config(family, width).to_string().as_bytes());
    let decoder = Decoder::new(config.expect("a config"));
    let weights: Vec<f32> = (0..decoder.layout().len())
        .map(|i| ((i as f64 * 0.618_033_988_75).fract() - 0.5) as f32 * 0.1)
        .collect();
    let tokens = |seed: usize, n: usize| (0..n).map(|i| ((seed + i * 37) % 500) as u32).collect();
    let pairs = (0..4).map(|i| ReferencedPair {
        pair: PreferencePair::new(tokens(i, 40), tokens(i + 7, 30), tokens(i + 11, 35)),
        reference: PairLogps { chosen: -180.0, rejected: -210.0 },
    });
    let settings = OptimizerSettings { learning_rate: 1e-5, ..Default::default() };
    let model = Model { decoder: decoder.into(), weights };
    let trainer = Trainer::new(model, settings, 10);
    (trainer.with_passes(2, Keep::All).with_token_metrics(0.1), pairs.collect())
}

/// What the first step and each of three later ones allocate, on one thread.
fn allocations_of_steps(family: &str, width: usize) -> [usize; 4] {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let (mut trainer, pairs) = trainer(family, width);
    let batch: Vec<&ReferencedPair> = pairs.iter().collect();
    pool.install(|| {
        [(); 4].map(|()| {
            allocations_of(|| {
                trainer.step(&batch, &mut pushed).expect("a step");
            })
        })
    })
}

#[test]
fn steps_after_the_first_allocate_nothing() {
    for (family, width) in [("llama", 64), ("llama", 256), ("gpt2", 64), ("gemma3_text", 64)] {
        let [first, later @ ..] = allocations_of_steps(family, width);
        assert!(first > 0, "nothing was counted");
        assert_eq!(later, [0; 3], "{family} of width {width}, {first} in the first step");
    }
}
