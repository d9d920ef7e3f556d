//! `lossbox audit PLUGIN`: the verdict of the four gates, with what they measured.

use std::fmt::Write as _;

use anyhow::Result;
use sandbox::{ComponentReport, ProbedPlugin, Rejection};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::Audit;
use crate::plugin::Named;
use crate::screen::{self, Colour};
use crate::settings::Settings;
use crate::{Outcome, plugin};

pub(crate) fn run(args: &Audit, settings: &Settings) -> Result<Outcome> {
    let (_, named, loaded) = plugin::load(&args.plugin, settings)?;
    if args.json {
        screen::json(&verdict(&named, &loaded))?;
    } else {
        show(&named, &loaded)?;
    }
    Ok(match loaded {
        Ok(_) => Outcome::Done,
        Err(_) => Outcome::Rejected,
    })
}

fn verdict(named: &Named, loaded: &Result<ProbedPlugin, Rejection>) -> Value {
    let (id, source_hash) = (named.id(), named.submission.sha256());
    match loaded {
        Ok(plugin) => json!({
            "verdict": "accepted",
            "stage": "probe",
            "rule": null,
            "message": null,
            "hint": null,
            "warnings": plugin.warnings(),
            "hash": plugin.hash(),
            "scope": scope(plugin),
            "name": plugin.metadata().name,
            "id": id,
            "source_hash": source_hash,
            "bytes": plugin.component_report().bytes,
            "exports": plugin.component_report().exports,
            "imports": plugin.component_report().imports,
            "needs_wasi": plugin.component_report().needs_wasi,
            "limits": plugin.component_report().limits,
            "fuel_per_pair": plugin.report().fuel_per_pair,
            "component": without(
                plugin.component_report(),
                &["bytes", "sha256", "exports", "imports", "needs_wasi", "limits"],
            ),
            "probe": without(plugin.report(), &["fuel_per_pair", "warnings"]),
        }),
        Err(rejection) => named.rejected(rejection),
    }
}

/// A report without what the verdict says itself.
fn without(report: &impl Serialize, said: &[&str]) -> Value {
    let mut report = json!(report);
    if let Some(fields) = report.as_object_mut() {
        fields.retain(|name, _| !said.contains(&name.as_str()));
    }
    report
}

fn scope(plugin: &ProbedPlugin) -> &'static str {
    match plugin.metadata().scope {
        sandbox::Scope::Pair => "pair",
        sandbox::Scope::Batch => "batch",
    }
}

fn show(named: &Named, loaded: &Result<ProbedPlugin, Rejection>) -> Result<()> {
    match loaded {
        Ok(plugin) => screen::data(&accepted(named, plugin)),
        Err(rejection) => {
            screen::note(&named.identity());
            screen::rejection(rejection);
            screen::data(&rejected(named))
        }
    }
}

/// The verdict and what is odd first, then what the plugin is, then what was counted and tried.
fn accepted(named: &Named, plugin: &ProbedPlugin) -> String {
    let verdict = screen::paint(Colour::Green, "accepted");
    let mut text = format!("{verdict} {}\n", plugin::identity(plugin));
    for warning in plugin.warnings() {
        let mark = screen::paint(Colour::Yellow, "warning:");
        let _ = writeln!(text, "  {mark} {warning}");
    }
    let known = [component(plugin.component_report()), probe(plugin)];
    text + &lines([identity(named, plugin), known.concat()].concat())
}

/// What is known of one that was rejected, as far as it came.
fn rejected(named: &Named) -> String {
    let mut rows: Rows = source(named);
    if let Some(known) = &named.component {
        rows.extend(match &known.report {
            Some(report) => component(report),
            None => vec![size(&known.sha256, known.bytes)],
        });
    }
    lines(rows)
}

fn lines(rows: Rows) -> String {
    rows.into_iter().map(|(what, value)| format!("  {what:<13} {value}\n")).collect()
}

type Rows = Vec<(String, String)>;

fn row(what: &str, value: impl ToString) -> (String, String) {
    (what.to_owned(), value.to_string())
}

fn identity(named: &Named, plugin: &ProbedPlugin) -> Rows {
    let metadata = plugin.metadata();
    let mut rows = vec![row("summary", &metadata.summary)];
    rows.extend(metadata.citation.iter().map(|it| row("citation", it)));
    rows.push(row("scope", scope(plugin)));
    rows.extend(metadata.hyperparameters.iter().map(|it| {
        let range = format!("{} ({} to {})", it.default, it.minimum, it.maximum);
        row(&it.name, range)
    }));
    rows.extend(source(named));
    rows
}

fn source(named: &Named) -> Rows {
    let id = named.id().map(|id| row("candidate", id.as_str()));
    let hash = named.submission.sha256();
    let hash = hash.map(|hash| row("source", format!("sha256 {hash}")));
    id.into_iter().chain(hash).collect()
}

fn size(sha256: &str, bytes: usize) -> (String, String) {
    row("component", format!("sha256 {sha256}, {bytes} bytes"))
}

fn component(report: &ComponentReport) -> Rows {
    let mut rows = vec![
        size(&report.sha256, report.bytes),
        row("exports", listed(&report.exports)),
        row("imports", listed(&report.imports)),
    ];
    if report.needs_wasi {
        let how = "served from an empty context; --strict refuses it";
        rows.push(row("needs WASI", how));
    }
    rows.push(row("other parts", listed(&report.custom_sections)));
    rows.extend(fullest(report).map(|it| row("limits", it)));
    rows
}

/// How near the component comes to a limit; `--json` has them all.
fn fullest(report: &ComponentReport) -> Option<String> {
    let share = |count: u64, limit: u64| count as f64 / limit.max(1) as f64;
    let fullest = report
        .limits
        .iter()
        .max_by(|a, b| share(a.count, a.limit).total_cmp(&share(b.count, b.limit)))?;
    let n_beyond = report.limits.iter().filter(|it| it.count > it.limit).count();
    let held = match n_beyond {
        0 => format!("{} are held; the nearest is", report.limits.len()),
        _ => format!("{n_beyond} of {} are passed; the furthest is", report.limits.len()),
    };
    Some(format!(
        "{held} {}, {} of {} (--json has them all)",
        fullest.name, fullest.count, fullest.limit
    ))
}

/// Exactly what was tried.
fn probe(plugin: &ProbedPlugin) -> Rows {
    let report = plugin.report();
    vec![
        row("fuel", format!("{:.0} per pair", report.fuel_per_pair)),
        row(
            "probe",
            format!(
                "{} calls, {} pairs, {} engines, {} permutations and parts, {} token counts",
                report.n_calls,
                report.n_pairs,
                report.n_engines,
                report.n_arrangements,
                report.n_token_counts
            ),
        ),
        row(
            "gradients",
            format!(
                "{} checked: {} at kinks, {} at jumps, {} lost in rounding",
                report.n_gradients, report.n_kinks, report.n_jumps, report.n_unseen
            ),
        ),
    ]
}

/// The first of them: a component that breaks the rules may have any number.
fn listed(names: &[String]) -> String {
    const SHOWN_MAX: usize = 64;
    match names {
        [] => "none".to_owned(),
        _ if names.len() <= SHOWN_MAX => names.join(", "),
        _ => format!("{} and {} more", names[..SHOWN_MAX].join(", "), names.len() - SHOWN_MAX),
    }
}
