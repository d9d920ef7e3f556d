//! A plugin at run time: the clock that is no verdict, the thread that has enough stack, the world that is empty.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sandbox::{CachePolicy, Evaluation, Failure, Pairs, ProbedPlugin, Rejection, Sandbox, Stage};

use crate::support::{
    component, lying, one_pair, options, pairs, sandbox, validate, verdict, with_std,
};

fn load(root: &str) -> Result<ProbedPlugin, Rejection> {
    let folder = tempfile::tempdir().unwrap();
    verdict(sandbox().load(&component(folder.path(), root)))
}

fn in_child(plugin: &ProbedPlugin, pairs: &Pairs) -> Result<Evaluation, Rejection> {
    let mut guest = verdict(sandbox().start(plugin, Stage::Train)).unwrap();
    verdict(guest.evaluate(pairs, &[0.1]))
}

fn in_process(plugin: &ProbedPlugin, pairs: &Pairs) -> Result<Evaluation, Rejection> {
    let mut guest = verdict(sandbox().start_in_process(plugin, Stage::Train)).unwrap();
    verdict(guest.evaluate(pairs, &[0.1]))
}

/// Neither the numbers nor the fuel tell where a plugin ran.
#[test]
fn in_process_and_in_a_child_a_call_has_the_same_answer() {
    let plugin = load(&lying("", "if pairs.len() == 5_003 { answer.losses.pop(); }")).unwrap();
    for n_pairs in [1, 64, 1_024] {
        let pairs = pairs(n_pairs);
        assert_eq!(in_process(&plugin, &pairs).unwrap(), in_child(&plugin, &pairs).unwrap());
    }
    let rejected = in_process(&plugin, &pairs(5_003)).expect_err("a loss too few");
    assert_eq!(Err(rejected), in_child(&plugin, &pairs(5_003)));
}

/// The caller's thread has less stack than the guest may take, and the guest takes all that it may.
#[test]
fn a_guest_in_process_has_a_stack_of_its_own() {
    let items = "#[inline(never)] fn deep(n: u64) -> f64 { let a = [n as f64; 32]; \
                 let b = if n == 0 { 0.0 } else { deep(n + 1) }; core::hint::black_box(&a)[3] + b }";
    let plugin = load(&lying(items, "if pairs.len() == 5_003 { answer.losses[0] += deep(1); }"));
    let plugin = plugin.unwrap();
    let small = std::thread::Builder::new().stack_size(128 << 10);
    let rejection = small
        .spawn(move || {
            assert!(in_process(&plugin, &one_pair()).is_ok());
            in_process(&plugin, &pairs(5_003)).expect_err("endless recursion")
        })
        .unwrap()
        .join()
        .unwrap();
    assert_eq!((rejection.stage, rejection.rule.as_str()), (Stage::Train, "run/trap"));
}

/// Fuel for a large batch lasts longer than a short clock, twice; nothing else is wrong with the plugin.
#[test]
fn what_meets_only_the_clock_is_rejected_by_the_clock() {
    let mut impatient = options();
    impatient.walls.call_inside = Duration::from_millis(150);
    let impatient = Sandbox::open(impatient).unwrap();
    let slow = "if pairs.len() == 60_000 { let mut x = 2.0_f64; \
                while x > 1.0 { x = guest_sdk_sqrt(x) + 1.0; } answer.losses[0] += x; }";
    let items = "fn guest_sdk_sqrt(x: f64) -> f64 { core::hint::black_box(1.5 / (x + 0.25)) }";
    let plugin = load(&lying(items, slow)).unwrap();
    let many = pairs(60_000);
    let mut child = verdict(impatient.start(&plugin, Stage::Train)).unwrap();
    let mut thread = verdict(impatient.start_in_process(&plugin, Stage::Train)).unwrap();
    for outcome in [verdict(child.evaluate(&many, &[0.1])), verdict(thread.evaluate(&many, &[0.1]))]
    {
        assert_eq!(outcome.expect_err("slow").rule, "run/timeout");
    }
    // Both live on.
    assert_eq!(
        verdict(child.evaluate(&one_pair(), &[0.1])).unwrap(),
        verdict(thread.evaluate(&one_pair(), &[0.1])).unwrap()
    );
}

