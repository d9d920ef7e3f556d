//! `lossbox doctor`: what this machine has, what is missing, and what to do about it.
//!
//! It looks and does not change anything, but for the wasm target, which the sandbox adds as any command would.

use std::path::Path;

use anyhow::{Result, bail};
use sandbox::MissingLayers;
use sandbox::confine::{self, LayerStatus};
use serde::Serialize;

use crate::args::Doctor;
use crate::screen::{self, Colour};
use crate::settings::Settings;
use crate::{Outcome, plugin};

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    status: Status,
    detail: String,
    /// Empty where nothing is to be done.
    remedy: String,
}

#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Status {
    Good,
    Optional,
    Missing,
}

pub(crate) fn run(args: &Doctor, settings: &Settings) -> Result<Outcome> {
    let mut findings = vec![compiler(settings)];
    findings.extend(
        confine::layers().into_iter().map(|found| confinement(found, settings.missing_layers)),
    );
    findings.extend([processor(), threads(), gpu(), llm()]);
    if args.json {
        screen::json(&findings)?;
    } else {
        screen::data(&findings.iter().map(lines).collect::<String>())?;
    }
    let missing: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.status == Status::Missing)
        .map(|finding| finding.what)
        .collect();
    if !missing.is_empty() {
        bail!("this machine lacks what lossbox needs: {}", missing.join(", "));
    }
    Ok(Outcome::Done)
}

fn lines(finding: &Finding) -> String {
    let mark = match finding.status {
        Status::Good => screen::paint(Colour::Green, "good    "),
        Status::Optional => screen::paint(Colour::Yellow, "optional"),
        Status::Missing => screen::paint(Colour::Red, "missing "),
    };
    let mut lines = format!("{mark}  {:<10} {}\n", finding.what, finding.detail);
    if !finding.remedy.is_empty() {
        lines.push_str(&format!("          {:<10} hint: {}\n", "", finding.remedy));
    }
    lines
}

/// Missing layers have findings of their own.
fn compiler(settings: &Settings) -> Finding {
    let tolerant =
        Settings { cache: settings.cache.clone(), missing_layers: MissingLayers::Accept };
    match plugin::open_sandbox(&tolerant, false) {
        Ok(_) => Finding {
            what: "compiler",
            status: Status::Good,
            detail: "rustc with wasm32-wasip2; the guest SDK is built".to_owned(),
            remedy: String::new(),
        },
        Err(error) => {
            let (detail, remedy) = screen::hint_apart(&error.to_string());
            let remedy = remedy.unwrap_or_else(|| TOOLCHAIN.to_owned());
            Finding { what: "compiler", status: Status::Missing, detail, remedy }
        }
    }
}

/// What helps most often.
const TOOLCHAIN: &str =
    "install Rust from https://rustup.rs, then `rustup target add wasm32-wasip2`";

/// One layer of what confines a compiler or a guest, tried now.
fn confinement(found: LayerStatus, missing_layers: MissingLayers) -> Finding {
    let LayerStatus { layer, missing } = found;
    let Some(reason) = missing else {
        return Finding {
            what: "confined",
            status: Status::Good,
            detail: layer.to_string(),
            remedy: String::new(),
        };
    };
    let accepted = missing_layers == MissingLayers::Accept;
    Finding {
        what: "confined",
        status: match accepted {
            true => Status::Optional,
            false => Status::Missing,
        },
        detail: format!(
            "{layer}: {reason}; without it a candidate can {}",
            layer.risk()
        ),
        remedy: match accepted {
            true => "the risk is accepted with --accept-missing-confinement".to_owned(),
            false => "use Linux 5.19 or newer with Landlock and seccomp enabled, or accept the risk with \
                      --accept-missing-confinement"
                .to_owned(),
        },
    }
}

fn processor() -> Finding {
    let found = vector_instructions();
    Finding {
        what: "processor",
        status: Status::Good,
        detail: match found.is_empty() {
            true => "no vector instructions beyond the baseline".to_owned(),
            false => format!("{} (chosen at run time)", found.join(", ")),
        },
        remedy: String::new(),
    }
}

#[cfg(target_arch = "x86_64")]
fn vector_instructions() -> Vec<&'static str> {
    let all = [
        ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
        ("FMA", std::arch::is_x86_feature_detected!("fma")),
        ("AVX-512F", std::arch::is_x86_feature_detected!("avx512f")),
        ("AVX-512BW", std::arch::is_x86_feature_detected!("avx512bw")),
    ];
    all.into_iter().filter(|(_, found)| *found).map(|(name, _)| name).collect()
}

#[cfg(target_arch = "aarch64")]
fn vector_instructions() -> Vec<&'static str> {
    vec!["NEON"]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn vector_instructions() -> Vec<&'static str> {
    Vec::new()
}

fn threads() -> Finding {
    let n_threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Finding {
        what: "cores",
        status: Status::Good,
        detail: n_threads.to_string(),
        remedy: String::new(),
    }
}

/// Whether `--device cuda` would find all that it needs. A machine without a GPU lacks nothing.
fn gpu() -> Finding {
    let (status, detail, remedy) = match trainer::device::cuda_name(0) {
        Ok(name) => (Status::Good, format!("{name}: `--device cuda` trains on it"), String::new()),
        Err(fault) if !Path::new("/dev/nvidia0").exists() => {
            let (reason, _) = screen::hint_apart(&fault.to_string());
            (Status::Optional, format!("training runs on the CPU: {reason}"), String::new())
        }
        Err(fault) => {
            let (detail, remedy) = screen::hint_apart(&fault.to_string());
            (Status::Optional, detail, remedy.unwrap_or_default())
        }
    };
    Finding { what: "GPU", status, detail, remedy }
}

fn llm() -> Finding {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let endpoint =
        std::env::var("OPENAI_BASE_URL").unwrap_or_else(|_| "https://api.openai.com/v1".to_owned());
    match is_set("OPENAI_API_KEY") {
        true => Finding {
            what: "LLM",
            status: Status::Good,
            detail: format!("a key is set for {endpoint}; it was not tried"),
            remedy: String::new(),
        },
        false => Finding {
            what: "LLM",
            status: Status::Optional,
            detail: "no key; `discover` uses the built-in evolutionary proposer".to_owned(),
            remedy: "set OPENAI_API_KEY, and OPENAI_BASE_URL for another endpoint".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use sandbox::confine::Layer;

    use super::*;

    #[test]
    fn a_layer_that_is_missing_is_named_with_its_risk_and_what_to_do() {
        let found = |layer, missing: Option<&str>, accepted| {
            let missing = missing.map(str::to_owned);
            confinement(LayerStatus { layer, missing }, accepted)
        };
        for layer in Layer::ALL {
            let there = found(layer, None, MissingLayers::Refuse);
            assert!(there.status == Status::Good && there.remedy.is_empty());
            let refused = found(layer, Some("switched off"), MissingLayers::Refuse);
            assert!(refused.status == Status::Missing);
            for part in [layer.name(), "switched off", layer.risk()] {
                assert!(refused.detail.contains(part), "{}", refused.detail);
            }
            assert!(refused.remedy.contains("--accept-missing-confinement"));
            let accepted = found(layer, Some("switched off"), MissingLayers::Accept);
            assert!(accepted.status == Status::Optional);
            assert_eq!(accepted.detail, refused.detail);
        }
    }
}
