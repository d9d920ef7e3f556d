//! Every instruction that a kernel is compiled to has a test of its own in the emulator that runs it.

use crate::support::skipped;
use kernels::cuda::{Bf16, Compiler, Source, Target};
use lossbox_kernels as kernels;
use std::collections::BTreeSet;

/// Where instructions are held against the PTX manual.
const TESTS: [&str; 2] = [
    include_str!("../../../tests/cuda-emulator/tests/instructions.rs"),
    include_str!("../../../tests/cuda-emulator/tests/instruction_forms.rs"),
];

/// The instructions of a module, with all their suffixes.
fn instructions(ptx: &str) -> BTreeSet<String> {
    let statements = ptx.lines().map(str::trim).filter(|line| line.ends_with(';'));
    let words = statements.filter_map(|line| {
        // Behind a guard: `@%p1 bra`.
        let line = if line.starts_with('@') { line.split_once(' ')?.1 } else { line };
        line.trim().split([' ', '\t', ';']).next()
    });
    words.filter(|word| word.starts_with(char::is_alphabetic)).map(str::to_owned).collect()
}

#[test]
fn every_instruction_of_the_kernels_has_a_test_in_the_emulator() {
    let compiler = match Compiler::load(None) {
        Ok(compiler) => compiler,
        Err(fault) => {
            let what = "every_instruction_of_the_kernels_has_a_test_in_the_emulator";
            return skipped(what, &fault.to_string());
        }
    };
    let ptx = |source: &Source, target| {
        let f32 = source.is_for::<f32>().then(|| compiler.ptx::<f32>(source, target).unwrap());
        f32.into_iter().chain([compiler.ptx::<Bf16>(source, target).unwrap()])
    };
    let mut used = BTreeSet::new();
    for source in kernels::cuda_sources() {
        for target in Target::ALL {
            ptx(&source, target).for_each(|ptx| used.extend(instructions(&ptx)));
        }
    }
    assert!(used.len() > 100, "only {} instructions", used.len());
    let is_tested = |word: &&String| {
        TESTS.iter().any(|text| {
            text.match_indices(word.as_str()).any(|(at, _)| {
                let after = text[at + word.len()..].starts_with([' ', ';']);
                after && text[..at].ends_with([' ', '"', '\n'])
            })
        })
    };
    let untested: Vec<&String> = used.iter().filter(|word| !is_tested(word)).collect();
    assert!(untested.is_empty(), "the emulator's tests have no {untested:?}");
}
