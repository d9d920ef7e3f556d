//! Where the time of a training goes: a Chrome trace of every span, and a table of what they add up to.
//!
//! Kernels and trainer open a span of `tracing` for each operation and each part of a step. `--profile FILE` listens: every
//! span goes into the file, for `chrome://tracing` or Perfetto, and into sums by name. A name's own time is that of its
//! spans without the spans inside them, so that the table's rows add up to all of it. Without the flag nobody listens, and
//! a span costs a comparison.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tempfile::{NamedTempFile, TempPath};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Subscriber, subscriber};
use tracing_chrome::{ChromeLayerBuilder, FlushGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::screen;

/// Crates whose spans are of interest.
const LISTENED_TO: [&str; 2] = ["lossbox_kernels", "trainer"];

/// A profile while it is being taken.
pub(crate) struct Profile {
    place: PathBuf,
    /// What is written, until it is renamed.
    partial: TempPath,
    sums: Sums,
    failure: Failure,
    /// Writes what is left when it goes.
    trace: FlushGuard,
}

/// The first error of writing the trace, kept for the end: where it occurs there is nobody to tell, and training goes on.
type Failure = Arc<Mutex<Option<io::Error>>>;

/// The file of the trace. It never fails; the listener's own thread would panic.
struct Trace {
    file: File,
    failure: Failure,
}

/// Takes a profile of everything that follows, if a file for it is named. Once in a process.
///
/// # Errors
/// When the file cannot be created.
pub(crate) fn start(place: Option<&Path>) -> anyhow::Result<Option<Profile>> {
    let Some(place) = place else { return Ok(None) };
    anyhow::ensure!(
        !place.is_dir(),
        "{} is a folder\nhint: give --profile the name of a file",
        place.display()
    );
    // Beside its place until it is whole: who is interrupted finds the former file or none.
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
    let file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
        .with_context(|| format!("cannot create the profile {}", place.display()))?;
    let (file, partial) = file.into_parts();
    let failure = Failure::default();
    let (chrome, trace) = ChromeLayerBuilder::new()
        .writer(Trace { file, failure: Arc::clone(&failure) })
        .include_args(true)
        .build();
    let sums = Sums::default();
    let wanted = Targets::new().with_targets(LISTENED_TO.map(|of| (of, LevelFilter::TRACE)));
    let listeners = Registry::default().with(wanted).with(chrome).with(sums.clone());
    subscriber::set_global_default(listeners).context("a profile is being taken already")?;
    let place = place.to_owned();
    Ok(Some(Profile { place, partial, sums, failure, trace }))
}

impl Profile {
    /// Ends the trace, puts it in its place and shows the table.
    ///
    /// # Errors
    /// When the file could not be written whole or cannot be renamed; the table is shown all the same.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        drop(self.trace);
        screen::note(&table(&self.sums.all()));
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure
            .map_or(Ok(()), Err)
            .and_then(|()| Ok(self.partial.persist(&self.place)?))
            .with_context(|| format!("cannot write the profile {}", self.place.display()))?;
        screen::note(&format!(
            "trace: {} (chrome://tracing, ui.perfetto.dev)",
            self.place.display()
        ));
        Ok(())
    }
}

impl Write for Trace {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.file.write_all(bytes) {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert(error);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the spans of one name add up to.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    calls: u64,
    /// Without the spans inside.
    own: Duration,
    /// Useful floating-point operations, where the spans say so.
    flop: u64,
}

/// Sums by name.
#[derive(Debug, Clone, Default)]
struct Sums(Arc<Mutex<HashMap<&'static str, Sum>>>);

impl Sums {
    fn add(&self, name: &'static str, own: Duration, flop: u64) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = sums.entry(name).or_default();
        sum.calls += 1;
        sum.own += own;
        sum.flop += flop;
    }

    /// The longest first.
    fn all(&self) -> Vec<(&'static str, Sum)> {
        let sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = sums.iter().map(|(name, sum)| (*name, *sum)).collect();
        all.sort_by_key(|(name, sum)| (std::cmp::Reverse(sum.own), *name));
        all
    }
}

/// A span that is open.
struct Open {
    since: Instant,
    /// Time of the spans inside that are closed.
    inside: Duration,
    flop: u64,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Sums {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut flop = Flop(0);
        attributes.record(&mut flop);
        if let Some(span) = context.span(id) {
            let (since, inside) = (Instant::now(), Duration::ZERO);
            let open = Open { since, inside, flop: flop.0 };
            span.extensions_mut().insert(open);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else {
            return;
        };
        let Some(open) = span.extensions_mut().remove::<Open>() else {
            return;
        };
        let whole = open.since.elapsed();
        if let Some(parent) = span.parent()
            && let Some(outer) = parent.extensions_mut().get_mut::<Open>()
        {
            outer.inside += whole;
        }
        self.add(span.name(), whole.saturating_sub(open.inside), open.flop);
    }
}

/// The field `flop` of a span.
struct Flop(u64);

impl Visit for Flop {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "flop" {
            self.0 = value;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

fn table(sums: &[(&'static str, Sum)]) -> String {
    let all: f64 = sums.iter().map(|(_, sum)| sum.own.as_secs_f64()).sum();
    let row = |(name, sum): &(&'static str, Sum)| {
        let seconds = sum.own.as_secs_f64();
        let speed = match sum.flop {
            0 => String::new(),
            flop => format!("{:.1}", flop as f64 / seconds * 1e-9),
        };
        vec![
            (*name).to_owned(),
            sum.calls.to_string(),
            format!("{:.1}", 1e3 * seconds),
            format!("{:.1}", 100.0 * seconds / all),
            speed,
        ]
    };
    let mut rows: Vec<Vec<String>> = sums.iter().map(row).collect();
    let total = ["all", "", &format!("{:.1}", 1e3 * all), "100.0", ""];
    rows.push(total.map(str::to_owned).to_vec());
    screen::table(&["operation", "calls", "own ms", "%", "GFLOP/s"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::trace_span;

    #[test]
    fn time_inside_a_span_is_not_its_own() {
        let sums = Sums::default();
        let listener = Registry::default().with(sums.clone());
        let pause = Duration::from_millis(20);
        subscriber::with_default(listener, || {
            let _outer = trace_span!("outer").entered();
            for _ in 0..2 {
                let _inner = trace_span!("inner", flop = 5_u64).entered();
                std::thread::sleep(pause);
            }
        });
        let all = sums.all();
        let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["inner", "outer"]);
        let (inner, outer) = (all[0].1, all[1].1);
        assert_eq!((inner.calls, inner.flop), (2, 10));
        assert_eq!((outer.calls, outer.flop), (1, 0));
        assert!(inner.own >= 2 * pause, "{inner:?}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_remembered() {
        let failure = Failure::default();
        let full = File::options().write(true).open("/dev/full");
        let mut trace = Trace {
            file: full.expect("Linux has a device that is always full"),
            failure: Arc::clone(&failure),
        };
        trace.write_all(b"[\n").expect("nobody is there to be told");
        let failure = failure.lock().expect("nothing panicked").take();
        let failure = failure.expect("the error is kept");
        assert_eq!(failure.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_row_says_its_share_and_its_speed() {
        let sum = |calls, ms, flop| Sum { calls, own: Duration::from_millis(ms), flop };
        let text = table(&[("matmul", sum(3, 75, 3_000_000_000)), ("norm", sum(1, 25, 0))]);
        assert_eq!(
            text,
            "operation  calls  own ms      %  GFLOP/s\n\
             matmul         3    75.0   75.0     40.0\n\
             norm           1    25.0   25.0\n\
             all                100.0  100.0\n"
        );
    }
}
