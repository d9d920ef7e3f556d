//! The workers: threads that train, one (candidate, seed) at a time.
//!
//! Jobs are taken in the order of the run, so that early candidates are done early. Each training has a rayon pool of
//! one thread: as many trainings as workers keep as many cores busy, and a result never depends on how many there are.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use trainer::SeedResult;

use crate::Fault;
use crate::journal::{Journal, News};
use crate::stages::{Failure, Stages};

/// A training to be done.
pub(crate) struct Job<L> {
    pub(crate) slot: usize,
    pub(crate) seed_index: usize,
    pub(crate) seed: u64,
    pub(crate) loss: Arc<L>,
    /// Hears of the end, unless the job is dropped before.
    pub(crate) ended: Sender<TrainingEnd>,
}

/// How a training ended.
pub(crate) struct TrainingEnd {
    pub(crate) seed_index: usize,
    pub(crate) worker: usize,
    pub(crate) result: Result<SeedResult, Failure>,
}

/// The jobs that wait, and the means to wait for one.
pub(crate) struct Crew<L> {
    queue: Mutex<Queue<L>>,
    changed: Condvar,
}

struct Queue<L> {
    /// By slot and seed index.
    jobs: BTreeMap<(usize, usize), Job<L>>,
    closed: bool,
}

impl<L: Send + Sync> Crew<L> {
    pub(crate) fn new() -> Self {
        Crew {
            queue: Mutex::new(Queue { jobs: BTreeMap::new(), closed: false }),
            changed: Condvar::new(),
        }
    }

    /// Queues a job; after [`Crew::close`] it is dropped.
    pub(crate) fn hire(&self, job: Job<L>) {
        let mut queue = self.lock();
        if !queue.closed {
            queue.jobs.insert((job.slot, job.seed_index), job);
            self.changed.notify_one();
        }
    }

    /// Drops the candidate's jobs that nobody has taken yet.
    pub(crate) fn dismiss(&self, slot: usize) {
        self.lock().jobs.retain(|&(of, _), _| of != slot);
    }

    /// Drops all jobs that nobody has taken yet and sends the workers home.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.jobs.clear();
        self.changed.notify_all();
    }

    /// A worker's life, until the crew is closed.
    pub(crate) fn work<S: Stages<Loss = L>>(&self, worker: usize, stages: &S, journal: &Journal) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        while let Some(job) = self.next() {
            let result = match &pool {
                Ok(_) => train(&job, worker, stages, journal),
                Err(error) => Err(Failure::Fault(Fault::Start {
                    what: "a thread pool",
                    reason: error.to_string(),
                })),
            };
            let Job { seed_index, ended, .. } = job;
            // Nobody listens once the candidate is rejected by another seed.
            let _ = ended.send(TrainingEnd { seed_index, worker, result });
        }
    }

    fn next(&self) -> Option<Job<L>> {
        let mut queue = self.lock();
        loop {
            if let Some((_, job)) = queue.jobs.pop_first() {
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<L>> {
        // No code panics while it holds the queue, and a map of jobs has no half-done state.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn train<S: Stages>(
    job: &Job<S::Loss>,
    worker: usize,
    stages: &S,
    journal: &Journal,
) -> Result<SeedResult, Failure> {
    let &Job { slot, seed_index, seed, .. } = job;
    let mut progress =
        |progress| journal.tell(News::Training { slot, worker, seed_index, progress });
    catch(|| stages.train(&job.loss, seed, &mut progress))
}

/// The work's result, with a panic turned into a fault.
pub(crate) fn catch<T, E: From<Fault>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Fault::Panic(text_of(panic.as_ref())).into()))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|&text| text.to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
