//! Tries every mutant, or those of `--file NAME`, or those that `--only FILE` names in the form of `equivalent.txt`, or of
//! `--shard I/N` a part; `--list` only names them. Survivors go to standard output as `equivalent.txt` would have them; the
//! score is the last line. `--verbose` tells of each mutant what caught it.

use cuda_mutants::trial::{Bench, Outcome};
use cuda_mutants::{Mutant, equivalent, mutants};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let shard = value("--shard").and_then(|shard| {
        let (index, count) = shard.split_once('/')?;
        Some((
            index.parse::<usize>().ok()?,
            count.parse::<usize>().ok().filter(|count| *count > 0)?,
        ))
    });
    let file = value("--file");
    let only = value("--only").map(|path| std::fs::read_to_string(&path).unwrap_or_default());
    let only: Option<Vec<String>> =
        only.map(|text| equivalent::parse(&text).into_iter().map(|known| known.mutant).collect());
    let wanted = |(place, mutant): &(usize, Mutant)| {
        file.as_ref().is_none_or(|file| mutant.file == file)
            && only.as_ref().is_none_or(|only| only.contains(&mutant.to_string()))
            && shard.is_none_or(|(index, count)| place % count == index % count)
    };
    let mutants: Vec<Mutant> =
        mutants().into_iter().enumerate().filter(wanted).map(|(_, mutant)| mutant).collect();
    if has("--list") {
        mutants.iter().for_each(|mutant| println!("{mutant}\n"));
        return ExitCode::SUCCESS;
    }
    let bench = match Bench::open() {
        Ok(bench) => bench,
        Err(fault) => {
            eprintln!("{fault}");
            return ExitCode::from(2);
        }
    };
    if let Some(failure) = bench.baseline() {
        eprintln!("the checks fail on the kernels as they are: {failure}");
        return ExitCode::from(2);
    }
    try_all(&bench, &mutants, has("--verbose"))
}

/// Survivors that are not listed make the command fail, and entries of the list that are caught.
fn try_all(bench: &Bench, mutants: &[Mutant], verbose: bool) -> ExitCode {
    let known: Vec<String> = equivalent::all().into_iter().map(|known| known.mutant).collect();
    let (mut caught, mut equivalent, mut same, mut invalid, mut survived, mut stale) =
        (0, 0, 0, 0, 0, 0);
    let begin = Instant::now();
    for (place, mutant) in mutants.iter().enumerate() {
        let is_known = known.contains(&mutant.to_string());
        let outcome = bench.run(mutant);
        if verbose {
            eprintln!(
                "{} of {}, {:.0} s\n{mutant}\n= {outcome:?}\n",
                place + 1,
                mutants.len(),
                begin.elapsed().as_secs_f32()
            );
        }
        match outcome {
            Outcome::Caught(by) if is_known => {
                stale += 1;
                println!("{mutant}\n! listed as equivalent, but caught: {by}\n");
            }
            Outcome::Caught(_) => caught += 1,
            Outcome::Same => same += 1,
            Outcome::Invalid => invalid += 1,
            Outcome::Survived if is_known => equivalent += 1,
            Outcome::Survived => {
                survived += 1;
                println!("{mutant}\n");
            }
        }
    }
    println!(
        "{} mutants in {:.0} s: {caught} caught, {survived} survived, {equivalent} known to be equivalent, {same} compiled to the \
         same instructions, {invalid} did not compile; {stale} are listed wrongly",
        mutants.len(),
        begin.elapsed().as_secs_f32(),
    );
    match survived + stale {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(1),
    }
}
