//! One sandbox for all tests, and short ways to put something through its gates.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sandbox::{CachePolicy, Failure, Options, Pairs, ProbedPlugin, Rejection, Sandbox, Submission};

/// Where the SDK is built once for all runs of the tests.
pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("sandbox-cache")
}

/// The program that the sandbox re-executes.
pub(crate) fn child() -> &'static str {
    env!("CARGO_BIN_EXE_lossbox-sandbox-child")
}

pub(crate) fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| Sandbox::open(options()).unwrap())
}

/// For a sandbox that differs from the common one.
pub(crate) fn options() -> Options {
    let mut options = Options::new(cache(), env!("CARGO_BIN_EXE_lossbox-sandbox-child"));
    // What is tested is the gates, not what they said in an earlier run.
    options.cache = CachePolicy::Off;
    options
}

/// The candidate's fault apart from ours, which fails the test.
pub(crate) fn verdict<T>(outcome: Result<T, Failure>) -> Result<T, Rejection> {
    outcome.map_err(|failure| match failure {
        Failure::Rejected(rejection) => *rejection,
        Failure::Fault(fault) => panic!("{fault}"),
    })
}

pub(crate) fn validate(text: &str) -> Result<ProbedPlugin, Rejection> {
    verdict(sandbox().admit(&Submission::one_file(text)))
}

/// A pair loss with this body.
pub(crate) fn pair_loss(body: &str) -> String {
    format!(
        r#"use guest_sdk::prelude::*;

pair_loss! {{
    name: "candidate",
    summary: "a candidate",
    hyperparameters: {{ beta: 0.1 in 0.001..=10.0 }},
}}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {{
    {body}
}}
"#
    )
}

/// The line of `pair_loss` where the body begins.
pub(crate) const BODY_LINE: usize = 10;

