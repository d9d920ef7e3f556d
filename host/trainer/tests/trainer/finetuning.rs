//! Whole runs on small models: held against PyTorch, stopped and continued, and ended by a loss that fails.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::helpers::jsonl;
use crate::reference_parity::check_trained;
use crate::support::*;
use serde_json::Value;
use tempfile::TempDir;
use trainer::TrainFailure;
use trainer::data::Truncation;
use trainer::device::Device;
use trainer::finetune::{Finished, Job, Progress, Settings, run};
use trainer::loss::{LossFailure, LossGradients, PairBatch, PreferenceLoss, Rejected};
use trainer::model::{Model, ModelDirectory};
use trainer::optimizer::{Decay, Schedule};
use trainer::pairs::PreferencePair;

/// A temporary folder with a file of pairs.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn with(pairs: &[PreferencePair]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("pairs.jsonl"), jsonl(pairs)).expect("written");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect(name)
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = String::from_utf8(self.read(name)).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Three pairs a step in shuffled order, with everything that a state could hold.
    pub(crate) fn settings(&self, family: &str, run: &str) -> Settings {
        Settings {
            model: golden(family),
            data: self.path("pairs.jsonl"),
            reference: Some(golden(&format!("{family}/reference"))),
            steps: Some(7),
            batch_pairs: 3,
            lr: 1e-3,
            weight_decay: 0.01,
            warmup: 2,
            schedule: Schedule::Cosine,
            seed: 5,
            run: self.path(run),
            eval_data: Some(self.path("pairs.jsonl")),
            eval_every: 2,
            ..Settings::default()
        }
    }
}

pub(crate) fn job(settings: Settings) -> Job {
    Job { settings, device: Device::Cpu, loss_id: "dpo".into(), reward_beta: None, resume: false }
}

pub(crate) fn on(job: &Job) -> Finished {
    run(job, &mut dpo(0.1), &mut |_| ControlFlow::Continue(())).expect("a whole run")
}