/// Asks for everything that a world might hold, and for the same twice.
const CURIOUS: &str = r#"
    use std::hash::BuildHasher as _;
    use std::io::Read as _;
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
    assert_eq!(std::env::vars().count(), 0, "environment");
    assert_eq!(std::env::args().count(), 0, "arguments");
    assert!(std::fs::File::open("/etc/passwd").is_err(), "files");
    assert!(std::fs::read_dir("/").is_err(), "folders");
    assert!(std::fs::write("here", "x").is_err(), "files to write");
    assert_eq!(std::io::stdin().read(&mut [0; 8]).unwrap(), 0, "input");
    assert_eq!(SystemTime::now(), UNIX_EPOCH, "the date");
    let start = Instant::now();
    std::thread::sleep(Duration::from_secs(86_400));
    assert!(start.elapsed().is_zero(), "time");
    for _ in 0..20 {
        println!("{}", "to nobody ".repeat(100));
        eprintln!("{}", "nor here ".repeat(100));
    }
    let random = std::hash::RandomState::new().hash_one("seed");
    1.0 + (random % 1_000) as f64 / 1_000.0
"#;

/// The weight is drawn anew in every call, so the probe's test of determinism is one of the random numbers.
#[test]
fn a_plugin_built_against_std_finds_an_empty_world() {
    let plugin = load(&with_std(CURIOUS)).unwrap();
    let imports = &plugin.component_report().imports;
    assert!(imports.iter().any(|name| name.starts_with("wasi:random/")), "{imports:?}");
    let first = in_child(&plugin, &pairs(64)).unwrap();
    assert_eq!(in_child(&plugin, &pairs(64)).unwrap(), first);
    assert_eq!(in_process(&plugin, &pairs(64)).unwrap(), first);
}

#[test]
fn a_strict_sandbox_refuses_what_imports_anything() {
    let mut strict = options();
    strict.strict = true;
    let strict = Sandbox::open(strict).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let rejection = verdict(strict.load(&component(folder.path(), &with_std("println!(); 1.0"))));
    let rejection = rejection.expect_err("it prints");
    assert_eq!(rejection.rule, "component/no-imports");
    assert!(rejection.message.contains("wasi:"), "{rejection}");
    let honest = component(folder.path(), &lying("", ""));
    assert!(verdict(strict.load(&honest)).is_ok());
}

/// What the probe said of a plugin holds for both; whether it came as far as the probe is asked each time.
#[test]
fn a_verdict_that_was_remembered_is_not_served_to_a_strict_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = component(folder.path(), &with_std("println!(); 1.0"));
    let open = |strict: bool| {
        let mut options = options();
        options.cache = CachePolicy::Keep { key_file: folder.path().join("key") };
        options.strict = strict;
        Sandbox::open(options).unwrap()
    };
    let tolerant = verdict(open(false).load(&plugin)).unwrap();
    let rejection = verdict(open(true).load(&plugin)).expect_err("it prints");
    assert_eq!(rejection.rule, "component/no-imports");
    let again = verdict(open(false).load(&plugin)).unwrap();
    assert_eq!(again.report(), tolerant.report());
}

