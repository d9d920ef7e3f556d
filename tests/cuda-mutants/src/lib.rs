//! Do the tests of the CUDA kernels bite? Each kernel is changed in every small way that [`operators`] knows (a barrier or a
//! statement dropped, a guard gone, a bound moved, an index or an operator changed, two names exchanged), each launch in those
//! that [`launchers`] knows, and the parity checks run on each mutant under the emulator. A mutant that passes them all is
//! either listed in `equivalent.txt`, with the reason why nobody can tell it from the original, or a hole in the checks.
//!
//! `cargo run --release -p lossbox-cuda-mutants` tries them all; `tests/sample.rs` tries a few.

pub mod equivalent;
pub mod launchers;
pub mod operators;
pub mod source;
pub mod trial;

#[allow(
    clippy::unwrap_used,
    reason = "the kernels' own checks: a call that fails has found something"
)]
#[path = "../../../kernels/tests/cuda/layers.rs"]
mod layers;
#[allow(
    clippy::unwrap_used,
    reason = "the kernels' own checks: a call that fails has found something"
)]
#[path = "../../../kernels/tests/cuda/norms.rs"]
mod norms;
#[allow(
    clippy::unwrap_used,
    reason = "the kernels' own checks: a call that fails has found something"
)]
#[path = "../../../kernels/tests/cuda/parity.rs"]
mod parity;
#[allow(
    clippy::unwrap_used,
    reason = "the kernels' own checks: a call that fails has found something"
)]
#[path = "../../../kernels/tests/cuda/pass.rs"]
mod pass;
#[allow(
    clippy::unwrap_used,
    dead_code,
    reason = "the kernels' own checks; what their tests say when something is missing is not needed here"
)]
#[path = "../../../kernels/tests/cuda/support.rs"]
mod support;

use lossbox_kernels as kernels;
use source::Text;
use std::collections::HashMap;
use std::ops::Range;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// The file, or for a launch the kernel's.
    pub file: &'static str,
    /// The function that is changed.
    pub function: String,
    /// Which of two or more changes that read the same, from 1.
    pub nth: usize,
    /// The lines that are changed, in one.
    pub before: String,
    /// What they become.
    pub after: String,
    /// What is changed.
    pub change: Change,
}

/// What a mutant changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A part of the file's text.
    Text(Range<usize>, String),
    /// Every launch of the kernel.
    Launch(cuda_emulator::Tampering),
}

/// All mutants of all kernels and launches, in a fixed order.
pub fn mutants() -> Vec<Mutant> {
    let mut mutants = Vec::new();
    let mut known = Vec::new();
    for source in kernels::cuda_sources() {
        let parts = source.parts();
        let structs: Vec<_> =
            parts.iter().flat_map(|(_, text)| Text::parse(text).structs()).collect();
        for (file, text) in parts {
            if !known.contains(&file) {
                known.push(file);
                mutants.extend(of_file(file, text, &structs));
            }
        }
        mutants.extend(launchers::mutants(&source));
    }
    count_equal(&mut mutants);
    mutants
}

fn of_file(file: &'static str, text: &str, structs: &[source::Fields]) -> Vec<Mutant> {
    let parsed = Text::parse(text);
    let edits = operators::edits(&parsed, structs).into_iter();
    edits
        .map(|edit| Mutant {
            file,
            function: edit.function,
            nth: 1,
            before: lines(text, edit.range.clone(), None),
            after: lines(text, edit.range.clone(), Some(&edit.to)),
            change: Change::Text(edit.range, edit.to),
        })
        .collect()
}

/// The whole lines around a range, with spaces made one, before or after the change.
fn lines(text: &str, range: Range<usize>, to: Option<&str>) -> String {
    let start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[range.end..].find('\n').map_or(text.len(), |at| range.end + at);
    let middle = to.unwrap_or(&text[range.clone()]);
    let line = format!("{}{middle}{}", &text[start..range.start], &text[range.end..end]);
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn count_equal(mutants: &mut [Mutant]) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for mutant in mutants {
        let n = seen.entry(mutant.key()).or_default();
        *n += 1;
        mutant.nth = *n;
    }
}

impl Mutant {
    fn key(&self) -> String {
        format!("{} {}\n- {}\n+ {}", self.file, self.function, self.before, self.after)
    }

    /// The changed text of its file, which is `text`.
    pub fn apply(&self, text: &str) -> String {
        match &self.change {
            Change::Text(range, to) => {
                format!("{}{to}{}", &text[..range.start], &text[range.end..])
            }
            Change::Launch(_) => text.to_owned(),
        }
    }
}

impl std::fmt::Display for Mutant {
    /// As `equivalent.txt` has it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, function, nth, before, after, .. } = self;
        let nth = if *nth > 1 { format!(" {nth}") } else { String::new() };
        write!(f, "{file} {function}{nth}\n- {before}\n+ {after}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutants_differ_from_each_other_and_from_the_original() {
        let mutants = mutants();
        let mut names: Vec<String> = mutants.iter().map(ToString::to_string).collect();
        names.sort();
        let n = names.len();
        names.dedup();
        assert_eq!(names.len(), n);
        assert!(n > 1500, "{n} mutants");
        for source in kernels::cuda_sources() {
            for (file, text) in source.parts() {
                let of_file = mutants.iter().filter(|mutant| mutant.file == file);
                for mutant in of_file.filter(|mutant| matches!(mutant.change, Change::Text(..))) {
                    assert_ne!(mutant.apply(text), text, "{mutant}");
                }
            }
        }
    }

    #[test]
    fn every_barrier_is_dropped() {
        let mutants = mutants();
        let dropped = mutants.iter().filter(|mutant| {
            mutant.before.starts_with("__syncthreads();") && !mutant.after.contains("__syncthreads")
        });
        let mut files = Vec::new();
        let barriers: usize = kernels::cuda_sources()
            .iter()
            .flat_map(|source| source.parts())
            .filter(|(file, _)| {
                !files.contains(file) && {
                    files.push(*file);
                    true
                }
            })
            .map(|(_, text)| text.matches("__syncthreads();").count())
            .sum();
        assert!(barriers > 0);
        assert_eq!(dropped.count(), barriers);
    }
}
