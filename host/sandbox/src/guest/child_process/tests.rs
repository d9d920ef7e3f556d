//! Children that are none: every one is a shell script that says what a child might say, and worse.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use guest_sdk::Scope;

use super::*;
use crate::child::Program;
use crate::confine::MissingLayers;
use crate::guest::{Guest, Spent, Variant};
use crate::workroom::Workroom;
use crate::{Evaluation, Failure, Stage};

/// The bytes as an argument that `printf` turns back into them.
fn printed(bytes: &[u8]) -> String {
    let mut text = String::from("printf '");
    for byte in bytes {
        write!(text, "\\{byte:03o}").expect("a string takes all");
    }
    text.push_str("'\n");
    text
}

fn greeting() -> String {
    printed(&protocol::frame(GREETING))
}

fn ready() -> String {
    let metadata = Metadata {
        name: "fake".to_owned(),
        summary: "a child of no sandbox".to_owned(),
        citation: None,
        scope: Scope::Pair,
        hyperparameters: Vec::new(),
    };
    printed(&protocol::encode_ready(&Ok(metadata)))
}

fn answer(number: u32, evaluation: Evaluation) -> String {
    printed(&protocol::encode_answer(number, &Ok(evaluation)))
}

fn good() -> Evaluation {
    Evaluation {
        losses: vec![1.0],
        policy_chosen: vec![2.0],
        policy_rejected: vec![3.0],
        fuel: 4,
        spent: Spent::default(),
    }
}

/// Reads as many bytes as the frames that a host sends in the beginning and for one call.
const HEAR_SETUP: &str = "head -c 30 > /dev/null\n";
const HEAR_CALL: &str = "head -c 76 > /dev/null\n";

fn recipe(folder: &Path, script: &str) -> Recipe {
    let program = folder.join("child");
    fs::write(&program, format!("#!/bin/sh\n{script}")).expect("can be written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("ours");
    Recipe {
        program: Program { path: program, missing: MissingLayers::Refuse },
        component: vec![0; 16].into(),
        wasi: false,
        variant: Variant::Training,
        walls: Walls {
            call_inside: Duration::from_millis(300),
            call: Duration::from_millis(400),
            start: Duration::from_secs(5),
        },
    }
}

/// A program that was just written is busy while another thread of the tests has a copy of it between fork and exec.
fn start(recipe: &Recipe) -> Result<Guest, Failure> {
    loop {
        match Guest::start(recipe.clone(), &Workroom::default(), Stage::Train) {
            Err(Failure::Fault(Fault::Child { source, .. }))
                if source.kind() == io::ErrorKind::ExecutableFileBusy => {}
            started => return started,
        }
    }
}

fn one_pair() -> Pairs {
    Pairs {
        policy_chosen_logps: vec![-10.0],
        policy_rejected_logps: vec![-12.0],
        reference_chosen_logps: vec![-10.0],
        reference_rejected_logps: vec![-12.0],
        chosen_tokens: vec![5],
        rejected_tokens: vec![6],
    }
}

/// What comes of starting this script, or of the second call after it started.
fn verdict(script: &str) -> Result<Evaluation, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let recipe = recipe(folder.path(), script);
    let shown = |failure: Failure| match failure {
        Failure::Rejected(rejection) => {
            assert_eq!(rejection.stage, Stage::Train);
            rejection.rule
        }
        Failure::Fault(fault) => {
            format!("{fault:?}").split(['(', ' ']).next().unwrap_or_default().to_owned()
        }
    };
    let mut guest = start(&recipe).map_err(shown)?;
    guest.evaluate(&one_pair(), &[]).map_err(shown)?;
    guest.evaluate(&one_pair(), &[]).map_err(shown)
}

#[track_caller]
fn check(script: &str, expected: &str) {
    assert_eq!(verdict(script), Err(expected.to_owned()), "{script}");
}

