//! A fixed part of all mutants: each is caught, or is listed as equivalent, or is no other program than the original.
//! `cargo run --release -p lossbox-cuda-mutants` tries them all.

use cuda_mutants::trial::{Bench, Outcome};
use cuda_mutants::{equivalent, mutants};
use std::io::Write as _;

/// One of so many mutants is tried, half of them by each test: the two run side by side.
const STEP: usize = 45;

#[test]
fn one_half_of_a_sample_is_caught() {
    try_half(0);
}

#[test]
fn the_other_half_is_caught() {
    try_half(1);
}

fn try_half(half: usize) {
    if !cuda_emulator::is_alone() {
        return;
    }
    let bench = match Bench::open() {
        Ok(bench) => bench,
        Err(fault) => {
            // Past the harness's capture.
            let line = format!("SKIPPED: a sample of the CUDA kernels' mutants: {fault}\n");
            return std::io::stderr().write_all(line.as_bytes()).expect("standard error is open");
        }
    };
    let known: Vec<String> = equivalent::all().into_iter().map(|known| known.mutant).collect();
    let mut n_caught = 0;
    for mutant in mutants().iter().skip(STEP / 2 + half * STEP).step_by(2 * STEP) {
        match bench.run(mutant) {
            Outcome::Caught(_) => n_caught += 1,
            Outcome::Survived => {
                assert!(known.contains(&mutant.to_string()), "nothing notices\n{mutant}");
            }
            Outcome::Same | Outcome::Invalid => {}
        }
    }
    assert!(n_caught > 15, "only {n_caught} were caught");
}
