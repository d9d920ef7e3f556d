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
use crate::settings::Settings;
use crate::{Outcome, plugin, profile, screen};

/// A loss that has passed the gates, with the values of its hyperparameters.
struct Loss {
    name: String,
    sandbox: Sandbox,
    probed: ProbedPlugin,
    hyperparameters: Vec<f64>,
}

impl Loss {
    /// The value of a hyperparameter, if the loss has one of that name.
    fn hyperparameter(&self, name: &str) -> Option<f64> {
        let mut all = self
            .probed
            .metadata()
            .hyperparameters
            .iter()
            .zip(&self.hyperparameters);
        all.find(|(known, _)| known.name == name)
            .map(|(_, value)| *value)
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
        None => args
            .flags
            .loss
            .as_ref()
            .context("--loss is needed (hint: --loss dpo)")?,
    };
    if named.is_empty() {
        bail!("no loss is named (hint: --loss dpo, or loss = \"dpo\" in the configuration)");
    }
    let loss = match load(args, named, settings)? {
        Ok(loss) => loss,
        Err(rejection) => return Ok(rejected(&rejection)),
    };
    let profile = profile::start(args.profile.as_deref())?;
    let outcome = match run {
        Some(run) => finetune::run(args, run, &loss, settings),
        None => sentiment::run(args, &loss, settings),
    };
    if let Some(profile) = profile {
        profile.finish()?;
    }
    outcome
}

fn load(args: &Train, named: &str, settings: &Settings) -> Result<Result<Loss, Rejection>> {
    let (name, values) = loss_and_settings(named);
    let plugin = Plugin {
        plugin: name.to_owned(),
        plugins: args.plugins.clone(),
        strict: args.strict,
    };
    let (sandbox, loaded) = plugin::load(&plugin, settings)?;
    let probed = match loaded {
        Ok(probed) => probed,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let hyperparameters = plugin::hyperparameters(&probed, &values)?;
    Ok(Ok(Loss {
        name: name.to_owned(),
        sandbox,
        probed,
        hyperparameters,
    }))
}

fn rejected(rejection: &Rejection) -> Outcome {
    screen::rejection(rejection);
    Outcome::Rejected
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
        assert_eq!(
            loss_and_settings("C:/losses/x.rs"),
            ("C:/losses/x.rs", Vec::new())
        );
    }
}
