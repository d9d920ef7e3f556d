//! `lossbox plugins`: what lies in the plugins folder and in the program, each with its verdict.
//!
//! A rejected plugin is a line of the list, not a failure of the command.

mod row;
mod settling;
mod watch;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use sandbox::Sandbox;
use serde_json::json;

use crate::args::Plugins;
use crate::folder::{self, Entry, Form};
use crate::settings::Settings;
use crate::{Outcome, plugin, screen};
use row::Row;

/// Compilers at a time: each may take two gigabytes.
const WORKERS_MAX: usize = 4;

pub(crate) fn run(args: &Plugins, settings: &Settings) -> Result<Outcome> {
    let sandbox = plugin::open_sandbox(settings, args.strict)?;
    if args.watch {
        watch::run(args, sandbox)?;
    } else {
        let entries = entries(&args.plugins)?;
        show(args, &judge_all(&sandbox, &entries)?)?;
    }
    Ok(Outcome::Done)
}

fn entries(folder: &Path) -> Result<Vec<Entry>> {
    folder::entries(folder)
        .with_context(|| format!("cannot list the plugins folder {}", folder.display()))
}

/// One row for each entry that is still there, in the order of the entries. A built-in loss that the folder shadows is
/// no row: nothing reaches it.
fn judge_all(sandbox: &Sandbox, entries: &[Entry]) -> Result<Vec<Row>> {
    let is_listed = |entry: &&Entry| {
        let first = entries.iter().find(|other| other.name == entry.name);
        entry.form != Form::BuiltIn || first == Some(*entry)
    };
    let listed: Vec<&Entry> = entries.iter().filter(is_listed).collect();
    let n_workers = thread::available_parallelism().map_or(1, |n| n.get().min(WORKERS_MAX));
    let (bar, next) = (bar(listed.len()), AtomicUsize::new(0));
    let work = || {
        let mut judged = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = listed.get(index) else {
                return judged;
            };
            judged.push((index, Row::of(sandbox, entry, entries)));
            bar.inc(1);
        }
    };
    let mut judged: Vec<(usize, Result<Option<Row>>)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..n_workers).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().map_err(|_| anyhow!("an audit panicked")))
            .collect::<Result<Vec<_>>>()
    })?
    .into_iter()
    .flatten()
    .collect();
    bar.finish_and_clear();
    judged.sort_by_key(|(index, _)| *index);
    judged.into_iter().filter_map(|(_, row)| row.transpose()).collect()
}

fn bar(n_entries: usize) -> ProgressBar {
    let bar = ProgressBar::new(n_entries as u64);
    match ProgressStyle::with_template("{bar:30} {pos}/{len} audited, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn show(args: &Plugins, rows: &[Row]) -> Result<()> {
    if args.json {
        let folder = args.plugins.display().to_string();
        return screen::json(&json!({ "folder": folder, "plugins": rows }));
    }
    let header = ["plugin", "kind", "verdict", "source", "scope", "warnings", "hyperparameters"];
    let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
    screen::data(&screen::table(&header, &cells))?;
    for row in rows {
        for remark in row.remarks() {
            screen::data(&format!("{remark}\n"))?;
        }
    }
    Ok(())
}
