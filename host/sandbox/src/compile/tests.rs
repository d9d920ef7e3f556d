//! This gate without the one before it: source that gate 1 refuses, against the confinement alone.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::process::{Ended, Run, run};
use super::{Author, Folder, Tried, WRAPPER, one_file, rustc, write};
use crate::confine::tests::{HOST, program};
use crate::confine::{Files, Layer, LayerStatus, layers};
use crate::{Failure, Fault, Options, Rejection, Sandbox};

/// Where the integration tests have the SDK built.
fn cache() -> PathBuf {
    let program = env::current_exe().expect("this program");
    let target = program.ancestors().nth(3).expect("target/PROFILE/deps");
    target.join("tmp/sandbox-cache")
}

/// However busy the machine is, a compiler comes to its end; tests of the clock bring their own.
fn options(cache: &Path) -> Options {
    let mut options = Options::new(cache, program().path);
    options.compile_wall = Duration::from_secs(600);
    options
}

fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| Sandbox::open(options(&cache())).expect("a sandbox"))
}

/// This test binary as a confined tool that may write to `own` and read `shared`.
pub(crate) fn run_confined(own: &Path, shared: &[PathBuf], arguments: &[&OsStr]) -> Ended {
    let tool = program().path;
    let mut readable = shared.to_vec();
    readable.push(tool.clone());
    let run_it = Run {
        tool: &tool,
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        environment: Vec::new(),
        files: Files { readable, writable: own.to_owned() },
        wall: Duration::from_secs(60),
    };
    run(&program(), run_it).expect("a confined child")
}

/// A loss with `constant` on top, which no gate has looked at.
fn with(constant: &str) -> String {
    format!("{constant}\n{}", crate::source::rules::PLAIN_LOSS)
}

fn rejection_of<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> Rejection {
    match outcome {
        Err(Failure::Rejected(rejection)) => *rejection,
        other => panic!("expected a rejection, got {other:?}"),
    }
}

const SECRET: &str = "hunter2-is-the-secret";

/// Ways to have the compiler read a file; the sum makes rustc show what it read, if it read it.
fn thefts(path: &str) -> Vec<String> {
    vec![
        format!("const X: &str = include_str!({path:?});\nconst _: () = panic!(\"{{}}\", X);"),
        format!(
            "const X: &str = include_str!({path:?});\nconst _: () = core::panic!(include_str!({path:?}));"
        ),
        format!("const X: &[u8] = include_bytes!({path:?});\nconst _: [u8; 0] = *X;"),
        format!("include!({path:?});"),
        format!("#[path = {path:?}]\nmod stolen;"),
        format!("#[doc = include_str!({path:?})]\nconst X: () = 0;"),
    ]
}

#[test]
fn files_outside_are_out_of_reach_of_source_and_of_messages() {
    let outside = tempfile::tempdir().expect("a temporary folder");
    let planted = outside.path().join("secret.rs");
    fs::write(&planted, SECRET).expect("written");
    let sibling = Folder::fresh().expect("another candidate's folder");
    write(sibling.path(), Path::new("loss.rs"), SECRET).expect("written");
    let planted = planted.display().to_string();
    for path in [
        planted.clone(),
        format!("/proc/self/root{planted}"),
        format!("..{}", planted.strip_prefix("/tmp").unwrap_or(&planted)),
        sibling.path().join("loss.rs").display().to_string(),
        "/etc/passwd".to_owned(),
        "/proc/self/environ".to_owned(),
    ] {
        let rejection = rejection_of(one_file(sandbox(), &with(&thefts(&path)[0])));
        assert_eq!(rejection.rule, "compile/rustc", "{path}: {rejection:?}");
        assert!(!rejection.message.contains("hunter2"), "{rejection:?}");
        assert!(!rejection.message.contains("root:"), "{rejection:?}");
    }
    for theft in thefts(&planted) {
        let rejection = rejection_of(one_file(sandbox(), &with(&theft)));
        assert_eq!(rejection.rule, "compile/rustc", "{theft}: {rejection:?}");
        assert!(!rejection.message.contains("hunter2"), "{rejection:?}");
    }
}