/// A call into WASI costs the fuel of the instructions around it alone, so the clock may be what ends it; one of them does.
#[test]
fn a_plugin_that_only_calls_wasi_comes_to_an_end() {
    for endless in [
        "loop { if std::time::Instant::now().elapsed().as_secs() > 1 { break } }",
        "loop { if std::hash::RandomState::new().hash_one(1) == 1 { break } }",
        "loop { if std::io::stdin().read(&mut [0; 65536]).is_err() { break } }",
        "loop { if std::io::stdout().write(&[0; 65536]).is_err() { break } }",
    ] {
        let body = format!(
            "use std::hash::BuildHasher as _; use std::io::{{Read as _, Write as _}}; {endless} 1.0"
        );
        let rejection = load(&with_std(&body)).expect_err(endless);
        let rules = ["run/fuel", "run/timeout"];
        assert!(rules.contains(&rejection.rule.as_str()), "{rejection:?}");
    }
}

#[test]
fn the_network_is_not_served() {
    let first = r#"assert!(std::net::TcpStream::connect("127.0.0.1:1").is_err()); 1.0"#;
    let rejection = load(&with_std(first)).expect_err("sockets");
    assert_eq!(rejection.rule, "component/no-imports");
    assert!(rejection.message.contains("wasi:sockets/"), "{rejection}");
}

#[track_caller]
fn check_in_training(first: &str, rule: &str, words: &str) {
    let root = with_std(&format!("if pairs.policy_chosen_logps.len() == 5_003 {{ {first} }} 1.0"));
    let plugin = load(&root).unwrap();
    for rejection in [
        in_child(&plugin, &pairs(5_003)).expect_err(rule),
        in_process(&plugin, &pairs(5_003)).expect_err(rule),
    ] {
        assert_eq!(rejection.rule, rule, "{rejection}");
        assert!(rejection.message.contains(words), "{rejection}");
    }
}

#[test]
fn to_wait_for_a_clock_that_stands_still_is_to_run_out_of_fuel() {
    let first = "let start = std::time::Instant::now(); while start.elapsed().is_zero() {}";
    check_in_training(first, "run/fuel", "fuel");
}

#[test]
fn what_a_plugin_wrote_explains_its_trap() {
    check_in_training("panic!(\"no such pair\");", "run/trap", "no such pair");
    check_in_training("std::process::exit(3);", "run/trap", "left with status");
}

/// Nothing that is written to an output of a plugin reaches a file, and no rejection is longer than a text may be.
#[test]
fn output_without_end_is_dropped() {
    let first = "for _ in 0..50 { println!(\"{}\", \"x\".repeat(1_000)); } panic!();";
    let root = with_std(&format!("if pairs.policy_chosen_logps.len() == 5_003 {{ {first} }} 1.0"));
    let rejection = in_child(&load(&root).unwrap(), &pairs(5_003)).expect_err("it panics");
    assert_eq!(rejection.rule, "run/trap");
    assert!(rejection.message.len() < 2_000, "{}", rejection.message.len());
}

/// Two sandboxes beside each other: children that die do not touch one that works.
#[test]
fn one_guest_that_dies_leaves_the_others_alone() {
    let plugin =
        validate(&crate::support::pair_loss("-(hp.beta * pair.logratio_margin()).log_sigmoid()"))
            .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dying = folder.path().join("dying");
    // A good guard of the compiler: a sandbox that has none does not open.
    let script = format!(
        "#!/bin/sh\ntest \"$1\" = __lossbox-guest && exec head -c 0\nexec '{}' \"$@\"\n",
        env!("CARGO_BIN_EXE_lossbox-sandbox-child")
    );
    fs::write(&dying, script).unwrap();
    executable(&dying);
    let mut other = options();
    other.child_program = dying;
    let other = Sandbox::open(other).unwrap();
    let mut guest = verdict(sandbox().start(&plugin, Stage::Train)).unwrap();
    let before = verdict(guest.evaluate(&one_pair(), &[0.1])).unwrap();
    for _ in 0..3 {
        assert!(matches!(other.start(&plugin, Stage::Train), Err(Failure::Fault(_))));
        assert_eq!(verdict(guest.evaluate(&one_pair(), &[0.1])).unwrap(), before);
    }
}

fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