/// The frames are as long as the scripts believe, and a script can be as good a child as any.
#[test]
fn a_script_that_keeps_the_protocol_is_a_child() {
    let setup = Recipe {
        program: Program { path: PathBuf::new(), missing: MissingLayers::Refuse },
        component: vec![0; 16].into(),
        wasi: false,
        variant: Variant::Training,
        walls: Walls::default(),
    };
    assert_eq!(protocol::encode_setup(&setup.setup()).len(), 30);
    assert_eq!(protocol::encode_call(1, &one_pair(), &[]).len(), 76);
    let (one, two) = (answer(1, good()), answer(2, good()));
    let script = [&greeting(), HEAR_SETUP, &ready(), HEAR_CALL, &one, HEAR_CALL, &two]
        .map(String::from)
        .concat();
    assert_eq!(verdict(&script), Ok(good()));
}

#[test]
fn a_child_that_does_not_greet_as_one_is_our_fault() {
    check("", "NotAChild");
    check("echo hello\nsleep 60\n", "NotAChild");
    check(&printed(&protocol::frame(b"lossbox guest 0")), "NotAChild");
    let greeting_and_more = [&protocol::frame(GREETING)[..], b"x"].concat();
    check(&format!("{}sleep 60\n", printed(&greeting_and_more)), "NotAChild");
}

/// Nobody waits longer than the wall says for a child that never greets.
#[test]
fn a_child_that_never_greets_is_our_fault_at_the_wall() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut recipe = recipe(folder.path(), "exec sleep 60\n");
    recipe.walls.start = Duration::from_millis(300);
    assert!(matches!(start(&recipe), Err(Failure::Fault(Fault::NotAChild(_)))));
}

#[test]
fn a_child_that_dies_costs_its_candidate() {
    let (greeting, ready) = (greeting(), ready());
    check(&greeting, "run/crash");
    check(&format!("{greeting}{HEAR_SETUP}kill -9 $$\n"), "run/crash");
    check(&format!("{greeting}{HEAR_SETUP}{ready}"), "run/crash");
    check(&format!("{greeting}{HEAR_SETUP}{ready}{HEAR_CALL}kill -9 $$\n"), "run/crash");
    // It closes its end and lives on.
    check(&format!("{greeting}{HEAR_SETUP}{ready}exec >&-\nsleep 60\n"), "run/crash");
    // Half an answer.
    check(
        &format!("{greeting}{HEAR_SETUP}{ready}{HEAR_CALL}printf '\\100\\0\\0\\0half'\n"),
        "run/crash",
    );
}

/// The second attempt, alone, meets the same wall.
#[test]
fn a_child_that_hangs_costs_its_candidate() {
    let (greeting, ready) = (greeting(), ready());
    check(&format!("{greeting}{HEAR_SETUP}{ready}{HEAR_CALL}exec sleep 60\n"), "run/timeout");
    // It stops in the middle of an answer.
    check(
        &format!(
            "{greeting}{HEAR_SETUP}{ready}{HEAR_CALL}printf '\\100\\0\\0\\0half'\nexec sleep 60\n"
        ),
        "run/timeout",
    );
}

/// A component that does not fit into the pipe, and a child that does not read it.
#[test]
fn a_child_that_does_not_read_holds_nobody_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut recipe = recipe(folder.path(), &format!("{}exec sleep 60\n", greeting()));
    recipe.component = vec![0; 1 << 20].into();
    recipe.walls.start = Duration::from_millis(500);
    let failure = start(&recipe).expect_err("it never reads");
    assert!(
        matches!(&failure, Failure::Rejected(rejection) if rejection.rule == "run/timeout"),
        "{failure:?}"
    );
}

