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
            Ok(())
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
    let rows = [identity(named, plugin), component(plugin), probe(plugin)].concat();
    for (what, value) in rows {
        let _ = writeln!(text, "  {what:<13} {value}");
    }
    text
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
    if let Some(id) = named.id() {
        rows.push(row("candidate", id.as_str()));
    }
    if let Some(hash) = named.submission.sha256() {
        rows.push(row("source", format!("sha256 {hash}")));
    }
    rows
}

fn component(plugin: &ProbedPlugin) -> Rows {
    let report = plugin.component_report();
    let size = format!("sha256 {}, {} bytes", report.sha256, report.bytes);
    let mut rows = vec![
        row("component", size),
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
    Some(format!(
        "{} are held; the nearest is {}, {} of {} (--json has them all)",
        report.limits.len(),
        fullest.name,
        fullest.count,
        fullest.limit
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

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        _ => names.join(", "),
    }
}
