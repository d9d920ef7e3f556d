//! The sentiment task from end to end, at a size that takes seconds.

use std::path::Path;
use std::sync::OnceLock;

use crate::support::dpo;
use trainer::batch::Packed;
use trainer::device::Device;
use trainer::generate::{Draw, SampleRequest, completions};
use trainer::model::{Activations, Model, ModelDirectory};
use trainer::pairs::ReferencedPair;
use trainer::random::Purpose;
use trainer::task::sentiment::{EvaluationSettings, PairSettings};
use trainer::train::TrainSettings;
use trainer::*;

/// Small, and with a learning rate that moves the policy in a few steps.
fn small() -> SentimentSettings {
    let defaults = SentimentSettings::default();
    SentimentSettings {
        pairs: PairSettings { n_prompts: 40, max_tokens: 16, ..defaults.pairs },
        training: TrainSettings { n_steps: 6, pairs_per_step: 12, ..defaults.training },
        evaluation: EvaluationSettings {
            steps: vec![2, 4, 6],
            n_prompts: 24,
            max_tokens: 16,
            ..defaults.evaluation
        },
    }
}

fn quick() -> SentimentSettings {
    let mut settings = small();
    settings.training.optimizer.learning_rate = 1e-3;
    settings.training.optimizer.warmup_steps = 1;
    settings
}

/// Shared by the tests that do not look at the cache.
fn task() -> &'static Sentiment {
    static TASK: OnceLock<Sentiment> = OnceLock::new();
    TASK.get_or_init(|| {
        let cache = tempfile::tempdir().expect("a folder");
        Sentiment::prepare(quick(), cache.path(), &mut |_| ()).expect("the task")
    })
}

fn prepare(cache: &Path) -> (Sentiment, Vec<Preparation>) {
    let mut events = Vec::new();
    let task =
        Sentiment::prepare(small(), cache, &mut |event| events.push(event)).expect("the task");
    (task, events)
}

fn score(loss: &mut dyn PreferenceLoss, seed: u64) -> Result<SeedResult, TrainFailure> {
    task().train_and_score(loss, seed, &mut |_| ()).map(|(result, _)| result)
}

fn constant(pairs: &PairBatch) -> Result<LossGradients, LossFailure> {
    let zeros = vec![0.0; pairs.len()];
    Ok(LossGradients {
        losses: vec![1.0; pairs.len()],
        policy_chosen: zeros.clone(),
        policy_rejected: zeros,
    })
}

#[test]
fn pairs_are_clear_and_come_from_the_base_model() {
    let task = task();
    let settings = &task.settings().pairs;
    assert!(task.pairs().len() > settings.n_prompts / 2, "{} pairs", task.pairs().len());
    for ReferencedPair { pair, reference } in task.pairs() {
        let score =
            |tokens: &[u32]| task.scorer().score(&task.tokenizer().decode(tokens).expect("text"));
        assert!(score(&pair.chosen) - score(&pair.rejected) > settings.score_gap_min);
        assert!(
            pair.chosen.len() <= settings.max_tokens && pair.rejected.len() <= settings.max_tokens
        );
        assert!(reference.chosen < 0.0 && reference.rejected < 0.0);
    }
}

#[test]
fn pairs_are_made_once_and_found_again() {
    let cache = tempfile::tempdir().expect("a folder");
    let (made, events) = prepare(cache.path());
    assert!(matches!(events.last(), Some(Preparation::Made { .. })), "{events:?}");
    let (found, events) = prepare(cache.path());
    assert!(matches!(events[..], [Preparation::Found(_)]), "{events:?}");
    assert_eq!(made.pairs(), found.pairs());
    assert_eq!(
        std::fs::read_dir(cache.path()).expect("the cache").count(),
        1,
        "nothing else is left behind"
    );
}

#[test]
fn a_damaged_cache_is_noticed_and_made_anew() {
    let cache = tempfile::tempdir().expect("a folder");
    let (made, events) = prepare(cache.path());
    let Some(Preparation::Made { path, .. }) = events.last() else { panic!("{events:?}") };
    let whole = std::fs::read_to_string(path).expect("the pairs");
    let half = whole[..whole.len() / 2].to_owned();
    let forged = whole.replacen("\"chosen\":[", "\"chosen\":[1,", 1);
    for damaged in [half, forged, "{}".to_owned()] {
        std::fs::write(path, damaged).expect("a file");
        let (again, events) = prepare(cache.path());
        assert!(matches!(events[0], Preparation::Useless { .. }), "{events:?}");
        assert_eq!(made.pairs(), again.pairs());
        assert_eq!(std::fs::read_to_string(path).expect("the pairs"), whole);
    }
}

#[test]
fn a_constant_loss_has_fitness_zero() {
    let result = score(&mut constant, 1).expect("a result");
    assert_eq!((result.fitness, result.low, result.high), (0.0, 0.0, 0.0));
    assert!(
        result.points.iter().all(|point| point.kl == 0.0 && point.reward == result.base_reward)
    );
    assert_eq!(result.points.len(), 3);
}

