//! A run from its first step, or from a checkpoint, to its last.
//!
//! Whoever watches sees every step and may end the run, which leaves a checkpoint. A loss that is at fault ends it
//! too, with a checkpoint of the last good state. Not here: what the files look like (`checkpoint`, `metrics`), and the reference
//! (`frozen`).

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tracing::trace_span;

use super::checkpoint::{self, State};
use super::frozen::{Frozen, rows_used};
use super::metrics::{EvalRecord, Metrics, TrainRecord};
use super::references::{Origin, References};
use super::settings::Settings;
use crate::arithmetic::useful_flop;
use crate::data::{self, EncodedPair, Outcome, Position, PreferenceFile, Tally, Walk};
use crate::device::Device;
use crate::fault::{Fault, TrainFailure};
use crate::files;
use crate::folder::{ModelFolder, local_unix_seconds};
use crate::hash::{Key, hash_of_file, hex, key};
use crate::lora::Adapters;
use crate::loss::PreferenceLoss;
use crate::model::{Model, ModelDirectory, write_tensors};
use crate::pairs::ReferencedPair;
use crate::step::{self, Trainer};

/// What to do.
#[derive(Debug, Clone)]
pub struct Job {
    /// How.
    pub settings: Settings,
    /// What computes, opened as the settings name it.
    pub device: Device,
    /// What the loss is, by content: a checkpoint of another loss is refused.
    pub loss_id: String,
    /// β of the rewards in the metrics, where the loss has one.
    pub reward_beta: Option<f64>,
    /// Goes on from the run folder's checkpoint.
    pub resume: bool,
}

/// What happens during a run.
#[derive(Debug, Clone)]
pub enum Progress {
    /// Rows are being counted, which says how many steps an epoch has.
    Survey {
        /// Rows that are done.
        done: usize,
        /// Rows of the file.
        of: usize,
    },
    /// Reference log-probs are being computed.
    References {
        /// Rows that are done.
        done: usize,
        /// Rows that were missing.
        of: usize,
    },
    /// Training begins.
    Begins {
        /// Steps done, if the run goes on from a checkpoint.
        n_steps_done: usize,
        /// Steps of the whole run.
        n_steps: usize,
    },
    /// A step was done.
    Step(TrainRecord, Speed),
    /// Held-out pairs are being evaluated.
    Evaluation {
        /// Rows that are done.
        done: usize,
        /// Rows of the file.
        of: usize,
    },
    /// Held-out pairs were evaluated.
    Evaluated(EvalRecord),
    /// A checkpoint was written.
    Saved(PathBuf),
}

/// How fast a step was.
#[derive(Debug, Clone, Copy)]
pub struct Speed {
    /// Tokens a second, prompts counted with each completion.
    pub tokens_per_s: f64,
    /// Useful arithmetic over the time of forward and backward, in GFLOP/s.
    pub gflop_per_s: f64,
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Steps done.
    pub n_steps_done: usize,
    /// Where the trained model is, or the checkpoint of a run that was ended early.
    pub place: PathBuf,
    /// Whether it was ended early.
    pub ended_early: bool,
    /// The last step's metrics, unless there was none.
    pub last: Option<TrainRecord>,
    /// The last evaluation.
    pub evaluation: Option<EvalRecord>,
    /// What became of the rows that were trained on, since the start or the continuation.
    pub tally: Tally,
    /// What became of the held-out rows in the last evaluation.
    pub held_out: Option<Tally>,
}