fn until(job: &Job, last: usize) -> Finished {
    let watch = &mut |progress: &Progress| match progress {
        Progress::Step(record, _) if record.step.step == last => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    run(job, &mut dpo(0.1), watch).expect("a run")
}

#[track_caller]
fn refused(job: &Job, reason: &str) {
    match run(job, &mut dpo(0.1), &mut |_| ControlFlow::Continue(())) {
        Err(TrainFailure::Fault(fault)) => {
            let message = fault.to_string();
            assert!(message.contains(reason) && message.contains("hint: "), "{message}");
        }
        other => panic!("must be refused: {other:?}"),
    }
}

#[test]
fn one_step_over_a_file_is_the_step_of_transformers() {
    for family in ["gpt2", "llama"] {
        let place = Place::with(&pairs(family));
        for (run, pass_pairs) in [("whole", None), ("parts", Some(1))] {
            let settings = Settings {
                steps: Some(1),
                batch_pairs: 4,
                pass_pairs,
                warmup: 0,
                max_grad_norm: 0.0,
                no_shuffle: true,
                save: Some(place.path(&format!("{run}-model"))),
                save_gradients: Some(place.path("gradients.safetensors")),
                eval_data: None,
                eval_every: 0,
                recompute: pass_pairs.is_some(),
                ..place.settings(family, run)
            };
            let finished = on(&job(settings));
            let directory = ModelDirectory::open(&finished.place).expect("a model");
            let model = Model::load(&directory).expect("a model");
            let file = "adamw1_hf_groups_f64.safetensors";
            check_trained(family, Decay::Matrices, 1, file, &model.weights);
            check_gradients(family, &model, &place.path("gradients.safetensors"));
        }
    }
}

fn check_gradients(family: &str, model: &Model, file: &Path) {
    let bytes = std::fs::read(file).expect("gradients");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let tensors = &model.decoder.layout().tensors;
    assert_eq!(file.len(), tensors.len());
    for tensor in tensors.iter().filter(|tensor| !tensor.name.ends_with("c_attn.bias")) {
        let view = file.tensor(&tensor.name).expect("Hugging Face's name");
        let (numbers, _) = view.data().as_chunks();
        let got: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let golden = tensor_f64(&format!("{family}/grads_f64.safetensors"), &tensor.name);
        let scale = golden.iter().fold(0.0f64, |scale, value| scale.max(value.abs()));
        assert_eq!(view.shape(), tensor.shape);
        let relative = worst_difference(&got, &golden) / scale;
        assert!(relative < 4e-6, "{}: off by {relative:e}", tensor.name);
    }
}

#[test]
fn a_run_that_is_stopped_and_continued_writes_the_bytes_of_one_that_is_not() {
    for (family, keeps) in [("gpt2", 0), ("llama", 2)] {
        let place = Place::with(&pairs(family));
        let whole = on(&job(place.settings(family, "whole")));
        assert_eq!((whole.n_steps_done, whole.ended_early), (7, false));

        let mut stopped = job(Settings { save_every: keeps, ..place.settings(family, "stopped") });
        let ended = until(&stopped, 3);
        assert!(ended.ended_early && ended.place.ends_with("checkpoints/step-3"));
        stopped.resume = true;
        let again = until(&stopped, 5);
        assert_eq!(again.n_steps_done, 5);
        // As if the process had died in the middle of a line, after steps that no checkpoint knows.
        let metrics = place.path("stopped/metrics.jsonl");
        let mut lines = std::fs::read(&metrics).expect("metrics");
        lines.extend(b"{\"step\":6}\n{\"ste");
        std::fs::write(&metrics, lines).expect("written");
        on(&stopped);
        for file in ["model/model.safetensors", "model/config.json", "metrics.jsonl"] {
            let [one, other] = ["whole", "stopped"].map(|run| place.read(&format!("{run}/{file}")));
            assert!(one == other, "{family}: {file} differs");
        }
    }
}

/// Conversations with a model whose template asks for the time, to the second.
fn conversations_that_tell_the_time() -> Place {
    let place = Place::with(&[]);
    let message = |role: &str, content: &str| serde_json::json!({"role": role, "content": content});
    let rows =
        [("How was it?", "It was great.", "It was bad."), ("And now?", "Good.", "Not so good.")];
    let rows = rows.map(|(prompt, chosen, rejected)| {
        let row = serde_json::json!({
            "prompt": [message("user", prompt)],
            "chosen": [message("assistant", chosen)],
            "rejected": [message("assistant", rejected)],
        });
        format!("{row}\n")
    });
    std::fs::write(place.path("pairs.jsonl"), rows.concat().repeat(20)).expect("written");
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/sentiment/base");
    std::fs::create_dir(place.path("base")).expect("a folder");
    for file in std::fs::read_dir(base).expect("the base model").flatten() {
        let to = place.path("base").join(file.file_name());
        std::fs::copy(file.path(), to).expect("copied");
    }
    let template = "It is {{ strftime_now('%H:%M:%S') }}. \
                    {% for message in messages %}{{ message.content }} {% endfor %}";
    std::fs::write(place.path("base/chat_template.jinja"), template).expect("written");
    place
}

/// With a learning rate of 0 every step sees the same log-probs, unless the prompts change.
#[test]
fn a_run_that_goes_on_later_tells_templates_the_time_of_its_beginning() {
    let place = conversations_that_tell_the_time();
    let settings = Settings {
        model: place.path("base"),
        reference: None,
        steps: Some(4),
        batch_pairs: 40,
        lr: 0.0,
        weight_decay: 0.0,
        no_shuffle: true,
        ..place.settings("llama", "run")
    };
    // The first start gets no further than the reference's log-probs, the second no further than a checkpoint.
    let fails = &mut |_: &PairBatch| -> Result<LossGradients, LossFailure> {
        panic!("nothing is trained before the first step")
    };
    let stops = &mut |progress: &Progress| match progress {
        Progress::References { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let mut job = job(settings);
    assert!(run(&job, fails, stops).is_err());
    let a_second = std::time::Duration::from_millis(1100);
    std::thread::sleep(a_second);
    until(&job, 2);
    std::thread::sleep(a_second);
    job.resume = true;
    on(&job);
    let lines = place.lines("run/metrics.jsonl");
    let of = |name: &str| -> Vec<f64> {
        lines.iter().filter_map(|line| line.get(name)?.as_f64()).collect()
    };
    for name in ["logps/chosen", "logps/rejected"] {
        let logps = of(name);
        assert_eq!(logps, [logps[0]; 4], "{name}");
    }
    for name in ["rewards/chosen", "rewards/rejected", "eval_rewards/chosen"] {
        let off = of(name).into_iter().map(f64::abs).fold(0.0, f64::max);
        assert!(off < 1e-4, "{name}: policy and reference differ by {off}");
    }
}

/// `tests/peers/make_metric_goldens.py`: what DPOTrainer logs of a step at rate 0, and of an evaluation after it.
#[test]
fn metrics_are_those_of_trl() {
    for family in ["gpt2", "llama"] {
        for case in json(&format!("{family}/metrics.json")).as_array().expect("cases") {
            let place = Place::with(&[]);
            let rows = case["rows"].as_array().expect("rows");
            let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
            std::fs::write(place.path("pairs.jsonl"), lines).expect("written");
            let beta = case["beta"].as_f64().expect("a number");
            for (run_name, pass_pairs) in [("whole", None), ("parts", Some(3))] {
                let settings = Settings {
                    steps: Some(1),
                    batch_pairs: 4,
                    pass_pairs,
                    lr: 0.0,
                    warmup: 0,
                    ..place.settings(family, run_name)
                };
                let job = Job { reward_beta: Some(beta), ..job(settings) };
                run(&job, &mut dpo(beta), &mut |_| ControlFlow::Continue(())).expect("a run");
                let lines = place.lines(&format!("{run_name}/metrics.jsonl"));
                check_logged(&lines, case["logged"].as_object().expect("metrics"));
            }
        }
    }
}

/// Every number of theirs is among ours, and none of ours has a name that they do not know.
fn check_logged(lines: &[Value], logged: &serde_json::Map<String, Value>) {
    let ours: serde_json::Map<String, Value> =
        lines.iter().flat_map(|line| line.as_object().expect("an object").clone()).collect();
    assert!(ours.keys().eq(logged.keys()), "{ours:?} and {logged:?}");
    for (name, theirs) in logged {
        let (got, theirs) = (ours[name].as_f64().expect(name), theirs.as_f64().expect(name));
        let off = (got - theirs).abs() / theirs.abs().max(1.0);
        assert!(off < 2e-6, "{name}: {got} and {theirs}");
    }
}

#[test]
fn metrics_have_the_names_that_trl_gives_them() {
    let place = Place::with(&pairs("llama"));
    on(&job(place.settings("llama", "run")));
    let lines = place.lines("run/metrics.jsonl");
    let steps: Vec<&Value> = lines.iter().filter(|line| line.get("loss").is_some()).collect();
    let evaluations: Vec<&Value> =
        lines.iter().filter(|line| line.get("eval_loss").is_some()).collect();
    assert_eq!((steps.len(), evaluations.len(), lines.len()), (7, 4, 11));
    for name in [
        "loss",
        "grad_norm",
        "learning_rate",
        "epoch",
        "num_tokens",
        "rewards/chosen",
        "rewards/rejected",
        "rewards/accuracies",
        "rewards/margins",
        "logps/chosen",
        "logps/rejected",
    ] {
        assert!(steps.iter().all(|line| line[name].is_number()), "{name}");
    }
    assert_eq!(steps[0]["learning_rate"], 0.0);
    assert_eq!(steps[1]["learning_rate"], 5e-4);
    assert_eq!(steps[3]["epoch"], 2.0);
    // Before any step, evaluation would give the loss that PyTorch computes; after it the loss falls.
    let loss = |line: &Value| line["eval_loss"].as_f64().expect("a loss");
    assert!(loss(evaluations[3]) < loss(evaluations[0]));
    let events = std::fs::read_dir(place.path("run/tensorboard")).expect("events").count();
    assert_eq!(events, 1);
}

/// As transformers has it, whose rows are gone before it counts: 3 pairs in steps of 2 are 2 steps an epoch, whatever
/// else the file holds.
#[test]
fn an_epoch_is_counted_in_steps_of_pairs() {
    let place = Place::with(&[]);
    let mut rows = pairs("llama");
    rows[0].prompt = vec![5; 30];
    let longest = rows[1..].iter().map(|row| row.prompt.len()).max().expect("rows");
    assert!(longest < 30);
    let dropped = rows[0].clone();
    rows.push(dropped);
    std::fs::write(place.path("pairs.jsonl"), jsonl(&rows)).expect("written");
    let settings = Settings {
        batch_pairs: 2,
        max_length: Some(30),
        warmup: 0,
        eval_data: None,
        eval_every: 0,
        ..place.settings("llama", "")
    };
    let whole = Settings { steps: None, epochs: Some(2.0), ..settings.clone() };
    for (run, settings) in [("steps", Settings { steps: Some(4), ..settings }), ("epochs", whole)] {
        on(&job(Settings { run: place.path(run), ..settings }));
        let lines = place.lines(&format!("{run}/metrics.jsonl"));
        let epochs: Vec<f64> = lines.iter().filter_map(|line| line["epoch"].as_f64()).collect();
        assert_eq!(epochs, [0.5, 1.0, 1.5, 2.0], "{run}");
    }
}

/// Prompts that fill the limit leave no pair, unless it is their beginnings that go. The first step's reference is the
/// policy: both read the same tokens.
#[test]
fn a_run_cuts_sequences_at_the_end_that_it_is_told() {
    let place = Place::with(&[]);
    let mut rows = pairs("llama");
    rows.iter_mut().for_each(|row| row.prompt = (5..35).collect());
    std::fs::write(place.path("pairs.jsonl"), jsonl(&rows)).expect("written");
    let settings = Settings {
        reference: None,
        max_length: Some(28),
        eval_data: None,
        eval_every: 0,
        ..place.settings("llama", "start")
    };
    refused(&job(settings.clone()), "no row of the data gives a pair");
    let truncation = Truncation::KeepEnd;
    let run = place.path("end");
    assert_eq!(on(&job(Settings { truncation, run, ..settings })).tally.dropped, 0);
    let lines = place.lines("end/metrics.jsonl");
    let lengths = rows.iter().map(|row| {
        let sides = [&row.chosen, &row.rejected];
        sides.map(|side| (row.prompt.len() + side.len()).min(28)).iter().sum::<usize>()
    });
    let lengths: Vec<usize> = lengths.collect();
    let first_epoch = lines[1]["num_tokens"].as_u64().expect("a count") as usize;
    assert_eq!(first_epoch, lengths.iter().sum::<usize>());
    let margin = lines[0]["rewards/margins"].as_f64().expect("a number");
    assert!(margin.abs() < 1e-5, "{margin}");
}

/// Goes well for some steps and then answers with a NaN or a trap.
pub(crate) fn failing(n_good: usize, trap: bool) -> impl PreferenceLoss {
    let (mut good, mut n_calls) = (dpo(0.1), 0);
    move |pairs: &PairBatch| -> Result<LossGradients, LossFailure> {
        n_calls += 1;
        let mut answer = good(pairs)?;
        if n_calls > n_good && trap {
            let [rule, message, hint] = ["train/trap", "out of bounds", "mind the bounds"];
            let rejected = Rejected {
                rule: rule.into(),
                message: message.into(),
                hint: hint.into(),
                pair: None,
            };
            return Err(LossFailure::Rejected(rejected));
        }
        if n_calls > n_good {
            answer.policy_chosen[0] = f64::NAN;
        }
        Ok(answer)
    }
}

#[test]
fn a_loss_that_fails_ends_the_run_with_a_checkpoint_of_the_last_good_state() {
    let place = Place::with(&pairs("llama"));
    on(&job(Settings { eval_data: None, eval_every: 0, ..place.settings("llama", "good") }));
    for (name, trap, rule) in [("nan", false, "train/non-finite"), ("trap", true, "train/trap")] {
        let mut job =
            job(Settings { eval_data: None, eval_every: 0, ..place.settings("llama", name) });
        let mut saved = None;
        let watch = &mut |progress: &Progress| {
            if let Progress::Saved(place) = progress {
                saved = Some(place.clone());
            }
            ControlFlow::Continue(())
        };
        match run(&job, &mut failing(4, trap), watch) {
            Err(TrainFailure::Rejected(rejected)) => {
                assert_eq!(rejected.rule, rule);
                assert!(rejected.message.contains("at training step 5"), "{}", rejected.message);
                let is_located = rejected.message.contains("pairs.jsonl: line ");
                assert_eq!(is_located, name == "nan", "{}", rejected.message);
            }
            other => panic!("must fail: {other:?}"),
        }
        assert!(saved.expect("a checkpoint").ends_with("checkpoints/step-4"));
        job.resume = true;
        on(&job);
        let [good, continued] =
            ["good", name].map(|run| place.read(&format!("{run}/model/model.safetensors")));
        assert!(good == continued, "the state before the failure was not kept whole");
    }
}

/// A run gave the model and the metrics of the run that nothing went wrong in, to the byte.
fn same_as_good(place: &Place, name: &str) {
    for file in ["model/model.safetensors", "metrics.jsonl"] {
        let [good, other] = ["good", name].map(|run| place.read(&format!("{run}/{file}")));
        assert!(good == other, "{name}: {file} differs");
    }
}

/// An evaluation asks the loss twice here: three of four pairs, then one.
#[test]
fn an_evaluation_that_fails_is_done_when_the_run_goes_on() {
    let place = Place::with(&pairs("llama"));
    on(&job(place.settings("llama", "good")));
    // Steps 1 and 2 and the first half of an evaluation; all 7 steps and all evaluations but the last half.
    for (name, n_good, step) in [("early", 3, 2), ("last", 14, 7)] {
        let mut job = job(place.settings("llama", name));
        // A second failure leaves the run where the first one did.
        for resume in [false, true] {
            job.resume = resume;
            let n_good = if resume { 1 } else { n_good };
            let ended = run(&job, &mut failing(n_good, true), &mut |_| ControlFlow::Continue(()));
            assert!(matches!(ended, Err(TrainFailure::Rejected(_))), "{name}: {ended:?}");
            assert!(place.path(&format!("{name}/checkpoints/step-{step}")).is_dir(), "{name}");
        }
        on(&job);
        same_as_good(&place, name);
    }
}

#[test]
fn an_evaluation_that_is_stopped_is_done_when_the_run_goes_on() {
    let place = Place::with(&pairs("llama"));
    on(&job(place.settings("llama", "good")));
    for (name, step) in [("early", 2), ("last", 7)] {
        let mut job = job(place.settings("llama", name));
        let mut n_steps_done = 0;
        let ended = run(&job, &mut dpo(0.1), &mut |progress| match progress {
            Progress::Step(record, _) => {
                n_steps_done = record.step.step;
                ControlFlow::Continue(())
            }
            Progress::Evaluation { done: 3, of: 4 } if n_steps_done == step => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        });
        let ended = ended.expect("a run");
        assert!(ended.ended_early && ended.place.ends_with(format!("checkpoints/step-{step}")));
        job.resume = true;
        on(&job);
        same_as_good(&place, name);
    }
}

#[test]
fn what_does_not_belong_together_is_refused_before_the_first_step() {
    let place = Place::with(&pairs("llama"));
    let mut first = job(place.settings("llama", "run"));
    first.resume = true;
    refused(&first, "no checkpoint");
    first.resume = false;
    until(&first, 2);
    refused(&first, "--resume");
    first.resume = true;
    let with = |change: fn(&mut Job)| {
        let mut job = first.clone();
        change(&mut job);
        job
    };
    refused(&with(|job| job.settings.lr = 2e-3), "other settings: lr was 0.001, is 0.002\n");
    refused(&with(|job| job.settings.adam_beta1 = 0.8), "adam-beta1 was 0.9, is 0.8");
    refused(&with(|job| job.settings.adam_beta2 = 0.99), "adam-beta2 was 0.999, is 0.99");
    refused(&with(|job| job.settings.adam_epsilon = 1e-6), "adam-epsilon was");
    refused(&with(|job| job.settings.reference = None), "reference was");
    refused(&with(|job| job.settings.warmup = 7), "warmup 7 leaves no step of 7");
    refused(&with(|job| job.loss_id = "ipo".into()), "another loss");
    refused(&with(|job| job.settings.max_length = Some(100_000)), "context");
    std::fs::create_dir(place.path("there")).expect("a folder");
    let mut job = first.clone();
    job.settings.save = Some(place.path("there"));
    refused(&job, "exists already");
    std::fs::write(place.path("pairs.jsonl"), jsonl(&pairs("llama")[..3])).expect("written");
    refused(&first, "other data");
}

/// A model whose first block is broken, and one with fewer tokens than the data has.
#[test]
fn models_that_cannot_be_computed_are_refused_and_not_the_loss() {
    let place = Place::with(&pairs("llama"));
    let copy = |name: &str, change: &dyn Fn(&mut Model)| {
        let directory = ModelDirectory::open(&golden("llama")).expect("a model");
        let mut model = Model::load(&directory).expect("a model");
        change(&mut model);
        let layout = model.decoder.layout();
        directory.save_with(layout, &model.weights, &place.path(name)).expect("saved");
    };
    copy("broken", &|model| {
        let slot = model.decoder.layout().layers[0].down.weight;
        model.weights[slot.start] = f32::NEG_INFINITY;
    });
    let settings = place.settings("llama", "policy");
    refused(
        &job(Settings { model: place.path("broken"), ..settings.clone() }),
        "model.layers.0.mlp.down_proj.weight holds -inf",
    );
    let run = place.path("reference");
    let reference = Some(place.path("broken"));
    refused(
        &job(Settings { reference, run, ..settings.clone() }),
        "pairs.jsonl: line 1: the reference's log-probs are",
    );
    let (run, reference) = (place.path("small"), Some(golden("families/llama_biased")));
    refused(&job(Settings { reference, run, ..settings }), "but the reference's vocabulary is");
}

#[test]
fn places_that_cannot_be_written_to_are_refused_before_the_first_step() {
    let place = Place::with(&pairs("llama"));
    std::fs::write(place.path("file"), "").expect("written");
    let with = |change: &dyn Fn(&mut Settings)| {
        let mut settings = place.settings("llama", "run");
        change(&mut settings);
        let mut n_steps = 0;
        let outcome = run(&job(settings), &mut dpo(0.1), &mut |progress| {
            n_steps += usize::from(matches!(progress, Progress::Step(..)));
            ControlFlow::Continue(())
        });
        assert!(matches!(outcome, Err(TrainFailure::Fault(_))) && n_steps == 0, "{outcome:?}");
    };
    with(&|settings| settings.save_gradients = Some(place.path("missing/gradients")));
    with(&|settings| settings.save_gradients = Some(place.path("")));
    with(&|settings| settings.save = Some(place.path("file/model")));
    with(&|settings| settings.run = place.path("file/run"));
}

#[test]
fn a_last_save_that_fails_leaves_a_checkpoint_from_which_the_model_is_saved() {
    let place = Place::with(&pairs("llama"));
    on(&job(place.settings("llama", "whole")));
    let mut late =
        job(Settings { save: Some(place.path("save")), ..place.settings("llama", "late") });
    // Somebody takes the place while training goes on.
    let outcome = run(&late, &mut dpo(0.1), &mut |progress| {
        if matches!(progress, Progress::Step(record, _) if record.step.step == 7) {
            std::fs::create_dir(place.path("save")).expect("a folder");
        }
        ControlFlow::Continue(())
    });
    match outcome {
        Err(TrainFailure::Fault(fault)) => {
            let message = fault.to_string();
            assert!(message.contains("step-7") && message.contains("--resume"), "{message}");
        }
        other => panic!("must fail: {other:?}"),
    }
    late.resume = true;
    late.settings.save = None;
    late.settings.save_gradients = Some(place.path("gradients"));
    refused(&late, "does not hold its gradients");
    late.settings.save_gradients = None;
    on(&late);
    for file in ["model/model.safetensors", "metrics.jsonl"] {
        let [one, other] = ["whole", "late"].map(|run| place.read(&format!("{run}/{file}")));
        assert!(one == other, "{file} differs");
    }
}

/// transformers' `Trainer` with 4 rows and batches of 3: 2 steps an epoch, of 3 pairs and of 1, and 1.5 epochs are
/// ceil(1.5 · 2) steps.
#[test]
fn an_epoch_ends_with_a_smaller_step() {
    let all = pairs("gpt2");
    assert_eq!(all.len(), 4);
    let place = Place::with(&all);
    let settings = Settings {
        steps: None,
        epochs: Some(1.5),
        no_shuffle: true,
        eval_data: None,
        eval_every: 0,
        warmup: 0,
        ..place.settings("gpt2", "run")
    };
    assert_eq!(on(&job(settings.clone())).n_steps_done, 3);
    let lines = place.lines("run/metrics.jsonl");
    let epochs: Vec<f64> = lines.iter().filter_map(|line| line["epoch"].as_f64()).collect();
    assert_eq!(epochs, [0.5, 1.0, 1.5]);
    let tokens = |pairs: &[PreferencePair]| -> usize {
        pairs.iter().flat_map(|pair| pair.sequence_tokens()).sum()
    };
    let (first, all) = (tokens(&all[..3]), tokens(&all));
    let counted: Vec<u64> = lines.iter().filter_map(|line| line["num_tokens"].as_u64()).collect();
    assert_eq!(counted, [first, all, all + first].map(|n| n as u64));
    // More pairs in a step than there are: an epoch is a step, and no pair is in it twice.
    let wide = Settings { batch_pairs: 9, run: place.path("wide"), ..settings };
    assert_eq!(on(&job(wide)).n_steps_done, 2);
    let lines = place.lines("wide/metrics.jsonl");
    assert_eq!(lines[1]["num_tokens"].as_u64(), Some(2 * all as u64));
}

/// Names and shapes are those that peft 0.21 writes for the same ranks and targets.
#[test]
fn adapters_learn_continue_to_the_byte_and_are_saved_as_peft_does() {
    let cases = [
        ("llama", "base_model.model.model.layers.1.self_attn.v_proj", [16, 32], "q_proj,v_proj"),
        ("gpt2", "base_model.model.transformer.h.1.attn.c_attn", [96, 32], "c_attn,c_fc"),
    ];
    for (family, module, [outputs, inputs], targets) in cases {
        let place = Place::with(&pairs(family));
        let settings = |run: &str| Settings {
            reference: None,
            lora_rank: Some(4),
            lora_targets: targets.split(',').map(str::to_owned).collect(),
            lr: 1e-2,
            ..place.settings(family, run)
        };
        let whole = on(&job(settings("whole")));
        let mut stopped = job(settings("stopped"));
        until(&stopped, 4);
        stopped.resume = true;
        let evaluation = on(&stopped).evaluation.expect("an evaluation");
        assert!(evaluation.pairs.loss < 0.9 * std::f64::consts::LN_2, "{evaluation:?}");
        assert_eq!(whole.evaluation, Some(evaluation));
        for file in
            ["model/adapter_model.safetensors", "model/adapter_config.json", "metrics.jsonl"]
        {
            let [one, other] = ["whole", "stopped"].map(|run| place.read(&format!("{run}/{file}")));
            assert!(one == other, "{family}: {file} differs");
        }
        assert!(!place.path("whole/model/config.json").exists());
        let bytes = place.read("whole/model/adapter_model.safetensors");
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
        assert_eq!(file.len(), 2 * 2 * 2);
        let shape = |part: &str| {
            file.tensor(&format!("{module}.{part}.weight")).expect(part).shape().to_vec()
        };
        assert_eq!((shape("lora_A"), shape("lora_B")), (vec![4, inputs], vec![outputs, 4]));
    }
}

#[test]
fn adapters_that_cannot_be_are_refused() {
    let place = Place::with(&pairs("llama"));
    let with = |rank, targets: &[&str]| {
        let targets = targets.iter().map(|target| (*target).to_owned()).collect();
        job(Settings { lora_rank: rank, lora_targets: targets, ..place.settings("llama", "run") })
    };
    refused(&with(None, &["q_proj"]), "--lora-rank");
    refused(&with(Some(4), &["c_attn"]), "q_proj");
    refused(&with(Some(0), &["q_proj"]), "lora-rank: expected 1 or more");
    refused(&with(Some(17), &["v_proj"]), "lora-rank: expected 1 to 16");
}