/// A component that no gate has seen: this crate root, compiled against the SDK as an author elsewhere would.
pub(crate) fn component(folder: &Path, root: &str) -> PathBuf {
    sandbox();
    let libraries = fs::read_dir(cache().join("sdk"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("libguest_sdk.rlib").is_file())
        .max_by_key(|path| path.metadata().unwrap().modified().unwrap())
        .unwrap();
    let (source, output) = (folder.join("lib.rs"), folder.join("plugin.wasm"));
    fs::write(&source, root).unwrap();
    let compiled = Command::new("rustc")
        .args([
            "--edition=2024",
            "--crate-type=cdylib",
            "--crate-name=plugin",
            "--target=wasm32-wasip2",
        ])
        .args([
            "-Copt-level=3",
            "-Cpanic=abort",
            "-Clto=fat",
            "-Ccodegen-units=1",
            "-Cstrip=symbols",
            "-Awarnings",
        ])
        .arg("-Clink-arg=--max-memory=67108864")
        .arg("--extern")
        .arg(format!("guest_sdk={}", libraries.join("libguest_sdk.rlib").display()))
        .arg("-L")
        .arg(format!("dependency={}", libraries.display()))
        .arg("-o")
        .args([&output, &source])
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    output
}

/// A crate whose `evaluate` begins with the gradients of DPO in `answer` and then does this.
pub(crate) fn lying(items: &str, then: &str) -> String {
    format!(
        r#"#![no_std]
        extern crate alloc;
        use guest_sdk::{{Gradients, Hyperparameter, Metadata, Pairs, PreferenceLoss, Scope, prelude::*}};
        {items}
        struct Hyperparameters {{ beta: f64 }}
        fn dpo(pair: &Pair, hp: &Hyperparameters) -> Dual {{ -(hp.beta * pair.logratio_margin()).log_sigmoid() }}
        pub struct Loss;
        impl PreferenceLoss for Loss {{
            fn describe() -> Metadata {{
                Metadata {{
                    name: "candidate".into(),
                    summary: "not what it says".into(),
                    citation: None,
                    scope: Scope::Pair,
                    hyperparameters: vec![
                        Hyperparameter {{ name: "beta".into(), default: 0.1, minimum: 0.001, maximum: 10.0 }},
                    ],
                }}
            }}
            fn evaluate(pairs: &Pairs, hp: &[f64]) -> Result<Gradients, alloc::string::String> {{
                let hp = Hyperparameters {{ beta: hp[0] }};
                let mut answer = guest_sdk::evaluate_pairs(pairs, |pair| dpo(pair, &hp))?;
                {then}
                Ok(answer)
            }}
        }}
        guest_sdk::export!(Loss);"#
    )
}

/// Policy and reference agree, so the margin is 0.
pub(crate) fn one_pair() -> Pairs {
    Pairs {
        policy_chosen_logps: vec![-10.0],
        policy_rejected_logps: vec![-12.0],
        reference_chosen_logps: vec![-10.0],
        reference_rejected_logps: vec![-12.0],
        chosen_tokens: vec![5],
        rejected_tokens: vec![6],
    }
}

/// This many pairs like that one.
pub(crate) fn pairs(n_pairs: usize) -> Pairs {
    let mut pairs = one_pair();
    for list in [
        &mut pairs.policy_chosen_logps,
        &mut pairs.policy_rejected_logps,
        &mut pairs.reference_chosen_logps,
        &mut pairs.reference_rejected_logps,
    ] {
        list.resize(n_pairs, -10.0);
    }
    pairs.chosen_tokens.resize(n_pairs, 5);
    pairs.rejected_tokens.resize(n_pairs, 6);
    pairs
}

/// A plugin built against std, without the SDK: DPO, after `first` has done something at the beginning of a call and
/// has said with which `weight`.
pub(crate) fn with_std(first: &str) -> String {
    let bindings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest-sdk/src/bindings.rs");
    let bindings = bindings.canonicalize().unwrap();
    format!(
        r#"extern crate alloc;
        extern crate self as guest_sdk;
        #[path = {bindings:?}]
        pub mod bindings;
        pub mod rt {{
            use std::alloc::{{Layout, alloc, dealloc}};
            pub struct Cleanup(*mut u8, Layout);
            impl Cleanup {{
                pub fn new(layout: Layout) -> (*mut u8, Option<Cleanup>) {{
                    if layout.size() == 0 {{
                        return (std::ptr::without_provenance_mut(layout.align()), None);
                    }}
                    let start = unsafe {{ alloc(layout) }};
                    (start, Some(Cleanup(start, layout)))
                }}
                pub fn forget(self) {{ std::mem::forget(self) }}
            }}
            impl Drop for Cleanup {{
                fn drop(&mut self) {{ unsafe {{ dealloc(self.0, self.1) }} }}
            }}
            pub fn maybe_link_cabi_realloc() {{}}
        }}
        use bindings::exports::lossbox::preference::loss::*;
        struct Plugin;
        impl Guest for Plugin {{
            fn describe() -> Metadata {{
                Metadata {{
                    name: "candidate".into(),
                    summary: "built against std".into(),
                    citation: None,
                    scope: Scope::Pair,
                    hyperparameters: vec![
                        Hyperparameter {{ name: "beta".into(), default: 0.1, minimum: 0.001, maximum: 10.0 }},
                    ],
                }}
            }}
            fn evaluate(pairs: Pairs, hp: Vec<f64>) -> Result<Gradients, String> {{
                let weight: f64 = {{ {first} }};
                let beta = hp[0];
                let mut answer = Gradients {{ losses: vec![], policy_chosen: vec![], policy_rejected: vec![] }};
                for i in 0..pairs.policy_chosen_logps.len() {{
                    let x = beta * ((pairs.policy_chosen_logps[i] - pairs.reference_chosen_logps[i])
                        - (pairs.policy_rejected_logps[i] - pairs.reference_rejected_logps[i]));
                    let e = (-x.abs()).exp();
                    let slope = -beta * if x > 0.0 {{ e / (1.0 + e) }} else {{ 1.0 / (1.0 + e) }};
                    answer.losses.push(weight * ((-x).max(0.0) + e.ln_1p()));
                    answer.policy_chosen.push(weight * slope);
                    answer.policy_rejected.push(-weight * slope);
                }}
                Ok(answer)
            }}
        }}
        bindings::export!(Plugin with_types_in bindings);"#
    )
}
