//! `lossbox train --loss PLUGIN`: trains a model with one loss.
//!
//! With `--model` it is the user's model on the user's data (`finetune`), without it the default task's (`sentiment`).

mod finetune;
mod sentiment;

use anyhow::{Context, Result, bail};
use discovery::GuestLoss;
use sandbox::{ProbedPlugin, Rejection, Sandbox, Stage};
use trainer::Rejected;

use crate::args::{Plugin, Train};
use crate::plugin::Named;
use crate::profile::{self, Profile};
use crate::settings::Settings;
use crate::{Outcome, plugin, screen};

/// A loss that has passed the gates, with the values of its hyperparameters.
struct Loss {
    named: Named,
    sandbox: Sandbox,
    probed: ProbedPlugin,
    hyperparameters: Vec<f64>,
}

impl Loss {
    /// The value of a hyperparameter, if the loss has one of that name.
    fn hyperparameter(&self, name: &str) -> Option<f64> {
        let mut all = self.probed.metadata().hyperparameters.iter().zip(&self.hyperparameters);
        all.find(|(known, _)| known.name == name).map(|(_, value)| *value)
    }

    /// Starts the plugin. The inner error is the plugin's fault.
    fn start(&self, stage: Stage) -> Result<Result<GuestLoss, Rejection>> {
        let guest = plugin::rejection_apart(self.sandbox.start(&self.probed, stage))?;
        Ok(guest.map(|guest| GuestLoss::new(guest, self.hyperparameters.clone())))
    }
}

pub(crate) fn run(args: &Train, settings: &Settings) -> Result<Outcome> {
    let run = finetune::settings_of(args)?;
    let named = match &run {
        Some(run) => &run.loss,
        None => args.flags.loss.as_ref().context("--loss is needed\nhint: --loss dpo")?,
    };
    if named.is_empty() {
        bail!("no loss is named\nhint: --loss dpo, or loss = \"dpo\" in the configuration");
    }
    let loss = match load(args, named, settings)? {
        Ok(loss) => loss,
        Err((named, rejection)) => return rejected(args, &named, &rejection),
    };
    let profile = profile::start(args.profile.as_deref())?;
    let outcome = match run {
        Some(run) => finetune::run(args, run, &loss, settings),
        None => sentiment::run(args, &loss, settings),
    };
    let profiled = profile.map_or(Ok(()), Profile::finish);
    let outcome = outcome?;
    profiled.map(|()| outcome)
}

fn load(args: &Train, loss: &str, settings: &Settings) -> Result<Result<Loss, (Named, Rejection)>> {
    let (name, values) = loss_and_settings(loss);
    let plugin =
        Plugin { plugin: name.to_owned(), plugins: args.plugins.clone(), strict: args.strict };
    let (sandbox, named, loaded) = plugin::load(&plugin, settings)?;
    let probed = match loaded {
        Ok(probed) => probed,
        Err(rejection) => return Ok(Err((named, rejection))),
    };
    let hyperparameters = plugin::hyperparameters(&probed, &values)?;
    Ok(Ok(Loss { named, sandbox, probed, hyperparameters }))
}

/// Says that the loss was rejected, for people and, if asked, for programs.
fn rejected(args: &Train, named: &Named, rejection: &Rejection) -> Result<Outcome> {
    if args.json {
        screen::json(&named.rejected(rejection))?;
    }
    screen::rejection(rejection);
    Ok(Outcome::Rejected)
}

/// What training found wrong with the loss, as the gates say it.
fn verdict(found: Rejected) -> Rejection {
    Rejection::new(Stage::Train, &found.rule, found.message, found.hint)
}

/// `dpo:beta=0.1,tau=2` is the loss `dpo` with two settings.
fn loss_and_settings(loss: &str) -> (&str, Vec<String>) {
    match loss.rsplit_once(':') {
        Some((name, settings)) if settings.contains('=') => {
            (name, settings.split(',').map(str::to_owned).collect())
        }
        _ => (loss, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::loss_and_settings;

    #[test]
    fn settings_follow_a_colon() {
        assert_eq!(loss_and_settings("dpo"), ("dpo", Vec::new()));
        assert_eq!(
            loss_and_settings("dpo:beta=0.1,tau=2"),
            ("dpo", vec!["beta=0.1".to_owned(), "tau=2".to_owned()])
        );
        assert_eq!(loss_and_settings("C:/losses/x.rs"), ("C:/losses/x.rs", Vec::new()));
    }
}