/// A link that somebody else put into the folder leads nowhere.
#[test]
fn links_do_not_lead_out_of_the_folder() {
    let outside = tempfile::tempdir().expect("a temporary folder");
    let planted = outside.path().join("secret.txt");
    fs::write(&planted, SECRET).expect("written");
    let folder = Folder::fresh().expect("a folder");
    std::os::unix::fs::symlink(&planted, folder.path().join("link")).expect("a link");
    let rejection =
        rejection_of(compile_in(folder.path(), &with(&thefts("link")[0]), Duration::from_secs(20)));
    assert!(rejection.message.contains("Permission denied"), "{rejection:?}");
}

/// `PATH` is set wherever tests run, and the host's environment is not the compiler's.
#[test]
fn the_environment_is_out_of_reach() {
    assert!(env::var_os("PATH").is_some());
    let empty = "const _: () = assert!(option_env!(\"PATH\").is_none() && option_env!(\"HOME\").is_none());";
    let compiled = one_file(sandbox(), &with(empty)).expect("nothing in it");
    compiled.expect("a processor");
    let rejection = rejection_of(one_file(sandbox(), &with("const X: &str = env!(\"PATH\");")));
    assert!(rejection.message.contains("not defined"), "{rejection:?}");
}

/// Without the files layer the same theft succeeds: it is Landlock that stops it, and the risk is what is said to be.
#[test]
fn where_a_missing_layer_is_accepted_its_risk_is_real() {
    let outside = tempfile::tempdir().expect("a temporary folder");
    let planted = outside.path().join("secret.txt");
    fs::write(&planted, SECRET).expect("written");
    let text = with(&thefts(&planted.display().to_string())[0]);
    let (refused, stolen) = thread::spawn(move || {
        without(libc::SYS_landlock_create_ruleset);
        let refused = Sandbox::open(Options::new(cache(), program().path))
            .expect_err("a missing layer")
            .to_string();
        let mut options = options(&cache());
        options.missing_layers = crate::MissingLayers::Accept;
        let sandbox = Sandbox::open(options).expect("the risk is accepted");
        (refused, rejection_of(one_file(&sandbox, &text)))
    })
    .join()
    .expect("ended");
    assert!(refused.contains("access to files (Landlock)"), "{refused}");
    assert!(refused.contains("--accept-missing-confinement"), "{refused}");
    assert!(stolen.message.contains(SECRET), "{stolen:?}");
}

/// By the layer's name, and seen before anything is compiled; what doctor prints says the same.
#[test]
fn a_machine_that_lacks_a_layer_is_refused() {
    for (call, missing) in
        [(libc::SYS_landlock_create_ruleset, Layer::Files), (libc::SYS_seccomp, Layer::SystemCalls)]
    {
        let (layers, refused) = thread::spawn(move || {
            without(call);
            let refused = Sandbox::open(Options::new(cache(), program().path));
            (layers(), refused.expect_err("a missing layer"))
        })
        .join()
        .expect("ended");
        for LayerStatus { layer, missing: why } in layers {
            assert_eq!(why.is_some(), layer == missing, "{layer}: {why:?}");
        }
        let Fault::MissingLayer { layer, reason } = &refused else {
            panic!("expected a missing layer, got {refused}");
        };
        assert_eq!(*layer, missing);
        assert!(!reason.is_empty());
        for part in [missing.name(), missing.risk(), "Linux 5.19"] {
            assert!(refused.to_string().contains(part), "{refused}");
        }
    }
}

/// This thread and its children are on a kernel that does not know this call.
fn without(call: libc::c_long) {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
    let filter = SeccompFilter::new(
        [(call, Vec::new())].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
        env::consts::ARCH.try_into().expect("a known architecture"),
    )
    .expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a program");
    apply_filter(&program).expect("applied");
}

fn compile_in(folder: &Path, text: &str, wall: Duration) -> Tried<super::Component> {
    write(folder, Path::new("lib.rs"), WRAPPER)?;
    write(folder, Path::new("loss.rs"), text)?;
    rustc::component_within(wall, sandbox(), folder, "lib.rs", "2024", Author::OneFile)
}

/// The processes that work in `folder` or below it.
fn processes_in(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir("/proc")
        .expect("listed")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|process| {
            fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
        })
        .collect()
}

const FOR_EVER: &str = "#[allow(long_running_const_eval)]\nconst X: u64 = { let mut i = 0; while i < u64::MAX { i += 1 } i };\n\
    pub fn x() -> u64 { X }";

