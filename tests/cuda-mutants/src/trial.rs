//! One mutant under the emulator: compiled, put in the original's place, and run through the parity checks of its kernels.

use crate::parity::{CHECKS, Check};
use crate::{Change, Mutant};
use cuda_emulator::Emulator;
use kernels::cuda::{Bf16, Compiler, Device, Fault, Real, Source, Target};
use lossbox_kernels as kernels;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What became of a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The checks failed: by a report of the emulator or by a number, in words.
    Caught(String),
    /// Every check passed.
    Survived,
    /// The compiler emits the very instructions of the original.
    Same,
    /// It is no program.
    Invalid,
}

/// The emulated device with the compiler.
#[derive(Debug)]
pub struct Bench {
    emulator: Emulator,
    compiler: Compiler,
    cache: tempfile::TempDir,
    /// The PTX of each source as it is, by file and stored number.
    originals: HashMap<(&'static str, &'static str), String>,
}

/// The emulated device's.
const TARGET: Target = Target::Sm90a;

/// The largest block of the checks takes a tenth of this.
const STEPS_MAX: u64 = 4_000_000;

impl Bench {
    /// Compiles every kernel as it is.
    ///
    /// # Errors
    /// [`Fault::NoCompiler`] without NVRTC.
    ///
    /// # Panics
    /// Where the emulator's libraries are not beside the program.
    pub fn open() -> Result<Self, Fault> {
        let emulator = Emulator::install().expect("cargo built the stand-ins beside this program");
        emulator.set_steps_max(STEPS_MAX);
        let cache = tempfile::tempdir().expect("a folder can be made where temporary files go");
        let compiler = Compiler::load(Some(cache.path()))?;
        let mut originals = HashMap::new();
        for source in kernels::cuda_sources() {
            if source.is_for::<f32>() {
                originals.insert((source.file, f32::NAME), compiler.ptx::<f32>(&source, TARGET)?);
            }
            originals.insert((source.file, Bf16::NAME), compiler.ptx::<Bf16>(&source, TARGET)?);
        }
        Ok(Self { emulator, compiler, cache, originals })
    }

    /// Runs the checks of a mutant's kernels until one fails.
    pub fn run(&self, mutant: &Mutant) -> Outcome {
        match mutant.change {
            Change::Launch(tampering) => {
                self.emulator.tamper(Some((&mutant.function, tampering)));
                let found = self.check(mutant.file, |check| [Some(check.f32), check.bf16]);
                self.emulator.tamper(None);
                found.map_or(Outcome::Survived, Outcome::Caught)
            }
            Change::Text(..) => self.run_text(mutant),
        }
    }

    fn run_text(&self, mutant: &Mutant) -> Outcome {
        let mut outcome = Outcome::Invalid;
        let sources = kernels::cuda_sources();
        let has = |source: &&Source| source.parts().iter().any(|(file, _)| *file == mutant.file);
        for source in sources.iter().filter(has) {
            let f32 = self.run_source::<f32>(mutant, source, |check| [Some(check.f32), None]);
            if let Outcome::Caught(_) = f32 {
                return f32;
            }
            let bf16 = self.run_source::<Bf16>(mutant, source, |check| [check.bf16, None]);
            if let Outcome::Caught(_) = bf16 {
                return bf16;
            }
            for one in [f32, bf16] {
                outcome = match (outcome, one) {
                    (Outcome::Survived, _) | (_, Outcome::Survived) => Outcome::Survived,
                    (Outcome::Same, _) | (_, Outcome::Same) => Outcome::Same,
                    _ => Outcome::Invalid,
                };
            }
        }
        outcome
    }

    fn run_source<R: Real>(
        &self,
        mutant: &Mutant,
        source: &Source,
        runs: impl Fn(&Check) -> [Option<fn(&Device)>; 2],
    ) -> Outcome {
        // There is no program of numbers that the source is not for.
        let Some(original) = self.originals.get(&(source.file, R::NAME)) else {
            return Outcome::Invalid;
        };
        let parts: Vec<(&str, String)> = source
            .parts()
            .into_iter()
            .map(|(file, text)| {
                (file, if file == mutant.file { mutant.apply(text) } else { text.to_owned() })
            })
            .collect();
        let parts: Vec<(&str, &str)> =
            parts.iter().map(|(file, text)| (*file, text.as_str())).collect();
        let Ok(ptx) = self.compiler.compile::<R>(source.file, &Source::join(&parts), TARGET) else {
            return Outcome::Invalid;
        };
        if ptx == *original {
            return Outcome::Same;
        }
        self.emulator.substitute(original, Some(&ptx));
        let found = self.check(source.file, runs);
        self.emulator.substitute(original, None);
        found.map_or(Outcome::Survived, Outcome::Caught)
    }

    /// The first thing that a check of this file's kernels finds. Panics stay silent: each is a mutant that was caught.
    fn check(
        &self,
        file: &str,
        runs: impl Fn(&Check) -> [Option<fn(&Device)>; 2],
    ) -> Option<String> {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        let mut checks = CHECKS.iter().filter(|check| check.files.contains(&file));
        let found = checks.find_map(|check| {
            let found = runs(check).into_iter().flatten().find_map(|run| self.find(run));
            found.map(|found| format!("{}: {found}", check.name))
        });
        std::panic::set_hook(hook);
        found
    }

    /// What a report of the emulator or a failed assertion says.
    fn find(&self, run: fn(&Device)) -> Option<String> {
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let device = Device::open(0, Some(self.cache.path())).map(Device::watched);
            run(&device.expect("the bench was opened on this device"));
        }));
        let reports = self.emulator.take_reports();
        if let Some(report) = reports.first() {
            return Some(report.to_string());
        }
        let panic = ran.err()?;
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Some(text.unwrap_or_default())
    }

    /// Whether every check passes on the kernels as they are; what fails otherwise.
    pub fn baseline(&self) -> Option<String> {
        let files = kernels::cuda_sources().map(|source| source.file);
        files.iter().find_map(|file| self.check(file, |check| [Some(check.f32), check.bf16]))
    }
}
