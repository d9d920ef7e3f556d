//! Good and hostile components alternately in one process, which must be the same afterwards as before.
//!
//! A test of its own binary, since memory and descriptors are counted for the whole process. `LOSSBOX_LONG_RUN=10000`
//! sets the number of components, and `--nocapture` shows the counts at the beginning, now and then, and at the end.

#![allow(clippy::unwrap_used, reason = "a test that cannot run has failed")]

#[allow(dead_code, reason = "shared with the other tests of the gates")]
#[path = "gates/support.rs"]
mod support;

use std::fs;

use sandbox::{Evaluation, ProbedPlugin, Stage};

use support::{component, lying, pairs, sandbox, verdict, with_std};

/// Components of a round: one of either kind in a child, and one of either kind in process.
const COMPONENTS_PER_ROUND: usize = 4;
/// A few seconds' worth.
const COMPONENTS: usize = 96;
/// Rounds after which everything that is made once is there.
const WARM_UP: usize = 12;
/// What the allocator may keep back; a leak of a component's memory would be a thousand times as much.
const GROWTH_BYTES_MAX: usize = 16 << 20;

/// What they do when they see three pairs, and the rule that rejects it. The probe sees none of it.
const HOSTILE: [(&str, &str); 5] = [
    ("let mut x = 2.0_f64; while x > 1.0 { x = core::hint::black_box(x); }", "run/fuel"),
    ("let at = pairs.len() + 7; answer.losses[at] = 0.0;", "run/trap"),
    (
        "let mut hoard = Vec::new(); loop { hoard.push(Vec::<f64>::with_capacity(1 << 17)); }",
        "run/trap",
    ),
    ("answer.losses.pop();", "run/lengths"),
    ("return Err(\"no\".into());", "run/error"),
];

#[test]
fn nothing_accumulates() {
    let folder = tempfile::tempdir().unwrap();
    let built = |root: &str| verdict(sandbox().load(&component(folder.path(), root))).unwrap();
    let mut hostile: Vec<(ProbedPlugin, &str)> = HOSTILE
        .iter()
        .map(|(then, rule)| {
            let then = format!("if pairs.len() == 5_003 {{ {then} }}");
            (built(&lying("", &then)), *rule)
        })
        .collect();
    let panics =
        "if pairs.policy_chosen_logps.len() == 5_003 { panic!(\"{}\", \"x\".repeat(5_000)); } 1.0";
    hostile.push((built(&with_std(panics)), "run/trap"));
    let good = [built(&lying("", "")), built(&with_std("1.0"))];
    let expected: Vec<Evaluation> = good.iter().map(in_child).collect();

    let components = std::env::var("LOSSBOX_LONG_RUN");
    let rounds = components.map_or(COMPONENTS, |n| n.parse().unwrap()) / COMPONENTS_PER_ROUND;
    let mut begin = None;
    for round in 0..rounds {
        if round == WARM_UP {
            begin = Some(show("beginning", round));
        }
        if round > 0 && round % 250 == 0 {
            show("now", round);
        }
        let (plugin, rule) = &hostile[round % hostile.len()];
        let mut guest = verdict(sandbox().start(plugin, Stage::Train)).unwrap();
        let outcome = verdict(guest.evaluate(&pairs(5_003), &[0.1]));
        assert_eq!(outcome.expect_err(rule).rule, *rule);
        let mut thread = verdict(sandbox().start_in_process(plugin, Stage::Train)).unwrap();
        let outcome = verdict(thread.evaluate(&pairs(5_003), &[0.1]));
        assert_eq!(outcome.expect_err(rule).rule, *rule);
        let which = round % good.len();
        assert_eq!(in_child(&good[which]), expected[which]);
        let mut thread = verdict(sandbox().start_in_process(&good[which], Stage::Train)).unwrap();
        let evaluation = verdict(thread.evaluate(&pairs(64), &[0.1])).unwrap();
        assert_eq!(evaluation, expected[which]);
    }
    let (begin, end) = (begin.unwrap(), show("end", rounds));
    assert_eq!(end.descriptors, begin.descriptors);
    assert_eq!(end.children, 0);
    assert!(
        end.memory_bytes < begin.memory_bytes + GROWTH_BYTES_MAX,
        "{} bytes, then {}",
        begin.memory_bytes,
        end.memory_bytes
    );
}

fn in_child(plugin: &ProbedPlugin) -> Evaluation {
    let mut guest = verdict(sandbox().start(plugin, Stage::Train)).unwrap();
    verdict(guest.evaluate(&pairs(64), &[0.1])).unwrap()
}

/// What the process holds.
struct Held {
    memory_bytes: usize,
    descriptors: usize,
    children: usize,
}

fn show(when: &str, round: usize) -> Held {
    let held = Held::now();
    println!(
        "{when} (after {} components): {} kB resident, {} descriptors, {} children",
        round * COMPONENTS_PER_ROUND,
        held.memory_bytes >> 10,
        held.descriptors,
        held.children
    );
    held
}

impl Held {
    #[cfg(target_os = "linux")]
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kilobytes = resident.and_then(|line| line.split_whitespace().nth(1));
        let children = fs::read_dir("/proc/self/task")
            .unwrap()
            // A thread may end while its list is read.
            .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok())
            .map(|children| children.split_whitespace().count())
            .sum();
        Held {
            memory_bytes: kilobytes.unwrap().parse::<usize>().unwrap() << 10,
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
            children,
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn now() -> Self {
        panic!("memory and descriptors are counted through /proc, which this system lacks");
    }
}