#[test]
fn a_child_that_babbles_costs_its_candidate() {
    let (greeting, ready, one) = (greeting(), ready(), answer(1, good()));
    let after_ready = format!("{greeting}{HEAR_SETUP}{ready}{HEAR_CALL}");
    let wait = "sleep 60\n";
    // Garbage after a good greeting.
    check(&format!("{greeting}{HEAR_SETUP}printf garbage\n{wait}"), "run/crash");
    // A frame larger than any answer.
    check(&format!("{after_ready}printf '\\377\\377\\377\\377'\n{wait}"), "run/crash");
    // A frame that is no answer.
    check(&format!("{after_ready}{ready}{wait}"), "run/crash");
    // Two frames for one call, at once or one by one.
    check(&format!("{after_ready}{one}{one}{wait}"), "run/crash");
    check(&format!("{after_ready}{one}{HEAR_CALL}{one}{wait}"), "run/crash");
    // An answer before the call: the number is right and the turn is not.
    check(&format!("{greeting}{HEAR_SETUP}{ready}{one}{one}{wait}"), "run/crash");
    // The answer to a call that nobody made.
    check(&format!("{after_ready}{}{wait}", answer(7, good())), "run/crash");
    // Endless.
    check(&format!("{after_ready}exec cat /dev/zero /dev/urandom\n"), "run/crash");
}

#[test]
fn values_that_cannot_be_are_not_believed() {
    let after_ready = format!("{}{HEAR_SETUP}{}{HEAR_CALL}", greeting(), ready());
    let wait = "sleep 60\n";
    let with = |evaluation: Evaluation| format!("{after_ready}{}{wait}", answer(1, evaluation));
    let too_much_fuel = Evaluation { fuel: u64::MAX, ..good() };
    check(&with(too_much_fuel), "run/crash");
    let too_long = Evaluation { losses: vec![0.0; 2], ..good() };
    check(&with(too_long), "run/lengths");
}

/// A first child that hangs is killed, and a second one gets the same call with the machine to itself.
#[test]
fn what_meets_only_the_clock_is_tried_again_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let mark = folder.path().join("was-here");
    let script = format!(
        "{}{HEAR_SETUP}{}{HEAR_CALL}if [ -e '{mark}' ]; then\n{}else\n: > '{mark}'\nexec sleep 60\nfi\n{HEAR_CALL}",
        greeting(),
        ready(),
        answer(1, good()),
        mark = mark.display(),
    );
    let mut guest = start(&recipe(folder.path(), &script)).expect("it starts");
    let evaluation = guest.evaluate(&one_pair(), &[]).expect("the second time");
    assert_eq!(evaluation, good());
}

/// While one is tried again, no other works: it waits for those who do, and those who come wait for it.
#[test]
fn who_is_alone_has_no_company() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let (room, at_work) = (Workroom::default(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let _together = room.together();
                    at_work.fetch_add(1, Ordering::SeqCst);
                    std::thread::yield_now();
                    at_work.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
        for _ in 0..50 {
            let _alone = room.alone();
            assert_eq!(at_work.load(Ordering::SeqCst), 0);
            std::thread::yield_now();
        }
    });
}

/// A signal for the host's group, as a terminal sends it at Ctrl-C, is none for a plugin: the verdict is not made by it.
#[test]
fn a_child_is_in_a_process_group_of_its_own() {
    use rustix::process::{Pid, getpgid, getpgrp};
    let folder = tempfile::tempdir().expect("a folder");
    let script = format!("{}{HEAR_SETUP}{}exec sleep 60\n", greeting(), ready());
    let guest = start(&recipe(folder.path(), &script)).expect("it starts");
    let child = Pid::from_child(&guest.0.home().child);
    assert_eq!(getpgid(Some(child)), Ok(child));
    assert_ne!(getpgrp(), child);
}

/// After a crash nothing is asked any more, and nothing hangs.
#[test]
fn a_dead_child_stays_dead() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = format!("{}{HEAR_SETUP}{}", greeting(), ready());
    let mut guest = start(&recipe(folder.path(), &script)).expect("it starts");
    for _ in 0..3 {
        assert!(matches!(
            guest.evaluate(&one_pair(), &[]),
            Err(Failure::Rejected(rejection)) if rejection.rule == "run/crash"
        ));
    }
}
