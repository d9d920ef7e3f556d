//! `lossbox audit PLUGIN`: the verdict of the four gates, with what they measured.

use anyhow::Result;
use sandbox::{ComponentReport, ProbeReport, ProbedPlugin, Rejection};
use serde_json::{Value, json};

use crate::args::Audit;
use crate::plugin::Named;
use crate::screen::{self, Colour};
use crate::settings::Settings;
use crate::{Outcome, plugin};

pub(crate) fn run(args: &Audit, settings: &Settings) -> Result<Outcome> {
    let (_, named, loaded) = plugin::load_named(&args.plugin, settings)?;
    if args.json {
        screen::json(&verdict(&named, &loaded))?;
    } else {
        print(&named, &loaded);
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
            "component": plugin.component_report(),
            "probe": plugin.report(),
        }),
        Err(rejection) => json!({
            "verdict": "rejected",
            "stage": rejection.stage,
            "rule": rejection.rule,
            "message": rejection.message,
            "hint": rejection.hint,
            "span": rejection.span,
            "warnings": [],
            "hash": null,
            "scope": null,
            "name": named.name(),
            "id": id,
            "source_hash": source_hash,
        }),
    }
}

fn scope(plugin: &ProbedPlugin) -> &'static str {
    match plugin.metadata().scope {
        sandbox::Scope::Pair => "pair",
        sandbox::Scope::Batch => "batch",
    }
}

fn print(named: &Named, loaded: &Result<ProbedPlugin, Rejection>) {
    match loaded {
        Ok(plugin) => print_accepted(named, plugin),
        Err(rejection) => {
            screen::note(&named.identity());
            screen::rejection(rejection);
        }
    }
}

fn print_accepted(named: &Named, plugin: &ProbedPlugin) {
    let metadata = plugin.metadata();
    println!(
        "{} {}",
        screen::paint(Colour::Green, "accepted"),
        plugin::identity(plugin)
    );
    println!("  {}", metadata.summary);
    if let Some(citation) = &metadata.citation {
        println!("  {citation}");
    }
    println!("  scope         {}", scope(plugin));
    for hyperparameter in &metadata.hyperparameters {
        println!(
            "  {:<13} {} ({} to {})",
            hyperparameter.name,
            hyperparameter.default,
            hyperparameter.minimum,
            hyperparameter.maximum
        );
    }
    print_component(plugin.component_report());
    if let Some(hash) = named.submission.sha256() {
        println!("  source        sha256 {hash}");
    }
    println!(
        "  fuel          {:.0} per pair",
        plugin.report().fuel_per_pair
    );
    print_probe(plugin.report());
    for warning in plugin.warnings() {
        println!("  {} {warning}", screen::paint(Colour::Yellow, "warning:"));
    }
}

/// Exactly what was tried.
fn print_probe(report: &ProbeReport) {
    println!(
        "  probe         {} calls, {} pairs, {} engines, {} permutations and parts, {} token counts",
        report.n_calls,
        report.n_pairs,
        report.n_engines,
        report.n_arrangements,
        report.n_token_counts
    );
    println!(
        "  gradients     {} checked: {} at kinks, {} at jumps, {} lost in rounding",
        report.n_gradients, report.n_kinks, report.n_jumps, report.n_unseen
    );
}

fn print_component(report: &ComponentReport) {
    println!(
        "  component     {} bytes, sha256 {}",
        report.bytes, report.sha256
    );
    println!("  exports       {}", report.exports.join(", "));
    println!("  imports       {}", listed(&report.imports));
    if report.needs_wasi {
        println!("  needs WASI    served from an empty context; --strict refuses it");
    }
    println!("  other parts   {}", listed(&report.custom_sections));
    for measure in report.limits.iter().filter(|measure| measure.count > 0) {
        println!(
            "  limits        {} {} of {}",
            measure.name, measure.count, measure.limit
        );
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        _ => names.join(", "),
    }
}
