//! The plugins of the repository: they pass, and they are the same function natively and in the sandbox.

use std::path::{Path, PathBuf};

use guest_sdk::Pairs;
use sandbox::{Evaluation, Options, Sandbox, Source, Stage, source};

use crate::support::{pair_loss, sandbox, verdict};

fn plugin_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    files.sort();
    files
}

/// Log-probs of every magnitude, from the same numbers every time.
fn pairs(n_pairs: usize, scale: f64, seed: u64) -> Pairs {
    let mut state = seed;
    let mut uniform = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut logps = || (0..n_pairs).map(|_| -scale * uniform()).collect::<Vec<f64>>();
    Pairs {
        policy_chosen_logps: logps(),
        policy_rejected_logps: logps(),
        reference_chosen_logps: logps(),
        reference_rejected_logps: logps(),
        chosen_tokens: (0..n_pairs).map(|row| 1 + (row as u32 * 7) % 50).collect(),
        rejected_tokens: (0..n_pairs).map(|row| 1 + (row as u32 * 11) % 70).collect(),
    }
}

/// Bits that must be the same; which NaN it is does not matter.
fn bits(losses: &[f64], chosen: &[f64], rejected: &[f64]) -> Vec<u64> {
    let bits = |value: &f64| {
        if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
    };
    [losses, chosen, rejected].into_iter().flatten().map(bits).collect()
}

fn bits_in_the_sandbox(evaluation: &Evaluation) -> Vec<u64> {
    bits(&evaluation.losses, &evaluation.policy_chosen, &evaluation.policy_rejected)
}

#[test]
fn every_plugin_passes_and_is_the_same_function_natively_and_in_the_sandbox() {
    let files = plugin_files();
    assert!(files.len() >= 13, "{files:?}");
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let plugin = verdict(sandbox().load(&path))
            .unwrap_or_else(|rejection| panic!("{name}: {rejection:?}"));
        assert_eq!(plugin.metadata().name, name);
        assert!(plugin.component_report().imports.is_empty());
        assert!(plugin.report().n_gradients > 0);
        assert!(plugin.report().fuel_per_pair > 1.0);
        let mut guest = verdict(sandbox().start(&plugin, Stage::Train)).unwrap();
        let defaults = plugin.metadata().defaults();
        for (seed, scale) in [1e-3, 1.0, 30.0, 1e3, 1e6].into_iter().enumerate() {
            let pairs = pairs(67, scale, seed as u64);
            let evaluation = verdict(guest.evaluate(&pairs, &defaults)).unwrap();
            let published = catalogue::named(name).unwrap();
            let natively = (published.evaluate)(&pairs, &defaults).unwrap();
            assert_eq!(
                bits_in_the_sandbox(&evaluation),
                bits(&natively.losses, &natively.policy_chosen, &natively.policy_rejected),
                "{name} at {scale}"
            );
        }
    }
}

#[test]
fn warnings_tell_what_is_known_of_the_losses() {
    let warnings = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../plugins/{name}.rs"));
        verdict(sandbox().load(&path)).unwrap().warnings().join("\n")
    };
    // Minimum and maximum in x = βρ with β = 0.05: ρ = −2.3714 and 1.44012.
    let discopop = warnings("discopop");
    assert!(
        discopop.contains("wrong way")
            && discopop.contains("at margins from -2.3714 to 1.4401 nats")
            && discopop.contains("beta times margin -0.118570 to 0.072006"),
        "{discopop}"
    );
    // IPO wants the margin to be 1/(2β), so it pushes down whatever lies above.
    let ipo = warnings("ipo");
    assert!(ipo.contains("wrong way") && ipo.contains("above 5.0000 nats"), "{ipo}");
    // The logarithm of the largest double is 709.7827, which is βρ at a margin of −14,195.65.
    let cell = warnings("cell");
    assert!(cell.contains("overflows") && cell.contains("margin -14195.7"), "{cell}");
    // (1 − ε) σ(−βρ) = ε σ(βρ) at βρ = ln 9 for ε = 0.1.
    assert!(warnings("cdpo").contains("above 21.9722 nats"), "{}", warnings("cdpo"));
    assert_eq!(warnings("dpo"), "");
    assert_eq!(warnings("simpo"), "");
}

#[test]
fn kinks_and_jumps_are_where_the_formulas_have_them() {
    let bends = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../plugins/{name}.rs"));
        let plugin = verdict(sandbox().load(&path)).unwrap();
        let told: Vec<String> = plugin
            .report()
            .bends
            .iter()
            .map(|bend| format!("{:?} at {} {:?}", bend.kind, bend.quantity, bend.at))
            .collect();
        told.join(", ")
    };
    // 1 − βρ = 0 with β = 0.1.
    assert_eq!(bends("slic"), "Kink at margin 10.0");
    // Twice as large from ρ = 0 on.
    assert_eq!(bends("padll"), "Jump at margin 0.0");
    // The hinge bends at x/τ = ρ = 1, among pairs in the wrong order; those in the right order have another loss.
    assert_eq!(bends("pfl"), "Jump at policy margin 0.0, Kink at margin 1.0");
    // The hinge's share is never 0: 1 − βρ = 0 with β = 0.05.
    assert!(bends("aql").contains("Kink at margin 20.0"), "{}", bends("aql"));
    for smooth in ["dpo", "cdpo", "ipo", "simpo", "cell", "discopop"] {
        assert_eq!(bends(smooth), "", "{smooth}");
    }
}

fn hash(sandbox: &Sandbox, text: &str) -> String {
    let audited = source::audit(Source::one_file(text)).unwrap();
    let component = verdict(sandbox.compile(&audited)).unwrap();
    sandbox.audit(component).unwrap().report().sha256.clone()
}

/// Two sandboxes open the same empty cache at once: both find a whole SDK in it, whoever was first.
#[test]
fn a_component_depends_on_its_source_and_not_on_where_it_is_built() {
    let elsewhere = tempfile::tempdir().unwrap();
    let open = || {
        Sandbox::open(Options::new(elsewhere.path(), env!("CARGO_BIN_EXE_lossbox-sandbox-child")))
            .unwrap()
    };
    let (other, another) = std::thread::scope(|scope| {
        let racing = scope.spawn(open);
        (open(), racing.join().unwrap())
    });
    // A panic brings source paths into the component.
    let text =
        pair_loss("let w = [0.5; 64]; w[pair.chosen_tokens as usize] * pair.logratio_margin()");
    let expected = hash(sandbox(), &text);
    assert_eq!(hash(&other, &text), expected);
    assert_eq!(hash(&another, &text), expected);
    assert_ne!(hash(&other, &text.replace("0.5", "0.6")), expected);
}