/// Trains as the job says. `watch` may end the run after any step, and within an evaluation or what comes before the
/// first step, by [`ControlFlow::Break`].
///
/// # Errors
///
/// Settings or files that do not fit together, before the first step. After it, a loss that is at fault: then a
/// checkpoint of the state before the failed step is in the run folder.
pub fn run(
    job: &Job,
    loss: &mut dyn PreferenceLoss,
    watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Finished, TrainFailure> {
    let Job { settings, .. } = job;
    settings.check()?;
    let save = settings.save.clone().unwrap_or_else(|| settings.run.join("model"));
    if job.resume && save.exists() {
        return Err(Fault::settings(
            format!(
                "{} exists already: the run is done, or another one saved there",
                save.display()
            ),
            "to train again, leave out --resume and name other folders with --run and --save",
        )
        .into());
    }
    files::refuse_existing(&save)?;
    let from = starting_point(job)?;
    check_places(settings, &save)?;

    data::refuse_several_files(&settings.data)?;
    let directory = ModelDirectory::open(&settings.model)?;
    let reference = settings.reference.as_deref().map(ModelDirectory::open).transpose()?;
    let sources = sources(settings, &directory, reference.as_ref())?;
    let path = |name: &str| settings.run.join(name);
    let begun = from.as_deref().map(checkpoint::read_state).transpose()?;
    let now_unix_seconds = now(begun.as_ref(), &path(REFERENCE_LOGPS), &sources);
    let folder = ModelFolder::of(directory, Some(now_unix_seconds))?;
    let length = settings.length(folder.model.decoder.config())?;
    let open = |path: &Path| folder.data(path, length, settings.bad_rows());
    let data = open(&settings.data)?;
    let held_out = settings.eval_data.as_deref().map(open).transpose()?;
    let surveyed = survey(settings, &data, watch)?;
    let n_steps = n_steps(settings, surveyed);
    refuse_endless_warmup(settings, n_steps)?;
    let state = match begun.zip(from.as_deref()) {
        None => State {
            step: 0,
            n_steps,
            position: Position::default(),
            num_tokens: 0,
            evaluation_due: false,
            now_unix_seconds,
            loss_id: job.loss_id.clone(),
            sources: hex(&sources),
            settings: settings.clone(),
        },
        Some((state, place)) => continued(job, state, place, n_steps, &hex(&sources))?,
    };
    refuse_gradients_of_the_past(settings, &state)?;
    let Model { decoder, weights } = &folder.model;
    let adapters =
        settings.lora()?.map(|lora| Adapters::new(decoder, weights, &lora, settings.seed));
    let adapters = adapters.transpose()?;
    let mut frozen =
        Frozen { device: &job.device, policy: &folder.model, directory: reference.as_ref() };
    let origin = Origin { content: sources, now_unix_seconds };
    let mut references = References::open(&path(REFERENCE_LOGPS), &origin, data.n_rows())?;
    let used = rows_used(settings, &data, n_steps)?;
    let visits_all = !used.contains(&false);
    frozen.complete(&mut references, &data, used, watch)?;
    let n_pairs = match surveyed {
        Some(n_pairs) => n_pairs,
        None if visits_all => references.known()?.into_iter().filter(|known| *known).count(),
        // Of a run that sees a part of the rows only, each counts as a pair.
        None => data.n_rows(),
    };
    let n_steps_of_epoch = n_steps_of_epoch(settings, n_pairs);
    let held_out = match held_out.zip(settings.eval_data.as_deref()) {
        None => None,
        Some((file, data)) => {
            let content = key([&sources[..], &hash_of_file(data)?]);
            let path = path("eval-reference-logps");
            let origin = Origin { content, now_unix_seconds };
            let mut references = References::open(&path, &origin, file.n_rows())?;
            frozen.complete(&mut references, &file, vec![true; file.n_rows()], watch)?;
            Some((file, references))
        }
    };
    let ModelFolder { directory, model, .. } = folder;
    let trainer = Trainer::on(&job.device, model, settings.optimizer(), n_steps)?
        .with_passes(settings.pass_pairs.unwrap_or(usize::MAX), settings.keep())
        .with_token_metrics(job.reward_beta.unwrap_or(step::REWARD_BETA));
    let trainer = match adapters {
        None => trainer,
        Some(adapters) => trainer.with_adapters(adapters),
    };
    let metrics = Metrics::open(&settings.run, state.step, state.evaluation_due)?;
    let mut training = Training {
        settings,
        n_steps_of_epoch,
        directory,
        references,
        held_out,
        trainer,
        metrics,
        state,
    };
    if let Some(place) = &from {
        training.restore(place)?;
    }
    training.train(&data, &save, loss, watch)
}

/// The reference's log-probs of the rows that are trained on, in the run folder.
const REFERENCE_LOGPS: &str = "reference-logps";

/// What chat templates are told of the time: what the run was begun with, or an earlier start of it that got as far as
/// the reference's log-probs, which are those of its prompts.
fn now(begun: Option<&State>, references: &Path, sources: &Key) -> i64 {
    if let Some(state) = begun {
        return state.now_unix_seconds;
    }
    match Origin::of_file(references) {
        Some(origin) if origin.content == *sources => origin.now_unix_seconds,
        _ => local_unix_seconds(),
    }
}

/// Everything that is written after the last step is tried before the first one.
fn check_places(settings: &Settings, save: &Path) -> Result<(), Fault> {
    for folder in [Some(&*settings.run), save.parent()].into_iter().flatten() {
        std::fs::create_dir_all(folder).map_err(|source| Fault::file("create", folder, source))?;
    }
    for folder in [Some(&*settings.run), Some(&*checkpoint::folder(&settings.run)), save.parent()] {
        folder.into_iter().for_each(files::sweep);
    }
    files::check_place(&settings.run.join("metrics.jsonl"))?;
    files::check_place(save)?;
    let Some(gradients) = &settings.save_gradients else { return Ok(()) };
    match gradients.is_dir() {
        false => files::check_place(gradients),
        true => Err(Fault::settings(
            format!("{} is a folder", gradients.display()),
            "give --save-gradients the name of a file",
        )),
    }
}

/// A checkpoint of the last step holds no gradients, which are asked for after it.
fn refuse_gradients_of_the_past(settings: &Settings, state: &State) -> Result<(), Fault> {
    match settings.save_gradients.is_some() && state.step == state.n_steps {
        false => Ok(()),
        true => Err(Fault::settings(
            format!("step {} is done, and a checkpoint does not hold its gradients", state.step),
            "leave out --save-gradients to save the model",
        )),
    }
}

/// The checkpoint to go on from; none for a new run, whose folder must not hold another.
fn starting_point(job: &Job) -> Result<Option<PathBuf>, Fault> {
    let run = &job.settings.run;
    match (checkpoint::latest(run), job.resume) {
        (Some(place), true) => Ok(Some(place)),
        (None, true) => Err(Fault::settings(
            format!("there is no checkpoint in {}", run.display()),
            "name the folder of a run that was ended early with --run, or start a new one without --resume",
        )),
        (None, false) if !run.join("metrics.jsonl").exists() => Ok(None),
        (there, false) => Err(Fault::settings(
            format!("{} holds a run already", run.display()),
            match there {
                Some(_) => "go on with it by --resume, or name another folder with --run",
                None => "it has no checkpoint to go on from: name another folder with --run",
            },
        )),
    }
}

/// A checkpoint's state, if it is of the same job.
fn continued(
    job: &Job,
    state: State,
    place: &Path,
    n_steps: usize,
    sources: &str,
) -> Result<State, Fault> {
    let reason = if let Some(others) = job.settings.deciding_otherwise(&state.settings) {
        return Err(Fault::settings(
            format!("the checkpoint {} was made with other settings: {others}", place.display()),
            "give the settings of the run that goes on, or start another with --run",
        ));
    } else if state.loss_id != job.loss_id {
        "was made with another loss"
    } else if state.sources != sources || state.n_steps != n_steps {
        "was made with other data or another model"
    } else {
        return Ok(state);
    };
    Err(Fault::settings(
        format!("the checkpoint {} {reason}", place.display()),
        "give the settings of the run that goes on, or start another with --run",
    ))
}

fn refuse_endless_warmup(settings: &Settings, n_steps: usize) -> Result<(), Fault> {
    match settings.warmup > 0 && settings.warmup >= n_steps {
        false => Ok(()),
        true => Err(Fault::settings(
            format!("warmup {} leaves no step of {n_steps} with the whole rate", settings.warmup),
            "warm up for fewer steps, or train for more",
        )),
    }
}

/// The number of pairs, if it has to be known: reading all rows may take long.
fn survey(
    settings: &Settings,
    data: &PreferenceFile,
    watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Option<usize>, Fault> {
    if settings.steps.is_some() {
        return Ok(None);
    }
    let of = data.n_rows();
    let tally = data.survey(|done| watch(&Progress::Survey { done, of }))?;
    Ok(Some(tally.pairs as usize))
}

fn n_steps(settings: &Settings, n_pairs: Option<usize>) -> usize {
    match (settings.epochs, n_pairs) {
        (Some(epochs), Some(n_pairs)) => {
            ((epochs * n_steps_of_epoch(settings, n_pairs) as f64).ceil() as usize).max(1)
        }
        _ => settings.steps.unwrap_or(0),
    }
}

/// As transformers counts: the last step of an epoch takes what is left of it.
fn n_steps_of_epoch(settings: &Settings, n_pairs: usize) -> usize {
    n_pairs.div_ceil(settings.batch_pairs).max(1)
}

/// The content of the models, and how data is read.
fn sources(
    settings: &Settings,
    directory: &ModelDirectory,
    reference: Option<&ModelDirectory>,
) -> Result<Key, Fault> {
    let reference = reference.unwrap_or(directory);
    let length = settings.max_length.unwrap_or(0).to_le_bytes();
    let data = hash_of_file(&settings.data)?;
    let weights = directory.weights.iter().chain(&reference.weights);
    let companions = directory.companions.iter().map(|(_, content)| &**content);
    let truncation = [settings.truncation as u8];
    let rest = [&*directory.config, &*reference.config, &data, &length, &truncation];
    let key = key(weights.clone().map(|file| &**file).chain(companions).chain(rest));
    weights.for_each(|file| file.let_go(file));
    Ok(key)
}

/// A run between two steps.
struct Training<'a> {
    settings: &'a Settings,
    n_steps_of_epoch: usize,
    directory: ModelDirectory,
    references: References,
    held_out: Option<(PreferenceFile, References)>,
    trainer: Trainer,
    metrics: Metrics,
    state: State,
}

impl Training<'_> {
    fn restore(&mut self, place: &Path) -> Result<(), Fault> {
        let trained = checkpoint::read_trained(place, &self.trainer)?;
        self.trainer.restore(self.state.step, trained)
    }

    fn train(
        &mut self,
        data: &PreferenceFile,
        save: &Path,
        loss: &mut dyn PreferenceLoss,
        watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Finished, TrainFailure> {
        let n_steps = self.state.n_steps;
        let _ = watch(&Progress::Begins { n_steps_done: self.state.step, n_steps });
        let mut walk = data.walk(self.settings.order(), self.state.position);
        let (mut last, mut evaluation) = (None, None);
        // The checkpoint may be of an evaluation that failed.
        self.state.evaluation_due &= self.held_out.is_some();
        while self.state.step < n_steps || self.state.evaluation_due {
            let mut flow = ControlFlow::Continue(());
            if !self.state.evaluation_due {
                let (record, speed) = match self.step(&mut walk, loss) {
                    Ok(done) => done,
                    Err(failure) => return Err(self.failed(failure, watch)),
                };
                self.metrics.step(&record)?;
                flow = watch(&Progress::Step(record.clone(), speed));
                last = Some(record);
                self.state.evaluation_due = self.evaluates_now();
            }
            if self.state.evaluation_due {
                match self.evaluate(loss, watch) {
                    Ok(ControlFlow::Continue((record, tally))) => {
                        self.metrics.evaluation(&record)?;
                        self.state.evaluation_due = false;
                        if watch(&Progress::Evaluated(record.clone())).is_break() {
                            flow = ControlFlow::Break(());
                        }
                        evaluation = Some((record, tally));
                    }
                    Ok(ControlFlow::Break(())) => flow = ControlFlow::Break(()),
                    Err(failure) => return Err(self.failed(failure, watch)),
                }
            }
            let is_over = self.state.step == n_steps && !self.state.evaluation_due;
            let ended_early = flow.is_break() && !is_over;
            if ended_early || is_multiple(self.state.step, self.settings.save_every) {
                let place = self.save_checkpoint()?;
                let _ = watch(&Progress::Saved(place.clone()));
                if ended_early {
                    return Ok(self.finished(place, true, last, evaluation, &walk));
                }
            }
        }
        self.save(save).map_err(|fault| self.unsaved(&fault, watch))?;
        Ok(self.finished(save.to_path_buf(), false, last, evaluation, &walk))
    }

    fn step(
        &mut self,
        walk: &mut Walk,
        loss: &mut dyn PreferenceLoss,
    ) -> Result<(TrainRecord, Speed), TrainFailure> {
        let started = Instant::now();
        let (rows, pairs) = self.next_pairs(walk)?;
        let refs: Vec<&ReferencedPair> = pairs.iter().collect();
        let step = self.trainer.step(&refs, loss);
        let step = step.map_err(|failure| located(failure, &rows, walk.file()))?;
        let tokens: usize = pairs.iter().flat_map(|pair| pair.pair.sequence_tokens()).sum();
        let flop: f64 =
            pairs.iter().map(|pair| useful_flop(self.trainer.decoder(), &pair.pair)).sum();
        let timings = self.trainer.timings();
        let computing = (timings.forward + timings.backward).as_secs_f64();
        self.state.step = step.step;
        // Of the walk, not of the iterator that a reference to it is as well.
        self.state.position = Walk::position(walk);
        self.state.num_tokens += tokens as u64;
        let epoch = self.epoch();
        let record = TrainRecord { step, epoch, num_tokens: self.state.num_tokens };
        let speed = Speed {
            tokens_per_s: tokens as f64 / started.elapsed().as_secs_f64(),
            gflop_per_s: flop * 1e-9 / computing,
        };
        Ok((record, speed))
    }

    /// The next step's rows, and their pairs.
    fn next_pairs(&mut self, walk: &mut Walk) -> Result<(Vec<usize>, Vec<ReferencedPair>), Fault> {
        let _span = trace_span!("data").entered();
        let (mut rows, mut pairs) = (Vec::new(), Vec::new());
        for (row, EncodedPair { pair, .. }) in walk.batch(self.settings.batch_pairs)? {
            let reference = self.references.get(row)?;
            rows.push(row);
            pairs.push(ReferencedPair { pair, reference });
        }
        let hint = match self.settings.skip_bad_rows {
            false => "raise --max-length: every prompt fills it",
            true => "raise --max-length, or look at the rows without --skip-bad-rows",
        };
        match pairs.is_empty() {
            false => Ok((rows, pairs)),
            true => Err(Fault::settings("no row of the data gives a pair", hint)),
        }
    }

    /// Passes over the pairs, in steps as transformers counts them.
    fn epoch(&self) -> f64 {
        let (step, of) = (self.state.step, self.n_steps_of_epoch);
        (step / of) as f64 + (step % of) as f64 / of as f64
    }

    fn evaluates_now(&self) -> bool {
        let State { step, n_steps, .. } = self.state;
        self.held_out.is_some() && (step == n_steps || is_multiple(step, self.settings.eval_every))
    }

    /// Every held-out pair once, in batches as those of training, and what became of the rows; nothing if it was ended
    /// between two batches.
    fn evaluate(
        &mut self,
        loss: &mut dyn PreferenceLoss,
        watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), (EvalRecord, Tally)>, TrainFailure> {
        let (file, references) = self.held_out.as_mut().expect("asked only where there is data");
        let mut tally = step::Tally::default();
        let (mut rows, mut batch) = (Vec::new(), Vec::new());
        let mut row_tally = Tally::default();
        for row in 0..file.n_rows() {
            let outcome = file.row(row)?;
            row_tally.count(&outcome);
            if let Outcome::Pair(EncodedPair { pair, .. }) = outcome {
                rows.push(row);
                batch.push(ReferencedPair { pair, reference: references.get(row)? });
            }
            let is_last = row + 1 == file.n_rows();
            if !batch.is_empty() && (is_last || batch.len() == self.settings.batch_pairs) {
                let refs: Vec<&ReferencedPair> = batch.iter().collect();
                let judged = self.trainer.evaluate(&refs, loss, &mut tally);
                judged.map_err(|failure| located(failure, &rows, file))?;
                rows.clear();
                batch.clear();
                let progress = Progress::Evaluation { done: row + 1, of: file.n_rows() };
                if !is_last && watch(&progress).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        if tally.is_empty() {
            let hint = "give --eval-data a file with pairs that fit --max-length";
            return Err(Fault::settings("no row of the held-out data gives a pair", hint).into());
        }
        let (step, epoch) = (self.state.step, self.epoch());
        let num_tokens = self.state.num_tokens;
        let pairs = tally.metrics();
        let record = EvalRecord { step, epoch, num_tokens, pairs };
        Ok(ControlFlow::Continue((record, row_tally)))
    }

    fn save_checkpoint(&self) -> Result<PathBuf, Fault> {
        let _span = trace_span!("checkpoint").entered();
        checkpoint::write(&self.settings.run, &self.directory, &self.trainer, &self.state)
    }

    /// Leaves a checkpoint of the state before the step or the evaluation that failed.
    fn failed(
        &mut self,
        failure: TrainFailure,
        watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> TrainFailure {
        match self.save_checkpoint() {
            Ok(place) => {
                let _ = watch(&Progress::Saved(place));
                failure
            }
            Err(fault) => match failure {
                // The verdict is what the user needs; that nothing could be saved is the lesser news.
                TrainFailure::Rejected(rejected) => TrainFailure::Rejected(rejected),
                TrainFailure::Fault(_) => fault.into(),
            },
        }
    }

    fn save(&self, save: &Path) -> Result<(), Fault> {
        let Self { settings, directory, trainer, .. } = self;
        if let Some(path) = &settings.save_gradients {
            write_tensors(path, trainer.trained_tensors(), &trainer.trained_gradients()?)?;
        }
        files::create_folder(save, |partial| {
            checkpoint::write_trained(partial, directory, trainer, &settings.model)
        })
    }

    /// What training came to, kept where the run is because it could not be saved where it should be.
    fn unsaved(&self, fault: &Fault, watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>) -> Fault {
        let n_steps = self.state.step;
        let reason = fault.without_hint();
        let done = format!("all {n_steps} steps are done, but not everything is saved: {reason}");
        match self.save_checkpoint() {
            Ok(place) => {
                let message =
                    format!("{done}\nthe state after the last step is in {}", place.display());
                let _ = watch(&Progress::Saved(place));
                let run = self.settings.run.display();
                let hint = format!(
                    "make room or name other places; the same command with --run {run} --resume then saves the model"
                );
                Fault::settings(message, hint)
            }
            Err(second) => Fault::settings(
                format!("{done}\nno checkpoint could be written either: {}", second.without_hint()),
                "make room and train again; --save-every N keeps checkpoints on the way",
            ),
        }
    }

    fn finished(
        &self,
        place: PathBuf,
        ended_early: bool,
        last: Option<TrainRecord>,
        evaluation: Option<(EvalRecord, Tally)>,
        walk: &Walk,
    ) -> Finished {
        let (evaluation, held_out) = evaluation.unzip();
        Finished {
            n_steps_done: self.state.step,
            place,
            ended_early,
            last,
            evaluation,
            held_out,
            tally: walk.tally().clone(),
        }
    }
}

/// Says where the pair lies that a loss was rejected for.
fn located(failure: TrainFailure, rows: &[usize], file: &PreferenceFile) -> TrainFailure {
    match failure {
        TrainFailure::Rejected(mut rejected) => {
            if let Some(&row) = rejected.pair.and_then(|pair| rows.get(pair)) {
                rejected.message.push_str(&format!("; it is the pair of {}", file.place(row)));
            }
            TrainFailure::Rejected(rejected)
        }
        fault @ TrainFailure::Fault(_) => fault,
    }
}

fn is_multiple(step: usize, every: usize) -> bool {
    every > 0 && step.is_multiple_of(every)
}
