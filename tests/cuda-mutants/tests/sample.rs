//! A fixed part of all mutants: each is caught, or is listed as equivalent, or is no other program than the original.
//! `cargo run --release -p lossbox-cuda-mutants` tries them all.

use cuda_mutants::trial::{Bench, Outcome};
use cuda_mutants::{equivalent, mutants};
use std::io::Write as _;

/// One of so many mutants is tried.
const STEP: usize = 45;

#[test]
fn a_sample_of_the_mutants_is_caught() {
    let bench = match Bench::open() {
        Ok(bench) => bench,
        Err(fault) => {
            // Past the harness's capture.
            let line = format!("SKIPPED: a_sample_of_the_mutants_is_caught: {fault}\n");
            return std::io::stderr().write_all(line.as_bytes()).expect("standard error is open");
        }
    };
    let known: Vec<String> = equivalent::all().into_iter().map(|known| known.mutant).collect();
    let mut n_caught = 0;
    for mutant in mutants().iter().skip(STEP / 2).step_by(STEP) {
        match bench.run(mutant) {
            Outcome::Caught(_) => n_caught += 1,
            Outcome::Survived => {
                assert!(known.contains(&mutant.to_string()), "nothing notices\n{mutant}");
            }
            Outcome::Same | Outcome::Invalid => {}
        }
    }
    assert!(n_caught > 30, "only {n_caught} were caught");
}
