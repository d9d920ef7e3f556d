//! What fuel does not count: calls of WASI cost the host much and the guest a few instructions, so the clock ends them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbox::limits::{WASI_RANDOM_BYTES_MAX, WASI_RESOURCES_MAX};
use sandbox::{ProbedPlugin, Sandbox, Stage};

use crate::support::{child, component, one_pair, options, pairs, sandbox, verdict, with_std};

/// Draws 64 KiB of random numbers at once, straight from `wasi:random`, and gives them back.
const DRAW: &str = r#"
    #[repr(C)]
    struct Drawn { start: *mut u8, n_bytes: usize }
    unsafe extern "C" {
        fn random_get_random_bytes(n_bytes: u64, drawn: *mut Drawn);
        fn free(start: *mut u8);
    }
    let draw = || {
        let mut drawn = Drawn { start: std::ptr::null_mut(), n_bytes: 0 };
        unsafe {
            random_get_random_bytes(65_536, &mut drawn);
            free(drawn.start);
        }
        assert_eq!(drawn.n_bytes, 65_536);
    };
"#;

/// One that draws without end in a call of 60,000 pairs, whose fuel lasts for hours of that; a hundred times in one of
/// 50,000; and that passes the probe.
fn drawing() -> ProbedPlugin {
    let body = format!(
        "{DRAW} match pairs.policy_chosen_logps.len() {{ 60_000 => loop {{ draw() }}, 50_000 => for _ in 0..100 {{ draw() }}, _ => {{}} }} 1.0"
    );
    let folder = tempfile::tempdir().unwrap();
    verdict(sandbox().load(&component(folder.path(), &with_std(&body)))).unwrap()
}

/// A sandbox whose clock inside is short and whose clock outside is not, with a child program of this path.
fn impatient(child_program: PathBuf) -> Sandbox {
    let mut impatient = options();
    impatient.child_program = child_program;
    impatient.walls.call_inside = Duration::from_millis(500);
    impatient.walls.call = Duration::from_secs(600);
    Sandbox::open(impatient).unwrap()
}

/// The child answers the next call, so it was the epoch that ended the one before, and neither fuel nor its host.
#[test]
fn a_loop_of_host_calls_is_ended_by_the_epoch_in_flat_memory() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("child");
    fs::copy(child(), &program).unwrap();
    let impatient = impatient(program.clone());
    let plugin = drawing();
    let mut guest = verdict(impatient.start(&plugin, Stage::Train)).unwrap();
    let drawn = verdict(guest.evaluate(&pairs(50_000), &[0.1])).unwrap();
    let before = peak_kib(&program);
    let rejection = verdict(guest.evaluate(&pairs(60_000), &[0.1])).expect_err("without end");
    assert_eq!(rejection.rule, "run/timeout");
    assert!(rejection.message.contains("0.5 s"), "{rejection}");
    let again = verdict(guest.evaluate(&pairs(50_000), &[0.1])).unwrap();
    assert_eq!(drawn, again);
    // 100 times 64 KiB went through it before, and some thousand times since.
    let grown = peak_kib(&program).saturating_sub(before);
    assert!(grown < 4 << 10, "{grown} KiB");
    // What it cost the host is not in its fuel: less than one for each 100 bytes.
    let without = verdict(guest.evaluate(&pairs(49_999), &[0.1])).unwrap();
    let extra = drawn.fuel.saturating_sub(without.fuel);
    assert!(extra < 65_536, "{extra} fuel for 6.5 MB");
}

/// In process the epoch is the only clock.
#[test]
fn a_loop_of_host_calls_on_a_thread_is_ended_by_the_epoch() {
    let impatient = impatient(child().into());
    let mut thread = verdict(impatient.start_in_process(&drawing(), Stage::Train)).unwrap();
    let rejection = verdict(thread.evaluate(&pairs(60_000), &[0.1])).expect_err("without end");
    assert_eq!(rejection.rule, "run/timeout");
    assert!(verdict(thread.evaluate(&one_pair(), &[0.1])).is_ok());
}

/// Each takes one more than it may, in a call of its own, and traps for it.
#[test]
fn what_wasi_may_hold_is_limited() {
    let body = r#"
        unsafe extern "C" {
            fn random_get_random_bytes(n_bytes: u64, drawn: *mut [usize; 2]);
            fn monotonic_clock_subscribe_duration(duration: u64) -> [i32; 1];
        }
        let n_pairs = pairs.policy_chosen_logps.len() as u64;
        if n_pairs >= 65_535 {
            unsafe { random_get_random_bytes(n_pairs + 1, &mut [0; 2]) };
        }
        if n_pairs / 10_000 == 5 {
            for _ in 0..n_pairs % 10_000 { unsafe { monotonic_clock_subscribe_duration(1) }; }
        }
        1.0"#;
    let folder = tempfile::tempdir().unwrap();
    let plugin = verdict(sandbox().load(&component(folder.path(), &with_std(body)))).unwrap();
    let mut guest = verdict(sandbox().start(&plugin, Stage::Train)).unwrap();
    for (within, beyond) in [
        (WASI_RANDOM_BYTES_MAX as usize - 1, WASI_RANDOM_BYTES_MAX as usize),
        (
            // A wait takes two: what is waited for, and the handle.
            50_000 + WASI_RESOURCES_MAX / 2 - 100,
            50_000 + WASI_RESOURCES_MAX,
        ),
    ] {
        assert!(verdict(guest.evaluate(&pairs(within), &[0.1])).is_ok());
        let rejection = verdict(guest.evaluate(&pairs(beyond), &[0.1])).expect_err("too much");
        assert_eq!(rejection.rule, "run/trap", "{rejection}");
    }
}

/// Most memory that the process of this program has had, in KiB.
fn peak_kib(program: &Path) -> u64 {
    let of_program = |process: &PathBuf| {
        let runs = fs::read_link(process.join("exe")).is_ok_and(|exe| exe == program);
        runs.then(|| fs::read_to_string(process.join("status")).ok())?
    };
    let peaks: Vec<u64> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| of_program(&entry.ok()?.path()))
        .filter_map(|status| {
            let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
            line.split_whitespace().next()?.parse().ok()
        })
        .collect();
    let [peak] = peaks.as_slice() else {
        panic!("expected one process, found {peaks:?}");
    };
    *peak
}
