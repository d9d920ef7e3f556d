//! Steps that are replayed from graphs, beside the same on a device that captures nothing: they give the same bytes.

use std::sync::Arc;

use cuda_emulator::Emulator;
use trainer::device::{Device, Precision};
use trainer::model::Keep;
use trainer::pairs::ReferencedPair;
use trainer::step::{Tally, Trainer};

use crate::device::{another, session};
use crate::support::{dpo, policy, referenced_pairs};
use crate::training::settings;

/// What a trainer is told to do, with the numbers of the pairs that it gets.
#[derive(Debug, Clone, Copy)]
enum Act {
    Learn(&'static [usize]),
    Judge(&'static [usize]),
    /// Learns, and then goes back to where it was.
    Retract(&'static [usize]),
}

use Act::{Judge, Learn, Retract};

/// The pairs with these numbers, every token moved on: other batches of the same form.
fn moved(family: &str, numbers: &[usize], by: usize) -> Vec<ReferencedPair> {
    let (all, vocabulary) = (referenced_pairs(family), policy(family).decoder.config().vocabulary);
    let moved = |tokens: &mut Vec<u32>| {
        tokens.iter_mut().for_each(|token| *token = (*token + by as u32) % vocabulary as u32);
    };
    let pair = |&number: &usize| {
        let mut one = all[number].clone();
        moved(&mut one.pair.prompt);
        moved(&mut one.pair.chosen);
        moved(&mut one.pair.rejected);
        one
    };
    numbers.iter().map(pair).collect()
}

/// All numbers that come out, by their bits, in their order.
fn run(family: &str, device: &Device, passes: Option<(usize, Keep)>, acts: &[Act]) -> Vec<u64> {
    let mut trainer = Trainer::on(device, policy(family), settings(), acts.len()).expect("room");
    if let Some((pairs, keep)) = passes {
        trainer = trainer.with_passes(pairs, keep);
    }
    let mut trainer = trainer.with_token_metrics(0.1);
    let mut numbers = Vec::new();
    let learn = |trainer: &mut Trainer, pairs: &[&ReferencedPair], numbers: &mut Vec<f64>| {
        let metrics = trainer.step(pairs, &mut dpo(0.1)).expect("a step");
        let tokens = metrics.pairs.tokens.expect("asked for");
        numbers.extend([metrics.grad_norm, metrics.pairs.logps_chosen, metrics.pairs.loss]);
        numbers.extend([metrics.pairs.logps_rejected, tokens.entropy, tokens.logits_chosen]);
    };
    for (by, act) in acts.iter().enumerate() {
        let (Learn(which) | Judge(which) | Retract(which)) = *act;
        let pairs = moved(family, which, by);
        let pairs: Vec<&ReferencedPair> = pairs.iter().collect();
        match act {
            Learn(_) => learn(&mut trainer, &pairs, &mut numbers),
            Judge(_) => {
                let mut tally = Tally::default();
                trainer.evaluate(&pairs, &mut dpo(0.1), &mut tally).expect("an evaluation");
                numbers.extend([tally.metrics().loss, tally.metrics().logps_chosen]);
            }
            Retract(_) => {
                let before = trainer.trained().expect("from the device").into_owned();
                let n_steps_done = trainer.n_steps_done();
                learn(&mut trainer, &pairs, &mut numbers);
                trainer.restore(n_steps_done, before).expect("room");
            }
        }
    }
    let mut bits: Vec<u64> = numbers.iter().map(|number| number.to_bits()).collect();
    let trained = trainer.trained().expect("from the device");
    for list in [&trained.parameters, &trained.first, &trained.second] {
        bits.extend(list.iter().map(|number| u64::from(number.to_bits())));
    }
    let gradients = trainer.gradients().expect("from the device");
    bits.extend(gradients.iter().map(|number| u64::from(number.to_bits())));
    bits
}

/// Runs it both ways; how many graphs were launched.
fn check(
    models: &[(&str, Precision)],
    passes: Option<(usize, Keep)>,
    acts: &[Act],
    expected_launches: u64,
) {
    let Some(session) = session("replayed steps") else { return };
    let emulator = Emulator::install().expect("installed by the session");
    let card = another().expect("a second time").watched();
    let card = Arc::new(card);
    for &(family, precision) in models {
        let before = emulator.n_graph_launches();
        let plain = Device::Cuda { device: card.clone(), precision };
        let expected = run(family, &plain, passes, acts);
        assert_eq!(emulator.n_graph_launches(), before, "a watched device captures nothing");
        let got = run(family, &session.device(precision), passes, acts);
        let n_launches = emulator.n_graph_launches() - before;
        assert_eq!(n_launches, expected_launches, "{family} {precision:?}: graphs launched");
        let off = got.iter().zip(&expected).filter(|(got, expected)| got != expected).count();
        assert_eq!((got.len(), off), (expected.len(), 0), "{family} {precision:?}: numbers off");
    }
}

/// The largest batch comes first, so that memory stays where it is. Passes forward by pairs: [0, 1, 2] six times, [0, 1] three
/// times, [3] once: 5 + 2 replayed. Backward: five times and twice: 4 + 1. Seven norms and seven updates: 6 + 6.
#[test]
fn steps_and_evaluations_of_a_form_that_has_been_are_replayed() {
    let acts = [
        Learn(&[0, 1, 2]),
        Learn(&[0, 1, 2]),
        Judge(&[0, 1]),
        Learn(&[0, 1, 2]),
        Learn(&[0, 1]),
        Judge(&[3]),
        Learn(&[0, 1, 2]),
        Judge(&[0, 1, 2]),
        Learn(&[0, 1]),
        Learn(&[0, 1, 2]),
    ];
    let models = [("gpt2", Precision::F32), ("llama", Precision::Bf16)];
    check(&models, None, &acts, 5 + 2 + 4 + 1 + 6 + 6);
}

/// With no more memory than the first step took, captures take the place of what the pool kept of it.
#[test]
fn steps_that_just_fit_are_replayed() {
    let Some(_session) = session("steps that just fit") else { return };
    let emulator = Emulator::install().expect("installed by the session");
    let run = |memory_is_short: bool| {
        let card = another().expect("a second time");
        let card = Arc::new(card);
        let (_, total) = card.memory().expect("from the device");
        let device = Device::Cuda { device: card.clone(), precision: Precision::F32 };
        let mut trainer = Trainer::on(&device, policy("gpt2"), settings(), 4).expect("room");
        let before = emulator.n_graph_launches();
        let mut norms = Vec::new();
        for by in 0..4 {
            let pairs = moved("gpt2", &[0, 1], by);
            let pairs: Vec<&ReferencedPair> = pairs.iter().collect();
            let metrics = trainer.step(&pairs, &mut dpo(0.1));
            norms.push(metrics.map(|metrics| metrics.grad_norm.to_bits()));
            if memory_is_short && by == 0 {
                card.synchronize().expect("what the step launched");
                let (free, _) = card.memory().expect("from the device");
                emulator.set_memory_bytes(total - free);
            }
        }
        emulator.set_memory_bytes(total);
        let norms: Vec<u64> = norms.into_iter().map(|norm| norm.expect("a step")).collect();
        (norms, emulator.n_graph_launches() - before)
    };
    let (expected, n_launches) = run(false);
    assert_eq!(n_launches, 4 * 3);
    assert_eq!(run(true), (expected, n_launches));
}

/// A larger batch moves all memory, so that what was captured before it is captured anew: forward [0] twice and, after the
/// move, three times, [0, 1, 2] twice.
#[test]
fn memory_that_moves_is_not_replayed() {
    let acts =
        [Learn(&[0]), Learn(&[0]), Learn(&[0, 1, 2]), Learn(&[0]), Learn(&[0]), Learn(&[0, 1, 2])];
    let forward = 1 + 1 + 1;
    check(&[("llama", Precision::F32)], None, &acts, 2 * forward + 5 + 5);
}

/// Passes of one pair, eight of one form: gradients add up from the second of a step on.
#[test]
fn passes_of_one_step_are_replayed() {
    let acts = [Learn(&[1, 1]), Learn(&[1, 1]), Learn(&[1]), Learn(&[1, 1, 1])];
    for keep in [Keep::All, Keep::Streams] {
        check(&[("gpt2", Precision::F32)], Some((1, keep)), &acts, 2 * 7 + 3 + 3);
    }
}

/// Moments that were brought back lie elsewhere: the update after it is captured anew, all else is replayed.
#[test]
fn a_step_that_is_taken_back_leaves_no_trace() {
    let acts = [
        Learn(&[0, 1]),
        Learn(&[0, 1]),
        Retract(&[0, 1]),
        Learn(&[0, 1]),
        Learn(&[0, 1]),
        Learn(&[0, 1]),
    ];
    check(&[("llama", Precision::F32)], None, &acts, 5 + 5 + 5 + 2 + 2);
}