#[test]
fn at_the_wall_nothing_of_a_compiler_stays() {
    let folder = Folder::fresh().expect("a folder");
    match compile_in(folder.path(), &with(FOR_EVER), Duration::from_secs(2)) {
        // On a machine that is busy with other programs.
        Ok(Err(starved)) => assert_eq!(starved.wall, Duration::from_secs(2)),
        outcome => assert_eq!(rejection_of(outcome).rule, "compile/timeout"),
    }
    assert_eq!(processes_in(folder.path()), Vec::<PathBuf>::new());
}

/// Whatever they come to, it is the candidate's fault, in time, and it leaves nothing.
#[test]
fn bombs_cost_their_candidate_only() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    for name in [
        "c03_const_fn_fib",
        "c05_bss_bomb",
        "c06_const_array_bomb",
        "c11_poly_recursion",
        "c13_mono_tree",
        "c15_deep_parens",
        "c19_huge_array_type",
    ] {
        let text = fs::read_to_string(corpus.join(name).with_extension("rs")).expect(name);
        let folder = Folder::fresh().expect("a folder");
        let start = Instant::now();
        match compile_in(folder.path(), &text, Duration::from_secs(3)) {
            Ok(_) => {}
            Err(Failure::Rejected(rejection)) => assert!(
                ["compile/timeout", "compile/crash", "compile/rustc"]
                    .contains(&rejection.rule.as_str()),
                "{name}: {rejection:?}"
            ),
            Err(Failure::Fault(fault)) => panic!("{name}: {fault}"),
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{name}");
        assert_eq!(processes_in(folder.path()), Vec::<PathBuf>::new(), "{name}");
    }
}

/// A component of 20 MB, at which the linker is for a while.
const LINKS_LONG: &str = r#"use guest_sdk::prelude::*;

pair_loss! {
    name: "example",
    summary: "a formula with a large table",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

const TABLE: [u8; 20_000_000] = [7; 20_000_000];

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid() + f64::from(TABLE[pair.chosen_tokens as usize])
}
"#;

/// What the child does that [`HOST`] starts: it compiles until it is killed.
pub(crate) fn be_a_host(cache: &Path) {
    let sandbox = Sandbox::open(options(cache)).expect("a sandbox");
    loop {
        let _ = one_file(&sandbox, LINKS_LONG);
    }
}

/// The linker as well, which nobody tells that the compiler is dead. It is stopped here: it could not end by itself.
#[test]
fn a_compiler_dies_with_its_host_and_all_that_it_started() {
    sandbox();
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let host = Command::new(program().path)
        .arg(HOST)
        .arg(cache())
        .env("TMPDIR", temporary.path())
        .stderr(Stdio::null())
        .spawn();
    let host = Killed(host.expect("a host"));
    let stopped = within(Duration::from_secs(300), || {
        let linker = processes_in(temporary.path())
            .into_iter()
            .find(|process| file(process, "comm").trim().ends_with("ld"));
        let number = linker.and_then(|process| process.file_name()?.to_str()?.parse().ok());
        let linker = number.and_then(Pid::from_raw);
        let is_stopped = |linker: Pid| {
            let process = format!("/proc/{}", linker.as_raw_pid());
            file(process.as_ref(), "status").contains("State:\tT")
        };
        linker.is_some_and(|linker| {
            // One that has just ended can be signalled, but does not stop.
            let _ = kill_process(linker, Signal::STOP);
            within(Duration::from_secs(1), || is_stopped(linker))
        })
    });
    assert!(stopped, "the linker did not start");
    let at_work = processes_in(temporary.path());
    // The guard, the compiler, the linker's wrapper and the linker.
    assert!(at_work.len() >= 4, "{at_work:?}");
    for process in &at_work {
        let status = file(process, "status");
        assert!(status.contains("Seccomp:\t2"), "{process:?}: {status}");
    }
    drop(host);
    let ended = within(Duration::from_secs(30), || processes_in(temporary.path()).is_empty());
    assert!(ended, "{:?}", processes_in(temporary.path()));
}

/// A host that is killed when it is dropped: also by a test that fails, or it would compile for ever.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the kernel says of a process; nothing once it is gone.
fn file(process: &Path, name: &str) -> String {
    fs::read_to_string(process.join(name)).unwrap_or_default()
}

fn within(wall: Duration, holds: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < wall {
        if holds() {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}
