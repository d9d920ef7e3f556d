//! What a training step allocates after the first: nothing that grows with the model, and the same in every step.
//!
//! Activations, gradients, logits and scratch are kept from step to step. What is left, step after step: short lists of
//! tasks of attention and of products (`kernels`), rayon's queues, the answer of the loss and the lists in which it is judged
//! and averaged; and a buffer in each product into which `gemm` packs its operands, known by its alignment. A binary of its
//! own, because it counts with the process's allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use trainer::loss::{LossFailure, LossGradients, PairBatch};
use trainer::model::{Decoder, DecoderConfig, Keep, Model};
use trainer::optimizer::OptimizerSettings;
use trainer::pairs::{PairLogps, PreferencePair, ReferencedPair};
use trainer::step::Trainer;

/// Sizes from which an allocation counts as large: no list of tasks is.
const LARGE: usize = 16 * 1024;
/// From this alignment on it is `gemm`'s; ours are those of numbers and pointers.
const PACKING: usize = 64;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
static LARGE_CALLS: AtomicUsize = AtomicUsize::new(0);
static PACKING_CALLS: AtomicUsize = AtomicUsize::new(0);
static PACKING_BYTES: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which counts what it is asked for.
struct Counting;

fn count(bytes: usize, align: usize) {
    if align >= PACKING {
        PACKING_CALLS.fetch_add(1, Relaxed);
        PACKING_BYTES.fetch_add(bytes, Relaxed);
        return;
    }
    CALLS.fetch_add(1, Relaxed);
    BYTES.fetch_add(bytes, Relaxed);
    if bytes >= LARGE {
        LARGE_CALLS.fetch_add(1, Relaxed);
    }
}

// SAFETY: every call is passed on unchanged to the system's allocator; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), layout.align());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size, layout.align());
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

#[derive(Debug, Clone, Copy, PartialEq)]
struct Asked {
    calls: usize,
    bytes: usize,
    large: usize,
    packing_calls: usize,
    packing_bytes: usize,
}

fn asked_by(work: impl FnOnce()) -> Asked {
    let counters = [&CALLS, &BYTES, &LARGE_CALLS, &PACKING_CALLS, &PACKING_BYTES];
    let before = counters.map(|counter| counter.load(Relaxed));
    work();
    let asked = |i: usize| counters[i].load(Relaxed) - before[i];
    let [calls, bytes, large] = [0, 1, 2].map(asked);
    Asked { calls, bytes, large, packing_calls: asked(3), packing_bytes: asked(4) }
}

fn pushed(pairs: &PairBatch) -> Result<LossGradients, LossFailure> {
    let n = pairs.len();
    Ok(LossGradients {
        losses: vec![0.5; n],
        policy_chosen: vec![-0.1; n],
        policy_rejected: vec![0.1; n],
    })
}

/// A Llama of two layers with every step the same.
fn trainer(width: usize) -> (Trainer, Vec<ReferencedPair>) {
    let config = serde_json::json!({
        "model_type": "llama", "hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 500,
    });
    let config = DecoderConfig::parse(config.to_string().as_bytes()).expect("a config");
    let decoder = Decoder::new(config);
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
    (Trainer::new(model, settings, 10).with_passes(2, Keep::All), pairs.collect())
}

/// What each of three steps after two asks for, on one thread.
fn later_steps(width: usize) -> [Asked; 3] {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let (mut trainer, pairs) = trainer(width);
    let batch: Vec<&ReferencedPair> = pairs.iter().collect();
    let mut step = || {
        pool.install(|| {
            trainer.step(&batch, &mut pushed).expect("a step");
        });
    };
    step();
    step();
    [(); 3].map(|()| asked_by(&mut step))
}

#[test]
fn steps_after_the_first_allocate_short_lists_only() {
    let (narrow, wide) = (later_steps(64), later_steps(256));
    println!("narrow {narrow:?}\nwide {wide:?}");
    for asked in narrow.iter().chain(&wide) {
        assert_eq!((asked.calls, asked.large), (narrow[0].calls, 0), "{asked:?}");
        assert!(asked.calls < 500 && asked.bytes < 16 * 1024, "{asked:?}");
    }
    assert!(narrow.iter().all(|asked| *asked == narrow[0]));
    assert!(wide.iter().all(|asked| *asked == wide[0]));
}