#[test]
fn dpo_gains_and_its_opposite_loses() {
    let right = score(&mut dpo(0.1), 1).expect("a result");
    let wrong = score(&mut |pairs: &PairBatch| dpo(-0.1)(pairs), 1).expect("a result");
    assert!(right.low > 0.0, "{right:?}");
    assert!(wrong.high < 0.0, "{wrong:?}");
    assert!(right.points.windows(2).all(|points| points[0].kl < points[1].kl), "{right:?}");
}

#[test]
fn training_stops_at_the_first_evaluation_beyond_the_budget() {
    let cache = tempfile::tempdir().expect("a folder");
    let mut settings = quick();
    let on_the_way = score(&mut dpo(0.1), 1).expect("a result").points;
    settings.evaluation.kl_budget = 0.5 * (on_the_way[0].kl + on_the_way[1].kl);
    let task = Sentiment::prepare(settings, cache.path(), &mut |_| ()).expect("the task");
    let mut n_steps = 0;
    let result = task.train_and_score(&mut dpo(0.1), 1, &mut |event| {
        n_steps += usize::from(matches!(event, Progress::Step { .. }));
    });
    let last = result.expect("a result").0.points.last().expect("a point").clone();
    assert!(last.kl >= task.settings().evaluation.kl_budget);
    assert_eq!((last.step, n_steps), (4, 4));
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let on_threads = |n: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool");
        let cache = tempfile::tempdir().expect("a folder");
        pool.install(|| {
            let (task, _) = prepare(cache.path());
            let (result, _) =
                task.train_and_score(&mut dpo(0.1), 3, &mut |_| ()).expect("a result");
            (task.pairs().to_vec(), serde_json::to_string(&result).expect("JSON"))
        })
    };
    let alone = on_threads(1);
    assert_eq!(alone, on_threads(3));
}

#[test]
fn another_seed_means_another_order_and_other_luck() {
    let (first, second) =
        (score(&mut dpo(0.1), 1).expect("a result"), score(&mut dpo(0.1), 2).expect("a result"));
    assert_ne!(first.base_reward, second.base_reward);
    assert_ne!(first.points[0].kl, second.points[0].kl);
}

#[track_caller]
fn check_rejected(loss: &mut dyn PreferenceLoss, rule: &str, part_of_message: &str) {
    match score(loss, 1) {
        Err(TrainFailure::Rejected(rejected)) => {
            assert_eq!(rejected.rule, rule);
            assert!(rejected.message.contains(part_of_message), "{}", rejected.message);
        }
        other => panic!("expected a rejection, got {other:?}"),
    }
}

fn with_slope(slope: f64) -> impl FnMut(&PairBatch) -> Result<LossGradients, LossFailure> {
    move |pairs| {
        let mut answer = constant(pairs)?;
        answer.policy_chosen.fill(slope);
        Ok(answer)
    }
}

#[test]
fn numbers_that_are_not_finite_reject_the_loss() {
    let mut nan_loss = |pairs: &PairBatch| {
        let mut answer = constant(pairs)?;
        answer.losses[2] = f64::NAN;
        Ok(answer)
    };
    check_rejected(&mut nan_loss, "train/non-finite", "the loss of pair 2 (chosen: ");
    check_rejected(
        &mut with_slope(f64::INFINITY),
        "train/non-finite",
        "the derivative by the chosen log-prob",
    );
    check_rejected(&mut with_slope(1e300), "train/non-finite", "the norm of the gradient");
}

#[test]
fn a_rejection_of_the_losss_own_keeps_its_rule() {
    let mut trapped = |_: &PairBatch| -> Result<LossGradients, LossFailure> {
        Err(LossFailure::Rejected(Rejected {
            rule: "probe/fuel".into(),
            message: "out of fuel".into(),
            hint: "loop less".into(),
            pair: None,
        }))
    };
    check_rejected(&mut trapped, "probe/fuel", "out of fuel");
    let mut broken = |_: &PairBatch| -> Result<LossGradients, LossFailure> {
        Err(LossFailure::Fault("the pipe broke".into()))
    };
    assert!(matches!(score(&mut broken, 1), Err(TrainFailure::Fault(Fault::Loss(_)))));
}

fn scored_policy() -> (SeedResult, Model) {
    task().train_and_score(&mut dpo(0.1), 1, &mut |_| ()).expect("a policy")
}

/// The exact divergences along the visited states and the plain log-ratios of the same completions estimate the same
/// number, within the log-ratios' own noise; the former vary less.
#[test]
fn the_divergence_agrees_with_the_log_ratios_of_the_samples() {
    let (result, policy) = scored_policy();
    let measured = result.points.last().expect("a point");
    let ratios = log_ratios(&policy, 8);
    let (mean, error) = (stats::mean(&ratios), stats::standard_error(&ratios));
    assert!(measured.kl > 0.3, "the policy has moved: {measured:?}");
    assert!(
        (measured.kl - mean).abs() < 4.0 * error.hypot(measured.kl_error),
        "{measured:?}, {mean} ± {error}"
    );
}

/// ln policy − ln base of fresh completions by the policy, of the held-out prompts' kind.
fn log_ratios(policy: &Model, n_samples: usize) -> Vec<f64> {
    let task = task();
    let prompts: Vec<Vec<u32>> = heldout_prompts();
    let settings = &task.settings().evaluation;
    let request = SampleRequest {
        prompts: &prompts,
        first_prompt: 0,
        n_samples,
        max_tokens: settings.max_tokens,
        seed: 77,
        purpose: Purpose::Generation,
        draw: Draw::Temperature(1.0),
    };
    let completions = completions(&Device::Cpu, policy, &request).expect("on the CPU");
    let mut batch = Packed::default();
    for (prompt, completions) in prompts.iter().zip(completions.chunks(n_samples)) {
        let completions: Vec<&[u32]> = completions.iter().map(Vec::as_slice).collect();
        batch.push(prompt, &completions);
    }
    let sums = |model: &Model| -> Vec<f64> {
        let mut activations = Activations::default();
        model.decoder.forward(&model.weights, &batch, &mut activations);
        let sum = |tokens: &std::ops::Range<usize>| {
            activations.token_logps()[tokens.clone()].iter().map(|logp| f64::from(*logp)).sum()
        };
        batch.completions.iter().map(sum).collect()
    };
    sums(policy).iter().zip(sums(task.base())).map(|(policy, base)| policy - base).collect()
}

fn heldout_prompts() -> Vec<Vec<u32>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/sentiment/prompts.json");
    let prompts: serde_json::Value =
        serde_json::from_slice(&std::fs::read(file).expect("prompts")).expect("JSON");
    let heldout: Vec<Vec<u32>> =
        serde_json::from_value(prompts["heldout"].clone()).expect("prompts");
    heldout[..task().settings().evaluation.n_prompts].to_vec()
}

#[test]
fn completions_do_not_depend_on_what_is_sampled_beside_them() {
    let prompts = heldout_prompts();
    let sample = |range: std::ops::Range<usize>, n_samples: usize| {
        let request = SampleRequest {
            prompts: &prompts[range.clone()],
            first_prompt: range.start,
            n_samples,
            max_tokens: 16,
            seed: 5,
            purpose: Purpose::Generation,
            draw: Draw::Temperature(1.0),
        };
        completions(&Device::Cpu, task().base(), &request).expect("on the CPU")
    };
    let together = sample(0..24, 3);
    for prompt in [0, 7, 23] {
        assert_eq!(sample(prompt..prompt + 1, 3), together[3 * prompt..3 * prompt + 3]);
        assert_eq!(sample(prompt..prompt + 1, 1)[0], together[3 * prompt]);
    }
    assert!(together.iter().all(|completion| (1..=16).contains(&completion.len())));
}

#[test]
fn a_saved_policy_is_loaded_with_the_same_weights() {
    let folder = tempfile::tempdir().expect("a folder");
    let (policy, saved) = (scored_policy().1, folder.path().join("policy"));
    task().save(&policy, &saved).expect("saved");
    let directory = ModelDirectory::open(&saved).expect("a model directory");
    let loaded = Model::load(&directory).expect("a model");
    assert_eq!(loaded.weights, policy.weights);
    assert_ne!(loaded.weights, task().base().weights);
    assert_eq!(loaded.decoder.config(), policy.decoder.config());
    let config: serde_json::Value = serde_json::from_slice(&directory.config).expect("JSON");
    assert_eq!(config["dtype"], "float32");
    assert!(directory.tokenizer().is_ok());

    let refused = task()
        .save(&policy, &saved)
        .expect_err("an existing folder is not overwritten")
        .to_string();
    assert!(refused.contains("exists already"), "{refused}");
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("the folder").count(),
        1,
        "nothing else is left behind"
    );
}

#[test]
fn metrics_have_trls_names() {
    let mut last = None;
    let mut note = |event| match event {
        Progress::Step { metrics, n_steps } => last = Some((metrics, n_steps)),
        Progress::Evaluated(_) => {}
    };
    task().train_and_score(&mut dpo(0.1), 1, &mut note).expect("a policy");
    let (metrics, n_steps) = last.expect("a step");
    assert_eq!((metrics.step, n_steps), (6, 6));
    let json = serde_json::to_value(&metrics).expect("JSON");
    let number =
        |name: &str| json[name].as_f64().unwrap_or_else(|| panic!("{name} is missing: {json}"));
    let margin = number("rewards/chosen") - number("rewards/rejected");
    assert!((number("rewards/margins") - margin).abs() < 1e-12);
    assert!(number("rewards/margins") > 0.0 && number("rewards/accuracies") > 0.5, "{json}");
    assert!(number("logps/chosen") < 0.0 && number("logps/rejected") < 0.0);
    assert!(number("loss") < 2f64.ln(), "{json}");
}

#[test]
fn settings_that_cannot_be_met_are_refused_with_both_numbers() {
    let cache = tempfile::tempdir().expect("a folder");
    let mut settings = small();
    settings.evaluation.n_prompts = 513;
    let message =
        Sentiment::prepare(settings, cache.path(), &mut |_| ()).expect_err("too many").to_string();
    assert!(message.contains("evaluation.n_prompts: expected 1 to 512, got 513"), "{message}");
}
